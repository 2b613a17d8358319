"""Cloud Monitoring: alert policies, notification channels, uptime checks (monitoring.v3), dashboards (v1)."""

from __future__ import annotations

import uuid
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition, invalid, rpc_status
from tunestack.emulator.services.cloud_logging_filter import parse as parse_log_filter
from tunestack.emulator.services.monitoring_alerts import POLICIES, close_all
from tunestack.emulator.services.monitoring_conditions import unplayed
from tunestack.emulator.services.monitoring_series import parse
from tunestack.emulator.services.resources import (
    create_row,
    delete_row,
    keep_row,
    list_rows,
    named_row,
    patched_row,
)

Json = dict[str, Any]

CHANNELS = "notificationChannels"
UPTIME_CHECKS = "uptimeCheckConfigs"
DASHBOARDS = "dashboards"

# The types of channels and the label that each must have
# (cloud.google.com/monitoring/alerts/using-channels-api#ncd).
_CHANNEL_LABELS = {
    "email": "email_address",
    "google_chat": "space",
    "pagerduty": "service_key",
    "pubsub": "topic",
    "slack": "channel_name",
    "sms": "number",
    "webhook_basicauth": "url",
    "webhook_tokenauth": "url",
}
_CONDITIONS = (
    "conditionAbsent",
    "conditionMatchedLog",
    "conditionMonitoringQueryLanguage",
    "conditionPrometheusQueryLanguage",
    "conditionSql",
    "conditionThreshold",
)


@implements("monitoring.projects.alertPolicies.create")
def create_policy(call: Call) -> Json:
    state = call.state
    key = f"{call.parent('name')}/{POLICIES}/{state.new_id()}"
    call.body = _checked_policy(call, state.projects.by_id(key), {"enabled": True, **call.body})
    record = _record(call)
    state.database.after_commit(state.background.wake)
    return create_row(call, POLICIES, key, creationRecord=record, mutationRecord=record)


@implements("monitoring.projects.alertPolicies.patch")
def patch_policy(call: Call) -> Json:
    row = patched_row(call, whole=True)
    changed = _checked_policy(call, row["name"], {"enabled": True, **row})
    kept = {"creationRecord": named_row(call)["creationRecord"], "mutationRecord": _record(call)}
    call.state.database.after_commit(call.state.background.wake)
    return keep_row(call, {**changed, **kept})


@implements("monitoring.projects.alertPolicies.delete")
def delete_policy(call: Call) -> Json:
    close_all(call.state, named_row(call))
    return delete_row(call)


@implements("monitoring.projects.notificationChannels.create")
def create_channel(call: Call) -> Json:
    call.body = _checked_channel({"enabled": True, **call.body})
    key = f"{call.parent('name')}/{CHANNELS}/{call.state.new_id()}"
    record = _record(call)
    return create_row(call, CHANNELS, key, creationRecord=record, mutationRecords=[record])


@implements("monitoring.projects.notificationChannels.patch")
def patch_channel(call: Call) -> Json:
    before = named_row(call)
    row = _checked_channel({"enabled": True, **patched_row(call, whole=True, immutable=("type",))})
    records = [_record(call), *before["mutationRecords"]]
    return keep_row(call, {**row, "creationRecord": before["creationRecord"], "mutationRecords": records})


@implements("monitoring.projects.notificationChannels.delete")
def delete_channel(call: Call) -> Json:
    """With ``force`` it is taken out of the policies that notify it."""
    state = call.state
    name = named_row(call)["name"]
    users = [row for row in state.rows.list(POLICIES) if name in row.get(CHANNELS, [])]
    if users and not call.query.get("force"):
        names = ", ".join(row["name"] for row in users)
        raise failed_precondition(f"{name} is referenced by alerting policies: {names}")
    for row in users:
        left = [channel for channel in row[CHANNELS] if channel != name]
        state.rows.put(state.projects.canonical(row["name"]), {**row, CHANNELS: left})
    return delete_row(call)


@implements("monitoring.projects.uptimeCheckConfigs.create")
def create_uptime_check(call: Call) -> Json:
    call.body = _checked_uptime_check(call.body)
    return create_row(call, UPTIME_CHECKS, f"{call.parent()}/{UPTIME_CHECKS}/{uuid.uuid4().hex[:20]}")


@implements("monitoring.projects.uptimeCheckConfigs.patch")
def patch_uptime_check(call: Call) -> Json:
    return keep_row(call, _checked_uptime_check(patched_row(call, whole=True)))


@implements("monitoring.projects.dashboards.create")
def create_dashboard(call: Call) -> Json:
    """Its id is the caller's, where the body names it."""
    parent = call.parent()
    chosen = call.body.get("name", "").rpartition("/")[2]
    key = f"{parent}/{DASHBOARDS}/{chosen or uuid.uuid4()}"
    if call.state.rows.find(key):
        raise already_exists(f"The dashboard {call.state.projects.by_id(key)} already exists.")
    return create_row(call, DASHBOARDS, key)


@implements("monitoring.projects.dashboards.patch")
def patch_dashboard(call: Call) -> Json:
    """The whole dashboard takes the old one's place; Google asks for its etag."""
    row = patched_row(call, whole=True)
    return keep_row(call, {**call.body, "name": row["name"]})


@implements(
    *(f"monitoring.projects.{kind}.get" for kind in (POLICIES, CHANNELS, UPTIME_CHECKS, DASHBOARDS)),
)
def get(call: Call) -> Json:
    return named_row(call)


