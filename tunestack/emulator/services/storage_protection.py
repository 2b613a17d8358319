"""Cloud Storage: what keeps an object from going: holds, the bucket's retention policy, its own retention; and where it
goes: soft delete.

cloud.google.com/storage/docs/{object-holds,bucket-lock,object-lock,soft-delete}.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.state import State

Json = dict[str, Any]


def moment(text: Any) -> datetime | None:
    """A time or date as Google writes them; None where it is none."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def retained_until(bucket: Json, body: Json) -> datetime | None:
    """Until when an object may neither be deleted nor overwritten."""
    times = [moment(body.get("retention", {}).get("retainUntilTime"))]
    period = int(bucket.get("retentionPolicy", {}).get("retentionPeriod", 0) or 0)
    created = moment(body["timeCreated"])
    if period and created:
        times.append(created + timedelta(seconds=min(period, 100 * 366 * 86_400)))
    return max((time for time in times if time), default=None)


def shown_retention(bucket: Json, body: Json) -> Json:
    """``retentionExpirationTime``, where there is one."""
    until = retained_until(bucket, body)
    return {"retentionExpirationTime": written(until)} if until else {}


def check_may_go(state: State, bucket: Json, body: Json) -> None:
    """Raises 403 where a hold or a retention forbids to delete or overwrite an object."""
    name = f"{body['bucket']}/{body['name']}"
    for field, words in (("temporaryHold", "Temporary"), ("eventBasedHold", "Event-Based")):
        if body.get(field):
            raise ApiError(
                "PERMISSION_DENIED",
                f"Object '{name}' is under active {words} hold and cannot be deleted, overwritten or archived until "
                "hold is removed.",
            )
    until = retained_until(bucket, body)
    if until and until > state.clock():
        raise ApiError(
            "PERMISSION_DENIED",
            f"Object '{name}' is subject to bucket's retention policy or object retention and cannot be deleted or "
            f"overwritten until {written(until)}",
            reason="retentionPolicyNotMet",
        )


def check_retention_change(state: State, bucket: Json, before: Json, after: Json, override: bool) -> None:
    """Raises 403 where an object's retention would become weaker than it may."""
    old, new = before.get("retention"), after.get("retention")
    if new and bucket.get("objectRetention", {}).get("mode") != "Enabled":
        raise invalid("Object retention is not enabled on the bucket.")
    if not old or old == new:
        return
    until, later = moment(old.get("retainUntilTime")), moment((new or {}).get("retainUntilTime"))
    weaker = not new or not later or bool(until and later < until) or new.get("mode") != old.get("mode")
    if until and until > state.clock() and weaker and (old.get("mode") == "Locked" or not override):
        raise ApiError(
            "PERMISSION_DENIED",
            f"Object '{before['bucket']}/{before['name']}' is subject to object retention and its retention cannot be "
            f"reduced until {written(until)}",
            reason="retentionPolicyNotMet",
        )


def check_policy_change(before: Json, after: Json) -> None:
    """Raises 403 where a locked retention policy of a bucket would be removed or shortened."""
    old, new = before.get("retentionPolicy", {}), after.get("retentionPolicy", {})
    if old.get("isLocked") and int(new.get("retentionPeriod", 0)) < int(old.get("retentionPeriod", 0)):
        raise ApiError(
            "PERMISSION_DENIED",
            f"Cannot {'reduce retention duration of' if new else 'remove'} a locked Retention Policy for bucket "
            f"'{before['name']}'.",
        )


# --- soft delete ---


def keep_soft_deleted(state: State, bucket: Json, body: Json, digest: str) -> None:
    """Remember an object that goes, for as long as its bucket says."""
    seconds = int(bucket.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0) or 0)
    if not seconds:
        return
    now = state.clock()
    times = {"softDeleteTime": written(now), "hardDeleteTime": written(now + timedelta(seconds=seconds))}
    state.database.execute(
        "INSERT OR REPLACE INTO soft_deleted_object VALUES (?, ?, ?, ?, ?, ?)",
        body["bucket"],
        body["name"],
        int(body["generation"]),
        times["hardDeleteTime"],
        digest,
        orjson.dumps({**body, **times}),
    )


def soft_deleted(state: State, bucket: str) -> list[tuple[Json, str]]:
    """The soft-deleted objects of a bucket with their digests, by name; those whose time is over are let go."""
    now = written(state.clock())
    over = state.database.execute(
        "DELETE FROM soft_deleted_object WHERE bucket = ? AND hard_delete <= ? RETURNING digest", bucket, now
    )
    for (digest,) in over:
        state.database.after_commit(lambda digest=digest: forget_unused(state, digest))  # type: ignore[misc]
    rows = state.database.execute(
        "SELECT body, digest FROM soft_deleted_object WHERE bucket = ? ORDER BY name, generation", bucket
    )
    return [(orjson.loads(body), digest) for body, digest in rows]


def drop_soft_deleted(state: State, bucket: str) -> None:
    """With the bucket goes what was soft-deleted in it."""
    gone = state.database.execute("DELETE FROM soft_deleted_object WHERE bucket = ? RETURNING digest", bucket)
    for (digest,) in gone:
        state.database.after_commit(lambda digest=digest: forget_unused(state, digest))  # type: ignore[misc]


def forget_unused(state: State, digest: str) -> None:
    """Remove a content that no object has (any more)."""
    for table in ("object", "soft_deleted_object"):
        if state.database.one(f"SELECT 1 FROM {table} WHERE digest = ? LIMIT 1", digest):  # noqa: S608
            return
    state.contents.forget(digest)
