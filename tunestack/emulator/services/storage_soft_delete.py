"""Cloud Storage: restoring soft-deleted objects, moving objects, locking retention (storage.v1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.contents import Content
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services.storage import (
    bucket_name,
    check_preconditions,
    get_bucket,
    get_object,
    shown_object,
)
from tunestack.emulator.services.storage_buckets import shown_bucket
from tunestack.emulator.services.storage_objects import content_of, retire_object, store
from tunestack.emulator.services.storage_protection import soft_deleted

Json = dict[str, Any]


@implements("storage.objects.restore")
def restore(call: Call) -> Json:
    """A soft-deleted object as a new live one; the soft-deleted one stays until its time is over."""
    bucket, name = call.path["bucket"], call.path["object"]
    generation = call.query.get("generation")
    if generation is None:
        raise invalid("Required parameter: generation")
    get_bucket(call.state, bucket)
    for body, digest in soft_deleted(call.state, bucket):
        if body["name"] == name and int(body["generation"]) == generation:
            content = Content(digest, int(body["size"]), body.get("md5Hash"), body["crc32c"])
            query = {key: value for key, value in call.query.items() if key.startswith("if")}
            return shown_object(call, store(call.state, bucket, name, body, content, query))
    raise not_found(f"No such object: {bucket}/{name}#{generation}")


@implements("storage.objects.move")
def move(call: Call) -> Json:
    """Within a bucket, in one transaction."""
    state, bucket, query = call.state, call.path["bucket"], call.query
    source = get_object(state, bucket, call.path["sourceObject"])
    check_preconditions(query, int(source["generation"]), int(source["metageneration"]), source=True)
    body = store(state, bucket, call.path["destinationObject"], source, content_of(state, source), query)
    retire_object(state, get_bucket(state, bucket), source)
    return shown_object(call, body)


@implements("storage.buckets.lockRetentionPolicy")
def lock_retention_policy(call: Call) -> Json:
    row = get_bucket(call.state, call.path["bucket"])
    if "ifMetagenerationMatch" not in call.query:
        raise invalid("Required parameter: ifMetagenerationMatch")
    check_preconditions(call.query, None, int(row["metageneration"]))
    if not row.get("retentionPolicy"):
        raise invalid(f"Bucket '{row['name']}' does not have a Retention Policy set.")
    row["retentionPolicy"] = {**row["retentionPolicy"], "isLocked": True}
    row |= {"metageneration": str(int(row["metageneration"]) + 1), "updated": call.state.now()}
    call.state.rows.put(bucket_name(row["name"]), row)
    return shown_bucket(call, row)


@implements("storage.buckets.getStorageLayout")
def storage_layout(call: Call) -> Json:
    row = get_bucket(call.state, call.path["bucket"])
    return {
        "kind": "storage#storageLayout",
        "bucket": row["name"],
        "location": row["location"],
        "locationType": row["locationType"],
        "hierarchicalNamespace": {"enabled": bool(row.get("hierarchicalNamespace", {}).get("enabled"))},
    }
