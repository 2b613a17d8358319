"""Which field of a log is what: as the options say, else by the names that such logs commonly use.

The names are those of the feedback tables and preference sets that people keep: Vertex AI's and OpenAI's request
logs, the `chosen`/`rejected` of TRL, the `candidate_0`/`candidate_1`/`choice` of Google's RLHF pipeline, and what
an export of a table of one's own mostly has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import cached_property, reduce
from typing import Any

import msgspec

from tunestack.dataset.positions import member_path
from tunestack.spec.errors import Problem, TunestackError
from tunestack.spec.suggestion import nearest

# In the order of precedence: where a log has several of one row, the first counts, and people are told.
NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        *("prompt", "messages", "input_text", "contents", "conversation", "question", "instruction"),
        *("input", "query", "request", "text"),
    ),
    "context": ("context", "system_instruction", "systemInstruction", "system_prompt", "system"),
    "response": (
        *("response", "output_text", "completion", "answer", "reply", "output", "prediction"),
        "generated_text",
    ),
    "rating": ("rating", "vote", "thumbs", "thumb", "score", "stars", "feedback", "reward"),
    "candidate_0": ("candidate_0", "response_0", "response_a", "answer_a", "completion_a", "output_a"),
    "candidate_1": ("candidate_1", "response_1", "response_b", "answer_b", "completion_b", "output_b"),
    "choice": ("choice", "winner", "preferred", "preference"),
    "chosen": ("chosen", "chosen_response"),
    "rejected": ("rejected", "rejected_response"),
    # Not the id of a request or of a prediction: many people vote on one of those.
    "id": ("id", "vote_id", "feedback_id", "insertId"),
    "time": ("time", "timestamp", "voted_at", "rated_at", "created_at", "created", "date"),
    "model": ("model", "model_version", "endpoint", "model_id", "deployed_model_id"),
    "model_0": ("model_0", "model_a"),
    "model_1": ("model_1", "model_b"),
    "user": ("user", "user_id", "rater", "rater_id", "annotator", "annotator_id", "voter"),
}

_KINDS: Mapping[str, tuple[str, ...]] = {
    "ratings": ("response", "rating"),
    "comparisons": ("candidate_0", "candidate_1", "choice"),
    "chosen": ("chosen", "rejected"),
}
_USED: Mapping[str, tuple[str, ...]] = {
    "ratings": ("prompt", "context", "response", "rating", "id", "time", "model", "user"),
    "comparisons": (
        *("prompt", "context", "candidate_0", "candidate_1", "choice"),
        *("id", "time", "model_0", "model_1", "user"),
    ),
    "chosen": ("prompt", "context", "chosen", "rejected", "id", "time", "user"),
}
_NEED = (
    "a prompt (text or messages), and a response with a rating, or two candidates with a choice, "
    "or a chosen and a rejected response"
)


class Columns(msgspec.Struct, frozen=True, dict=True):
    """What a log's fields are. ``kind``: `ratings`, `comparisons` or `chosen` (with `rejected`).

    ``fields``: by our word the log's field, or a dotted way to a nested one. ``passed_over``: other fields that
    could have been meant.
    """

    kind: str
    fields: Mapping[str, str]
    passed_over: Mapping[str, tuple[str, ...]]

    @cached_property
    def paths(self) -> Mapping[str, str]:
        """The JSON path of each of the ``fields``."""
        return {word: reduce(member_path, field.split("."), "$") for word, field in self.fields.items()}


def known_fields(given: Mapping[str, str]) -> frozenset[str]:
    """Every top-level field of a record that could be wanted."""
    names = {name for names in NAMES.values() for name in names}
    return frozenset(names | set(given.values()) | {name.split(".")[0] for name in given.values()})


def detect_columns(log: str, present: Set[str], given: Mapping[str, str]) -> Columns:
    """What the fields ``present`` in a log are, ``given`` first. Raises TunestackError where that cannot be told."""
    if problems := [*_unknown_words(given), *_absent_fields(log, present, given)]:
        raise TunestackError(*problems, exit_status=2)
    found, passed_over = dict(given), {}
    for word, names in NAMES.items():
        candidates = [name for name in names if name in present and name not in given.values()]
        if word not in found and candidates:
            found[word], *others = candidates
            if others:
                passed_over[word] = tuple(others)
    kinds = [kind for kind, words in _KINDS.items() if all(word in found for word in words)]
    # What was said outright decides; it need not be said that the other fields are not meant.
    kinds = [kind for kind in kinds if any(word in given for word in _KINDS[kind])] or kinds
    if len(kinds) == 1 and "prompt" in found:
        used = _USED[kinds[0]]
        return Columns(
            kinds[0],
            {word: found[word] for word in used if word in found},
            {word: names for word, names in passed_over.items() if word in used},
        )
    if len(kinds) > 1:
        message = f"this could be a log of {' or of '.join(kinds)}"
    else:
        message = f"it cannot be told what the prompts {'are' if kinds else 'and the votes are'}"
    raise TunestackError(
        Problem(
            "columns-unknown",
            message,
            log,
            have=", ".join(sorted(present)) or "no fields",
            need=_NEED,
            fix="--columns prompt=FIELD --columns response=FIELD --columns rating=FIELD; a dot leads inside",
        ),
        exit_status=2,
    )


def _unknown_words(given: Mapping[str, str]) -> Iterator[Problem]:
    for word, field in given.items():
        if word not in NAMES:
            message = f'"{word}" is nothing that a log of feedback has'
            meant = nearest(word, NAMES)
            fix = f"write {meant}={field}" if meant else ""
            yield Problem("columns-unknown", message, need=", ".join(NAMES), fix=fix)


def _absent_fields(log: str, present: Set[str], given: Mapping[str, str]) -> Iterator[Problem]:
    for word, field in given.items():
        if word in NAMES and field not in present and field.split(".")[0] not in present:
            message = f'no record has the field "{field}"'
            meant = nearest(field, present)
            fix = f"write {word}={meant}" if meant else ""
            yield Problem("columns-unknown", message, log, have=", ".join(sorted(present)), fix=fix)


def value_at(record: Mapping[str, Any], field: str) -> Any:
    """The value of a field, or at the end of a dotted way; None where there is none."""
    if field in record:
        return record[field]
    value: Any = record
    for step in field.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
