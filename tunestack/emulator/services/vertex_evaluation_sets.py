"""Vertex AI: evaluation items, sets, metrics and experiments (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services import resources
from tunestack.emulator.services.evaluation_items import ITEMS, SETS, check_request, keep_item, keep_set
from tunestack.emulator.services.vertex import (
    check_identifier,
    check_labels,
    finished_operation,
    list_rows,
    named_row,
)

Json = dict[str, Any]

METRICS = "evaluationMetrics"
EXPERIMENTS = "evaluationExperiments"

_LOCATIONS = "aiplatform.projects.locations"
_KINDS = (ITEMS, SETS, METRICS, EXPERIMENTS)


@implements(f"{_LOCATIONS}.{ITEMS}.create")
def create_item(call: Call) -> Json:
    body = call.body
    if body["evaluationItemType"] != "REQUEST":
        # Results come from runs, Harbor tasks from an import.
        raise invalid(
            f"evaluation_item_type is {body['evaluationItemType']}; an item that is created is a REQUEST.",
            [("evaluation_item_type", body["evaluationItemType"])],
        )
    if ("evaluationRequest" in body) == ("gcsUri" in body):
        raise invalid(
            "Exactly one of evaluation_request and gcs_uri must be set.", [("evaluation_request", "")]
        )
    if "evaluationRequest" in body:
        check_request(body["evaluationRequest"])
    check_labels(body.get("labels", {}))
    return keep_item(call.state, f"{call.parent()}/{ITEMS}/{call.state.new_id()}", body)


@implements(f"{_LOCATIONS}.{SETS}.create")
def create_set(call: Call) -> Json:
    body = {**call.body, "evaluationItems": _items(call, call.body["evaluationItems"])}
    return keep_set(call.state, f"{call.parent()}/{SETS}/{call.state.new_id()}", body)


@implements(f"{_LOCATIONS}.{SETS}.patch")
def patch_set(call: Call) -> Json:
    row = resources.patched_row(call, whole=True, immutable=("encryptionSpec",))
    row["evaluationItems"] = _items(call, row["evaluationItems"])
    return call.state.rows.put(row["name"], {**row, "updateTime": call.state.now()})


@implements(f"{_LOCATIONS}.{METRICS}.create")
def create_metric(call: Call) -> Json:
    """``evaluationMetricId`` is the caller's, or drawn."""
    body, now = call.body, call.state.now()
    check_labels(body.get("labels", {}))
    metric = body.get("metric", {})
    if metric and not {"llmBasedMetricSpec", "customCodeExecutionSpec"} & set(metric):
        raise invalid("Only LLMMetric and CustomCodeExecutionMetric are supported.", [("metric", "")])
    identifier = call.query.get("evaluationMetricId")
    if identifier:
        check_identifier(identifier, r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "evaluation_metric_id")
    name = f"{call.parent()}/{METRICS}/{identifier or call.state.new_id()}"
    row = {**body, "name": name, "createTime": now, "updateTime": now}
    return call.state.rows.create(METRICS, call.parent(), name, row)


@implements(f"{_LOCATIONS}.{EXPERIMENTS}.create")
def create_experiment(call: Call) -> Json:
    check_labels(call.body.get("labels", {}))
    now = call.state.now()
    name = f"{call.parent()}/{EXPERIMENTS}/{call.state.new_id()}"
    row = {**call.body, "name": name, "createTime": now, "updateTime": now}
    return call.state.rows.create(EXPERIMENTS, call.parent(), name, row)


@implements(f"{_LOCATIONS}.{EXPERIMENTS}.patch")
def patch_experiment(call: Call) -> Json:
    row = resources.patched_row(call, whole=True)
    check_labels(row.get("labels", {}))
    return call.state.rows.put(row["name"], {**row, "updateTime": call.state.now()})


@implements(*(f"{_LOCATIONS}.{kind}.get" for kind in _KINDS))
def get(call: Call) -> Json:
    return named_row(call)


@implements(*(f"{_LOCATIONS}.{kind}.list" for kind in _KINDS))
def list_all(call: Call) -> Json:
    return list_rows(call, call.method.id.split(".")[-2])


@implements(*(f"{_LOCATIONS}.{kind}.delete" for kind in _KINDS))
def delete(call: Call) -> Json:
    name = named_row(call)["name"]
    call.state.rows.delete(name)
    return finished_operation(call, name, "Delete", None)


def _items(call: Call, names: list[str]) -> list[str]:
    """Canonical names. Raises 404 where one is not there: Google's answer to that is not recorded."""
    found = [call.state.projects.canonical(name) for name in names]
    if missing := [name for name in found if call.state.rows.find(name) is None]:
        raise not_found(f"{', '.join(missing)} is not found.")
    return found
