"""Cloud Logging: sinks, exclusions, log-based metrics and log buckets (logging.v2)."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition, invalid
from tunestack.emulator.services.cloud_kms_encryption import primary_version
from tunestack.emulator.services.cloud_logging_filter import parse as parse_filter
from tunestack.emulator.services.resources import (
    chosen_id,
    create_row,
    delete_row,
    done_operation,
    keep_row,
    list_rows,
    named_row,
    patched_row,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

SINKS = "sinks"
EXCLUSIONS = "exclusions"
METRICS = "metrics"
BUCKETS = "logBuckets"

_ID = r"[A-Za-z][A-Za-z0-9_.-]{0,99}"
_METRIC = r"[A-Za-z0-9_.,+!*',()%/-]{1,100}"
_DESTINATION = re.compile(
    r"(storage\.googleapis\.com/[^/]+|bigquery\.googleapis\.com/projects/[^/]+/datasets/[^/]+"
    r"|pubsub\.googleapis\.com/projects/[^/]+/topics/[^/]+"
    r"|logging\.googleapis\.com/projects/[^/]+(/locations/[^/]+/buckets/[^/]+)?)"
)
# Every project has these (cloud.google.com/logging/docs/routing/overview#buckets).
_GIVEN_BUCKETS = {"_Default": 30, "_Required": 400}
_TYPES = "type.googleapis.com/google.logging.v2"


@implements("logging.projects.sinks.create")
def create_sink(call: Call) -> Json:
    name = _body_name(call, _ID)
    _check_sink(call.body)
    key = f"{call.parent()}/{SINKS}/{name}"
    return create_row(
        call,
        SINKS,
        key,
        name=name,
        resourceName=call.state.projects.by_id(key),
        writerIdentity=_writer(call),
    )


@implements("logging.projects.sinks.get")
def get_sink(call: Call) -> Json:
    return named_row(call, "sinkName", "Sink")


@implements("logging.projects.sinks.list")
def list_sinks(call: Call) -> Json:
    return list_rows(call, SINKS)


@implements("logging.projects.sinks.update", "logging.projects.sinks.patch")
def update_sink(call: Call) -> Json:
    """Without a mask destination, filter and includeChildren are changed: that was all once, and is so still."""
    before = named_row(call, "sinkName", "Sink")
    row = patched_row(
        call, "sinkName", mask=call.query.get("updateMask") or "destination,filter,includeChildren"
    )
    row["name"] = before["name"]
    _check_sink(row)
    if call.query.get("uniqueWriterIdentity") or call.query.get("customWriterIdentity"):
        row["writerIdentity"] = _writer(call)
    return keep_row(call, row, "sinkName")


@implements("logging.projects.sinks.delete")
def delete_sink(call: Call) -> Json:
    return delete_row(call, "sinkName")


@implements("logging.projects.exclusions.create")
def create_exclusion(call: Call) -> Json:
    name = _body_name(call, _ID)
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


@implements("logging.projects.metrics.create")
def create_metric(call: Call) -> Json:
    name = _body_name(call, _METRIC)
    key = f"{call.parent()}/{METRICS}/{name}"
    return create_row(
        call,
        METRICS,
        key,
        **_completed_metric(call, {**call.body, "name": name}),
        resourceName=_shown(call, key),
    )


@implements("logging.projects.metrics.get")
def get_metric(call: Call) -> Json:
    return named_row(call, "metricName", "Metric")


@implements("logging.projects.metrics.list")
def list_metrics(call: Call) -> Json:
    return list_rows(call, METRICS)


@implements("logging.projects.metrics.update")
def update_metric(call: Call) -> Json:
    """The whole metric takes the old one's place; it is made where there is none."""
    key = call.parent("metricName")
    name = key.partition(f"/{METRICS}/")[2]
    row = _completed_metric(call, {**call.body, "name": name})
    before = call.state.rows.find(key)
    if before is None:
        return create_row(call, METRICS, key, **row, resourceName=_shown(call, key))
    kept = {field: before[field] for field in ("createTime", "resourceName")}
    return keep_row(call, {**row, **kept}, "metricName")


@implements("logging.projects.metrics.delete")
def delete_metric(call: Call) -> Json:
    return delete_row(call, "metricName")


@implements("logging.projects.locations.buckets.create", "logging.projects.locations.buckets.createAsync")
def create_bucket(call: Call) -> Json:
    key = f"{call.parent()}/buckets/{chosen_id(call, 'bucketId', _ID)}"
    if call.state.rows.find(key):
        raise already_exists(f"Bucket {_shown(call, key)} already exists.")
    _check_bucket(call, call.body)
    call.body = {**call.body, "retentionDays": call.body.get("retentionDays") or 30}
    row = create_row(call, BUCKETS, key, lifecycleState="ACTIVE")
    return _operation(call, row) if call.method.id.endswith("Async") else row


@implements("logging.projects.locations.buckets.get")
def get_bucket(call: Call) -> Json:
    _given(call.state, call.parent("name").rsplit("/", 2)[0])
    return named_row(call, kind="Bucket")


