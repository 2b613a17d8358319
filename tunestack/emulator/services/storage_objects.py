"""Cloud Storage: objects, their generations and contents (storage.v1)."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Iterator
from typing import Any

import orjson

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.contents import Content
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.schema import merge_patch
from tunestack.emulator.services.customer_keys import check_readable, storage_key_version
from tunestack.emulator.services.storage import (
    check_preconditions,
    digest_of,
    find_object,
    get_bucket,
    get_object,
    glob_pattern,
    shown_object,
)
from tunestack.emulator.services.storage_downloads import download
from tunestack.emulator.services.storage_lifecycle import due_action
from tunestack.emulator.services.storage_notifications import announce
from tunestack.emulator.services.storage_protection import (
    check_may_go,
    check_retention_change,
    keep_soft_deleted,
    soft_deleted,
)
from tunestack.emulator.services.storage_protection import forget_unused as forget_unused
from tunestack.emulator.state import State

Json = dict[str, Any]

WRITABLE = {
    "acl",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "contexts",
    "customTime",
    "eventBasedHold",
    "metadata",
    "retention",
    "storageClass",
    "temporaryHold",
}
_NEWEST = 2**63 - 1
_MEBIBYTE = 1 << 20


def store(
    state: State, bucket: str, name: str, metadata: Json, content: Content, query: Json | None = None
) -> Json:
    """Make ``content`` the live object ``name``, under the preconditions in ``query``. Its resource.

    The object that was live becomes a noncurrent generation where the bucket keeps versions, else it goes.
    """
    bucket_row = get_bucket(state, bucket)
    if not name or len(name.encode()) > 1024 or name in (".", "..") or "\r" in name or "\n" in name:
        raise invalid(f"Invalid object name: '{name}'")
    for field in ("md5Hash", "crc32c"):
        have = content.md5 if field == "md5Hash" else content.crc32c
        if metadata.get(field) and metadata[field] != have:
            label = "MD5 hash" if field == "md5Hash" else "CRC32C"
            raise invalid(f'Provided {label} "{metadata[field]}" doesn\'t match calculated {label} "{have}".')
    key = _key_for(state, bucket_row, query or {})
    with state.database.transaction():
        live = find_object(state, bucket, name)
        check_preconditions(
            query or {},
            int(live["generation"]) if live else None,
            int(live["metageneration"]) if live else None,
        )
        now = state.now()
        generation = state.database.next_number("generation", int(state.clock().timestamp() * 1_000_000))
        if live:
            retire_object(state, bucket_row, live, overwrittenByGeneration=str(generation))
        body = {
            **{key: value for key, value in metadata.items() if key in WRITABLE},
            "name": name,
            "bucket": bucket,
            "generation": str(generation),
            "metageneration": "1",
            "contentType": metadata.get("contentType") or "application/octet-stream",
            "storageClass": metadata.get("storageClass") or bucket_row["storageClass"],
            "size": str(content.size),
            "crc32c": content.crc32c,
            "timeCreated": now,
            "updated": now,
            "timeStorageClassUpdated": now,
            "timeFinalized": now,
        }
        if content.md5:
            body["md5Hash"] = content.md5
        if key:
            body["kmsKeyName"] = key
        if bucket_row.get("defaultEventBasedHold"):
            body.setdefault("eventBasedHold", True)
        if "componentCount" in metadata:
            body["componentCount"] = metadata["componentCount"]
        state.database.execute(
            "INSERT INTO object VALUES (?, ?, ?, 1, ?, ?)",
            bucket,
            name,
            generation,
            content.digest,
            orjson.dumps(body),
        )
        overwrote = {"overwroteGeneration": live["generation"]} if live else {}
        announce(state, "OBJECT_FINALIZE", body, **overwrote)
    return body


def content_of(state: State, body: Json) -> Content:
    """The content that an object has."""
    return Content(digest_of(state, body), int(body["size"]), body.get("md5Hash"), body["crc32c"])


def read(state: State, bucket: str, name: str) -> bytes:
    """The content of the live object."""
    row = get_object(state, bucket, name)
    check_readable(state, row)
    return state.contents.read(digest_of(state, row))


@implements("storage.objects.get")
def get(call: Call) -> Json | Reply:
    body = _asked(call)
    if call.kind == "download" or call.incoming.parameter("alt") == "media":
        check_readable(call.state, body)
        return download(call.state, call.incoming.headers, body)
    return shown_object(call, body)


@implements("storage.objects.list")
def list_objects(call: Call) -> Json:
    state, query = call.state, call.query
    bucket = call.path["bucket"]
    apply_lifecycle(state, get_bucket(state, bucket))
    size = min(query.get("maxResults") or 1000, 1000)
    delimiter = query.get("delimiter")
    items: list[Json] = []
    prefixes: list[str] = []
    token = None
    last = ("", 0)
    for name, generation, body in _listed(call):
        if len(items) + len(prefixes) == size:
            token = base64.urlsafe_b64encode(orjson.dumps(last)).decode()
            break
        prefix = query.get("prefix", "")
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if delimiter and cut >= 0:
            common = name[: cut + len(delimiter)]
            if common not in prefixes:
                prefixes.append(common)
            # On to whatever sorts after everything with this prefix.
            last = (common + "\U0010ffff", _NEWEST)
            if not (name == common and query.get("includeTrailingDelimiter")):
                continue
        items.append(shown_object(call, orjson.loads(body)))
        if not (delimiter and cut >= 0):
            last = (name, generation if query.get("versions") else _NEWEST)
    result: Json = {"kind": "storage#objects"}
    if items:
        result["items"] = items
    if prefixes:
        result["prefixes"] = prefixes
    return {**result, "nextPageToken": token} if token else result


@implements("storage.objects.patch")
def patch(call: Call) -> Json:
    body = _asked(call)
    return _changed(call, body, merge_patch(body, {k: v for k, v in call.body.items() if k in WRITABLE}))


@implements("storage.objects.update")
def update(call: Call) -> Json:
    body = _asked(call)
    kept = {
        key: value
        for key, value in body.items()
        if key not in WRITABLE or key in ("contentType", "storageClass")
    }
    return _changed(call, body, merge_patch(kept, {k: v for k, v in call.body.items() if k in WRITABLE}))


@implements("storage.objects.delete")
def delete(call: Call) -> Reply:
    body = _asked(call)
    state = call.state
    if call.query.get("generation") is None:
        retire_object(state, get_bucket(state, body["bucket"]), body)
    else:
        remove_object(state, body)
    return Reply(None, 204)


def _asked(call: Call) -> Json:
    """The object that the path and ``generation`` name, with the preconditions checked."""
    state, bucket, name = call.state, call.path["bucket"], call.path["object"]
    generation = call.query.get("generation")
    if call.query.get("softDeleted"):
        return _soft_deleted(call, bucket, name, generation)
    apply_lifecycle(state, get_bucket(state, bucket))
    body = get_object(state, bucket, name, generation)
    reads = call.method.id == "storage.objects.get"
    check_preconditions(call.query, int(body["generation"]), int(body["metageneration"]), reads=reads)
    return body


def _soft_deleted(call: Call, bucket: str, name: str, generation: int | None) -> Json:
    if generation is None:
        raise invalid("Required parameter: generation")
    for body, _ in soft_deleted(call.state, bucket):
        if body["name"] == name and int(body["generation"]) == generation:
            return body
    raise not_found(f"No such object: {bucket}/{name}#{generation}")


def apply_lifecycle(state: State, bucket: Json) -> None:
    """Carry out what a bucket's lifecycle rules ask for by now."""
    rules = bucket.get("lifecycle", {}).get("rule")
    if not rules:
        return
    with state.database.transaction():
        name, newer = "", 0
        rows = state.database.execute(
            "SELECT body FROM object WHERE bucket = ? ORDER BY name, generation DESC", bucket["name"]
        )
        for (stored,) in rows:
            body = orjson.loads(stored)
            name, newer = body["name"], newer + 1 if body["name"] == name else 0
            action = due_action(rules, body, newer, state.clock())
            if action is None:
                continue
            if action["type"] == "SetStorageClass":
                changed = {
                    **body,
                    "storageClass": action["storageClass"],
                    "timeStorageClassUpdated": state.now(),
                }
                _keep(state, {**changed, "metageneration": str(int(body["metageneration"]) + 1)})
                continue
            # A hold or a retention wins over a rule.
            with contextlib.suppress(ApiError):
                live = "timeDeleted" not in body
                (retire_object(state, bucket, body) if live else remove_object(state, body))


