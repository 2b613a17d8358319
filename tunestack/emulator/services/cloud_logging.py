"""Cloud Logging: log-based metrics and log buckets (logging.v2)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition, invalid
from tunestack.emulator.services.cloud_kms_encryption import primary_version
from tunestack.emulator.services.cloud_logging_filter import parse as parse_filter
from tunestack.emulator.services.cloud_logging_metrics import check_extractors
from tunestack.emulator.services.cloud_logging_state import (
    BUCKETS,
    GIVEN_BUCKETS,
    ID,
    METRICS,
    body_name,
    make_given_buckets,
)
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

Json = dict[str, Any]

_METRIC = r"[A-Za-z0-9_.,+!*',()%/-]{1,100}"
_TYPES = "type.googleapis.com/google.logging.v2"


@implements("logging.projects.metrics.create")
def create_metric(call: Call) -> Json:
    name = body_name(call, _METRIC)
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
    key = f"{call.parent()}/buckets/{chosen_id(call, 'bucketId', ID)}"
    if call.state.rows.find(key):
        raise already_exists(f"Bucket {_shown(call, key)} already exists.")
    _check_bucket(call, call.body)
    call.body = {**call.body, "retentionDays": call.body.get("retentionDays") or 30}
    row = create_row(call, BUCKETS, key, lifecycleState="ACTIVE")
    return _operation(call, row) if call.method.id.endswith("Async") else row


@implements("logging.projects.locations.buckets.get")
def get_bucket(call: Call) -> Json:
    make_given_buckets(call.state, call.parent("name").rsplit("/", 2)[0])
    return named_row(call, kind="Bucket")


@implements("logging.projects.locations.buckets.list")
def list_buckets(call: Call) -> Json:
    make_given_buckets(call.state, call.parent())
    return list_rows(call, BUCKETS, "buckets")


@implements("logging.projects.locations.buckets.patch", "logging.projects.locations.buckets.updateAsync")
def patch_bucket(call: Call) -> Json:
    make_given_buckets(call.state, call.parent("name").rsplit("/", 2)[0])
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
    make_given_buckets(call.state, call.parent("name").rsplit("/", 2)[0])
    row = named_row(call, kind="Bucket")
    if row["name"].rpartition("/")[2] in GIVEN_BUCKETS:
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


def _completed_metric(call: Call, metric: Json) -> Json:
    """With the descriptor that Google derives. Raises 400 on a filter that is none."""
    parse_filter(metric["filter"])
    check_extractors(metric)
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
