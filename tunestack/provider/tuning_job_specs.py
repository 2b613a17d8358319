"""The specs of a TuningJob, field by field as in the v1beta1 discovery document (revision 20261106).

What only one field decides is here; what several decide together is in ``tuning_job_rules``. Fields that Google
calls deprecated are left out: ``distillationSpec.{studentModel, trainingDatasetUri, pipelineRootDirectory}``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from tunestack.provider.inputs import Inputs
from tunestack.provider.job_inputs import GcsDirectory


def _dataset(uri: str) -> str:
    if not re.fullmatch(r"gs://[^/\s]+/[^\s]+|projects/[^/\s]+/locations/[^/\s]+/datasets/[^/\s]+", uri):
        raise ValueError(
            f"{uri!r} is no dataset: gs://bucket/file.jsonl or projects/P/locations/L/datasets/D"
        )
    return uri


DatasetUri = Annotated[str, AfterValidator(_dataset)]
Count = Annotated[int, Field(ge=1)]
WireCount = Annotated[int, Field(ge=1, lt=2**63), PlainSerializer(str, when_used="json")]
"""An int64, which Google's JSON writes as a string."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AdapterSize = Literal[
    "ADAPTER_SIZE_ONE",
    "ADAPTER_SIZE_TWO",
    "ADAPTER_SIZE_FOUR",
    "ADAPTER_SIZE_EIGHT",
    "ADAPTER_SIZE_SIXTEEN",
    "ADAPTER_SIZE_THIRTY_TWO",
]
ADAPTER_SIZES = {
    "ADAPTER_SIZE_ONE": 1,
    "ADAPTER_SIZE_TWO": 2,
    "ADAPTER_SIZE_FOUR": 4,
    "ADAPTER_SIZE_EIGHT": 8,
    "ADAPTER_SIZE_SIXTEEN": 16,
    "ADAPTER_SIZE_THIRTY_TWO": 32,
}
TuningMode = Literal["TUNING_MODE_FULL", "TUNING_MODE_PEFT_ADAPTER"]


class GcsDestination(Inputs):
    """A folder in Cloud Storage."""

    output_uri_prefix: GcsDirectory


class OutputConfig(Inputs):
    """Where the results of an evaluation go."""

    gcs_destination: GcsDestination


class AutoraterConfig(Inputs):
    """The model that judges."""

    sampling_count: Annotated[int | None, Field(ge=1, le=32)] = None
    flip_enabled: bool | None = None
    autorater_model: str | None = None
    generation_config: dict[str, Any] | None = None


class EvaluationConfig(Inputs):
    """Evaluation of each checkpoint; ``metrics`` are Google's ``Metric`` objects, handed on as they are."""

    metrics: Annotated[list[dict[str, Any]], Field(min_length=1)]
    output_config: OutputConfig
    autorater_config: AutoraterConfig | None = None
    inference_generation_config: dict[str, Any] | None = None
    dataset_custom_metrics: list[dict[str, Any]] | None = None


class SupervisedHyperParameters(Inputs):
    """``batchSize`` and ``learningRate`` are for open models, ``learningRateMultiplier`` for Google's."""

    epoch_count: WireCount | None = None
    learning_rate_multiplier: Rate | None = None
    learning_rate: Rate | None = None
    batch_size: WireCount | None = None
    adapter_size: AdapterSize | None = None


class SupervisedTuningSpec(Inputs):
    """Supervised fine tuning."""

    training_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    hyper_parameters: SupervisedHyperParameters | None = None
    export_last_checkpoint_only: bool | None = None
    evaluation_config: EvaluationConfig | None = None
    tuning_mode: TuningMode | None = None


class PreferenceHyperParameters(Inputs):
    """``beta``: how near the tuned model stays to its base."""

    epoch_count: WireCount | None = None
    learning_rate_multiplier: Rate | None = None
    adapter_size: AdapterSize | None = None
    beta: Rate | None = None


class PreferenceOptimizationSpec(Inputs):
    """Preference optimization."""

    training_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    hyper_parameters: PreferenceHyperParameters | None = None
    export_last_checkpoint_only: bool | None = None


class DistillationHyperParameters(SupervisedHyperParameters):
    """As for supervised tuning."""


class DistillationSpec(Inputs):
    """Distillation into the base model of the job, which is the student."""

    prompt_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    base_teacher_model: str | None = None
    tuned_teacher_model_source: str | None = None
    hyper_parameters: DistillationHyperParameters | None = None
    tuning_mode: TuningMode | None = None


class PartnerModelTuningSpec(Inputs):
    """Tuning of a partner's model; the hyperparameters are the partner's."""

    training_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    hyper_parameters: dict[str, Any] | None = None


class FullFineTuningSpec(Inputs):
    """Tuning of all weights."""

    training_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    hyper_parameters: SupervisedHyperParameters | None = None


class VeoHyperParameters(Inputs):
    """Of Google's video models."""

    epoch_count: WireCount | None = None
    learning_rate_multiplier: Rate | None = None
    adapter_size: Literal["ADAPTER_SIZE_EIGHT", "ADAPTER_SIZE_SIXTEEN", "ADAPTER_SIZE_THIRTY_TWO"] | None = (
        None
    )
    tuning_speed: Literal["REGULAR", "FAST"] | None = None
    tuning_task: Literal["TUNING_TASK_I2V", "TUNING_TASK_T2V", "TUNING_TASK_R2V"] | None = None
    veo_data_mixture_ratio: Annotated[float | None, Field(ge=0, le=1)] = None


class VeoTuningSpec(Inputs):
    """Tuning of a video model."""

    training_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    hyper_parameters: VeoHyperParameters | None = None


class VeoLoraTuningSpec(VeoTuningSpec):
    """Tuning of a video model with an adapter."""

    video_orientation: Literal["LANDSCAPE", "PORTRAIT"] | None = None