def _keep(state: State, body: Json) -> None:
    state.database.execute(
        "UPDATE object SET body = ? WHERE bucket = ? AND name = ? AND generation = ?",
        orjson.dumps(body),
        body["bucket"],
        body["name"],
        int(body["generation"]),
    )


def _changed(call: Call, before: Json, after: Json) -> Json:
    bucket = get_bucket(call.state, before["bucket"])
    check_retention_change(
        call.state, bucket, before, after, bool(call.query.get("overrideUnlockedRetention"))
    )
    after["metageneration"] = str(int(before["metageneration"]) + 1)
    after["updated"] = call.state.now()
    _keep(call.state, after)
    announce(call.state, "OBJECT_METADATA_UPDATE", after)
    return shown_object(call, after)


def retire_object(state: State, bucket: Json, body: Json, **told: str) -> None:
    """The live object makes room: noncurrent in a versioned bucket, gone in another. ``told`` is announced with it."""
    if not bucket.get("versioning", {}).get("enabled"):
        remove_object(state, body, **told)
        return
    if "timeDeleted" in body:
        return
    state.database.execute(
        "UPDATE object SET live = 0, body = ? WHERE bucket = ? AND name = ? AND generation = ?",
        orjson.dumps({**body, "timeDeleted": state.now()}),
        body["bucket"],
        body["name"],
        int(body["generation"]),
    )
    announce(state, "OBJECT_ARCHIVE", body, **told)


