"""Reinforcement tuning: its hyperparameters and the rewards that it learns from (v1beta1)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tunestack.provider.inputs import Inputs
from tunestack.provider.tuning_job_specs import AdapterSize, AutoraterConfig, Count, DatasetUri, WireCount

Reward = Annotated[float, Field(allow_inf_nan=False)]
"""Google clips rewards to [-1, 1]."""


class ParseResponseConfig(Inputs):
    """What of a reply is looked at."""

    parse_type: Literal["IDENTITY", "REGEX_EXTRACT"]
    regex_extract_expression: str | None = None


class StringMatchExpression(Inputs):
    """``expression`` may hold ``{{references.key}}``."""

    match_operation: Literal["REGEX_CONTAINS", "PARTIAL_MATCH", "EXACT_MATCH"]
    expression: str


class JsonMatchExpression(Inputs):
    """The value under one key of a reply in JSON."""

    key_name: str
    value_string_match_expression: StringMatchExpression


class StringMatchRewardScorer(Inputs):
    """One reward for a match, another for none."""

    correct_answer_reward: Reward | None = None
    wrong_answer_reward: Reward | None = None
    string_match_expression: StringMatchExpression | None = None
    json_match_expression: JsonMatchExpression | None = None


class CodeExecutionRewardScorer(Inputs):
    """Python that defines ``evaluate(example, response) -> float``."""

    python_code_snippet: Annotated[str, Field(min_length=1)]


class CloudRunRewardScorer(Inputs):
    """A service that answers ``{reward}``; the tuning service agent needs ``roles/run.invoker`` on it."""

    cloud_run_uri: Annotated[str, Field(pattern=r"^https://")]


class ExactMatchScorer(Inputs):
    """Reward for what the judging model said."""

    correct_answer_reward: Reward | None = None
    wrong_answer_reward: Reward | None = None
    expression: str | None = None


class AutoraterScorer(Inputs):
    """A model judges the reply."""

    autorater_config: AutoraterConfig | None = None
    autorater_prompt: str | None = None
    autorater_response_parse_config: ParseResponseConfig | None = None
    parsed_response_conversion_scorer: dict[str, Any] | None = None
    exact_match_scorer: ExactMatchScorer | None = None


class RewardConfig(Inputs):
    """One reward, by exactly one scorer."""

    reward_name: str | None = None
    parse_response_config: ParseResponseConfig | None = None
    string_match_reward_scorer: StringMatchRewardScorer | None = None
    code_execution_reward_scorer: CodeExecutionRewardScorer | None = None
    cloud_run_reward_scorer: CloudRunRewardScorer | None = None
    autorater_scorer: AutoraterScorer | None = None


class WeightedRewardConfig(Inputs):
    """A reward and how much it counts."""

    reward_config: RewardConfig
    weight: Annotated[float | None, Field(allow_inf_nan=False)] = None


class CompositeRewardConfig(Inputs):
    """The weighted sum of several rewards."""

    weighted_reward_configs: Annotated[list[WeightedRewardConfig], Field(min_length=1)]


class ReinforcementHyperParameters(Inputs):
    """Bounds: Google's page on the hyperparameters of reinforcement tuning."""

    epoch_count: WireCount | None = None
    step_count: Annotated[WireCount | None, Field(le=500)] = None
    learning_rate_multiplier: Annotated[float | None, Field(ge=0.25, le=4)] = None
    adapter_size: AdapterSize | None = None
    samples_per_prompt: Count | None = None
    batch_size: Count | None = None
    evaluate_interval: Count | None = None
    checkpoint_interval: Count | None = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=32_768)] = None
    thinking_level: Literal["MINIMAL", "HIGH"] | None = None
    thinking_budget: Annotated[int | None, Field(ge=0)] = None


class ReinforcementTuningSpec(Inputs):
    """Reinforcement tuning."""

    training_dataset_uri: DatasetUri
    validation_dataset_uri: DatasetUri | None = None
    single_reward_config: RewardConfig | None = None
    composite_reward_config: CompositeRewardConfig | None = None
    hyper_parameters: ReinforcementHyperParameters | None = None
