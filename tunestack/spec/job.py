"""What ``jobs/<name>.yaml`` may say: one tuning job, its evaluation and its gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# A Vertex display name may be longer; this also names buckets' folders, labels and Pulumi resources.
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,61}[a-z0-9]$")]

# As Pulumi writes the timeouts of a resource (Go's time.ParseDuration), in whole hours, minutes and seconds.
Duration = Annotated[str, Field(pattern=r"^([0-9]+h([0-9]+m)?([0-9]+s)?|[0-9]+m([0-9]+s)?|[0-9]+s)$")]


def _no_alias_of_googles(alias: str) -> str:
    if alias == "default":
        raise ValueError("every model has it on one version already; name another")
    return alias


# As ``versionAliases`` of a model of Vertex AI.
Alias = Annotated[
    str, Field(pattern=r"^[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]$"), AfterValidator(_no_alias_of_googles)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TuningEvaluation(_Strict):
    """How the job is watched while it trains."""

    interval: int = Field(20, ge=1, description="Train steps between two evaluations on the validation rows.")
    early_stopping: bool = Field(True, description="Stop when the validation loss no longer falls.")


class GateRule(_Strict):
    """One thing the tuned model must reach on one held-out set; exactly one bound."""

    set: str = Field(description="The held-out set of the dataset.")
    metric: str = Field(description="The metric, as tunestack.evaluation names it.")
    at_least: float | None = None
    at_most: float | None = None
    above_base: float | None = Field(None, description="The tuned score minus the base's is at least this.")
    below_base: float | None = Field(None, description="The base's score minus the tuned is at least this.")

    @model_validator(mode="after")
    def _exactly_one_bound(self) -> GateRule:
        bounds = (self.at_least, self.at_most, self.above_base, self.below_base)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError("give exactly one of at_least, at_most, above_base, below_base")
        return self


class JobSpec(_Strict):
    """One tuning job, as its file declares it."""

    name: Slug
    description: str = ""
    backend: Literal["pipeline"] = Field(description="The kind of Vertex resource that tunes.")
    method: Literal["supervised"] = "supervised"
    base_model: str = Field(description="The base model with its version, e.g. text-bison@001.")
    dataset: Slug = Field(description="A folder under datasets/.")
    region: str = Field(description="Where the tuning pipeline runs; decides the accelerator.")
    accelerator: Literal["GPU", "TPU"]
    train_steps: int = Field(ge=1, le=10_000, description="Optimiser steps, one batch each.")
    learning_rate_multiplier: float = Field(1.0, gt=0, le=100, description="Times the recipe's own rate.")
    model_display_name: str = Field(min_length=1, max_length=128)
    evaluation: TuningEvaluation = TuningEvaluation()
    deadline: Duration | None = Field(
        None, description="How long one `up` waits for the job, e.g. 6h or 1h30m; without it, a day."
    )
    on_cancel: Literal["detach", "cancel"] = Field(
        "detach",
        description="At ^C or the deadline: let the job run and resume with the next `up`, or cancel it.",
    )
    max_output_tokens: int = Field(ge=1, le=1024, description="Longest reply asked of the model when judged.")
    gate: tuple[GateRule, ...] = Field(
        min_length=1, description="What the tuned model must reach, or `up` fails."
    )
    aliases: tuple[Alias, ...] | None = Field(
        None,
        description="Aliases that the model's version takes over once it passed; absent: the stack's name.",
    )
