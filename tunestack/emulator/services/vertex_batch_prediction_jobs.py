"""Vertex AI: batch prediction jobs (aiplatform.v1, v1beta1). Their other methods are all jobs': vertex_jobs."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.model_registry import version_row
from tunestack.emulator.services.served_models import publisher_model
from tunestack.emulator.services.vertex import location_of
from tunestack.emulator.services.vertex_jobs import submit

Json = dict[str, Any]

BATCH_PREDICTION_JOBS = "batchPredictionJobs"

_MODELS = ("model", "unmanagedContainerModel", "endpoint")
_SOURCES = ("gcsSource", "bigquerySource", "vertexMultimodalDatasetSource")
_DESTINATIONS = ("gcsDestination", "bigqueryDestination", "vertexMultimodalDatasetDestination")
# Model.supported_input_storage_formats and supported_output_storage_formats.
_INPUT_FORMATS = ("jsonl", "csv", "tf-record", "tf-record-gzip", "bigquery", "file-list", "vertex-dataset")
_OUTPUT_FORMATS = ("jsonl", "csv", "bigquery", "vertex-dataset")


@implements("aiplatform.projects.locations.batchPredictionJobs.create")
def create(call: Call) -> Json:
    body = call.body
    problems = [
        *_one_of(body, "", _MODELS),
        *_one_of(body["inputConfig"], "input_config.", _SOURCES),
        *_one_of(body["outputConfig"], "output_config.", _DESTINATIONS),
    ]
    for config, key, known in (
        ("inputConfig", "instancesFormat", _INPUT_FORMATS),
        ("outputConfig", "predictionsFormat", _OUTPUT_FORMATS),
    ):
        if body[config][key] not in known:
            problems.append(
                (f"{config}.{key}", f"{key} is {body[config][key]}; it is one of {', '.join(known)}.")
            )
    for config, key, place in (
        ("inputConfig", "instancesFormat", "bigquerySource"),
        ("outputConfig", "predictionsFormat", "bigqueryDestination"),
    ):
        if (body[config][key] == "bigquery") != (place in body[config]) and not problems:
            text = f"{key} is {body[config][key]}; it is bigquery with {place}, and only with it."
            problems.append((f"{config}.{key}", text))
    if len(body.get("displayName", "")) > 128:
        problems.append(("display_name", "The display name has more than 128 characters."))
    fields = body.get("instanceConfig", {})
    if fields.get("excludedFields") and fields.get("includedFields"):
        problems.append(("instance_config", "Only one of included_fields and excluded_fields may be set."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    version = _model(call)
    return submit(call, BATCH_PREDICTION_JOBS, str(call.state.new_id()), "JOB_STATE_PENDING", **version)


def _one_of(body: Json, where: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    have = [name for name in names if name in body]
    if len(have) == 1:
        return []
    told = f"have {', '.join(have)}" if have else "none is set"
    return [
        (
            f"{where}{names[0]}",
            f"Exactly one of {', '.join(names)} must be set in {where or 'the job'}; {told}.",
        )
    ]


def _model(call: Call) -> Json:
    """What the job's row says of its model. Raises 404 where it is not there, 400 in another location."""
    state, body = call.state, call.body
    name = body.get("model") or body.get("endpoint")
    if name is None:
        return {}
    if "publishers/" in name:
        publisher_model(state, name)
        return {}
    canonical = state.projects.canonical(name)
    if location_of(canonical) != location_of(call.parent() + "/"):
        raise invalid(f"{name} and {call.parent()} are not in the same location.", [("model", name)])
    if "endpoint" in body:
        state.rows.get(canonical)
        return {"endpoint": canonical}
    row = version_row(state, name)
    return {"model": canonical, "modelVersionId": row["versionId"]}
