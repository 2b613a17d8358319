"""Service Usage: quota metrics and consumer overrides, which can only lower a limit (serviceusage.v1beta1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition, not_found
from tunestack.emulator.schema import apply_mask
from tunestack.emulator.services import quotas
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.quotas import QUOTAS, Quota
from tunestack.emulator.state import State

Json = dict[str, Any]

OVERRIDES = "consumerOverrides"
_METRICS = "serviceusage.services.consumerQuotaMetrics"


@implements(f"{_METRICS}.list")
def list_metrics(call: Call) -> Json:
    project, service, _ = _place(call, call.path["parent"])
    rows = [_metric(call.state, project, quota) for quota in QUOTAS.values() if quota.service == service]
    rows, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"))
    return {"metrics": rows, **({"nextPageToken": token} if token else {})}


@implements(f"{_METRICS}.get")
def get_metric(call: Call) -> Json:
    project, _, quota = _found(call, "name")
    return _metric(call.state, project, quota)


@implements(f"{_METRICS}.limits.get")
def get_limit(call: Call) -> Json:
    project, _, quota = _found(call, "name")
    return _limit(call.state, project, quota)


@implements(f"{_METRICS}.limits.{OVERRIDES}.create")
def create(call: Call) -> Json:
    project, _, quota = _found(call, "parent")
    parent = _limit_name(project, quota)
    dimensions = call.body.get("dimensions", {})
    if any(row.get("dimensions", {}) == dimensions for row in call.state.rows.list(OVERRIDES, parent)):
        raise already_exists(f"{parent} has an override for {dimensions or 'all dimensions'} already.")
    row = {
        **call.body,
        "name": f"{parent}/{OVERRIDES}/{call.state.new_id()}",
        "metric": quota.metric,
        "unit": quota.unit,
    }
    call.state.rows.create(OVERRIDES, parent, row["name"], _lower(call.state, project, quota, row))
    return _operation(row)


@implements(f"{_METRICS}.limits.{OVERRIDES}.list")
def list_overrides(call: Call) -> Json:
    project, _, quota = _found(call, "parent")
    rows = call.state.rows.list(OVERRIDES, _limit_name(project, quota))
    rows, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"))
    return {"overrides": rows, **({"nextPageToken": token} if token else {})}


@implements(f"{_METRICS}.limits.{OVERRIDES}.patch")
def patch(call: Call) -> Json:
    project, _, quota = _found(call, "name")
    row = call.state.rows.get(_override_name(call, project, quota))
    changed = apply_mask(row, call.body, call.query.get("updateMask"))
    return _operation(call.state.rows.put(row["name"], _lower(call.state, project, quota, changed)))


@implements(f"{_METRICS}.limits.{OVERRIDES}.delete")
def delete(call: Call) -> Json:
    project, _, quota = _found(call, "name")
    row = call.state.rows.get(_override_name(call, project, quota))
    call.state.rows.delete(row["name"])
    return {
        "name": "operations/noop.DONE_OPERATION",
        "done": True,
        "response": {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }


def _lower(state: State, project: str, quota: Quota, row: Json) -> Json:
    """``row``, if it lowers what is granted. Raises 400 FAILED_PRECONDITION."""
    wanted = int(row.get("overrideValue", 0))
    have = quotas.limit(state, project, quota, row.get("dimensions", {}))
    if have != quotas.UNLIMITED and (wanted > have or wanted == quotas.UNLIMITED):
        raise failed_precondition(
            f"{quota.metric} is granted {have}: an override cannot raise it to {wanted}."
        )
    return row


def _metric(state: State, project: str, quota: Quota) -> Json:
    return {
        "name": _metric_name(project, quota),
        "metric": quota.metric,
        "displayName": quota.display_name,
        "unit": "1",
        "consumerQuotaLimits": [_limit(state, project, quota)],
    }


def _limit(state: State, project: str, quota: Quota) -> Json:
    overrides = {
        str(sorted(row.get("dimensions", {}).items())): row
        for row in state.rows.list(OVERRIDES, _limit_name(project, quota))
    }
    buckets = []
    # From the general to the specific, as Service Usage orders them; Cloud Quotas has it the other way round.
    for dimensions, value in reversed(quotas.limits(state, project, quota)):
        bucket: Json = {"defaultLimit": str(quota.default), "effectiveLimit": str(value)}
        if dimensions:
            bucket["dimensions"] = dimensions
        override = overrides.pop(str(sorted(dimensions.items())), None)
        if override:
            bucket |= {"consumerOverride": override, "effectiveLimit": override.get("overrideValue", "0")}
        buckets.append(bucket)
    for override in overrides.values():
        buckets.append(
            {
                "defaultLimit": str(quota.default),
                "effectiveLimit": override.get("overrideValue", "0"),
                "dimensions": override["dimensions"],
                "consumerOverride": override,
            }
        )
    return {
        "name": _limit_name(project, quota),
        "metric": quota.metric,
        "unit": quota.unit,
        "isPrecise": True,
        "allowsAdminOverrides": False,
        "quotaBuckets": buckets,
        **({"supportedLocations": list(quotas.REGIONS)} if quota.dimensions else {}),
    }


def _place(call: Call, name: str) -> tuple[str, str, str]:
    """Project number, service, and the rest of ``projects/P/services/S/consumerQuotaMetrics/…``."""
    head, _, rest = name.partition("/consumerQuotaMetrics/")
    parts = head.split("/")
    return call.state.projects.number(parts[1]), parts[3], rest


def _found(call: Call, parameter: str) -> tuple[str, str, Quota]:
    """Project number, service and quota. Metrics hold slashes, which were %2F in the path."""
    project, service, rest = _place(call, call.path[parameter])
    metric = rest.partition("/limits/")[0]
    for quota in QUOTAS.values():
        if quota.service == service and quota.metric == metric:
            return project, service, quota
    raise not_found(f"Quota metric {metric} of {service} is not found.")


def _override_name(call: Call, project: str, quota: Quota) -> str:
    return f"{_limit_name(project, quota)}/{OVERRIDES}/{call.path['name'].rpartition('/')[2]}"


def _metric_name(project: str, quota: Quota) -> str:
    return f"projects/{project}/services/{quota.service}/consumerQuotaMetrics/{quote(quota.metric, safe='')}"


def _limit_name(project: str, quota: Quota) -> str:
    limit = "".join(f"/{name}" for name in ("project", *quota.dimensions))
    return f"{_metric_name(project, quota)}/limits/{quote(limit, safe='')}"


def _operation(row: Json) -> Json:
    """Done on arrival, as Service Usage's instant operations are."""
    return {
        "name": "operations/noop.DONE_OPERATION",
        "done": True,
        "response": {"@type": "type.googleapis.com/google.api.serviceusage.v1beta1.QuotaOverride", **row},
    }
