"""Cloud Storage: managed folders, prefixes of objects with a policy of their own (storage.v1).

cloud.google.com/storage/docs/managed-folders: only in buckets with uniform access; their policies count for the objects
below them, besides the bucket's.
"""

from __future__ import annotations

import base64
from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.services.iam_policy import check_bindings
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.storage import check_preconditions, get_bucket
from tunestack.emulator.state import State

Json = dict[str, Any]

FOLDERS = "managedFolders"
_FOLDERS = f"storage.{FOLDERS}"


@implements(f"{_FOLDERS}.insert")
def insert(call: Call) -> Json:
    state, bucket, name = call.state, call.path["bucket"], str(call.body.get("name", ""))
    row = get_bucket(state, bucket)
    if not name.endswith("/") or name.startswith("/") or "//" in name or len(name.encode()) > 1024:
        raise invalid(f"Invalid managed folder name: '{name}': it must end with a slash.")
    if not row["iamConfiguration"]["uniformBucketLevelAccess"].get("enabled"):
        raise invalid("Managed folders need uniform bucket-level access to be enabled on the bucket.")
    if state.rows.find(_key(bucket, name)) is not None:
        raise ApiError(
            "ALREADY_EXISTS", f"The managed folder {bucket}/{name} already exists.", reason="conflict"
        )
    now = state.now()
    folder = {"name": name, "bucket": bucket, "createTime": now, "updateTime": now, "metageneration": "1"}
    state.policies.delete(_key(bucket, name))  # of one in a bucket of that name that is gone
    return _shown(call, state.rows.create(FOLDERS, bucket, _key(bucket, name), folder))


@implements(f"{_FOLDERS}.get")
def get(call: Call) -> Json:
    return _shown(call, _asked(call))


@implements(f"{_FOLDERS}.list")
def list_folders(call: Call) -> Json:
    get_bucket(call.state, call.path["bucket"])
    prefix = call.query.get("prefix", "")
    rows = [
        row for row in call.state.rows.list(FOLDERS, call.path["bucket"]) if row["name"].startswith(prefix)
    ]
    rows.sort(key=lambda row: str(row["name"]))
    chosen, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=1000)
    body: Json = {"kind": "storage#managedFolders"}
    if chosen:
        body["items"] = [_shown(call, row) for row in chosen]
    return {**body, "nextPageToken": token} if token else body


@implements(f"{_FOLDERS}.delete")
def delete(call: Call) -> Reply:
    """With ``allowNonEmpty`` what is below it stays, and no longer has its policy."""
    row = _asked(call)
    state, bucket = call.state, row["bucket"]
    if not call.query.get("allowNonEmpty") and _has_below(state, bucket, row["name"]):
        text = f"The managed folder {bucket}/{row['name']} is not empty."
        raise ApiError("FAILED_PRECONDITION", text, code=409, reason="conflict")
    state.rows.delete(_key(bucket, row["name"]))
    state.policies.delete(_key(bucket, row["name"]))
    return Reply(None, 204)


@implements(f"{_FOLDERS}.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return _policy(call, _asked(call))


@implements(f"{_FOLDERS}.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    row = _asked(call)
    sent = call.body.get("etag")
    if sent and sent != _policy(call, row)["etag"]:
        text = "At least one of the pre-conditions you specified did not hold."
        raise ApiError("FAILED_PRECONDITION", text, code=412, reason="conditionNotMet")
    bindings = check_bindings(call.state, call.body.get("bindings", []))
    version = 3 if any("condition" in binding for binding in bindings) else call.body.get("version", 1)
    call.state.policies.put(_key(row["bucket"], row["name"]), {"version": version, "bindings": bindings})
    return _policy(call, row)


@implements(f"{_FOLDERS}.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    _asked(call)
    return {"kind": "storage#testIamPermissionsResponse", "permissions": call.query.get("permissions", [])}


def _key(bucket: str, name: str) -> str:
    return f"buckets/{bucket}/{FOLDERS}/{name}"


def _asked(call: Call) -> Json:
    bucket, name = call.path["bucket"], call.path["managedFolder"]
    get_bucket(call.state, bucket)
    row = call.state.rows.find(_key(bucket, name))
    if row is None:
        raise not_found(f"The managed folder {bucket}/{name} does not exist.")
    check_preconditions(call.query, None, int(row["metageneration"]))
    return row


def _has_below(state: State, bucket: str, name: str) -> bool:
    found = state.database.one(
        "SELECT 1 FROM object WHERE bucket = ? AND live AND name >= ? AND name < ?",
        bucket,
        name,
        name + "\U0010ffff",
    )
    folders = state.rows.list(FOLDERS, bucket)
    return found is not None or any(row["name"] != name and row["name"].startswith(name) for row in folders)


def _shown(call: Call, row: Json) -> Json:
    return {
        "kind": "storage#managedFolder",
        "id": f"{row['bucket']}/{row['name']}",
        "selfLink": f"{call.incoming.base_url}/storage/v1/b/{row['bucket']}/{FOLDERS}/{row['name']}",
        **row,
    }


def _policy(call: Call, row: Json) -> Json:
    policy = call.state.policies.get(_key(row["bucket"], row["name"]))
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{row['bucket']}/{FOLDERS}/{row['name']}",
        "version": policy["version"],
        "etag": base64.b64encode(policy["etag"].encode()).decode(),
        "bindings": policy["bindings"],
    }
