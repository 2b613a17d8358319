"""Vertex AI: tuning jobs (aiplatform.v1, v1beta1). Google has neither patch nor delete; the rest: vertex_jobs."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.model_registry import model_row, tuned_from
from tunestack.emulator.services.vertex import location_of
from tunestack.emulator.services.vertex_jobs import submit

Json = dict[str, Any]

TUNING_JOBS = "tuningJobs"

# Gemini models and the open models that Google lists for tuning, by the shape of their names: the lists change
# by the month (docs of supervised tuning and open model tuning, read 2026-11-22).
_BASE_MODELS = re.compile(
    r"(publishers/google/models/)?gemini-\d(\.\d)?-(pro|flash|flash-lite)(-\d{3}|-preview[-\w]*)?"
    r"|(publishers/)?(google/(models/)?(gemma|medgemma)[\w.-]*|(meta|qwen)/(models/)?[\w.-]+)@[\w.-]+"
)
_NAME_AT_MOST = 128
_SPECS = (
    "distillationSpec",
    "fullFineTuningSpec",
    "partnerModelTuningSpec",
    "preferenceOptimizationSpec",
    "reinforcementTuningSpec",
    "supervisedTuningSpec",
    "veoLoraTuningSpec",
    "veoTuningSpec",
)


@implements("aiplatform.projects.locations.tuningJobs.create")
def create(call: Call) -> Json:
    body = call.body
    problems = list(_problems(call))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    if "preTunedModel" in body:
        model = model_row(call.state, body["preTunedModel"].get("tunedModelName", ""))
        body["preTunedModel"] = {
            **body["preTunedModel"],
            "baseModel": tuned_from(model).get("baseModel", ""),
        }
    return submit(call, TUNING_JOBS, str(call.state.new_id()), "JOB_STATE_PENDING")


def _problems(call: Call) -> list[tuple[str, str]]:
    """What Google's rules (one of, lengths, same region) forbid beyond the schema: (field, description)."""
    body, found = call.body, []
    specs = [name for name in _SPECS if name in body]
    if len(specs) != 1:
        have = f"have {', '.join(specs)}" if specs else "none is set"
        found.append(("tuning_spec", f"Exactly one tuning spec must be set; {have}."))
    if ("baseModel" in body) == ("preTunedModel" in body):
        found.append(("source_model", "Exactly one of base_model and pre_tuned_model must be set."))
    base = body.get("baseModel")
    if base is not None and not _BASE_MODELS.fullmatch(base):
        found.append(("base_model", f"Base model {base} is not supported."))
    if len(body.get("tunedModelDisplayName", "")) > _NAME_AT_MOST:
        found.append(
            ("tuned_model_display_name", f"The display name has more than {_NAME_AT_MOST} characters.")
        )
    key = body.get("encryptionSpec", {}).get("kmsKeyName")
    location = location_of(call.parent() + "/")
    if key and f"/locations/{location}/" not in key:
        found.append(
            ("encryption_spec.kms_key_name", f"The key {key} is not in the job's region, {location}.")
        )
    for name in specs:
        found += _hyper_parameters(name, body[name].get("hyperParameters", {}))
    return found


def _hyper_parameters(spec: str, values: Json) -> list[tuple[str, str]]:
    found = []
    for name in ("epochCount", "learningRateMultiplier", "learningRate", "batchSize"):
        if name in values and float(values[name]) <= 0:
            found.append(
                (f"{spec}.hyper_parameters.{name}", f"{name} is {values[name]}; it must be above 0.")
            )
    if values.get("adapterSize") == "ADAPTER_SIZE_UNSPECIFIED":
        found.append((f"{spec}.hyper_parameters.adapterSize", "adapter_size is unspecified."))
    if "learningRate" in values and "learningRateMultiplier" in values:
        text = "Only one of learning_rate and learning_rate_multiplier may be set."
        found.append((f"{spec}.hyper_parameters", text))
    return found
