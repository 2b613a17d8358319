"""IAM: service accounts (iam.v1). Names carry the project's id, as Google's do here."""

from __future__ import annotations

import base64
import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, invalid, not_found
from tunestack.emulator.schema import apply_mask
from tunestack.emulator.services.iam_policy import policy_of, replace_policy
from tunestack.emulator.services.paging import page
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

ACCOUNTS = "serviceAccounts"


def find_account(state: State, name: str) -> Json | None:
    """A service account by ``projects/P/serviceAccounts/E`` (P may be ``-``) or by its e-mail or unique id."""
    identifier = name.rpartition("/")[2]
    row = state.rows.find(f"{ACCOUNTS}/{identifier}")
    if row is None and identifier.isdigit():
        row = next((row for row in state.rows.list(ACCOUNTS) if row["uniqueId"] == identifier), None)
    return row


def _get(call: Call) -> Json:
    name = call.path["name"] if "name" in call.path else call.path["resource"]
    row = find_account(call.state, name)
    project = name.split("/")[1]
    if row is None or project not in ("-", row["projectId"], call.state.projects.number(row["projectId"])):
        raise not_found(f"Unknown service account: {name}")
    return row


def _put(call: Call, row: Json) -> Json:
    row = {key: value for key, value in row.items() if key != "etag"}
    row["etag"] = base64.b64encode(etag(row).encode()).decode()
    return call.state.rows.put(_row_name(row), row)


def _row_name(row: Json) -> str:
    return f"{ACCOUNTS}/{row['email']}"


@implements("iam.projects.serviceAccounts.create")
def create(call: Call) -> Json:
    state = call.state
    account = call.body.get("accountId", "")
    if not re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", account):
        raise invalid(
            f'Invalid service account ID "{account}": it has 6-30 characters, lowercase letters, digits and dashes,'
            " and starts with a letter"
        )
    project = state.projects.id(call.path["name"].split("/")[1])
    email = f"{account}@{project}.iam.gserviceaccount.com"
    if state.rows.find(f"{ACCOUNTS}/{email}"):
        raise already_exists(f"Service account {account} already exists within project projects/{project}.")
    unique = str(10**20 + state.new_id())
    row = {
        **call.body.get("serviceAccount", {}),
        "name": f"projects/{project}/serviceAccounts/{email}",
        "projectId": project,
        "uniqueId": unique,
        "email": email,
        "oauth2ClientId": unique,
    }
    state.rows.create(ACCOUNTS, project, _row_name(row), row)
    return _put(call, row)


@implements("iam.projects.serviceAccounts.get")
def get(call: Call) -> Json:
    return _get(call)


@implements("iam.projects.serviceAccounts.list")
def list_accounts(call: Call) -> Json:
    project = call.state.projects.id(call.path["name"].split("/")[1])
    rows = call.state.rows.list(ACCOUNTS, project)
    rows, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=20)
    return {"accounts": rows, **({"nextPageToken": token} if token else {})}


@implements("iam.projects.serviceAccounts.patch")
def patch(call: Call) -> Json:
    row = _get(call)
    change = call.body.get("serviceAccount", {})
    mask = call.body.get("updateMask") or ",".join(
        field for field in ("displayName", "description") if field in change
    )
    return _put(call, apply_mask(row, change, mask))


@implements("iam.projects.serviceAccounts.update")
def update(call: Call) -> Json:
    row = _get(call)
    return _put(
        call, {**row, **{field: call.body.get(field, "") for field in ("displayName", "description")}}
    )


@implements("iam.projects.serviceAccounts.enable")
def enable(call: Call) -> Json:
    _put(call, {key: value for key, value in _get(call).items() if key != "disabled"})
    return {}


@implements("iam.projects.serviceAccounts.disable")
def disable(call: Call) -> Json:
    _put(call, {**_get(call), "disabled": True})
    return {}


@implements("iam.projects.serviceAccounts.delete")
def delete(call: Call) -> Json:
    row = _get(call)
    call.state.rows.delete(_row_name(row))
    call.state.policies.delete(_row_name(row))
    return {}


@implements("iam.projects.serviceAccounts.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return policy_of(call, _row_name(_get(call)))


@implements("iam.projects.serviceAccounts.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    return replace_policy(call, _row_name(_get(call)))


@implements("iam.projects.serviceAccounts.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    _get(call)
    return {"permissions": call.body.get("permissions", [])}
