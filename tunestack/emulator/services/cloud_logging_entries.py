"""Cloud Logging: log entries, written and listed (logging.v2).

Entries go where the project's sinks with a Pub/Sub topic say, less what exclusions leave out, and into the
counters of log-based metrics. Sinks to buckets and datasets are kept, and nothing is written to them.
"""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote, unquote

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.services.cloud_logging import EXCLUSIONS, METRICS, SINKS
from tunestack.emulator.services.cloud_logging_filter import parse
from tunestack.emulator.services.monitoring_metrics import count
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.pubsub_state import publish_to
from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]

_PAYLOADS = ("textPayload", "jsonPayload", "protoPayload")
_TOPIC = "pubsub.googleapis.com/"


@implements("logging.entries.write")
async def write(call: Call) -> Json:
    """All entries, or with ``partialSuccess`` those that are lawful: they stay, though the answer is an error."""
    body = call.body
    problems: dict[int, str] = {}
    entries: list[Json] = []
    for index, sent in enumerate(body["entries"]):
        entry = {
            **{field: body[field] for field in ("logName", "resource") if field in body},
            **sent,
        }
        labels = {**body.get("labels", {}), **sent.get("labels", {})}
        if labels:
            entry["labels"] = labels
        problem = _problem(entry)
        if problem:
            problems[index] = problem
        else:
            entries.append(entry)
    if problems and not body.get("partialSuccess"):
        raise invalid(
            "\n".join(problems.values()), [(f"entries[{index}]", text) for index, text in problems.items()]
        )
    if not body.get("dryRun"):
        with call.state.database.transaction():
            write_entries(call.state, entries)
    if problems:
        text = f"Log entries [{', '.join(map(str, problems))}] were rejected: {next(iter(problems.values()))}"
        raise ApiError("INVALID_ARGUMENT", text)
    return {}


@implements("logging.entries.list")
def list_entries(call: Call) -> Json:
    state, body = call.state, call.body
    order = body.get("orderBy", "timestamp asc").split()
    if order not in (["timestamp"], ["timestamp", "asc"], ["timestamp", "desc"]):
        raise invalid(
            "order_by must be 'timestamp asc' or 'timestamp desc'.", [("order_by", " ".join(order))]
        )
    keep = parse(body.get("filter", ""))
    rows: list[tuple[str, str, bytes]] = []
    for name in body["resourceNames"]:
        found = re.fullmatch(r"projects/[^/]+(/locations/[^/]+/buckets/[^/]+(/views/[^/]+)?)?", name)
        if found is None:
            raise invalid(f"'{name}' is no resource whose entries are kept here: projects/P.")
        project = state.projects.canonical("/".join(name.split("/")[:2]))
        rows += state.database.execute(
            "SELECT time, log || insert_id, body FROM log_entry WHERE log > ? AND log < ?",
            *(f"{project}/logs/", f"{project}/logs0"),
        )
    rows.sort(key=lambda row: row[:2], reverse=order[-1] == "desc")
    # A page is found by time and id, so that lines which come in meanwhile move nothing.
    found_rows = [
        {"name": f"{time} {identifier}", "entry": entry}
        for time, identifier, content in rows
        if keep(entry := orjson.loads(content))
    ]
    chosen, token = page(found_rows, body.get("pageSize"), body.get("pageToken"), default=50)
    answer: Json = {"entries": [row["entry"] for row in chosen]} if chosen else {}
    return {**answer, "nextPageToken": token} if token else answer


@implements("logging.projects.logs.list")
def list_logs(call: Call) -> Json:
    state, project = call.state, call.parent()
    logs = state.database.execute(
        "SELECT DISTINCT log FROM log_entry WHERE log > ? AND log < ? ORDER BY log",
        *(f"{project}/logs/", f"{project}/logs0"),
    )
    rows = [{"name": _shown(state, log)} for (log,) in logs]
    chosen, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=50)
    answer: Json = {"logNames": [row["name"] for row in chosen]} if chosen else {}
    return {**answer, "nextPageToken": token} if token else answer


@implements("logging.projects.logs.delete")
def delete_log(call: Call) -> Json:
    call.state.database.execute("DELETE FROM log_entry WHERE log = ?", call.parent("logName"))
    return {}


def write_entries(state: State, entries: list[Json]) -> None:
    """Keep entries (checked, with ``logName`` and ``resource``) and send them where the project's sinks say."""
    now = state.now()
    for sent in entries:
        project, _, identifier = sent["logName"].partition("/logs/")
        key = f"{state.projects.canonical(project)}/logs/{unquote(identifier)}"
        entry = {
            **sent,
            "logName": _shown(state, key),
            "timestamp": sent.get("timestamp") or now,
            "insertId": sent.get("insertId") or f"{state.new_id():x}",
            "receiveTimestamp": now,
        }
        # An entry with the time and insertId of another one is the same entry.
        state.database.execute(
            "INSERT OR IGNORE INTO log_entry (log, time, insert_id, body) VALUES (?, ?, ?, ?)",
            *(key, written(moment(entry["timestamp"])), entry["insertId"], orjson.dumps(entry)),
        )
        project = key.partition("/logs/")[0]
        _count(state, project, entry)
        _route(state, project, entry)


def _count(state: State, project: str, entry: Json) -> None:
    """Log-based metrics count what their filter wants; metrics of an extracted value are kept and count nothing."""
    for metric in state.rows.list(METRICS, project):
        if metric.get("disabled") or metric.get("valueExtractor") or not parse(metric["filter"])(entry):
            continue
        count(state, project, metric["metricDescriptor"]["type"], entry["resource"], entry["timestamp"])


def _route(state: State, project: str, entry: Json) -> None:
    excluded = [row for row in state.rows.list(EXCLUSIONS, project) if not row.get("disabled")]
    if any(parse(row["filter"])(entry) for row in excluded):
        return
    for sink in state.rows.list(SINKS, project):
        topic = state.projects.canonical(sink["destination"].removeprefix(_TOPIC))
        wanted = (
            sink["destination"].startswith(_TOPIC)
            and not sink.get("disabled")
            and parse(sink.get("filter", ""))(entry)
            and not any(
                parse(exclusion.get("filter", ""))(entry)
                for exclusion in sink.get("exclusions", [])
                if not exclusion.get("disabled")
            )
        )
        if wanted and state.rows.find(topic) is not None:
            data = base64.b64encode(orjson.dumps(entry)).decode()
            attributes = {"logging.googleapis.com/timestamp": entry["timestamp"]}
            publish_to(state, topic, [{"data": data, "attributes": attributes}])


def _problem(entry: Json) -> str | None:
    name = entry.get("logName", "")
    if not re.fullmatch(r"projects/[^/]+/logs/.+", name):
        return f"'{name}' is no log name: it has the form projects/PROJECT/logs/ID."
    if not re.fullmatch(r"[A-Za-z0-9/_.-]{1,511}", unquote(name.partition("/logs/")[2])):
        return f"The id of the log '{name}' has characters that are not allowed."
    if not entry.get("resource", {}).get("type"):
        return "A log entry must have a monitored resource."
    if sum(field in entry for field in _PAYLOADS) > 1:
        return f"A log entry has one of {', '.join(_PAYLOADS)}."
    return None


def _shown(state: State, key: str) -> str:
    project, _, identifier = key.partition("/logs/")
    return f"{state.projects.by_id(project)}/logs/{quote(identifier, safe='')}"
