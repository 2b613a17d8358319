"""Cloud Storage: buckets and their IAM policies (storage.v1)."""

from __future__ import annotations

import base64
import re
from typing import Any

from tunestack.emulator.access.enforcement import default_bucket_bindings
from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.schema import merge_patch
from tunestack.emulator.services.customer_keys import storage_key_version
from tunestack.emulator.services.iam_policy import check_bindings
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.storage import BUCKETS, bucket_name, check_preconditions, get_bucket
from tunestack.emulator.services.storage_protection import check_policy_change, drop_soft_deleted

Json = dict[str, Any]

# What only the server sets: kept as it was, whatever a PUT of a whole resource carries.
_SERVER_OWNED = {
    "etag",
    "generation",
    "id",
    "kind",
    "location",
    "locationType",
    "metageneration",
    "name",
    "projectNumber",
    "selfLink",
    "timeCreated",
    "updated",
}
_MULTI_REGIONS = {"US", "EU", "ASIA"}
_NOT_EMPTY = "The bucket you tried to delete is not empty."


@implements("storage.buckets.insert")
def insert(call: Call) -> Json:
    body = call.body
    name = body.get("name", "")
    # cloud.google.com/storage/docs/buckets#naming
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", name) or (len(name) > 63 and "." not in name):
        raise invalid(f"Invalid bucket name: '{name}'")
    if name.startswith("goog") or "google" in name:
        raise invalid(f"Invalid bucket name: '{name}'")
    project = call.query.get("project")
    if not project:
        raise invalid("Required parameter: project")
    state = call.state
    if state.rows.find(bucket_name(name)):
        raise ApiError(
            "ALREADY_EXISTS",
            "Your previous request to create the named bucket succeeded and you already own it.",
            reason="conflict",
        )
    if project in ("<none>", "_"):
        project = state.options.project
    now = state.now()
    location = body.get("location", "US").upper()
    uniform = body.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {}).get("enabled", False)
    row = {
        **{key: value for key, value in body.items() if key not in _SERVER_OWNED},
        "name": name,
        "projectNumber": state.projects.number(project),
        "location": location,
        "locationType": "multi-region" if location in _MULTI_REGIONS else "region",
        "storageClass": body.get("storageClass", "STANDARD"),
        "generation": str(int(state.clock().timestamp() * 1_000_000)),
        "metageneration": "1",
        "timeCreated": now,
        "updated": now,
    }
    row["iamConfiguration"] = {
        "publicAccessPrevention": "inherited",
        **body.get("iamConfiguration", {}),
        "uniformBucketLevelAccess": {
            "enabled": uniform,
            **({"lockedTime": _in_90_days(call)} if uniform else {}),
        },
        "bucketPolicyOnly": {"enabled": uniform},
    }
    _check_key(call, row)
    if call.query.get("enableObjectRetention"):
        row["objectRetention"] = {"mode": "Enabled"}
    row = _times(call, row)
    state.rows.create(BUCKETS, row["projectNumber"], bucket_name(name), row)
    return shown_bucket(call, row)


@implements("storage.buckets.get")
def get(call: Call) -> Json:
    row = get_bucket(call.state, call.path["bucket"])
    check_preconditions(call.query, None, int(row["metageneration"]), reads=True)
    return shown_bucket(call, row)


@implements("storage.buckets.list")
def list_buckets(call: Call) -> Json:
    number = call.state.projects.number(call.query.get("project") or call.state.options.project)
    prefix = call.query.get("prefix", "")
    rows = [row for row in call.state.rows.list(BUCKETS, number) if row["name"].startswith(prefix)]
    rows.sort(key=lambda row: row["name"])
    rows, token = page(rows, call.query.get("maxResults", 1000), call.query.get("pageToken"))
    body: Json = {"kind": "storage#buckets", "items": [shown_bucket(call, row) for row in rows]}
    return {**body, "nextPageToken": token} if token else body


@implements("storage.buckets.patch")
def patch(call: Call) -> Json:
    return _change(call, lambda row: merge_patch(row, _writable(call.body)))


@implements("storage.buckets.update")
def update(call: Call) -> Json:
    kept = {
        key: value
        for key, value in get_bucket(call.state, call.path["bucket"]).items()
        if key in _SERVER_OWNED
    }
    return _change(call, lambda row: merge_patch(kept, _writable(call.body)))


