"""Cloud Monitoring: incidents of alert policies, opened and closed as time series and log entries come in.

An incident is one of a condition and series; of policies that join conditions (AND) one of the policy, or of a
resource. It closes when its condition no longer holds, or, without data, after ``alertStrategy.autoClose`` (7 days).
Opening and closing are told to the policy's Pub/Sub channels
(cloud.google.com/monitoring/support/notification-options#pubsub); nobody else is told: mail, Slack and the like lie
off this machine.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from tunestack.emulator.background import in_background
from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError
from tunestack.emulator.services.cloud_logging_filter import parse as parse_log_filter
from tunestack.emulator.services.cloud_logging_metrics import extracted
from tunestack.emulator.services.monitoring_conditions import (
    Verdict,
    identity_of,
    lookback,
    met,
    unplayed,
    verdicts,
)
from tunestack.emulator.services.monitoring_notices import notify
from tunestack.emulator.services.monitoring_series import read_series
from tunestack.emulator.services.resources import listed, named_row
from tunestack.emulator.services.times import moment, seconds, written
from tunestack.emulator.state import State

Json = dict[str, Any]

ALERTS = "alerts"
POLICIES = "alertPolicies"

_AUTO_CLOSE = "604800s"
_AGAIN = timedelta(seconds=60)
_POINTS_KEPT = timedelta(hours=25)  # the oldest point that may be written


@implements("monitoring.projects.alerts.get")
def get(call: Call) -> Json:
    return _shown(named_row(call))


@implements("monitoring.projects.alerts.list")
def list_alerts(call: Call) -> Json:
    rows = [_shown(row) for row in call.state.rows.list(ALERTS, call.parent())]
    return listed(call, rows, ALERTS, counted=True)


@in_background
async def evaluate(state: State) -> datetime | None:
    """Open and close what is due by the points that there are; when to look again, where time alone may change it."""
    now = state.clock()
    again = False
    with state.database.transaction():
        for policy in state.rows.list(POLICIES):
            if not policy.get("enabled", True) or unplayed(policy):
                continue
            opened = _open_of(state, policy)
            metrics = [one for one in policy["conditions"] if "conditionMatchedLog" not in one]
            if metrics:
                _evaluate(state, policy, metrics, opened, now)
            else:
                _close_stale(state, policy, opened, now)
            bodies = [one.get("conditionThreshold", {}) for one in metrics]
            again = (
                again
                or bool(_open_of(state, policy))
                or any("conditionAbsent" in one for one in metrics)
                or any(body.get("evaluationMissingData", "").endswith("_ACTIVE") for body in bodies)
            )
    return now + _AGAIN if again else None


def match_entry(state: State, project: str, entry: Json) -> None:
    """Open an incident for a log entry that a policy looks for, at most one in its rate limit's period."""
    for policy in state.rows.list(POLICIES, project):
        if not policy.get("enabled", True):
            continue
        for condition in policy["conditions"]:
            body = condition.get("conditionMatchedLog")
            if body is None or not parse_log_filter(body["filter"])(entry):
                continue
            now = state.clock()
            period = policy.get("alertStrategy", {}).get("notificationRateLimit", {}).get("period", "0s")
            mine = [
                row for row in state.rows.list(ALERTS, project) if row["policy"]["name"] == policy["name"]
            ]
            newest = max((moment(row["openTime"]) for row in mine), default=None)
            if newest and now - newest < timedelta(seconds=seconds(period)):
                continue
            labels = {key: extracted(text, entry) for key, text in body.get("labelExtractors", {}).items()}
            head = {"resource": entry["resource"], "log": {"extractedLabels": labels}}
            _open(state, policy, condition, Verdict(head, True, now), uuid.uuid4().hex, now)


def close_all(state: State, policy: Json) -> None:
    """Close the incidents of a policy that goes; nobody is told, as its channels go with it."""
    for row in _open_of(state, policy):
        _put(state, {**row, "state": "CLOSED", "closeTime": state.now()})


