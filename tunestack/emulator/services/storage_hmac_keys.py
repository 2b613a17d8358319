"""Cloud Storage: HMAC keys of service accounts: made, listed, switched off, removed (storage.v1).

They are configuration that programs declare; the XML API, which takes their signatures, is not played.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services.paging import page
from tunestack.emulator.state import etag

Json = dict[str, Any]

_KEYS = "hmacKeys"


@implements("storage.projects.hmacKeys.create")
def create_key(call: Call) -> Json:
    """The secret is answered once and kept nowhere."""
    email = call.query.get("serviceAccountEmail")
    if not email:
        raise invalid("Required parameter: serviceAccountEmail")
    project = call.state.projects.id(call.path["projectId"])
    now = call.state.now()
    access = "GOOG1E" + base64.b32encode(secrets.token_bytes(34)).decode().rstrip("=")
    row = {
        "accessId": access,
        "projectId": project,
        "serviceAccountEmail": email,
        "state": "ACTIVE",
        "timeCreated": now,
        "updated": now,
    }
    call.state.rows.create(_KEYS, f"hmacKeys/{project}", f"hmacKeys/{project}/{access}", row)
    secret = base64.b64encode(secrets.token_bytes(30)).decode()
    return {"kind": "storage#hmacKey", "secret": secret, "metadata": _shown_key(call, row)}


@implements("storage.projects.hmacKeys.get")
def get_key(call: Call) -> Json:
    return _shown_key(call, _key(call))


@implements("storage.projects.hmacKeys.list")
def list_keys(call: Call) -> Json:
    project = call.state.projects.id(call.path["projectId"])
    email = call.query.get("serviceAccountEmail")
    rows = [
        {**row, "name": row["accessId"]}
        for row in call.state.rows.list(_KEYS, f"hmacKeys/{project}")
        if (email in (None, row["serviceAccountEmail"]))
        and (row["state"] != "DELETED" or call.query.get("showDeletedKeys"))
    ]
    rows, token = page(rows, call.query.get("maxResults", 250), call.query.get("pageToken"))
    body: Json = {"kind": "storage#hmacKeysMetadata", "items": [_shown_key(call, row) for row in rows]}
    return {**body, "nextPageToken": token} if token else body


@implements("storage.projects.hmacKeys.update")
def update_key(call: Call) -> Json:
    row = _key(call)
    if call.body.get("state") not in ("ACTIVE", "INACTIVE"):
        raise invalid(f"Invalid argument: state {call.body.get('state')}")
    row |= {"state": call.body["state"], "updated": call.state.now()}
    call.state.rows.put(f"hmacKeys/{row['projectId']}/{row['accessId']}", row)
    return _shown_key(call, row)


@implements("storage.projects.hmacKeys.delete")
def delete_key(call: Call) -> Reply:
    row = _key(call)
    if row["state"] != "INACTIVE":
        raise invalid("Cannot delete keys in 'ACTIVE' state.")
    row |= {"state": "DELETED", "updated": call.state.now()}
    call.state.rows.put(f"hmacKeys/{row['projectId']}/{row['accessId']}", row)
    return Reply(None, 204)


def _key(call: Call) -> Json:
    project = call.state.projects.id(call.path["projectId"])
    row = call.state.rows.find(f"hmacKeys/{project}/{call.path['accessId']}")
    if row is None:
        raise not_found(f"Access ID not found in project {project}.")
    return row


def _shown_key(call: Call, row: Json) -> Json:
    visible = {key: value for key, value in row.items() if key != "name"}
    path = f"projects/{row['projectId']}/hmacKeys/{row['accessId']}"
    return {
        "kind": "storage#hmacKeyMetadata",
        "id": f"{row['projectId']}/{row['accessId']}",
        "selfLink": f"{call.incoming.base_url}/storage/v1/{path}",
        "etag": etag(visible),
        **visible,
    }
