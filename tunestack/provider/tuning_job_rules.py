"""The rules of a tuning job that no property decides alone, each as a problem of the property to change. Pure.

Source: Google's pages and discovery documents as noted in ``tunestack.catalog.tuning`` and at each rule. What is
unknown yet breaks no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tunestack.catalog.tuning import EVALUATION_LOCATIONS, MANAGED_MODELS, ManagedModel, managed_model
from tunestack.provider.property_rules import at_most_one, exactly_one, given, missing, value_at
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.tuning_job_inputs import SPECS
from tunestack.provider.tuning_job_specs import ADAPTER_SIZES
from tunestack.provider.values import Properties

_NOT_IN_THE_CATALOG = frozenset({"partnerModelTuningSpec", "veoTuningSpec", "veoLoraTuningSpec"})
"""Specs whose base models the catalog does not list."""

_OPEN_SPECS = frozenset({"supervisedTuningSpec", "distillationSpec", "fullFineTuningSpec"})

Problems = Iterator[PropertyProblem]


def tuning_job_problems(inputs: Properties) -> list[PropertyProblem]:
    """Every broken rule; ``inputs`` in the clear, with unknown values in them."""
    rules: tuple[Callable[[Properties], Problems], ...] = (
        _source,
        _one_spec,
        _base_model,
        _encryption,
        _evaluation,
        _learning_rate,
        _reinforcement,
        _distillation,
    )
    return [problem for rule in rules for problem in rule(inputs)]


def _source(inputs: Properties) -> Problems:
    yield from exactly_one(inputs, "baseModel", "baseModel", "preTunedModel")


def _one_spec(inputs: Properties) -> Problems:
    yield from exactly_one(inputs, SPECS[0], *SPECS)


def _spec_of(inputs: Properties) -> str:
    return next(iter(given(inputs, *SPECS)), "")


def _base_model(inputs: Properties) -> Problems:
    name, spec = inputs.get("baseModel"), _spec_of(inputs)
    if not isinstance(name, str) or spec in _NOT_IN_THE_CATALOG:
        return
    model = managed_model(name)
    if model is None:
        known = ", ".join(sorted(MANAGED_MODELS))
        yield PropertyProblem(
            "baseModel", f"{name!r} is not in the catalog of models that are tuned: {known}"
        )
        return
    yield from _place(inputs, model)
    yield from _openness(inputs, model, spec)
    yield from _adapter(inputs, model, spec)


def _place(inputs: Properties, model: ManagedModel) -> Problems:
    location = inputs.get("location")
    if model.locations is not None and isinstance(location, str) and location not in model.locations:
        places = ", ".join(sorted(model.locations))
        yield PropertyProblem("location", f"{model.name} is tuned in {places}, not in {location}")


def _openness(inputs: Properties, model: ManagedModel, spec: str) -> Problems:
    rates = f"{spec}.hyperParameters"
    if model.open:
        if spec and spec not in _OPEN_SPECS:
            yield PropertyProblem(
                spec, f"{model.name} is an open model: it takes {', '.join(sorted(_OPEN_SPECS))}"
            )
        if inputs.get("outputUri") is None:
            yield PropertyProblem("outputUri", f"is required: the weights of {model.name} are left there")
        if given(inputs, f"{rates}.learningRateMultiplier"):
            yield PropertyProblem(
                f"{rates}.learningRateMultiplier", f"is for Google's models; {model.name} takes learningRate"
            )
        return
    for path in ("outputUri", "customBaseModel"):
        if given(inputs, path):
            yield PropertyProblem(path, f"is for open models only, and {model.name} is none")
    if spec == "reinforcementTuningSpec":
        return
    for key in ("batchSize", "learningRate"):
        if given(inputs, f"{rates}.{key}"):
            yield PropertyProblem(f"{rates}.{key}", f"is for open models only, and {model.name} is none")


def _adapter(inputs: Properties, model: ManagedModel, spec: str) -> Problems:
    path = f"{spec}.hyperParameters.adapterSize"
    rank = ADAPTER_SIZES.get(str(value_at(inputs, path)))
    if rank is not None and model.adapter_sizes is not None and rank not in model.adapter_sizes:
        sizes = ", ".join(name for name, size in ADAPTER_SIZES.items() if size in model.adapter_sizes)
        yield PropertyProblem(path, f"{model.name} takes {sizes}")


def _encryption(inputs: Properties) -> Problems:
    key, location = value_at(inputs, "encryptionSpec.kmsKeyName"), inputs.get("location")
    if isinstance(key, str) and isinstance(location, str) and f"/locations/{location}/" not in key:
        yield PropertyProblem(
            "encryptionSpec.kmsKeyName", f"the key must lie in {location}, where the job runs"
        )
    model = managed_model(str(inputs.get("baseModel")))
    if key is not None and model is not None and model.customer_keys is False:
        yield PropertyProblem("encryptionSpec", f"{model.name} does not support keys of your own (CMEK)")


def _evaluation(inputs: Properties) -> Problems:
    path, location = "supervisedTuningSpec.evaluationConfig", inputs.get("location")
    if isinstance(location, str) and location not in EVALUATION_LOCATIONS and given(inputs, path):
        places = ", ".join(sorted(EVALUATION_LOCATIONS))
        yield PropertyProblem(path, f"is offered in {places} only (preview), not in {location}")


def _learning_rate(inputs: Properties) -> Problems:
    for spec in ("supervisedTuningSpec", "distillationSpec", "fullFineTuningSpec"):
        rates = f"{spec}.hyperParameters"
        yield from at_most_one(inputs, f"{rates}.learningRate", f"{rates}.learningRateMultiplier")


def _distillation(inputs: Properties) -> Problems:
    spec = "distillationSpec"
    if isinstance(inputs.get(spec), Mapping):
        yield from exactly_one(inputs, spec, f"{spec}.baseTeacherModel", f"{spec}.tunedTeacherModelSource")


def _reinforcement(inputs: Properties) -> Problems:
    spec = "reinforcementTuningSpec"
    if not isinstance(inputs.get(spec), Mapping):
        return
    single, composite = f"{spec}.singleRewardConfig", f"{spec}.compositeRewardConfig"
    yield from exactly_one(inputs, spec, single, composite)
    if isinstance(reward := value_at(inputs, single), Mapping):
        yield from _reward(reward, single)
    rewards = value_at(inputs, f"{composite}.weightedRewardConfigs")
    for index, item in enumerate(rewards if isinstance(rewards, list) else ()):
        reward = value_at(item, "rewardConfig")
        if isinstance(reward, Mapping):
            yield from _reward(reward, f"{composite}.weightedRewardConfigs[{index}].rewardConfig")
    yield from _reinforcement_steps(inputs, f"{spec}.hyperParameters")


def _reinforcement_steps(inputs: Properties, at: str) -> Problems:
    """Google's page on the hyperparameters of reinforcement tuning: 32 prompts of 16 samples where nothing is said."""
    yield from at_most_one(inputs, f"{at}.epochCount", f"{at}.stepCount")
    batch, samples = value_at(inputs, f"{at}.batchSize"), value_at(inputs, f"{at}.samplesPerPrompt")
    batch, samples = (32 if batch is None else batch), (16 if samples is None else samples)
    if (
        isinstance(batch, int)
        and isinstance(samples, int)
        and (batch * samples % 16 or batch * samples > 8192)
    ):
        reason = (
            f"batchSize × samplesPerPrompt is {batch * samples}: it must be a multiple of 16, at most 8192"
        )
        yield PropertyProblem(f"{at}.batchSize", reason)
    model = inputs.get("baseModel")
    if given(inputs, f"{at}.thinkingBudget") and isinstance(model, str) and "gemini-2.5" not in model:
        yield PropertyProblem(f"{at}.thinkingBudget", f"is for Gemini 2.5; {model} takes thinkingLevel")