def _evaluate(state: State, policy: Json, conditions: list[Json], opened: list[Json], now: datetime) -> None:
    project = "/".join(state.projects.canonical(policy["name"]).split("/")[:2])
    found: list[tuple[Json, list[Verdict]]] = []
    for condition in conditions:
        body = condition.get("conditionThreshold") or condition["conditionAbsent"]
        start = now - lookback(condition)
        if "conditionAbsent" in condition:
            # What was not seen since the policy is as it is, is not absent.
            start = max(moment(policy["mutationRecord"]["mutateTime"]), now - _POINTS_KEPT)
        try:
            series = read_series(state, project, body["filter"], start, now)
            found.append((condition, verdicts(condition, series, now)))
        except ApiError:
            return  # its aligner is not played, and an incident on half of a policy would be none of Google's
    holding, failing = _incidents(policy["combiner"], found)
    known = {row["_key"]: row for row in opened}
    for key, (condition, verdict) in holding.items():
        if key not in known:
            _open(state, policy, condition, verdict, key, now)
        elif written(verdict.seen) > known[key]["_seen"]:
            _put(state, {**known[key], "_seen": written(verdict.seen)})
    stale = []
    for key, row in known.items():
        if key in failing:
            _close(state, policy, row, now, failing[key])
        elif key not in holding:
            stale.append(row)
    _close_stale(state, policy, stale, now)


def _incidents(
    combiner: str, found: list[tuple[Json, list[Verdict]]]
) -> tuple[dict[str, tuple[Json, Verdict]], dict[str, float | None]]:
    """By key, what is to be open, and what is to be closed with the value that closed it."""
    holding: dict[str, tuple[Json, Verdict]] = {}
    failing: dict[str, float | None] = {}
    if combiner == "OR":
        for condition, all_of_it in found:
            enough = met(condition, all_of_it)
            for verdict in all_of_it:
                key = f"{condition['name']} {verdict.identity}"
                if verdict.holds and enough:
                    holding[key] = (condition, verdict)
                elif verdict.holds is False:
                    failing[key] = verdict.value
        return holding, failing
    # AND: all conditions at once, of whatever series, or of series of one resource.
    groups: defaultdict[str, list[list[Verdict]]] = defaultdict(lambda: [[] for _ in found])
    for index, (_, all_of_it) in enumerate(found):
        for verdict in all_of_it:
            same = combiner == "AND_WITH_MATCHING_RESOURCE"
            groups[identity_of({"resource": verdict.head["resource"]}) if same else ""][index].append(verdict)
    for key, parts in groups.items():
        pairs = [(condition, part) for (condition, _), part in zip(found, parts, strict=True)]
        if all(met(condition, part) for condition, part in pairs):
            verdict = next(one for one in parts[0] if one.holds)
            holding[key] = (found[0][0], verdict)
        elif any(part and all(one.holds is False for one in part) for part in parts):
            failing[key] = None
    return holding, failing


def _open(state: State, policy: Json, condition: Json, verdict: Verdict, key: str, now: datetime) -> None:
    project = "/".join(state.projects.canonical(policy["name"]).split("/")[:2])
    identifier = f"0.{uuid.uuid4().hex[:16]}"
    shown = state.projects.by_id(project)
    head = verdict.head
    row: Json = {
        "name": f"{shown}/{ALERTS}/{identifier}",
        "state": "OPEN",
        "openTime": written(now),
        **{side: head[side] for side in ("resource", "metric", "log") if side in head},
        "policy": {
            key: policy[key] for key in ("name", "displayName", "severity", "userLabels") if key in policy
        },
        "_key": key,
        "_seen": written(verdict.seen),
        "_condition": condition,
        "_value": verdict.value,
    }
    state.rows.create(ALERTS, project, f"{project}/{ALERTS}/{identifier}", row)
    notify(state, policy, row, verdict.value)


def _close(state: State, policy: Json, row: Json, now: datetime, value: float | None) -> None:
    closed = {**row, "state": "CLOSED", "closeTime": written(now)}
    _put(state, closed)
    notify(state, policy, closed, row["_value"] if value is None else value)


def _close_stale(state: State, policy: Json, rows: list[Json], now: datetime) -> None:
    """Close incidents of which nothing was heard for as long as the policy says."""
    wait = timedelta(seconds=seconds(policy.get("alertStrategy", {}).get("autoClose", _AUTO_CLOSE)))
    for row in rows:
        if now - moment(row["_seen"]) >= wait:
            _close(state, policy, row, now, None)


def _open_of(state: State, policy: Json) -> list[Json]:
    project = "/".join(state.projects.canonical(policy["name"]).split("/")[:2])
    rows = state.rows.list(ALERTS, project)
    return [row for row in rows if row["state"] == "OPEN" and row["policy"]["name"] == policy["name"]]


def _put(state: State, row: Json) -> None:
    state.rows.put(state.projects.canonical(row["name"]), row)


def _shown(row: Json) -> Json:
    return {key: value for key, value in row.items() if not key.startswith("_")}