@implements("storage.buckets.delete")
def delete(call: Call) -> Reply:
    state = call.state
    name = call.path["bucket"]
    row = get_bucket(state, name)
    check_preconditions(call.query, None, int(row["metageneration"]))
    if state.database.one("SELECT 1 FROM object WHERE bucket = ? LIMIT 1", name):
        raise ApiError("ABORTED", _NOT_EMPTY, reason="conflict")
    drop_soft_deleted(state, name)
    state.rows.delete_below(bucket_name(name), "")
    state.rows.delete(bucket_name(name))
    state.rows.delete_below(bucket_name(name), besides="")
    state.policies.delete(bucket_name(name))
    return Reply(None, 204)


@implements("storage.buckets.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return _policy(call)


@implements("storage.buckets.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    current = _policy(call)
    sent = call.body.get("etag")
    if sent and sent != current["etag"]:
        raise ApiError(
            "FAILED_PRECONDITION",
            "At least one of the pre-conditions you specified did not hold.",
            code=412,
            reason="conditionNotMet",
        )
    bindings = check_bindings(call.state, call.body.get("bindings", []))
    access = get_bucket(call.state, call.path["bucket"])["iamConfiguration"]
    members = {member for binding in bindings for member in binding["members"]}
    if access.get("publicAccessPrevention") == "enforced" and members & {"allUsers", "allAuthenticatedUsers"}:
        raise ApiError(
            "FAILED_PRECONDITION",
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is "
            "enforced.",
            code=412,
            reason="conditionNotMet",
        )
    version = 3 if any("condition" in binding for binding in bindings) else call.body.get("version", 1)
    call.state.policies.put(bucket_name(call.path["bucket"]), {"version": version, "bindings": bindings})
    return _policy(call)


@implements("storage.buckets.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    get_bucket(call.state, call.path["bucket"])
    return {"kind": "storage#testIamPermissionsResponse", "permissions": call.query.get("permissions", [])}


@implements("storage.projects.serviceAccount.get")
def service_account(call: Call) -> Json:
    number = call.state.projects.number(call.path["projectId"])
    return {
        "kind": "storage#serviceAccount",
        "email_address": f"service-{number}@gs-project-accounts.iam.gserviceaccount.com",
    }


def _times(call: Call, row: Json) -> Json:
    """From when on the policies hold that a bucket has now."""
    changed = dict(row)
    for field in ("softDeletePolicy", "retentionPolicy"):
        if row.get(field):
            changed[field] = {"effectiveTime": call.state.now(), **row[field]}
    return changed


def _writable(body: Json) -> Json:
    return {key: value for key, value in body.items() if key not in _SERVER_OWNED}


def _change(call: Call, change: Any) -> Json:
    state = call.state
    row = get_bucket(state, call.path["bucket"])
    check_preconditions(call.query, None, int(row["metageneration"]))
    changed = _times(call, change(row))
    check_policy_change(row, changed)
    changed["metageneration"] = str(int(row["metageneration"]) + 1)
    changed["updated"] = state.now()
    access = changed.setdefault("iamConfiguration", {"publicAccessPrevention": "inherited"})
    uniform = access.get("uniformBucketLevelAccess", {"enabled": False})
    access["uniformBucketLevelAccess"] = uniform
    access["bucketPolicyOnly"] = {"enabled": uniform.get("enabled", False)}
    changed.setdefault("storageClass", "STANDARD")
    if changed.get("encryption") != row.get("encryption"):
        _check_key(call, changed)
    state.rows.put(bucket_name(row["name"]), changed)
    return shown_bucket(call, changed)


def shown_bucket(call: Call, row: Json) -> Json:
    return {
        "kind": "storage#bucket",
        "id": row["name"],
        "selfLink": f"{call.incoming.base_url}/storage/v1/b/{row['name']}",
        **row,
        "etag": base64.b64encode(row["metageneration"].encode()).decode(),
    }


def _policy(call: Call) -> Json:
    """The bucket's policy; a new bucket has the project's convenience roles, as Google's."""
    row = get_bucket(call.state, call.path["bucket"])
    project = call.state.projects.id(row["projectNumber"])
    uniform = row["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"]
    bindings = default_bucket_bindings(project, uniform=uniform)
    policy = call.state.policies.get(bucket_name(row["name"]), {"bindings": bindings})
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{row['name']}",
        "version": policy["version"],
        "etag": base64.b64encode(policy["etag"].encode()).decode(),
        "bindings": policy["bindings"],
    }


def _check_key(call: Call, row: Json) -> None:
    """Raises 400, 403 where objects could not be encrypted with the bucket's key."""
    key = row.get("encryption", {}).get("defaultKmsKeyName")
    if key:
        storage_key_version(call.state, row["projectNumber"], row["location"], key)


def _in_90_days(call: Call) -> str:
    from datetime import timedelta

    return (call.state.clock() + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
