"""Cloud Logging: sinks and exclusions (logging.v2). Where entries go is `cloud_logging_routing`'s."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.cloud_logging_filter import parse as parse_filter
from tunestack.emulator.services.cloud_logging_state import (
    EXCLUSIONS,
    GIVEN_BUCKETS,
    ID,
    SINKS,
    body_name,
    sinks_of,
)
from tunestack.emulator.services.resources import (
    create_row,
    delete_row,
    keep_row,
    list_rows,
    listed,
    named_row,
    patched_row,
)

Json = dict[str, Any]

_DESTINATION = re.compile(
    r"(storage\.googleapis\.com/[^/]+|bigquery\.googleapis\.com/projects/[^/]+/datasets/[^/]+"
    r"|pubsub\.googleapis\.com/projects/[^/]+/topics/[^/]+"
    r"|logging\.googleapis\.com/projects/[^/]+(/locations/[^/]+/buckets/[^/]+)?)"
)


@implements("logging.projects.sinks.create")
def create_sink(call: Call) -> Json:
    name = body_name(call, ID)
    _check_sink(call.body)
    key = f"{call.parent()}/{SINKS}/{name}"
    call.body = _completed(call, call.body)
    shown = call.state.projects.by_id(key)
    return create_row(call, SINKS, key, name=name, resourceName=shown, **_writer(call, call.body))


@implements("logging.projects.sinks.get")
def get_sink(call: Call) -> Json:
    sinks_of(call.state, _project(call))
    return named_row(call, "sinkName", "Sink")


@implements("logging.projects.sinks.list")
def list_sinks(call: Call) -> Json:
    return listed(call, sinks_of(call.state, call.parent()), SINKS)


@implements("logging.projects.sinks.update", "logging.projects.sinks.patch")
def update_sink(call: Call) -> Json:
    """Without a mask destination, filter and includeChildren are changed: that was all once, and is so still."""
    sinks_of(call.state, _project(call))
    before = named_row(call, "sinkName", "Sink")
    if before["name"] == "_Required":
        raise invalid("The _Required sink cannot be modified.")
    row = patched_row(
        call, "sinkName", mask=call.query.get("updateMask") or "destination,filter,includeChildren"
    )
    row["name"] = before["name"]
    _check_sink(row)
    row = _completed(call, row)
    own = "@gcp-sa-logging." in before.get("writerIdentity", "@gcp-sa-logging.")
    moved = own and row["destination"] != before["destination"]
    if moved or call.query.get("uniqueWriterIdentity") or call.query.get("customWriterIdentity"):
        row = {key: value for key, value in row.items() if key != "writerIdentity"} | _writer(call, row)
    return keep_row(call, row, "sinkName")


@implements("logging.projects.sinks.delete")
def delete_sink(call: Call) -> Json:
    """What was routed before and has not been written is gone with it."""
    sinks_of(call.state, _project(call))
    name = named_row(call, "sinkName", "Sink")["name"]
    if name in GIVEN_BUCKETS:
        raise invalid(f"The {name} sink cannot be deleted.")
    call.state.database.execute("DELETE FROM exported_entry WHERE sink = ?", call.parent("sinkName"))
    call.state.rows.delete(f"{call.parent('sinkName')}/problem")
    return delete_row(call, "sinkName")


@implements("logging.projects.exclusions.create")
def create_exclusion(call: Call) -> Json:
    name = body_name(call, ID)
    parse_filter(call.body["filter"])
    return create_row(call, EXCLUSIONS, f"{call.parent()}/{EXCLUSIONS}/{name}", name=name)


@implements("logging.projects.exclusions.get")
def get_exclusion(call: Call) -> Json:
    return named_row(call, kind="Exclusion")


@implements("logging.projects.exclusions.list")
def list_exclusions(call: Call) -> Json:
    return list_rows(call, EXCLUSIONS)


@implements("logging.projects.exclusions.patch")
def patch_exclusion(call: Call) -> Json:
    row = patched_row(call)
    parse_filter(row.get("filter", ""))
    return keep_row(call, row)


@implements("logging.projects.exclusions.delete")
def delete_exclusion(call: Call) -> Json:
    return delete_row(call)


def _project(call: Call) -> str:
    return "/".join(call.parent("sinkName").split("/")[:2])


def _check_sink(sink: Json) -> None:
    if not _DESTINATION.fullmatch(sink.get("destination", "")):
        raise invalid(
            f"Invalid sink destination '{sink.get('destination', '')}': it is a bucket, dataset, topic or log bucket.",
            [("destination", "invalid")],
        )
    parse_filter(sink.get("filter", ""))
    for exclusion in sink.get("exclusions", []):
        parse_filter(exclusion.get("filter", ""))


def _completed(call: Call, sink: Json) -> Json:
    """With what Google says of a sink to a dataset: tables it partitions, it partitions by the entries' time."""
    if "bigqueryOptions" not in sink:
        return sink
    partitioned = bool(sink["bigqueryOptions"].get("usePartitionedTables"))
    return {
        **sink,
        "bigqueryOptions": {**sink["bigqueryOptions"], "usesTimestampColumnPartitioning": partitioned},
    }


def _writer(call: Call, sink: Json) -> Json:
    """Who writes to the destination (cloud.google.com/logging/docs/export/configure_export_v2#dest-auth).

    Nobody where that is a log bucket of the sink's own project, which needs no permission.
    """
    if call.query.get("customWriterIdentity"):
        return {"writerIdentity": str(call.query["customWriterIdentity"])}
    parent = call.parent("parent" if "parent" in call.path else "sinkName")
    number = parent.split("/")[1]
    target = call.state.projects.canonical(sink["destination"].removeprefix("logging.googleapis.com/"))
    if target.startswith(f"projects/{number}/") and "/buckets/" in target:
        return {}
    return {"writerIdentity": f"serviceAccount:service-{number}@gcp-sa-logging.iam.gserviceaccount.com"}
