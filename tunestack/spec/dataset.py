"""`dataset.yaml`: what a dataset folder declares (docs/contracts.md §2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tunestack.spec.document import load_document, misfit, misfits, place_of
from tunestack.spec.errors import Problem, TunestackError
from tunestack.spec.suggestion import listed, nearest, write

SPEC_FILE = "dataset.yaml"

FormatName = Literal[
    "supervised",
    "code",
    "chat",
    "gemini",
    "rlhf-prompt",
    "rlhf-preference",
    "gemini-preference",
    "embedding",
]
ColumnType = Literal["string", "integer", "number", "boolean", "list[string]", "messages"]

# What each format is made of. `embedding` is made of files alone.
WITH_ANSWER = ("supervised", "code", "chat", "gemini")
WITH_CANDIDATES = ("rlhf-preference", "gemini-preference")
WITH_TURNS = ("chat", "gemini", "rlhf-prompt", *WITH_CANDIDATES)  # and so with a context

# The codes of findings that belong to a row (tunestack.dataset.rules.DROPPABLE, which is above this floor).
Droppable = Literal[
    "blank-line",
    "choice-out-of-range",
    "conflicting-rows",
    "duplicate-key",
    "duplicate-row",
    "empty-text",
    "encoding",
    "equal-candidates",
    "instruction-missing",
    "json-syntax",
    "leakage",
    "lone-surrogate",
    "missing-field",
    "near-duplicate",
    "near-leakage",
    "not-an-object",
    "personal-data",
    "roles-out-of-turn",
    "scores",
    "secret",
    "table-syntax",
    "template-error",
    "token-limit",
    "unknown-field",
    "unknown-label",
    "unknown-role",
    "wrong-type",
]


def _matches(pattern: str, need: str) -> AfterValidator:
    """A pattern whose refusal says in words what is needed."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise misfit(f'"{text}" cannot stand here', need=need)
        return text

    return AfterValidator(check)


