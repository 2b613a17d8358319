"""Cloud Storage: access control lists of buckets and objects, refused where access is uniform (storage.v1).

cloud.google.com/storage/docs/uniform-bucket-level-access
"""

from __future__ import annotations

from typing import Any

import orjson

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services.storage import bucket_name, get_bucket, get_object

Json = dict[str, Any]

_MORE = "Read more at https://cloud.google.com/storage/docs/uniform-bucket-level-access"
_ROLES = {"bucketAccessControls": ("OWNER", "WRITER", "READER")}
_FIELDS = {
    "bucketAccessControls": "acl",
    "defaultObjectAccessControls": "defaultObjectAcl",
    "objectAccessControls": "acl",
}
_KINDS = {
    name: ("bucketAccessControl" if name == "bucketAccessControls" else "objectAccessControl")
    for name in _FIELDS
}


def _ids(verb: str) -> list[str]:
    return [f"storage.{collection}.{verb}" for collection in _FIELDS]


@implements(*_ids("list"))
def list_entries(call: Call) -> Json:
    kind = _KINDS[_collection(call)]
    return {"kind": f"storage#{kind}s", "items": [_shown(call, entry) for entry in _entries(call)]}


@implements(*_ids("get"))
def get(call: Call) -> Json:
    return _shown(call, _entry(call))


@implements(*_ids("insert"))
def insert(call: Call) -> Json:
    entity = call.body.get("entity")
    if not entity or not call.body.get("role"):
        raise invalid("Required field: entity and role")
    return _put(call, {"entity": entity, "role": call.body["role"]})


@implements(*_ids("patch"), *_ids("update"))
def patch(call: Call) -> Json:
    return _put(call, {**_entry(call), **{key: value for key, value in call.body.items() if key == "role"}})


@implements(*_ids("delete"))
def delete(call: Call) -> Reply:
    entry = _entry(call)
    _keep(call, [other for other in _entries(call) if other["entity"] != entry["entity"]])
    return Reply(None, 204)


def _collection(call: Call) -> str:
    return call.method.id.split(".")[1]


def _holder(call: Call) -> Json:
    """The bucket or object whose list it is. Raises 400 where the bucket's access is uniform."""
    bucket = get_bucket(call.state, call.path["bucket"])
    of_object = "object" in call.path
    if bucket["iamConfiguration"]["uniformBucketLevelAccess"].get("enabled"):
        if call.method.verb == "GET":
            what = "an object" if of_object else "a bucket"
            raise invalid(
                f"Cannot get legacy ACL for {what} when uniform bucket-level access is enabled. {_MORE}"
            )
        what = "update access control for an object" if of_object else "use ACL API to update bucket policy"
        raise invalid(f"Cannot {what} when uniform bucket-level access is enabled. {_MORE}")
    if of_object:
        return get_object(call.state, bucket["name"], call.path["object"], call.query.get("generation"))
    return bucket


def _entries(call: Call) -> list[Json]:
    """Absent, the list is what Google gives: the project's owners, editors and viewers by their part in it."""
    row = _holder(call)
    bucket = get_bucket(call.state, call.path["bucket"])
    number = bucket["projectNumber"]
    writer = "WRITER" if _collection(call) == "bucketAccessControls" else "OWNER"
    default = [
        {"entity": f"project-owners-{number}", "role": "OWNER"},
        {"entity": f"project-editors-{number}", "role": "OWNER" if writer == "WRITER" else writer},
        {"entity": f"project-viewers-{number}", "role": "READER"},
    ]
    entries: list[Json] = row.get(_FIELDS[_collection(call)]) or default
    return entries


def _entry(call: Call) -> Json:
    entity = call.path["entity"]
    for entry in _entries(call):
        if entry["entity"] == entity:
            return {"entity": entity, "role": entry["role"]}
    raise not_found(f"The specified ACL entry does not exist: {entity}")


def _put(call: Call, entry: Json) -> Json:
    roles = _ROLES.get(_collection(call), ("OWNER", "READER"))
    if entry["role"] not in roles:
        raise invalid(f"Invalid argument: role {entry['role']} is not one of {', '.join(roles)}")
    others = [other for other in _entries(call) if other["entity"] != entry["entity"]]
    _keep(call, [*others, entry])
    return _shown(call, entry)


def _keep(call: Call, entries: list[Json]) -> None:
    row = {**_holder(call), _FIELDS[_collection(call)]: entries}
    row["metageneration"] = str(int(row["metageneration"]) + 1)
    row["updated"] = call.state.now()
    if "object" not in call.path:
        call.state.rows.put(bucket_name(row["name"]), row)
        return
    call.state.database.execute(
        "UPDATE object SET body = ? WHERE bucket = ? AND name = ? AND generation = ?",
        orjson.dumps(row),
        row["bucket"],
        row["name"],
        int(row["generation"]),
    )


def _shown(call: Call, entry: Json) -> Json:
    shown = {"kind": f"storage#{_KINDS[_collection(call)]}", "bucket": call.path["bucket"], **entry}
    return {**shown, "object": call.path["object"]} if "object" in call.path else shown
