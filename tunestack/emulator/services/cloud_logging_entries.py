"""Cloud Logging: log entries, written and listed (logging.v2).

Entries go where the sinks of their project say (`cloud_logging_routing`), which by default is the log bucket
``_Default``, and into the counters of log-based metrics.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.services.cloud_logging_filter import parse
from tunestack.emulator.services.cloud_logging_metrics import count
from tunestack.emulator.services.cloud_logging_routing import route
from tunestack.emulator.services.cloud_logging_state import GIVEN_BUCKETS
from tunestack.emulator.services.monitoring_alerts import match_entry
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.times import written
from tunestack.emulator.state import State

Json = dict[str, Any]

_RESOURCE = re.compile(r"projects/[^/]+(/locations/[^/]+/buckets/[^/]+(/views/(_AllLogs|_Default))?)?")
_PAYLOADS = ("textPayload", "jsonPayload", "protoPayload")


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
        if not _RESOURCE.fullmatch(name):
            raise invalid(f"'{name}' is no resource whose entries are kept here: projects/P.")
        rows += _entries_in(state, state.projects.canonical(name))
    rows = list({row[:2]: row for row in rows}.values())  # an entry may lie in several buckets
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
        "SELECT DISTINCT log FROM stored_entry WHERE bucket > ? AND bucket < ? AND log > ? AND log < ? ORDER BY log",
        *(f"{project}/", f"{project}0", f"{project}/logs/", f"{project}/logs0"),
    )
    rows = [{"name": _shown(state, log)} for (log,) in logs]
    chosen, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=50)
    answer: Json = {"logNames": [row["name"] for row in chosen]} if chosen else {}
    return {**answer, "nextPageToken": token} if token else answer


@implements("logging.projects.logs.delete")
def delete_log(call: Call) -> Json:
    """Of the bucket ``_Default``: what other log buckets have of the log stays."""
    log = call.parent("logName")
    bucket = f"{log.partition('/logs/')[0]}/locations/global/buckets/_Default"
    call.state.database.execute("DELETE FROM stored_entry WHERE bucket = ? AND log = ?", bucket, log)
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
        project = key.partition("/logs/")[0]
        count(state, project, entry)
        route(state, project, key, entry)
        match_entry(state, project, entry)


def _entries_in(state: State, name: str) -> list[tuple[str, str, bytes]]:
    """Time, identity and body of the entries in a project's log buckets, or in one, that are younger than it keeps."""
    bucket = name.partition("/views/")[0]
    whole = bucket.count("/") == 1
    rows = state.database.execute(
        "SELECT bucket, time, log || insert_id, body FROM stored_entry WHERE bucket >= ? AND bucket < ?",
        *((f"{bucket}/", f"{bucket}0") if whole else (bucket, f"{bucket}!")),
    )
    least: dict[str, str] = {}
    for held in {row[0] for row in rows}:
        given = GIVEN_BUCKETS.get(held.rpartition("/")[2], 30)
        days = (state.rows.find(held) or {}).get("retentionDays", given)
        least[held] = written(state.clock() - timedelta(days=days))
    return [row[1:] for row in rows if row[1] >= least[row[0]]]


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