@implements("logging.projects.locations.buckets.list")
def list_buckets(call: Call) -> Json:
    _given(call.state, call.parent())
    return list_rows(call, BUCKETS, "buckets")


@implements("logging.projects.locations.buckets.patch", "logging.projects.locations.buckets.updateAsync")
def patch_bucket(call: Call) -> Json:
    _given(call.state, call.parent("name").rsplit("/", 2)[0])
    before = named_row(call, kind="Bucket")
    if before["name"].endswith("/_Required"):
        raise invalid("The _Required bucket cannot be changed.")
    if before.get("locked"):
        raise failed_precondition(f"Bucket {before['name']} is locked and cannot be changed.")
    row = patched_row(call)
    _check_bucket(call, row)
    row = keep_row(call, row)
    return _operation(call, row) if call.method.id.endswith("Async") else row


@implements("logging.projects.locations.buckets.delete")
def delete_bucket(call: Call) -> Json:
    """Marked first; Google removes it after seven days, until when it can be had back."""
    _given(call.state, call.parent("name").rsplit("/", 2)[0])
    row = named_row(call, kind="Bucket")
    if row["name"].rpartition("/")[2] in _GIVEN_BUCKETS:
        raise invalid(f"The bucket {row['name']} cannot be deleted.")
    call.state.rows.put(call.parent("name"), {**row, "lifecycleState": "DELETE_REQUESTED"})
    return {}


@implements("logging.projects.locations.buckets.undelete")
def undelete_bucket(call: Call) -> Json:
    row = named_row(call, kind="Bucket")
    if row["lifecycleState"] != "DELETE_REQUESTED":
        raise failed_precondition(f"Bucket {row['name']} is not deleted.")
    call.state.rows.put(call.parent("name"), {**row, "lifecycleState": "ACTIVE"})
    return {}


def _given(state: State, location: str) -> None:
    """Make the buckets that every project has in ``global``."""
    for name, days in _GIVEN_BUCKETS.items():
        key = f"{location}/buckets/{name}"
        if location.endswith("/global") and state.rows.find(key) is None:
            row: Json = {
                "name": state.projects.by_id(key),
                "retentionDays": days,
                "lifecycleState": "ACTIVE",
                **({"locked": True} if name == "_Required" else {}),
            }
            state.rows.create(BUCKETS, location, key, row)


def _body_name(call: Call, pattern: str) -> str:
    name = str(call.body.get("name", ""))
    if not re.fullmatch(pattern, name):
        raise invalid(f"Invalid name '{name}': it must match {pattern}", [("name", pattern)])
    key = f"{call.parent()}/{call.method.id.split('.')[-2]}/{name}"
    if call.state.rows.find(key):
        raise already_exists(f"{_shown(call, key)} already exists.")
    return name


def _check_sink(sink: Json) -> None:
    if not _DESTINATION.fullmatch(sink.get("destination", "")):
        raise invalid(
            f"Invalid sink destination '{sink.get('destination', '')}': it is a bucket, dataset, topic or log bucket.",
            [("destination", "invalid")],
        )
    parse_filter(sink.get("filter", ""))
    for exclusion in sink.get("exclusions", []):
        parse_filter(exclusion.get("filter", ""))


def _writer(call: Call) -> str:
    """Who writes to the destination (cloud.google.com/logging/docs/export/configure_export_v2#dest-auth)."""
    if call.query.get("customWriterIdentity"):
        return str(call.query["customWriterIdentity"])
    parent = call.parent("parent" if "parent" in call.path else "sinkName")
    number = parent.split("/")[1]
    return f"serviceAccount:service-{number}@gcp-sa-logging.iam.gserviceaccount.com"


def _completed_metric(call: Call, metric: Json) -> Json:
    """With the descriptor that Google derives. Raises 400 on a filter that is none."""
    parse_filter(metric["filter"])
    valued = bool(metric.get("valueExtractor"))
    descriptor = {
        "metricKind": "DELTA",
        "valueType": "DISTRIBUTION" if valued else "INT64",
        "unit": "1",
        **metric.get("metricDescriptor", {}),
        "type": f"logging.googleapis.com/user/{metric['name']}",
    }
    project = call.parent("parent" if "parent" in call.path else "metricName").split("/")[1]
    descriptor["name"] = f"projects/{call.state.projects.id(project)}/metricDescriptors/{descriptor['type']}"
    return {**metric, "metricDescriptor": descriptor}


def _check_bucket(call: Call, bucket: Json) -> None:
    days = bucket.get("retentionDays", 0)
    if days and not 1 <= days <= 3650:
        raise invalid("retention_days must be between 1 and 3650.", [("retention_days", str(days))])
    key = bucket.get("cmekSettings", {}).get("kmsKeyName")
    if key:
        primary_version(call.state, key)


def _shown(call: Call, key: str) -> str:
    return call.state.projects.by_id(key)


def _operation(call: Call, row: Json) -> Json:
    state = call.state
    location = row["name"].partition("/buckets/")[0]
    name = f"{location}/operations/{state.new_id()}"
    return done_operation(
        state, name, {"@type": f"{_TYPES}.BucketMetadata"}, {"@type": f"{_TYPES}.LogBucket", **row}
    )
