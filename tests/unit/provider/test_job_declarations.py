"""Tuning jobs and custom jobs as they are declared: every field of Google's, every rule of Google's."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tunestack.catalog.tuning import MANAGED_MODELS
from tunestack.provider.configuration import Configuration
from tunestack.provider.custom_job import CustomJobResource
from tunestack.provider.custom_job_inputs import CUSTOM_JOB_IDENTITY, CustomJobInputs
from tunestack.provider.inputs import _parts, check_inputs, known_fields
from tunestack.provider.job_inputs import LOCAL_INPUTS, JobInputs
from tunestack.provider.pipeline_job_inputs import PipelineJobInputs
from tunestack.provider.process_locks import Marks
from tunestack.provider.tuning_job import TuningJobResource
from tunestack.provider.tuning_job_inputs import TUNING_JOB_IDENTITY, TuningJobInputs, api_version
from tunestack.provider.values import UNKNOWN, has_unknown

DISCOVERY = Path(__file__).parents[3] / "tunestack/emulator/discovery"
SESSION: Any = SimpleNamespace(configuration=Configuration(project="acme"), marks=Marks(""))

SFT: dict[str, Any] = {"trainingDatasetUri": "gs://acme/train.jsonl"}
TUNING: dict[str, Any] = {
    "location": "us-central1",
    "baseModel": "gemini-2.5-flash",
    "supervisedTuningSpec": SFT,
}
OPEN: dict[str, Any] = {**TUNING, "baseModel": "google/gemma3@gemma-3-4b-it", "outputUri": "gs://acme/out"}
REWARD: dict[str, Any] = {
    "codeExecutionRewardScorer": {"pythonCodeSnippet": "def evaluate(e, r): return 1.0"}
}
RL: dict[str, Any] = {**SFT, "singleRewardConfig": REWARD}
KEY = "projects/acme/locations/us-central1/keyRings/r/cryptoKeys/k"
POOL: dict[str, Any] = {
    "machineSpec": {"machineType": "n1-standard-4"},
    "containerSpec": {"imageUri": "image"},
}
CUSTOM: dict[str, Any] = {
    "location": "us-central1",
    "displayName": "d",
    "jobSpec": {"workerPoolSpecs": [POOL]},
}


def tuning_problems(inputs: dict[str, Any]) -> dict[str, str]:
    checked = TuningJobResource(SESSION).check(inputs)
    return {problem.property: problem.reason for problem in checked.problems}


def custom_problems(inputs: dict[str, Any]) -> dict[str, str]:
    checked = CustomJobResource(SESSION).check(inputs)
    return {problem.property: problem.reason for problem in checked.problems}


# Fields


def fields_of_google(version: str, schema: str) -> set[str]:
    """Every input field as a dotted path; what is free-form in ours ends there."""
    schemas = json.loads((DISCOVERY / f"aiplatform.{version}.json").read_text())["schemas"]
    prefix = "GoogleCloudAiplatformV1" if version == "v1" else "GoogleCloudAiplatformV1beta1"

    def walk(name: str, path: str) -> set[str]:
        found = set()
        for key, value in schemas[name]["properties"].items():
            if value.get("readOnly"):
                continue
            at = f"{path}.{key}".lstrip(".")
            reference = value.get("$ref") or value.get("items", {}).get("$ref")
            found.add(at)
            if reference and not at.endswith(FREE_FORM):
                found |= walk(reference, at)
        return found

    return walk(prefix + schema, "")


FREE_FORM = (
    "generationConfig",
    "inferenceGenerationConfig",
    "metrics",
    "datasetCustomMetrics",
    "ConversionScorer",
)
NOT_OFFERED = {
    f"distillationSpec.{name}" for name in ("studentModel", "trainingDatasetUri", "pipelineRootDirectory")
}


def fields_of_ours(model: type[BaseModel], path: str = "") -> set[str]:
    found = set()
    for info in model.model_fields.values():
        at = f"{path}.{info.alias}".lstrip(".")
        inner = [
            part for part in _parts(info.annotation) if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        found.add(at)
        for part in inner:
            found |= fields_of_ours(part, at)
    return found


@pytest.mark.parametrize(
    ("model", "version", "schema"),
    [(TuningJobInputs, "v1beta1", "TuningJob"), (CustomJobInputs, "v1", "CustomJob")],
)
def test_every_input_field_of_google_is_an_input(model: type[BaseModel], version: str, schema: str) -> None:
    ours = fields_of_ours(model) - LOCAL_INPUTS - {"project", "location"}
    assert ours == fields_of_google(version, schema) - NOT_OFFERED


def test_every_input_field_of_a_pipeline_job_is_an_input_but_the_inline_specification() -> None:
    told = {path.removeprefix("runtimeConfig.") for path in fields_of_google("v1", "PipelineJob")}
    ours = (
        fields_of_ours(PipelineJobInputs)
        - LOCAL_INPUTS
        - {"project", "location", "inputArtifacts.artifactId"}
    )
    assert ours == told - {"runtimeConfig", "pipelineSpec", "parameters"}


def test_a_job_of_v1_has_no_field_that_v1_does_not_know() -> None:
    known = fields_of_google("v1", "TuningJob")
    for path in fields_of_ours(TuningJobInputs) - LOCAL_INPUTS - {"project", "location"}:
        body: Any = 1
        for key in reversed(path.split(".")):
            body = {key: body}
        if path not in known and "." not in path.replace("supervisedTuningSpec.", "").replace(
            "hyperParameters.", ""
        ):
            assert api_version(body) == "v1beta1", path


# Rules of tuning jobs


@pytest.mark.parametrize(
    "inputs",
    [
        TUNING,
        OPEN,
        {**OPEN, "customBaseModel": "gs://acme/weights"},
        {
            **TUNING,
            "baseModel": None,
            "preTunedModel": {"tunedModelName": "projects/p/locations/l/models/m@2"},
        },
        {**TUNING, "encryptionSpec": {"kmsKeyName": KEY}},
        {**TUNING, "supervisedTuningSpec": None, "reinforcementTuningSpec": RL},
        {**TUNING, "baseModel": "mistral-ai/x", "supervisedTuningSpec": None, "partnerModelTuningSpec": SFT},
        {**OPEN, "supervisedTuningSpec": {**SFT, "hyperParameters": {"learningRate": 1e-5, "batchSize": 8}}},
        {**TUNING, "supervisedTuningSpec": {"trainingDatasetUri": UNKNOWN}},
        {**TUNING, "supervisedTuningSpec": UNKNOWN},
        {**TUNING, "baseModel": UNKNOWN, "outputUri": UNKNOWN},
    ],
)
def test_what_is_right_or_unknown_has_no_problem(inputs: dict[str, Any]) -> None:
    assert tuning_problems({key: value for key, value in inputs.items() if value is not None}) == {}


def sft(**hyper_parameters: Any) -> dict[str, Any]:
    return {"supervisedTuningSpec": {**SFT, "hyperParameters": hyper_parameters}}


def rl(spec: dict[str, Any] | None = None, **hyper_parameters: Any) -> dict[str, Any]:
    inner = {**(RL if spec is None else spec), "hyperParameters": hyper_parameters}
    return {"supervisedTuningSpec": None, "reinforcementTuningSpec": inner}


@pytest.mark.parametrize(
    ("change", "property_", "words"),
    [
        ({"baseModel": None}, "baseModel", "exactly one"),
        (
            {"preTunedModel": {"tunedModelName": "projects/p/locations/l/models/m"}},
            "preTunedModel",
            "baseModel is there too",
        ),
        ({"supervisedTuningSpec": None}, "supervisedTuningSpec", "exactly one"),
        ({"preferenceOptimizationSpec": SFT}, "preferenceOptimizationSpec", "only one"),
        ({"baseModel": "gemini-9"}, "baseModel", "gemini-2.5-pro"),
        ({"tunedModelDisplayName": "x" * 129}, "tunedModelDisplayName", "at most 128"),
        ({"outputUri": "gs://acme/out"}, "outputUri", "open models only"),
        ({"customBaseModel": "gs://acme/weights"}, "customBaseModel", "open models only"),
        ({"baseModel": "qwen/qwen3@qwen3-8b"}, "outputUri", "is required"),
        ({"supervisedTuningSpec": {}}, "supervisedTuningSpec.trainingDatasetUri", "required"),
        (
            {"supervisedTuningSpec": {"trainingDatasetUri": "x.jsonl"}},
            "supervisedTuningSpec.trainingDatasetUri",
            "gs:",
        ),
        (sft(epochCount=0), "supervisedTuningSpec.hyperParameters.epochCount", "greater than or equal to 1"),
        (sft(batchSize=8), "supervisedTuningSpec.hyperParameters.batchSize", "open models only"),
        (sft(learningRate=0.1), "supervisedTuningSpec.hyperParameters.learningRate", "open models only"),
        (
            sft(adapterSize="ADAPTER_SIZE_THIRTY_TWO"),
            "supervisedTuningSpec.hyperParameters.adapterSize",
            "SIXTEEN",
        ),
        (
            {"baseModel": "gemini-2.5-pro", **sft(adapterSize="ADAPTER_SIZE_SIXTEEN")},
            "supervisedTuningSpec.hyperParameters.adapterSize",
            "gemini-2.5-pro takes",
        ),
        (
            {**OPEN, **sft(learningRateMultiplier=2.0)},
            "supervisedTuningSpec.hyperParameters.learningRateMultiplier",
            "takes learningRate",
        ),
        (
            {**OPEN, "supervisedTuningSpec": None, "preferenceOptimizationSpec": SFT},
            "preferenceOptimizationSpec",
            "is an open model",
        ),
        ({"baseModel": "gemini-3.5-flash", "location": "us-east4"}, "location", "europe-west4, us-central1"),
        ({"baseModel": "gemini-3.5-flash", "encryptionSpec": {"kmsKeyName": KEY}}, "encryptionSpec", "CMEK"),
        (
            {"location": "europe-west4", "encryptionSpec": {"kmsKeyName": KEY}},
            "encryptionSpec.kmsKeyName",
            "must lie in europe-west4",
        ),
        (
            {
                "location": "europe-west4",
                "supervisedTuningSpec": {
                    **SFT,
                    "evaluationConfig": {
                        "metrics": [{"bleuSpec": {}}],
                        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://acme/evaluation"}},
                    },
                },
            },
            "supervisedTuningSpec.evaluationConfig",
            "us-central1 only",
        ),
        (rl(SFT), "reinforcementTuningSpec", "exactly one"),
        (rl({**SFT, "singleRewardConfig": {}}), "reinforcementTuningSpec.singleRewardConfig", "exactly one"),
        (rl(epochCount=1, stepCount=2), "reinforcementTuningSpec.hyperParameters.stepCount", "only one"),
        (rl(stepCount=501), "reinforcementTuningSpec.hyperParameters.stepCount", "500"),
        (rl(batchSize=3, samplesPerPrompt=5), "reinforcementTuningSpec.hyperParameters.batchSize", "is 15"),
        (rl(batchSize=1024), "reinforcementTuningSpec.hyperParameters.batchSize", "at most 8192"),
        (
            rl(learningRateMultiplier=5.0),
            "reinforcementTuningSpec.hyperParameters.learningRateMultiplier",
            "4",
        ),
        (
            rl(thinkingLevel="LOW"),
            "reinforcementTuningSpec.hyperParameters.thinkingLevel",
            "'MINIMAL' or 'HIGH'",
        ),
        (
            {"baseModel": "gemini-3.5-flash", **rl(thinkingBudget=5)},
            "reinforcementTuningSpec.hyperParameters.thinkingBudget",
            "Gemini 2.5",
        ),
        (
            rl(
                {
                    **SFT,
                    "singleRewardConfig": {**REWARD, "parseResponseConfig": {"parseType": "REGEX_EXTRACT"}},
                }
            ),
            "reinforcementTuningSpec.singleRewardConfig.parseResponseConfig.regexExtractExpression",
            "required with",
        ),
        (
            rl({**SFT, "compositeRewardConfig": {"weightedRewardConfigs": [{"rewardConfig": {}}]}}),
            "reinforcementTuningSpec.compositeRewardConfig.weightedRewardConfigs[0].rewardConfig",
            "exactly one",
        ),
        (
            {"supervisedTuningSpec": None, "distillationSpec": {"promptDatasetUri": "gs://acme/x.jsonl"}},
            "distillationSpec",
            "exactly one",
        ),
        (
            {
                "supervisedTuningSpec": None,
                "distillationSpec": {
                    "promptDatasetUri": "gs://acme/x.jsonl",
                    "baseTeacherModel": "gemini-2.5-pro",
                    "studentModel": "gemini-2.5-flash",
                },
            },
            "distillationSpec.studentModel",
            "not permitted",
        ),
    ],
)
def test_every_rule_of_a_tuning_job_is_a_problem_of_its_property(
    change: dict[str, Any], property_: str, words: str
) -> None:
    inputs = {key: value for key, value in {**TUNING, **change}.items() if value is not None}
    problems = tuning_problems(inputs)
    assert list(problems) == [property_]
    assert words in problems[property_]


def test_what_is_known_is_checked_beside_what_is_not() -> None:
    spec = {"trainingDatasetUri": UNKNOWN, "hyperParameters": {"batchSize": 8, "epochCount": UNKNOWN}}
    assert list(tuning_problems({**TUNING, "supervisedTuningSpec": spec})) == [
        "supervisedTuningSpec.hyperParameters.batchSize"
    ]


# Rules of custom jobs


def pool(**changes: Any) -> dict[str, Any]:
    return {"jobSpec": {"workerPoolSpecs": [{**POOL, **changes}]}}


def spec(**changes: Any) -> dict[str, Any]:
    return {"jobSpec": {"workerPoolSpecs": [POOL], **changes}}


AT = "jobSpec.workerPoolSpecs[0]"


@pytest.mark.parametrize(
    ("change", "property_", "words"),
    [
        ({"jobSpec": {"workerPoolSpecs": []}}, "jobSpec.workerPoolSpecs", "at least 1"),
        (pool(containerSpec=None), AT, "exactly one"),
        (pool(machineSpec={}), f"{AT}.machineSpec.machineType", "is required"),
        (
            pool(machineSpec={"machineType": "m", "acceleratorType": "TPU_V9", "acceleratorCount": 1}),
            f"{AT}.machineSpec.acceleratorType",
            "",
        ),
        (
            pool(machineSpec={"machineType": "m", "acceleratorType": "TPU_V3"}),
            f"{AT}.machineSpec.acceleratorCount",
            "required",
        ),
        (spec(scheduling={"timeout": "1h"}), "jobSpec.scheduling.timeout", "3600s"),
        (spec(scheduling={"strategy": "ON_DEMAND"}), "jobSpec.scheduling.strategy", "'FLEX_START'"),
        (
            spec(scheduling={"strategy": "SPOT", "maxWaitDuration": "60s"}),
            "jobSpec.scheduling.maxWaitDuration",
            "FLEX_START",
        ),
        (spec(network="default"), "jobSpec.network", "pattern"),
        (
            spec(
                tensorboard="projects/p/locations/europe-west4/tensorboards/1",
                serviceAccount="a@b",
                baseOutputDirectory={"outputUriPrefix": "gs://acme/out"},
            ),
            "jobSpec.tensorboard",
            "must lie in us-central1",
        ),
        (
            spec(tensorboard="projects/p/locations/us-central1/tensorboards/1", serviceAccount="a@b"),
            "jobSpec.baseOutputDirectory",
            "required with tensorboard",
        ),
    ],
)
def test_every_rule_of_a_custom_job_is_a_problem_of_its_property(
    change: dict[str, Any], property_: str, words: str
) -> None:
    problems = custom_problems({**CUSTOM, **change})
    assert list(problems) == [property_]
    assert words in problems[property_]


def test_a_custom_job_that_is_right_has_no_problem() -> None:
    more = {
        "workerPoolSpecs": [
            {
                **POOL,
                "machineSpec": {"machineType": "a2", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1},
            },
            {},
        ],
        "scheduling": {"strategy": "FLEX_START", "maxWaitDuration": "0s", "timeout": "3600s"},
    }
    assert custom_problems(CUSTOM) == custom_problems({**CUSTOM, "jobSpec": more}) == {}


# Identity


@pytest.mark.parametrize(
    ("change", "another"),
    [
        (sft(epochCount=4), True),
        ({"baseModel": "gemini-2.5-pro"}, True),
        ({"location": "europe-west4"}, True),
        ({"encryptionSpec": {"kmsKeyName": KEY}}, True),
        ({"forceNew": "1"}, True),
        ({"labels": {"a": "b"}}, False),
        ({"description": "d"}, False),
        ({"tunedModelDisplayName": "n"}, False),
        ({"serviceAccount": "a@b"}, False),
        ({"supervisedTuningSpec": {**SFT, "evaluationConfig": {"metrics": []}}}, False),
    ],
)
def test_what_decides_the_result_of_a_tuning_job(change: dict[str, Any], another: bool) -> None:
    assert (
        TUNING_JOB_IDENTITY.hash_of(TUNING) != TUNING_JOB_IDENTITY.hash_of({**TUNING, **change})
    ) is another


@pytest.mark.parametrize(
    ("change", "another"),
    [
        (pool(replicaCount=2), True),
        (spec(baseOutputDirectory={"outputUriPrefix": "gs://acme/out"}), True),
        ({"forceNew": "1"}, True),
        (spec(scheduling={"strategy": "SPOT"}), False),
        (spec(enableWebAccess=True), False),
        ({"displayName": "n"}, False),
        (
            pool(
                machineSpec={
                    **POOL["machineSpec"],
                    "reservationAffinity": {"reservationAffinityType": "ANY_RESERVATION"},
                }
            ),
            False,
        ),
    ],
)
def test_what_decides_the_result_of_a_custom_job(change: dict[str, Any], another: bool) -> None:
    assert (
        CUSTOM_JOB_IDENTITY.hash_of(CUSTOM) != CUSTOM_JOB_IDENTITY.hash_of({**CUSTOM, **change})
    ) is another


# Anything at all


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)
NESTED = st.dictionaries(
    st.sampled_from(sorted({part for path in fields_of_ours(TuningJobInputs) for part in path.split(".")})),
    JSON,
    max_size=3,
)


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from(sorted(fields_of_ours(JobInputs) | {"baseModel"})), JSON), NESTED, NESTED
)
def test_whatever_is_declared_check_answers_and_keeps_it(
    inputs: dict[str, Any], outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    given = {**TUNING, **inputs, "supervisedTuningSpec": {**outer, "hyperParameters": inner}}
    given |= {"reinforcementTuningSpec": {**outer, "singleRewardConfig": inner}}
    checked = TuningJobResource(SESSION).check(given)
    for problem in checked.problems:
        assert problem.reason
    kept = {key: value for key, value in given.items() if value is not None and key in checked.inputs}
    assert {key: checked.inputs[key] for key in kept} == kept


@given(NESTED)
def test_what_newer_servers_add_is_left_out_of_an_import(json_: dict[str, Any]) -> None:
    if has_unknown(json_):
        return
    known = known_fields(
        TuningJobInputs, {**TUNING, "satisfiesPzs": True, "supervisedTuningSpec": {**SFT, **json_}}
    )
    assert "satisfiesPzs" not in known
    _, problems = check_inputs(TuningJobInputs, {"project": "acme", **known})
    assert not any("not permitted" in problem.reason for problem in problems if json_ == {})


def test_the_catalog_of_managed_models_has_sources() -> None:
    assert all(model.source.where for model in MANAGED_MODELS.values())