def _object_generation(text: str) -> str:
    if text.startswith("gs://") and re.fullmatch(r"gs://[^/#]+/[^#]+#[1-9][0-9]*", text) is None:
        raise misfit(
            f'"{text}" does not say which generation of which object',
            need="gs://bucket/object#generation",
            fix="gcloud storage objects describe gs://bucket/object --format='value(generation)'",
        )
    return text


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Name = Annotated[
    str,
    _matches(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "lower-case letters, digits and hyphens, a letter first"),
]
Column = Annotated[str, _matches(r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits and underscores")]
Label = Annotated[str, _matches(r"\S(.*\S)?", "a text without spaces around it")]
# A dataset is one folder, whole and movable: its files lie inside it.
_INSIDE = r"(?!/)(?!(.*/)?\.\.(/|$))[^\\\0]+"
Inside = Annotated[str, _matches(_INSIDE, "a path inside the dataset folder, relative to it")]
Object = Annotated[
    str, _matches(r"gs://.*", "gs://bucket/object#generation"), AfterValidator(_object_generation)
]
# … or objects in a bucket, each pinned to its generation.
Records = Annotated[
    str,
    _matches(_INSIDE, "a path inside the dataset folder, relative to it, or gs://bucket/object#generation"),
    AfterValidator(_object_generation),
]
Share = Annotated[float, Field(gt=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Strict):
    """How `records` is parted into train and validation."""

    validation: Annotated[int, Field(ge=0)] = Field(description="how many rows to validate on")
    stratify: str | None = Field(None, description="the column whose values keep their shares in both parts")


class Checks(_Strict):
    """What is looked for beside the rules of the format."""

    model: str | None = Field(None, description="the model whose limits count; null: the format's own")
    tokenizer: Inside | None = Field(None, description="a tokenizer file, tokenizer.json or SentencePiece's")
    near_duplicates: Share | None = Field(None, description="similarity at which two prompts count as near")
    near_leakage: Share | None = Field(0.8, description="the same between held-out and trained prompts")
    minimum_label_share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.05, description="the rarest label's share of the rows"
    )
    instruction: bool = Field(True, description="whether a prompt must say more than the row's text")
    personal_data: bool = Field(True, description="whether to look for personal data")
    secrets: bool = Field(True, description="whether to look for secrets")
    allow: Inside | None = Field(
        None, description="personal data that may stay; null: allow.yaml if it is there"
    )


class Rules(_Strict):
    """What may be changed or left out. Without a rule nothing is."""

    drop: Annotated[tuple[Droppable, ...], BeforeValidator(_listed)] = Field(
        (), description="codes of findings whose rows are left out instead of refused"
    )
    truncate: dict[Column, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="the first so many characters of a column"
    )
    repair: tuple[Literal["strip", "normalize", "byte-order-mark", "blank-line"], ...] = Field(
        (), description="what is mended"
    )


class Existing(_Strict):
    """Finished files that lie in a bucket."""

    train: Object = Field(description="gs://bucket/object#generation")
    validation: Object | None = Field(None, description="gs://bucket/object#generation")


class EmbeddingFiles(_Strict):
    """The files of an embedding set."""

    queries: Records = Field(description="queries: {_id, text} a line")
    corpus: Records = Field(description="texts: {_id, text, title?} a line")
    train_labels: Records = Field(description="query-id, corpus-id, score, tab-separated")
    test_labels: Records | None = Field(None, description="the same, to evaluate on")


class DatasetSpec(_Strict):
    """One dataset: where its records lie and how a record becomes a line of its format."""

    name: Name = Field(description="lower-case letters, digits and hyphens")
    description: str = Field(description="one line for people")
    format: FormatName = Field(description="what a line looks like")
    records: Annotated[tuple[Records, ...], BeforeValidator(_listed)] = Field(
        (), description="the files of records, train and validation together"
    )
    held_out: dict[Name, Records] = Field(
        default_factory=dict, description="named evaluation sets, never trained on"
    )
    columns: Annotated[dict[Column, ColumnType], Field(min_length=1)] = Field(
        default_factory=dict, description="the columns of `records`; every record has exactly these"
    )
    context: str | None = Field(None, description="Jinja2 that renders the system instruction or context")
    template: Inside | None = Field(None, description="the Jinja2 file that renders the prompt")
    messages: str | None = Field(None, description="the column whose turns are the prompt")
    output_text: str | None = Field(
        None, description="Jinja2 that renders the target, for example {{ label }}"
    )
    candidate_0: str | None = Field(None, description="Jinja2 that renders the one candidate")
    candidate_1: str | None = Field(None, description="Jinja2 that renders the other candidate")
    choice: str | None = Field(None, description="Jinja2 that renders 0 or 1, the preferred candidate")
    references: str | None = Field(
        None, description="the list[string] column of the held-out sets that holds the reference replies"
    )
    labels: tuple[Label, ...] | None = Field(None, description="classification: every allowed target")
    split: Split = Field(default_factory=lambda: Split(validation=0, stratify=None))
    checks: Checks = Field(default_factory=Checks.model_construct, description="what is looked for")
    rules: Rules = Field(default_factory=Rules.model_construct, description="what may be changed or left out")
    existing: Existing | None = Field(None, description="finished files in a bucket, instead of records")
    embedding: EmbeddingFiles | None = Field(None, description="the files of an embedding set")

    @model_validator(mode="after")
    def _fits_together(self) -> DatasetSpec:
        if found := [*self._misfits_to(self.format), *self._misfits_within()]:
            raise misfits(*found)
        return self

    def _misfits_to(self, format: str) -> Iterator[PydanticCustomError]:  # noqa: A002
        """Fields that the format needs and that are not there, or that it has no use for."""
        need: set[str] = set()
        refused: dict[str, str] = {}
        if format == "embedding":
            need = {"embedding"}
            refused = dict.fromkeys((*_OF_RECORDS, "held_out", "labels", "rules", "existing"), "")
        elif self.existing is not None:
            refused = dict.fromkeys((*_OF_RECORDS, "rules", "embedding"), "the files are finished")
        else:
            need = {"records", "columns"}
            refused = {"embedding": "it is of the format embedding"}
            if format not in WITH_TURNS:
                refused |= dict.fromkeys(("messages", "context"), "its lines are one prompt, one answer")
                need |= {"template"}
            if format in WITH_CANDIDATES:
                need |= {"candidate_0", "candidate_1", "choice"}
            else:
                refused |= dict.fromkeys(
                    ("candidate_0", "candidate_1", "choice"), "its lines have no candidates"
                )
            if format not in WITH_ANSWER:
                refused |= dict.fromkeys(("output_text", "labels"), "its lines have no single answer")
            elif self.messages is None or format not in WITH_TURNS:
                need |= {"output_text"}
            if format in WITH_TURNS and self.template is None and self.messages is None:
                yield misfit(
                    "neither `template` nor `messages` says what the prompt is",
                    need="one of them",
                    fix="add `template: template.j2`, or `messages: <column>`",
                    code="missing-key",
                )
        for key in sorted(need, key=list(type(self).model_fields).index):
            if not getattr(self, key):
                described = type(self).model_fields[key].description or ""
                yield misfit(
                    f"the key `{key}` is missing", need=described, fix=f"add `{key}: …`", code="missing-key"
                )
        finished = self.existing is not None and format != "embedding"
        for key, reason in refused.items():
            if key in self.model_fields_set and getattr(self, key) not in (None, (), {}):
                does_not = (
                    "cannot stand beside `existing`" if finished else f"is nothing to the format {format}"
                )
                message = f"`{key}` {does_not}" + (f": {reason}" if reason else "")
                yield misfit(message, key, fix=f"delete `{key}`")

    def _misfits_within(self) -> Iterator[PydanticCustomError]:
        """Values that do not fit each other, whatever the format."""
        texts = [column for column, kind in self.columns.items() if kind == "string"]
        turns = [column for column, kind in self.columns.items() if kind == "messages"]
        if self.template is not None and self.messages is not None:
            yield misfit(
                "`template` and `messages` both say what the prompt is", "messages", fix="delete one"
            )
        if self.messages is not None and self.messages not in turns:
            yield misfit(
                f"`messages` names `{self.messages}`, which is no column of turns",
                "messages",
                need=listed(turns) or "a column of type messages",
                fix=write(nearest(self.messages, turns)),
            )
        if self.columns and not texts and not turns:
            yield misfit(
                "no column is text", "columns", need="at least one column of type string or messages"
            )
        if len(set(self.records)) < len(self.records):
            yield misfit("a file of records stands twice", "records", fix="delete one of them")
        stratify = self.split.stratify
        if stratify is not None and stratify not in texts:
            message = f"`split.stratify` names `{stratify}`, which is no text column"
            yield misfit(message, "split", "stratify", need=", ".join(texts))
        for column in self.rules.truncate:
            if self.columns.get(column) not in ("string", "list[string]", "messages"):
                message = f"`rules.truncate` names `{column}`, which is no column with text"
                yield misfit(
                    message, "rules", "truncate", column, need=listed([*texts, *turns]), fix="delete it"
                )
        if self.references is not None:
            if self.columns.get(self.references, "list[string]") != "list[string]":
                message = f"`references` names `{self.references}`, which is a column of another type"
                yield misfit(message, "references", need="a list[string] column")
            if self.labels is not None:
                message = "`labels` is for classification and `references` for generation"
                yield misfit(message, "references", fix="delete one")
        if self.labels is not None:
            if len(self.labels) < 2:
                yield misfit("one label leaves nothing to tell apart", "labels", need="at least two labels")
            if len(set(self.labels)) < len(self.labels):
                yield misfit("a label stands twice", "labels", fix="delete one of them")


# What makes lines of records.
_OF_RECORDS = (
    "records",
    "columns",
    "context",
    "template",
    "messages",
    "output_text",
    "candidate_0",
    "candidate_1",
    "choice",
    "references",
    "split",
)


def load_dataset(folder: Path, format: str | None = None) -> DatasetSpec:  # noqa: A002
    """Read `dataset.yaml` of a dataset folder, with ``format`` in the place of the one it names.

    Raises TunestackError with every problem and its place.
    """
    path = folder / SPEC_FILE
    spec = load_document(path, DatasetSpec)
    if format is None or format == spec.format:
        return spec
    allowed: tuple[str, ...] = DatasetSpec.model_fields["format"].annotation.__args__  # type: ignore[union-attr]
    if format not in allowed:
        fix = write(nearest(format, allowed))
        raise TunestackError(
            Problem("format", f"there is no format {format}", str(path), format, listed(allowed), fix),
            exit_status=2,
        )
    problems = [_problem(path, each.context or {}) for each in spec._misfits_to(format)]
    if problems:
        raise TunestackError(*problems)
    return spec.model_copy(update={"format": format})


def _problem(path: Path, misfit: dict[str, Any]) -> Problem:
    where = place_of(path, misfit["at"])
    return Problem(misfit["code"], misfit["message"], where, need=misfit["need"], fix=misfit["fix"])
