"""What the one who started a job must be allowed to do with the tables and objects that it touches.

The call itself was asked for ``bigquery.jobs.create``; a job's tables are known once its statement is read.
Permissions: cloud.google.com/bigquery/docs/access-control#permissions_and_predefined_iam_roles.
"""

from __future__ import annotations

from typing import Any

from tunestack.emulator.access.policy import ANONYMOUS
from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.tables import HIDDEN, find_table, shown
from tunestack.emulator.errors import ApiError
from tunestack.emulator.services.storage import parse_gs_uri
from tunestack.emulator.state import State

Json = dict[str, Any]


def require_reading(
    state: State, job: Json, reference: Reference, permission: str = "bigquery.tables.getData"
) -> None:
    """Raises 403 in BigQuery's words where a job's user may not read a table."""
    if _may(state, job, reference, permission):
        return
    name = shown(reference)
    if permission == "bigquery.tables.getData":
        text = f"User does not have permission to query table {name}, or perhaps it does not exist."
    else:
        text = f"Permission {permission} denied on table {name} (or it may not exist)."
    raise _denied(reference, text)


def require_writing(state: State, job: Json, reference: Reference) -> None:
    """Raises 403 where a job's user may not write a table, or make one where there is none."""
    needed = ["bigquery.tables.updateData"]
    if reference.dataset != HIDDEN and find_table(state, reference) is None:
        needed.append("bigquery.tables.create")
    for permission in needed:
        require_reading(state, job, reference, permission)


def require_object(state: State, job: Json, uri: str, permission: str) -> None:
    """Raises 403 in Cloud Storage's words where a job's user may not read or write an object."""
    try:
        bucket, name = parse_gs_uri(uri)
    except ValueError:
        return  # said better by what reads it
    user = _known(state, job["user_email"])
    problem = state.access.problem_with_object(user, permission, bucket, name)
    if problem:
        text = f"Access Denied: BigQuery BigQuery: Permission denied while accessing {uri}: {problem}"
        raise ApiError("PERMISSION_DENIED", text, reason="accessDenied")


def require_job(state: State, job: Json, principal: str, permission: str) -> None:
    """Raises 403 where somebody may not do something to a job that another one started."""
    project = job["jobReference"]["projectId"]
    who = _known(state, principal)
    resource = named_resource(state, f"projects/{project}", "bigquery.googleapis.com")
    if who != _known(state, job["user_email"]) and not state.access.may(who, permission, resource):
        text = f"Access Denied: Project {project}: User does not have {permission} permission in project {project}."
        raise ApiError("PERMISSION_DENIED", text, reason="accessDenied")


def _may(state: State, job: Json, reference: Reference, permission: str) -> bool:
    if reference.dataset == HIDDEN:
        return True
    name = f"projects/{reference.project}/datasets/{reference.dataset}/tables/{reference.table}"
    return state.access.may(
        _known(state, job["user_email"]), permission, named_resource(state, name, "bigquery.googleapis.com")
    )


def _known(state: State, principal: str) -> str:
    """Who somebody is, that calls without a token maybe."""
    anonymous = principal == ANONYMOUS and state.access.anonymous_is_local
    return state.access.local if anonymous else principal


def _denied(reference: Reference, text: str) -> ApiError:
    return ApiError(
        "PERMISSION_DENIED", f"Access Denied: Table {shown(reference)}: {text}", reason="accessDenied"
    )
