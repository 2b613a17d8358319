"""What Google's tuning services take of a dataset: tokens an example, examples, bytes, by model and format.

A figure that no source gives is None and is never checked. A source that is not Google's own page, code or answer
says so (``verified``); the pages were read in public copies. ``docs/dataset-limits.md`` is this table for people.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from tunestack.catalog.source import Source

Method = Literal["supervised", "rlhf", "preference", "reinforcement", "embedding"]


class Rows(NamedTuple):
    """How few and how many rows a file may have; None: unknown."""

    least: int | None = None
    most: int | None = None


class Validation(NamedTuple):
    """How many rows may be validated on: ``most``, and beyond ``free`` of them no more than ``percent`` of the
    rows that are trained on. None: unknown."""

    most: int | None = None
    percent: int | None = None
    free: int = 0


class Limits(msgspec.Struct, frozen=True):
    """What one family of models takes of one format. A struct, which unlike a dataclass costs nothing to declare.

    Tokens of one example: ``tokens_in`` all that comes before the answer, ``tokens_out`` each answer,
    ``tokens_together`` everything in the example. ``files`` has the rows of each file: `train`, or `queries`,
    `corpus`, `labels`. ``labelled_queries``: different queries in one file of labels, and in all of them.
    ``most_bytes``: of one file. ``rows_source`` is for everything but the tokens.
    """

    family: str
    models: tuple[str, ...]
    format: str
    method: Method
    tokens_source: Source
    rows_source: Source
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_together: int | None = None
    files: dict[str, Rows] = {}
    validation: Validation = Validation()
    labelled_queries: tuple[int, int] | None = None
    most_bytes: int | None = None
    note: str = ""


_CHECKED = date(2026, 11, 22)
_AGENT_PLATFORM = "docs.cloud.google.com/gemini-enterprise-agent-platform/models/"

_SUPERVISED = Source(_AGENT_PLATFORM + "tuning/supervised-tuning (last updated 2026-09-25)", _CHECKED)
_PREFERENCE = Source(_AGENT_PLATFORM + "tuning/preference-tuning", _CHECKED)
_REINFORCEMENT = Source(
    _AGENT_PLATFORM + "tuning/reinforcement-tuning/reinforcement-tuning-job/tuning-dataset", _CHECKED
)
_TRANSLATION = Source(
    "cloud.google.com/vertex-ai/generative-ai/docs/models/translation-supervised-tuning-prepare", _CHECKED
)
_OPEN = Source(_AGENT_PLATFORM + "open-model-tuning", _CHECKED)
_OPEN_ROWS = Source(
    "google/skills and public notebooks of Google's; not on the page", _CHECKED, verified=False
)
_EMBEDDING = Source(_AGENT_PLATFORM + "tune-embeddings, 'Dataset size requirements'", _CHECKED)
_EMBEDDING_GECKO = Source(
    _AGENT_PLATFORM + "tune-embeddings, which names the successors only", _CHECKED, verified=False
)
_RLHF = Source(
    "google-cloud-aiplatform 2.7.0, tune_model_rlhf: the most that prompt_sequence_length and "
    "target_sequence_length may be; also google-cloud-pipeline-components 2.22.0, rlhf_pipeline",
    _CHECKED,
)
_TEXT_BISON_TOKENS = Source(
    "the pipeline's own refusal of 2023-11, 'Token limit exceeded for 'input_text' [… limit: 8192] or "
    "'output_text' [… limit: 1024]', in github.com/GoogleCloudPlatform/generative-ai issue 254",
    _CHECKED,
)
_TEXT_BISON_ROWS = Source(
    "notes of 2024-03 on cloud.google.com/vertex-ai/generative-ai/docs/models/tune-text-models-supervised; "
    "the page of that time was not seen",
    _CHECKED,
    verified=False,
)
_TEXT_BISON_32K = Source(
    "notes of 2024-03 on Google's table of models: what is served, not what is tuned",
    _CHECKED,
    verified=False,
)
_CHAT_BISON = Source(
    "what the RLHF pipeline takes for chat-bison@001 (google-cloud-aiplatform 2.7.0); the page on tuning was "
    "not seen",
    _CHECKED,
    verified=False,
)
_UNKNOWN = Source("none found", _CHECKED, verified=False)

# Google writes "1GB"; the smaller reading is the one that no service refuses.
_GIGABYTE = 1_000_000_000
_TEN_MILLION = Rows(most=10_000_000)
# "5000 examples or 30% of the number of training examples if there are more than 1000 validation examples"
_GEMINI_VALIDATION = Validation(most=5_000, percent=30, free=1_000)
_OPEN_NAMES = (
    "google/gemma3@gemma-3-1b-it",
    "google/gemma3@gemma-3-4b-it",
    "google/gemma3@gemma-3-12b-it",
    "google/gemma3@gemma-3-27b-it",
    "google/medgemma@medgemma-4b-it",
    "meta/llama3_1@llama-3.1-8b",
    "meta/llama3_1@llama-3.1-8b-instruct",
    "meta/llama3-2@llama-3.2-1b-instruct",
    "meta/llama3-2@llama-3.2-3b-instruct",
    "meta/llama3-3@llama-3.3-70b-instruct",
    "qwen/qwen3@qwen3-4b",
    "qwen/qwen3@qwen3-8b",
    "qwen/qwen3@qwen3-14b",
    "qwen/qwen3@qwen3-32b",
)

_GEMINI = Limits(
    family="Gemini",
    models=(
        "gemini-2.5-flash",
        "gemini-2.5-flash-lite",
        "gemini-2.5-pro",
        "gemini-3.1-flash-lite",
        "gemini-3.5-flash",
        "gemini-3.5-flash-lite",
    ),
    format="gemini",
    method="supervised",
    tokens_source=_SUPERVISED,
    rows_source=_SUPERVISED,
    tokens_together=131_072,
    files={"train": _TEN_MILLION},
    validation=_GEMINI_VALIDATION,
    most_bytes=_GIGABYTE,
    note="300,000 rows at most with images, sound or video. Google recommends at least 100.",
)
_OPEN_MODELS = Limits(
    family="open models",
    models=_OPEN_NAMES,
    format="gemini",
    method="supervised",
    tokens_source=_OPEN,
    rows_source=_OPEN_ROWS,
    tokens_together=8_192,
    validation=Validation(most=4_999, percent=25),
    note="Older pages: 4,096 tokens for Llama 3.1 8B with an adapter.",
)
_LLAMA_4 = replace(
    _OPEN_MODELS,
    family="Llama 4 Scout",
    models=("meta/llama4@llama-4-scout-17b-16e-instruct",),
    tokens_together=2_048,
    note="",
)
_TEXT_BISON_LINES = "The page names the lines of text-bison as a format of theirs without showing one."
_RLHF_PROMPTS = Limits(
    family="PaLM 2 with RLHF",
    models=("text-bison@001", "text-bison@002", "chat-bison@001"),
    format="rlhf-prompt",
    method="rlhf",
    tokens_source=_RLHF,
    rows_source=_UNKNOWN,
    tokens_in=8_192,
    note="The job's own prompt_sequence_length (512) and target_sequence_length (64) cut sooner.",
)
_TEXT_EMBEDDING = Limits(
    family="text embedding",
    models=("text-embedding-004", "text-embedding-005", "text-multilingual-embedding-002"),
    format="embedding",
    method="embedding",
    tokens_source=_UNKNOWN,
    rows_source=_EMBEDDING,
    files={"queries": Rows(9, 10_000), "corpus": Rows(9, 500_000), "labels": Rows(most=499_999)},
    labelled_queries=(3, 9),
)

# The first row of a format is what counts where no model is named.
LIMITS: tuple[Limits, ...] = (
    Limits(
        family="PaLM 2 for Text",
        models=("text-bison@001", "text-bison@002"),
        format="supervised",
        method="supervised",
        tokens_source=_TEXT_BISON_TOKENS,
        rows_source=_TEXT_BISON_ROWS,
        tokens_in=8_192,
        tokens_out=1_024,
        files={"train": Rows(most=10_000)},
    ),
    Limits(
        family="PaLM 2 for Text 32k",
        models=("text-bison-32k@002",),
        format="supervised",
        method="supervised",
        tokens_source=_TEXT_BISON_32K,
        rows_source=_UNKNOWN,
        tokens_out=8_192,
        tokens_together=32_768,
    ),
    replace(_OPEN_MODELS, format="supervised", note=_TEXT_BISON_LINES),
    replace(_LLAMA_4, format="supervised", note=_TEXT_BISON_LINES),
    Limits(
        family="PaLM 2 for Chat",
        models=("chat-bison@001", "chat-bison@002"),
        format="chat",
        method="supervised",
        tokens_source=_CHAT_BISON,
        rows_source=_UNKNOWN,
        tokens_in=8_192,
        tokens_out=1_024,
    ),
    Limits(
        family="Codey for Code Chat",
        models=("codechat-bison@001", "codechat-bison@002"),
        format="chat",
        method="supervised",
        tokens_source=_UNKNOWN,
        rows_source=_UNKNOWN,
    ),
    Limits(
        family="Codey for Code Generation",
        models=("code-bison@001", "code-bison@002"),
        format="code",
        method="supervised",
        tokens_source=_UNKNOWN,
        rows_source=_UNKNOWN,
    ),
    _GEMINI,
    Limits(
        family="Translation LLM",
        models=("translation-llm-002",),
        format="gemini",
        method="supervised",
        tokens_source=_TRANSLATION,
        rows_source=_TRANSLATION,
        tokens_together=1_000,
        validation=Validation(most=1_024),
        most_bytes=_GIGABYTE,
    ),
    _OPEN_MODELS,
    _LLAMA_4,
    _RLHF_PROMPTS,
    replace(_RLHF_PROMPTS, format="rlhf-preference", tokens_out=1_024),
    replace(
        _GEMINI,
        models=("gemini-2.5-flash", "gemini-2.5-flash-lite"),
        format="gemini-preference",
        method="preference",
        tokens_source=_PREFERENCE,
        rows_source=_PREFERENCE,
        note="Text only. tunestack counts the prompt and both completions: the stricter reading.",
    ),
    Limits(
        family="Gemini with reinforcement",
        models=("gemini-3.5-flash",),
        format="gemini-reinforcement",
        method="reinforcement",
        tokens_source=_REINFORCEMENT,
        rows_source=_REINFORCEMENT,
        tokens_in=32_768,
        tokens_out=32_768,
        files={"train": Rows(most=5_000)},
        validation=Validation(most=500),
        most_bytes=_GIGABYTE,
        note="Thinking counts as output. tunestack does not compile this format yet.",
    ),
    _TEXT_EMBEDDING,
    replace(
        _TEXT_EMBEDDING,
        family="textembedding-gecko",
        models=("textembedding-gecko@001", "textembedding-gecko@002", "textembedding-gecko@003"),
        rows_source=_EMBEDDING_GECKO,
    ),
)


def find_limits(model: str | None, format: str) -> Limits | None:  # noqa: A002
    """What ``model`` takes of ``format`` (no model: the format's first row); None where no row says."""
    return next(
        (row for row in LIMITS if row.format == format and (model is None or model in row.models)), None
    )


def most_validation(limits: Limits, trained: int) -> int | None:
    """The most rows to validate on beside ``trained`` rows to train on; None: unknown."""
    rule = limits.validation
    if rule.percent is None:
        return rule.most
    shared = max(rule.free, trained * rule.percent // 100)
    return shared if rule.most is None else min(rule.most, shared)


def validation_limit(limits: Limits, rows: int) -> int:
    """The most of ``rows`` records that may be validated on when the others are trained on.

    ``rows`` itself where no limit is known. Of r rows v may be validated on with 100 v ≤ percent · (r - v).
    """
    rule = limits.validation
    most = rows if rule.most is None else min(rule.most, rows)
    if rule.percent is None:
        return most
    return min(most, max(rule.free, rows * rule.percent // (100 + rule.percent)))