@implements(*(f"monitoring.projects.{kind}.delete" for kind in (UPTIME_CHECKS, DASHBOARDS)))
def delete(call: Call) -> Json:
    return delete_row(call)


@implements("monitoring.projects.alertPolicies.list")
def list_policies(call: Call) -> Json:
    return list_rows(call, POLICIES, parameter="name", counted=True)


@implements("monitoring.projects.notificationChannels.list")
def list_channels(call: Call) -> Json:
    return list_rows(call, CHANNELS, parameter="name", counted=True)


@implements("monitoring.projects.uptimeCheckConfigs.list")
def list_uptime_checks(call: Call) -> Json:
    return list_rows(call, UPTIME_CHECKS, counted=True)


@implements("monitoring.projects.dashboards.list")
def list_dashboards(call: Call) -> Json:
    return list_rows(call, DASHBOARDS)


def _record(call: Call) -> Json:
    return {"mutateTime": call.state.now(), "mutatedBy": call.principal}


def _checked_policy(call: Call, name: str, policy: Json) -> Json:
    """The policy with a name for each condition. Raises 400 with all that Google's prose forbids."""
    state = call.state
    conditions = policy.get("conditions", [])
    problems: list[tuple[str, str]] = []
    if not policy.get("displayName"):
        problems.append(("alert_policy.display_name", "Field alert_policy.display_name is required."))
    if not 1 <= len(conditions) <= 6:
        problems.append(("alert_policy.conditions", "A policy must have between one and six conditions."))
    if policy.get("combiner", "COMBINE_UNSPECIFIED") == "COMBINE_UNSPECIFIED":
        problems.append(("alert_policy.combiner", "Field alert_policy.combiner must not be unspecified."))
    named = []
    for index, condition in enumerate(conditions):
        where = f"alert_policy.conditions[{index}]"
        kinds = [kind for kind in _CONDITIONS if kind in condition]
        if len(kinds) != 1:
            problems.append((where, f"Field {where} must have exactly one condition, not {len(kinds)}."))
        if "conditionThreshold" in condition and not condition["conditionThreshold"].get("filter"):
            problems.append((where, f"Field {where}.condition_threshold.filter is required."))
        for kind in ("conditionThreshold", "conditionAbsent"):
            parse(condition.get(kind, {}).get("filter", ""))
        problems += _log_match_problems(policy, condition, where)
        known = condition.get("name", "").startswith(f"{name}/conditions/")
        named.append(
            {**condition, "name": condition["name"] if known else f"{name}/conditions/{state.new_id()}"}
        )
    for index, channel in enumerate(policy.get(CHANNELS, [])):
        if state.rows.find(state.projects.canonical(channel)) is None:
            where = f"alert_policy.notification_channels[{index}]"
            problems.append(
                (where, f'Field {where} had an invalid value of "{channel}": the channel does not exist.')
            )
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    policy = {key: value for key, value in policy.items() if key != "validity"}
    missing = unplayed(policy)
    if missing:
        # Google's own word for a policy that makes no incidents.
        text = f"{missing} is not evaluated by the tunestack emulator: this policy makes no incidents."
        policy["validity"] = rpc_status("UNIMPLEMENTED", text)
    return {**policy, "conditions": named}


def _log_match_problems(policy: Json, condition: Json, where: str) -> list[tuple[str, str]]:
    """A policy that looks for log entries has one condition and says how often it may tell."""
    if "conditionMatchedLog" not in condition:
        return []
    parse_log_filter(condition["conditionMatchedLog"].get("filter", ""))
    problems = []
    if len(policy["conditions"]) > 1:
        problems.append((where, "A policy with a log match condition must have exactly one condition."))
    if "period" not in policy.get("alertStrategy", {}).get("notificationRateLimit", {}):
        name = "alert_policy.alert_strategy.notification_rate_limit"
        problems.append((name, f"Field {name} is required for policies with a log match condition."))
    return problems


def _checked_channel(channel: Json) -> Json:
    kind = channel.get("type", "")
    if kind not in _CHANNEL_LABELS:
        text = f'Field "notification_channel.type" had an invalid value of "{kind}": unknown channel type.'
        raise invalid(text, [("notification_channel.type", text)])
    needed = _CHANNEL_LABELS[kind]
    if not channel.get("labels", {}).get(needed):
        text = f'Field "notification_channel.labels[{needed}]" is required for channels of type "{kind}".'
        raise invalid(text, [("notification_channel.labels", text)])
    return channel


def _checked_uptime_check(check: Json) -> Json:
    """With Google's defaults. Raises 400."""
    problems: list[tuple[str, str]] = []
    if not check.get("displayName"):
        problems.append(("display_name", "A display_name is required."))
    if len({"httpCheck", "tcpCheck", "syntheticMonitor"} & set(check)) != 1:
        problems.append(
            ("check_request_type", "One of http_check, tcp_check and synthetic_monitor must be set.")
        )
    if len({"monitoredResource", "resourceGroup", "syntheticMonitor"} & set(check)) != 1:
        problems.append(
            ("resource", "One of monitored_resource, resource_group, synthetic_monitor must be set.")
        )
    if check.get("period", "60s") not in ("60s", "300s", "600s", "900s"):
        problems.append(("period", "period must be 60s, 300s, 600s or 900s."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    return {"period": "60s", "timeout": "10s", "checkerType": "STATIC_IP_CHECKERS", **check}