def remove_object(state: State, body: Json, **told: str) -> None:
    bucket = get_bucket(state, body["bucket"])
    check_may_go(state, bucket, body)
    digest = digest_of(state, body)
    keep_soft_deleted(state, bucket, body, digest)
    state.database.after_commit(lambda: forget_unused(state, digest))
    state.database.execute(
        "DELETE FROM object WHERE bucket = ? AND name = ? AND generation = ?",
        body["bucket"],
        body["name"],
        int(body["generation"]),
    )
    announce(state, "OBJECT_DELETE", body, **told)


def _listed(call: Call) -> Iterator[tuple[str, int, bytes]]:
    """Rows in order from the page token on, filtered by prefix, offsets, glob and liveness."""
    query = call.query
    prefix = query.get("prefix", "")
    if query.get("softDeleted"):
        if query.get("versions"):
            raise invalid("Cannot specify both softDeleted and versions.")
        for body, _ in soft_deleted(call.state, call.path["bucket"]):
            if body["name"].startswith(prefix):
                yield body["name"], int(body["generation"]), orjson.dumps(body)
        return
    after: tuple[str, int] = ("", -1)
    if query.get("pageToken"):
        try:
            name, generation = orjson.loads(base64.urlsafe_b64decode(query["pageToken"]))
            after = (str(name), int(generation))
        except (binascii.Error, ValueError, TypeError):
            raise invalid("Invalid page token") from None
    glob = glob_pattern(query["matchGlob"]) if query.get("matchGlob") else None
    rows = call.state.database.execute(
        "SELECT name, generation, body FROM object WHERE bucket = ? AND (name, generation) > (?, ?)"
        " AND name >= ? AND name < ? AND (live OR ?) ORDER BY name, generation",
        call.path["bucket"],
        *after,
        max(prefix, query.get("startOffset", "")),
        min(prefix + "\U0010ffff", query.get("endOffset") or "\U0010ffff"),
        bool(query.get("versions")),
    )
    for name, generation, body in rows:
        if glob is None or glob.fullmatch(name):
            yield name, generation, body


def _key_for(state: State, bucket: Json, query: Json) -> str | None:
    """The version of the customer's key for a new object: the request's key, else the bucket's."""
    default = bucket.get("encryption", {}).get("defaultKmsKeyName")
    name = query.get("kmsKeyName") or query.get("destinationKmsKeyName") or default
    return storage_key_version(state, bucket["projectNumber"], bucket["location"], name) if name else None
