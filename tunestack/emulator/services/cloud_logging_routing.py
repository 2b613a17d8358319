"""Cloud Logging: where an entry goes. Every sink of its project is asked, and each of those that want it has it.

What a sink's writer may not write is lost, as at Google, which says so in the log
``logging.googleapis.com/sink_error``. Topics and log buckets have it at once, in the transaction that writes the
entry. Buckets of Cloud Storage (by the hour) and datasets are written by `cloud_logging_exports`.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import orjson

from tunestack.emulator.access.resources import named_resource
from tunestack.emulator.services.cloud_logging_filter import parse
from tunestack.emulator.services.cloud_logging_state import BUCKETS, EXCLUSIONS, make_given_buckets, sinks_of
from tunestack.emulator.services.pubsub_state import publish_to
from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]

_ERROR_LOG = "logging.googleapis.com%2Fsink_error"
_SAID_AGAIN = timedelta(days=1)


def route(state: State, project: str, log: str, entry: Json, *, onward: bool = True) -> None:
    """Send an entry of the log ``log`` (its canonical name) where the sinks of ``project`` say.

    ``onward`` False is an entry that a sink of another project sent here: it goes no further than a log bucket.
    """
    for sink in sinks_of(state, project):
        if sink.get("disabled") or not _wanted(state, project, sink, entry):
            continue
        service, _, target = sink["destination"].partition("/")
        target = state.projects.canonical(target)
        if service == "logging.googleapis.com" and "/buckets/" in target:
            _to_log_bucket(state, project, sink, target, log, entry)
        elif service == "logging.googleapis.com":
            if onward and _may(state, project, sink, "logging.logEntries.route", target):
                route(state, target, log, entry, onward=False)
        elif service == "pubsub.googleapis.com":
            _to_topic(state, project, sink, target, entry)
        elif not _is_about(entry, sink):
            key = f"{project}/sinks/{sink['name']}"
            due = state.now() if service == "bigquery.googleapis.com" else _end_of_hour(state)
            state.database.execute(
                "INSERT INTO exported_entry (sink, due, body) VALUES (?, ?, ?)",
                *(key, due, orjson.dumps(entry)),
            )
            state.database.after_commit(state.background.wake)


def fail(state: State, project: str, sink: Json, code: str, detail: str) -> None:
    """Say that a sink cannot write, at most once a day for one reason, in the words of Google's sink errors."""
    key = f"{project}/sinks/{sink['name']}/problem"
    last = state.rows.find(key)
    now = state.clock()
    if last and last["code"] == code and moment(last["time"]) + _SAID_AGAIN > now:
        return
    row = {"code": code, "time": written(now)}
    if last:
        state.rows.put(key, row)
    else:
        state.rows.create("sinkProblems", project, key, row)
    shown = state.projects.id(project.removeprefix("projects/"))
    labels = {"name": sink["name"], "project_id": shown, "destination": sink["destination"]}
    entry = {
        "logName": f"projects/{shown}/logs/{_ERROR_LOG}",
        "resource": {"type": "logging_sink", "labels": labels},
        "labels": {
            "activity_type_name": "LoggingSinkConfigErrorV2",
            "destination": sink["destination"],
            "error_code": code,
            "error_detail": detail,
            "sink_id": sink["name"],
        },
        "severity": "ERROR",
        "textPayload": f"Cloud Logging sink configuration error in {shown}, sink {sink['name']}: {code} ({detail})",
    }
    # Not above: writing an entry is what asks for its route.
    from tunestack.emulator.services.cloud_logging_entries import write_entries

    write_entries(state, [entry])


def writer_of(sink: Json) -> str | None:
    """The account that writes for a sink; None needs no permission."""
    writer = sink.get("writerIdentity")
    return str(writer).partition(":")[2] if writer else None


def _wanted(state: State, project: str, sink: Json, entry: Json) -> bool:
    if not parse(sink.get("filter", ""))(entry):
        return False
    exclusions: list[Json] = sink.get("exclusions", [])
    if sink["name"] == "_Default":
        # A project's own exclusions are those of its _Default sink.
        exclusions = [*exclusions, *state.rows.list(EXCLUSIONS, project)]
    return not any(
        parse(exclusion.get("filter", ""))(entry) for exclusion in exclusions if not exclusion.get("disabled")
    )


def _is_about(entry: Json, sink: Json) -> bool:
    """Whether an entry says that this sink failed: sent to it, it would make another one."""
    return bool(
        entry["logName"].endswith(_ERROR_LOG) and entry.get("labels", {}).get("sink_id") == sink["name"]
    )


def _to_log_bucket(state: State, project: str, sink: Json, bucket: str, log: str, entry: Json) -> None:
    location = bucket.partition("/buckets/")[0]
    make_given_buckets(state, location)
    row = state.rows.find(bucket)
    if row is None or row["lifecycleState"] != "ACTIVE":
        if not _is_about(entry, sink):
            fail(state, project, sink, "log_bucket_not_found", f"{BUCKETS}: {bucket} is not there")
        return
    if not _may(state, project, sink, "logging.buckets.write", bucket):
        return
    # An entry with the time and insertId of another one is the same entry.
    state.database.execute(
        "INSERT OR IGNORE INTO stored_entry (bucket, log, time, insert_id, body) VALUES (?, ?, ?, ?, ?)",
        *(bucket, log, written(moment(entry["timestamp"])), entry["insertId"], orjson.dumps(entry)),
    )


def _to_topic(state: State, project: str, sink: Json, topic: str, entry: Json) -> None:
    if _is_about(entry, sink):
        return
    if state.rows.find(topic) is None:
        fail(state, project, sink, "topic_not_found", "The specified topic does not exist.")
    elif _may(state, project, sink, "pubsub.topics.publish", topic, "topic_permission_denied"):
        data = base64.b64encode(orjson.dumps(entry)).decode()
        attributes = {"logging.googleapis.com/timestamp": entry["timestamp"]}
        publish_to(state, topic, [{"data": data, "attributes": attributes}])


def _may(
    state: State,
    project: str,
    sink: Json,
    permission: str,
    target: str,
    code: str = "log_bucket_permission_denied",
) -> bool:
    writer = writer_of(sink)
    service = "pubsub.googleapis.com" if "/topics/" in target else "logging.googleapis.com"
    if writer is None or state.access.may(writer, permission, named_resource(state, target, service)):
        return True
    fail(state, project, sink, code, f"{writer} does not have {permission} on {target}")
    return False


def _end_of_hour(state: State) -> str:
    return written(state.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))
