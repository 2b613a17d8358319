"""Cloud Quotas: what is granted, and preferences, which ask for more or less (cloudquotas.v1; for projects).

A preference for more is reconciling until it is read again; then it is decided as `quotas.Decisions` has it. There is
no delete.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from tunestack.emulator.schema import apply_mask
from tunestack.emulator.services import quotas
from tunestack.emulator.services.quotas import Quota
from tunestack.emulator.services.vertex import listed, with_etag
from tunestack.emulator.state import State

Json = dict[str, Any]

PREFERENCES = "quotaPreferences"

_IMMUTABLE = ("service", "quotaId", "dimensions")
_DECREASE = {"QUOTA_DECREASE_PERCENTAGE_TOO_HIGH", "2"}  # by name, or by proto number as REST clients send it
# How preferences stand, in our words: Google's were not recorded.
_DETAILS = {
    "hold": "The request is under review.",
    "grant": "The request was granted.",
    "partial": "The request was granted in part.",
    "deny": "The request was denied.",
}


@implements("cloudquotas.projects.locations.services.quotaInfos.get")
def get_info(call: Call) -> Json:
    parent, _, quota_id = call.path["name"].partition("/quotaInfos/")
    project, service = _container(call, parent)
    quota = quotas.find_quota(service, quota_id)
    if quota is None:
        raise not_found(f"Quota {quota_id} of {service} is not found.")
    return _info(call.state, project, quota)


@implements("cloudquotas.projects.locations.services.quotaInfos.list")
def list_infos(call: Call) -> Json:
    project, service = _container(call, call.path["parent"])
    rows = [_info(call.state, project, quota) for quota in quotas.QUOTAS.values() if quota.service == service]
    return listed(call, rows, "quotaInfos")


@implements("cloudquotas.projects.locations.quotaPreferences.create")
def create(call: Call) -> Json:
    project, _ = _container(call, call.path["parent"])
    identifier = call.query.get("quotaPreferenceId") or str(call.state.new_id())
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|\d+", identifier):
        raise invalid(f'Invalid quota preference ID "{identifier}".', [("quota_preference_id", "")])
    return _create(call, project, f"{call.parent()}/{PREFERENCES}/{identifier}")


@implements("cloudquotas.projects.locations.quotaPreferences.get")
def get(call: Call) -> Json:
    return _settled(call.state, call.state.rows.get(call.parent("name")))


@implements("cloudquotas.projects.locations.quotaPreferences.list")
def list_preferences(call: Call) -> Json:
    _container(call, call.path["parent"])
    rows = [_settled(call.state, row) for row in call.state.rows.list(PREFERENCES, call.parent())]
    return listed(call, rows, PREFERENCES)


@implements("cloudquotas.projects.locations.quotaPreferences.patch")
def patch(call: Call) -> Json:
    state, name = call.state, call.parent("name")
    project, _ = _container(call, name)
    row = state.rows.find(name)
    if row is None:
        if not call.query.get("allowMissing"):
            raise not_found(f"{name} is not found.")
        return _create(call, project, name)
    sent = call.body.pop("etag", None)
    if sent and sent != row["etag"]:
        raise ApiError("ABORTED", f"The etag of {name} is {row['etag']}, not {sent}.")
    mask = call.query.get("updateMask") or ",".join(
        key for key in call.body if key not in ("name", *_IMMUTABLE)
    )
    changed = apply_mask(row, call.body, mask)
    if wrong := [key for key in _IMMUTABLE if changed.get(key, {}) != row.get(key, {})]:
        raise invalid(f"{', '.join(wrong)} cannot be changed.", [(key, "immutable") for key in wrong])
    changed["quotaConfig"] = {**row["quotaConfig"], **changed["quotaConfig"]}
    asked = _asked(call, project, changed)
    return asked if call.query.get("validateOnly") else _put(state, asked)


def _create(call: Call, project: str, name: str) -> Json:
    state, body = call.state, call.body
    same = [
        row["name"]
        for row in state.rows.list(PREFERENCES, name.partition(f"/{PREFERENCES}/")[0])
        if all(row.get(key, {}) == body.get(key, {}) for key in _IMMUTABLE)
    ]
    if same:
        raise already_exists(f"There is a quota preference for the same quota and dimensions: {same[0]}.")
    row = _asked(call, project, {**body, "name": name, "createTime": state.now()})
    if call.query.get("validateOnly"):
        return row
    return state.rows.create(PREFERENCES, name.partition(f"/{PREFERENCES}/")[0], name, row)


def _asked(call: Call, project: str, row: Json) -> Json:
    """The preference as it stands once it is sent: less is put in force at once, more is reconciling."""
    state, config = call.state, row["quotaConfig"]
    quota, dimensions = _quota(row), row.get("dimensions", {})
    wanted = int(config["preferredValue"])
    if wanted < quotas.UNLIMITED:
        raise invalid(
            "preferred_value must be -1 (unlimited) or more.", [("quota_config.preferred_value", "")]
        )
    if wrong := sorted(set(dimensions) - set(quota.dimensions)):
        raise invalid(
            f"{quota.id} has the dimensions {list(quota.dimensions)}, not {wrong}.", [("dimensions", "")]
        )
    have = quotas.limit(state, project, quota, dimensions)
    more = _more(wanted, have)
    if not more and have > 0 and wanted < have * 0.9:
        ignored = call.query.get("ignoreSafetyChecks", [])
        if not _DECREASE & set(ignored):
            raise failed_precondition(
                f"{quota.id} would fall from {have} to {wanted}, by more than 10 percent;"
                " ignore_safety_checks=QUOTA_DECREASE_PERCENTAGE_TOO_HIGH allows it."
            )
    if not more and not call.query.get("validateOnly"):
        quotas.set_limit(state, project, quota, dimensions, wanted)
    config = {**config, "grantedValue": str(have if more else wanted)}
    config.pop("stateDetail", None)
    if more:
        config |= {"traceId": str(state.new_id()), "stateDetail": _DETAILS["hold"]}
    kept = {key: value for key, value in row.items() if key != "contactEmail"}  # input only
    return with_etag({**kept, "quotaConfig": config, "reconciling": more, "updateTime": state.now()})


def _settled(state: State, row: Json) -> Json:
    """A preference as it is read: decided, unless the script holds it; what is granted is what is in force."""
    quota, dimensions, config = _quota(row), row.get("dimensions", {}), row["quotaConfig"]
    project = row["name"].split("/")[1]
    decision = quotas.Decisions(state).on(quota.id, dimensions)
    waited = state.clock() - datetime.fromisoformat(row["updateTime"])
    due = waited >= timedelta(seconds=decision.get("afterSeconds", 0))
    if row["reconciling"] and decision["decision"] != "hold" and due:
        if decision["decision"] != "deny":
            value = int(decision.get("value") or config["preferredValue"])
            quotas.set_limit(state, project, quota, dimensions, value)
        row = {**row, "reconciling": False, "updateTime": state.now()}
        config = {**config, "stateDetail": _DETAILS[decision["decision"]]}
    granted = str(quotas.limit(state, project, quota, dimensions))
    settled = with_etag({**row, "quotaConfig": {**config, "grantedValue": granted}})
    return settled if settled == row else _put(state, settled)


def _put(state: State, row: Json) -> Json:
    return state.rows.put(row["name"], row)


def _quota(row: Json) -> Quota:
    quota = quotas.find_quota(row["service"], row["quotaId"])
    if quota is None:
        raise invalid(f"{row['service']} has no quota {row['quotaId']}.", [("quota_id", "")])
    return quota


def _info(state: State, project: str, quota: Quota) -> Json:
    infos = []
    for dimensions, value in quotas.limits(state, project, quota):
        places = [dimensions["region"]] if "region" in dimensions else list(quotas.REGIONS)
        info: Json = {
            "details": {"value": str(value)},
            "applicableLocations": places if quota.dimensions else ["global"],
        }
        infos.append({"dimensions": dimensions, **info} if dimensions else info)
    return {
        "name": quota.info_name(project),
        "quotaId": quota.id,
        "metric": quota.metric,
        "service": quota.service,
        "isPrecise": True,
        "containerType": "PROJECT",
        "dimensions": list(quota.dimensions),
        "metricDisplayName": quota.display_name,
        "quotaDisplayName": quota.display_name,
        "metricUnit": "1",
        "quotaIncreaseEligibility": {"isEligible": True},
        "isFixed": False,
        "dimensionsInfos": infos,
        "isConcurrent": not quota.dimensions,
    }


def _container(call: Call, name: str) -> tuple[str, str]:
    """Project number and, where the name has one, service. Raises 400 elsewhere than in ``locations/global``."""
    parts = name.split("/")
    if parts[3] != "global":
        raise invalid(f"The location of quotas is global, not {parts[3]}.")
    return call.state.projects.number(parts[1]), parts[5] if len(parts) > 5 else ""


def _more(wanted: int, have: int) -> bool:
    if have == quotas.UNLIMITED:
        return False
    return wanted == quotas.UNLIMITED or wanted > have
