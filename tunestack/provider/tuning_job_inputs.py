"""The inputs of a TuningJob, the identity of the run, and the API version that its fields need. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tunestack.provider.inputs import Inputs
from tunestack.provider.job_identity import JobIdentity, decided_by, leaves
from tunestack.provider.job_inputs import EncryptionSpec, GcsDirectory, JobInputs, ServiceAccount
from tunestack.provider.tuning_job_rewards import ReinforcementTuningSpec
from tunestack.provider.tuning_job_specs import (
    DistillationSpec,
    FullFineTuningSpec,
    PartnerModelTuningSpec,
    PreferenceOptimizationSpec,
    SupervisedTuningSpec,
    VeoLoraTuningSpec,
    VeoTuningSpec,
)
from tunestack.provider.values import Properties


class PreTunedModel(Inputs):
    """A tuned model to go on from: ``projects/P/locations/L/models/M``, with ``@version`` or ``@alias`` or neither."""

    tuned_model_name: Annotated[
        str, Field(pattern=r"^projects/[^/]+/locations/[^/]+/models/[^/@\s]+(@[A-Za-z0-9-]+)?$")
    ]
    checkpoint_id: str | None = None


class TuningJobInputs(JobInputs):
    """A managed tuning job; the names are those of Vertex AI's ``TuningJob``. Exactly one spec."""

    base_model: Annotated[str | None, Field(min_length=1)] = None
    pre_tuned_model: PreTunedModel | None = None
    custom_base_model: GcsDirectory | None = None
    tuned_model_display_name: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    description: str | None = None
    encryption_spec: EncryptionSpec | None = None
    service_account: ServiceAccount | None = None
    output_uri: GcsDirectory | None = None
    supervised_tuning_spec: SupervisedTuningSpec | None = None
    preference_optimization_spec: PreferenceOptimizationSpec | None = None
    reinforcement_tuning_spec: ReinforcementTuningSpec | None = None
    distillation_spec: DistillationSpec | None = None
    partner_model_tuning_spec: PartnerModelTuningSpec | None = None
    full_fine_tuning_spec: FullFineTuningSpec | None = None
    veo_tuning_spec: VeoTuningSpec | None = None
    veo_lora_tuning_spec: VeoLoraTuningSpec | None = None


SPECS = (
    "supervisedTuningSpec",
    "preferenceOptimizationSpec",
    "reinforcementTuningSpec",
    "distillationSpec",
    "partnerModelTuningSpec",
    "fullFineTuningSpec",
    "veoTuningSpec",
    "veoLoraTuningSpec",
)
"""Of which a job has exactly one."""

_V1_SPECS = frozenset({"supervisedTuningSpec", "preferenceOptimizationSpec"})
_V1BETA1_ONLY = frozenset(
    {
        "customBaseModel",
        "outputUri",
        "supervisedTuningSpec.tuningMode",
        "supervisedTuningSpec.hyperParameters.batchSize",
        "supervisedTuningSpec.hyperParameters.learningRate",
    }
)


def api_version(body: Properties) -> str:
    """The version of the API that knows every field of a job: ``v1`` where it does, else ``v1beta1``."""
    given = {path for name, value in body.items() for path, _ in leaves(name, value)}
    later_spec = any(spec in body for spec in SPECS if spec not in _V1_SPECS)
    return "v1beta1" if later_spec or given & _V1BETA1_ONLY else "v1"


def _derived(inputs: Properties) -> dict[str, Any]:
    """Model, specs, region, key and folder. What it is called, who runs it and how it is evaluated decide nothing."""
    decided = decided_by(
        inputs,
        "location",
        "baseModel",
        "preTunedModel",
        "customBaseModel",
        "encryptionSpec",
        "outputUri",
        *SPECS,
    )
    return {path: value for path, value in decided.items() if ".evaluationConfig" not in path}


TUNING_JOB_IDENTITY = JobIdentity(_derived)
