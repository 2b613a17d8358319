"""Pub/Sub: where a subscription delivers by itself (an endpoint, a table, a bucket), and what it takes to.

cloud.google.com/pubsub/docs/push, …/bigquery, …/cloudstorage. Push goes to loopback alone: this emulator calls nobody
else.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from tunestack.emulator.access.resources import bucket_resource, named_resource
from tunestack.emulator.bigquery.fields import kind, repeated
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.tables import find_table
from tunestack.emulator.call import Call
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.services.pubsub_state import agent_of
from tunestack.emulator.services.times import seconds
from tunestack.emulator.state import State

Json = dict[str, Any]

PUSH = "pushConfig"
TABLE = "bigqueryConfig"
BUCKET = "cloudStorageConfig"
_KINDS = (PUSH, TABLE, BUCKET, "bigtableConfig")

# The columns that writeMetadata fills, and what they may be; "data" is the message
# (cloud.google.com/pubsub/docs/bigquery#properties_subscription).
_METADATA: dict[str, tuple[str, ...]] = {
    "subscription_name": ("STRING",),
    "message_id": ("STRING",),
    "publish_time": ("TIMESTAMP",),
    "attributes": ("STRING", "JSON"),
}
_DATA: dict[str, tuple[str, ...]] = {"data": ("BYTES", "STRING", "JSON")}


def delivered_to(subscription: Json) -> str | None:
    """Which of `PUSH`, `TABLE` and `BUCKET` a subscription delivers to; None is pulled."""
    if subscription.get(PUSH, {}).get("pushEndpoint"):
        return PUSH
    return next((name for name in (TABLE, BUCKET) if subscription.get(name)), None)


def targeted(call: Call, subscription: Json) -> Json:
    """The subscription with what Google fills in of its target. Raises 400, and 501 on what is not delivered here."""
    state = call.state
    chosen = [name for name in _KINDS if name != PUSH and subscription.get(name)]
    endpoint = subscription.get(PUSH, {}).get("pushEndpoint")
    if len(chosen) + bool(endpoint) > 1:
        raise invalid(
            "At most one of push_config, bigquery_config, cloud_storage_config and bigtable_config may be set."
        )
    if "bigtableConfig" in chosen:
        raise ApiError(
            "UNIMPLEMENTED", "bigtableConfig: the tunestack emulator has no Bigtable to deliver to"
        )
    if subscription.get("messageTransforms"):
        raise ApiError("UNIMPLEMENTED", "messageTransforms are not implemented by the tunestack emulator")
    if endpoint:
        _check_endpoint(call, endpoint, subscription[PUSH])
    kind_of = delivered_to(subscription)
    if kind_of not in (TABLE, BUCKET):
        return subscription
    config = {key: value for key, value in subscription[kind_of].items() if key != "state"}
    if kind_of == BUCKET:
        config = _completed_bucket(config)
    problem = problem_of(
        state, call.parent("name" if "name" in call.path else "subscription"), kind_of, config
    )
    if problem:
        raise invalid(problem[1], [(kind_of, problem[1])])
    return {**subscription, kind_of: {**config, "state": "ACTIVE"}}


def problem_of(state: State, key: str, kind_of: str, config: Json) -> tuple[str, str] | None:
    """Why a subscription cannot write: the ``state`` that its config has by it, and what is wrong; None: it can."""
    writer = config.get("serviceAccountEmail") or agent_of(key.split("/")[1])
    if kind_of == BUCKET:
        resource = bucket_resource(state, config["bucket"], "x")
        if resource is None:
            return "NOT_FOUND", f"The bucket {config['bucket']} does not exist."
        needed = ("storage.buckets.get", "storage.objects.create")
        what = f"Cloud Storage bucket: {config['bucket']}"
    else:
        reference = table_of(state, config["table"])
        row = find_table(state, reference) if reference else None
        if reference is None or row is None:
            return "NOT_FOUND", f"The BigQuery table {config['table']} was not found: PROJECT.DATASET.TABLE"
        mismatch = _mismatch(config, row.get("schema", {}).get("fields", []))
        if mismatch:
            return "SCHEMA_MISMATCH", f"Incompatible schema mismatch: {mismatch}"
        name = f"projects/{reference.project}/datasets/{reference.dataset}"
        resource = named_resource(state, name, "bigquery.googleapis.com")
        needed = ("bigquery.tables.get", "bigquery.tables.updateData")
        what = "BigQuery table"
    lacking = [permission for permission in needed if not state.access.may(writer, permission, resource)]
    if lacking:
        return (
            "PERMISSION_DENIED",
            f"Service account {writer} is missing permissions required to write to the {what}: {', '.join(lacking)}.",
        )
    return None


def table_of(state: State, text: str) -> Reference | None:
    """The table of ``PROJECT.DATASET.TABLE``, or with a colon after the project."""
    parts = text.replace(":", ".").split(".")
    return Reference(state.projects.id(parts[0]), parts[1], parts[2]) if len(parts) == 3 else None


def _check_endpoint(call: Call, endpoint: str, config: Json) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(
            f"Invalid push endpoint given (endpoint={endpoint}). Refer to https://cloud.google.com/pubsub/docs/push"
        )
    if not _is_loopback(parts.hostname):
        raise ApiError(
            "UNIMPLEMENTED",
            f"pushConfig: the tunestack emulator pushes to this machine alone (http://127.0.0.1:…), and {endpoint} is"
            " not on it",
        )
    account = config.get("oidcToken", {}).get("serviceAccountEmail")
    if account:
        call.state.access.require_acting_as(call, account)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _completed_bucket(config: Json) -> Json:
    """With Google's defaults. Raises 400, and 501 on Avro."""
    if "avroConfig" in config:
        raise ApiError(
            "UNIMPLEMENTED", "cloudStorageConfig.avroConfig: the tunestack emulator writes text alone"
        )
    config = {"maxDuration": "300s", "textConfig": {}, **config}
    problems: list[tuple[str, str]] = []
    if not 60 <= seconds(config["maxDuration"]) <= 600:
        problems.append(("max_duration", "max_duration must be between 1 and 10 minutes."))
    if int(config.get("maxBytes", 1000)) < 1000:
        problems.append(("max_bytes", "max_bytes must be at least 1 KB."))
    if int(config.get("maxMessages", 1000)) < 1000:
        problems.append(("max_messages", "max_messages must be at least 1000."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    return config


def _mismatch(config: Json, fields: list[Json]) -> str | None:
    """What the table's columns lack for what is to be written."""
    if config.get("useTopicSchema"):
        raise ApiError(
            "UNIMPLEMENTED", "bigqueryConfig.useTopicSchema: the tunestack emulator has no schemas of topics"
        )
    needed = {} if config.get("useTableSchema") else dict(_DATA)
    if config.get("writeMetadata"):
        needed |= _METADATA
    by_name = {field["name"].lower(): field for field in fields}
    for name, kinds in needed.items():
        field = by_name.get(name)
        if field is None:
            return f"the table has no column {name}."
        if kind(field) not in kinds or repeated(field):
            return f"column {name} has type {kind(field)}, not {' or '.join(kinds)}."
    for field in fields:
        if (
            field.get("mode") == "REQUIRED"
            and field["name"].lower() not in needed
            and not config.get("useTableSchema")
        ):
            return f"column {field['name']} is required, and nothing fills it."
    return None