def _reward(reward: Mapping[str, Any], at: str) -> Problems:
    """``reward``: one RewardConfig; its own paths are told under ``at``."""
    scorers = (
        "stringMatchRewardScorer",
        "codeExecutionRewardScorer",
        "cloudRunRewardScorer",
        "autoraterScorer",
    )
    found = [
        *exactly_one(reward, "", *scorers),
        *_parse(reward, "parseResponseConfig"),
        *_parse(reward, "autoraterScorer.autoraterResponseParseConfig"),
    ]
    if isinstance(reward.get("stringMatchRewardScorer"), Mapping):
        inside = "stringMatchRewardScorer"
        found += exactly_one(
            reward, inside, f"{inside}.stringMatchExpression", f"{inside}.jsonMatchExpression"
        )
    if isinstance(reward.get("autoraterScorer"), Mapping):
        inside = "autoraterScorer"
        found += at_most_one(reward, f"{inside}.parsedResponseConversionScorer", f"{inside}.exactMatchScorer")
    for problem in found:
        yield PropertyProblem(f"{at}.{problem.property}".rstrip("."), problem.reason)


def _parse(reward: Mapping[str, Any], path: str) -> Problems:
    kind = value_at(reward, f"{path}.parseType")
    expression = f"{path}.regexExtractExpression"
    if kind == "REGEX_EXTRACT" and missing(reward, expression):
        yield PropertyProblem(expression, "is required with parseType REGEX_EXTRACT")
    if kind == "IDENTITY" and given(reward, expression):
        yield PropertyProblem(expression, "is for parseType REGEX_EXTRACT only")
