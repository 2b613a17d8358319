"""`dataset.yaml`: what a dataset folder declares (docs/contracts.md §2)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tunestack.spec.document import load_document, misfit

SPEC_FILE = "dataset.yaml"


def _matches(pattern: str, need: str) -> AfterValidator:
    """A pattern whose refusal says in words what is needed."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise misfit(f'"{text}" cannot stand here', need=need)
        return text

    return AfterValidator(check)


Name = Annotated[
    str,
    _matches(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "lower-case letters, digits and hyphens, a letter first"),
]
Column = Annotated[str, _matches(r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits and underscores")]
Label = Annotated[str, _matches(r"\S(.*\S)?", "a text without spaces around it")]
# A dataset is one folder, whole and movable: its files lie inside it.
Inside = Annotated[
    str, _matches(r"(?!/)(?!(.*/)?\.\.(/|$))[^\\\0]+", "a path inside the dataset folder, relative to it")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Strict):
    """How `records` is parted into train and validation."""

    validation: Annotated[int, Field(ge=0)] = Field(description="how many rows to validate on")
    stratify: str | None = Field(None, description="the column whose values keep their shares in both parts")


class DatasetSpec(_Strict):
    """One dataset: where its records lie and how a record becomes a prompt and a target."""

    name: Name = Field(description="lower-case letters, digits and hyphens")
    description: str = Field(description="one line for people")
    format: Literal["supervised"] = Field(description="supervised: {input_text, output_text} a line")
    records: Inside = Field(description="the file of records, train and validation together")
    held_out: dict[Name, Inside] = Field(
        default_factory=dict, description="named evaluation sets, never trained on"
    )
    columns: Annotated[dict[Column, Literal["string", "list[string]"]], Field(min_length=1)] = Field(
        description="the columns of `records`; every record has exactly these"
    )
    template: Inside = Field(description="the Jinja2 file that renders the prompt")
    output_text: str = Field(description="Jinja2 that renders the target, for example {{ label }}")
    references: str | None = Field(
        None, description="the list[string] column of the held-out sets that holds the reference replies"
    )
    labels: tuple[Label, ...] | None = Field(None, description="classification: every allowed target")
    split: Split = Field(default_factory=lambda: Split(validation=0, stratify=None))

    @model_validator(mode="after")
    def _fits_together(self) -> DatasetSpec:
        texts = [column for column, kind in self.columns.items() if kind == "string"]
        if not texts:
            raise misfit("no column is text", "columns", need="at least one column of type string")
        stratify = self.split.stratify
        if stratify is not None and stratify not in texts:
            raise misfit(
                f"`split.stratify` names `{stratify}`, which is no text column",
                "split",
                "stratify",
                need=", ".join(texts),
            )
        if (
            self.references is not None
            and self.columns.get(self.references, "list[string]") != "list[string]"
        ):
            raise misfit(
                f"`references` names `{self.references}`, which is a text column",
                "references",
                need="a list[string] column",
            )
        if self.references is not None and self.labels is not None:
            raise misfit(
                "`labels` is for classification and `references` for generation",
                "references",
                fix="delete one",
            )
        if self.labels is not None:
            if len(self.labels) < 2:
                raise misfit("one label leaves nothing to tell apart", "labels", need="at least two labels")
            if len(set(self.labels)) < len(self.labels):
                raise misfit("a label stands twice", "labels", fix="delete one of them")
        return self


def load_dataset(folder: Path) -> DatasetSpec:
    """Read `dataset.yaml` of a dataset folder. Raises TunestackError with every problem and its place."""
    return load_document(folder / SPEC_FILE, DatasetSpec)
