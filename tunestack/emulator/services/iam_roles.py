"""IAM: the roles that a project defines itself (iam.v1).

A deleted role lingers (Google: for 7 days) and can be restored; while it does its id is taken. Roles count where IAM
is enforced: :mod:`tunestack.emulator.access.enforcement`.
"""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from tunestack.emulator.schema import apply_mask
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.resources import with_etag

Json = dict[str, Any]

ROLES = "roles"

_ROLES = "iam.projects.roles"
_PERMISSION = re.compile(r"[a-z][\w-]*(\.[\w-]+){2,}", re.ASCII)


def _role(call: Call) -> Json:
    row = call.state.rows.find(call.parent("name"))
    if row is None:
        name = call.state.projects.by_id(call.parent("name"))
        raise not_found(f"The role named {name} was not found.")
    return row


def _keep(call: Call, row: Json) -> Json:
    return call.state.rows.put(call.parent("name"), with_etag(row))


def _check(role: Json) -> None:
    for permission in role.get("includedPermissions", []):
        if not _PERMISSION.fullmatch(permission):
            raise invalid(f"Permission {permission} is not valid.")
    if len(role.get("title", "")) > 100 or len(role.get("description", "")) > 300:
        raise invalid("A role's title has at most 100 characters, its description 300.")


@implements(f"{_ROLES}.create")
def create(call: Call) -> Json:
    parent, name = call.parent("parent"), str(call.body.get("roleId", ""))
    if not re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", name):
        raise invalid(f"The role_id must have 3 to 64 letters, digits, _ or ., not {name!r}.")
    role = call.body.get("role", {})
    _check(role)
    key = f"{parent}/roles/{name}"
    shown = call.state.projects.by_id(key)
    if call.state.rows.find(key):
        raise already_exists(f"A role named {name} in {shown.rpartition('/roles/')[0]} already exists.")
    row = {"stage": "ALPHA", **role, "name": shown}
    return call.state.rows.create(ROLES, parent, key, with_etag(row))


@implements(f"{_ROLES}.get")
def get(call: Call) -> Json:
    return _role(call)


@implements(f"{_ROLES}.list")
def list_roles(call: Call) -> Json:
    rows = [
        row
        for row in call.state.rows.list(ROLES, call.parent("parent"))
        if call.query.get("showDeleted") or not row.get("deleted")
    ]
    if call.query.get("view") != "FULL":
        rows = [{key: value for key, value in row.items() if key != "includedPermissions"} for row in rows]
    rows, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=300)
    return {"roles": rows, **({"nextPageToken": token} if token else {})}


@implements(f"{_ROLES}.patch")
def patch(call: Call) -> Json:
    row = _role(call)
    if row.get("deleted"):
        raise failed_precondition("You can't update a role that is deleted: undelete it first.")
    change = {key: value for key, value in call.body.items() if key not in ("name", "etag", "deleted")}
    if call.body.get("etag", row["etag"]) != row["etag"]:
        raise ApiError("ABORTED", "The role was changed by someone else meanwhile.")
    _check(change)
    mask = call.query.get("updateMask") or ",".join(change)
    return _keep(call, apply_mask(row, change, mask) if mask else row)


@implements(f"{_ROLES}.delete")
def delete(call: Call) -> Json:
    row = _role(call)
    if row.get("deleted"):
        raise failed_precondition(f"The role {row['name']} is deleted already.")
    return _keep(call, {**row, "deleted": True})


@implements(f"{_ROLES}.undelete")
def undelete(call: Call) -> Json:
    row = _role(call)
    if not row.get("deleted"):
        raise failed_precondition(f"The role {row['name']} is not deleted.")
    return _keep(call, {key: value for key, value in row.items() if key != "deleted"})
