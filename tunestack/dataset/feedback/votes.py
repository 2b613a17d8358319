"""One record of a log → one vote, or why it is none.

A record that cannot be understood is a finding at its place and stops everything. A record that is understood but
says too little (nobody voted, the answer was empty) is a vote left out, with its reason.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from tunestack.dataset.feedback.columns import Columns, value_at
from tunestack.dataset.findings import quoted
from tunestack.dataset.formats.format import Role, Turn, Violation


class Prompt(NamedTuple):
    """What was asked, in one form however the log has it: a text is a single turn of the user's."""

    turns: tuple[Turn, ...]
    context: str | None = None


class Vote(msgspec.Struct, frozen=True):
    """A vote as it was cast. One answer and its rating, or two answers and which is preferred (None: neither).

    ``reference`` leads back to the log's record: its id, else `log:line`. ``user`` serves only to tell whose votes
    are whose, and goes nowhere.
    """

    log: str
    line: int
    prompt: Prompt
    answers: tuple[str, ...]
    rating: Fraction | None = None
    preferred: int | None = None
    id: str | None = None
    time: int | None = None  # microseconds since 1970, UTC
    models: tuple[str | None, ...] = (None,)
    user: str | None = None

    @property
    def reference(self) -> str:
        return self.id if self.id is not None else f"{self.log}:{self.line}"

    @property
    def says(self) -> tuple[Prompt, frozenset[str], Fraction | None, str | None]:
        """What was voted, whichever of two answers stood first."""
        preferred = None if self.preferred is None else self.answers[self.preferred]
        return self.prompt, frozenset(self.answers), self.rating, preferred


class RecordRefused(Exception):
    """A record with values that cannot be understood: each a finding. Paths are those of the record."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(violations)
        self.violations = violations


class LeftOut(Exception):
    """A record that is no vote, for the reason that is its argument."""


class _Misunderstood(Exception):
    def __init__(self, path: str, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.violation = Violation(path, code, message, fix)


_THUMBS = {
    **dict.fromkeys(("up", "thumbs_up", "thumbs-up", "thumbsup", "like", "positive", "true", "👍"), 1),
    **dict.fromkeys(("down", "thumbs_down", "thumbs-down", "thumbsdown", "dislike", "negative", "false"), 0),
    "👎": 0,
}
_CHOICES: Mapping[str, int | None] = {
    **dict.fromkeys(("0", "a", "left", "candidate_0", "response_0", "response_a", "model_a"), 0),
    **dict.fromkeys(("1", "b", "right", "candidate_1", "response_1", "response_b", "model_b"), 1),
    **dict.fromkeys(("tie", "both", "neither", "none", "equal", "tie (bothbad)"), None),
}
_ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
# No longer than a float can hold exactly enough: more digits are no rating.
_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][+-]?\d{1,2})?")


def vote_of(record: Mapping[str, Any], columns: Columns, log: str, line: int, in_cells: bool = False) -> Vote:
    """The vote of one record. ``in_cells``: lists stand as JSON within texts, as in CSV.

    Raises RecordRefused with everything that cannot be understood, LeftOut for what says too little.
    """
    violations: list[Violation] = []

    def read(word: str, parse: Callable[..., Any], *more: Any) -> Any:
        if word not in columns.fields:
            return None
        try:
            return parse(value_at(record, columns.fields[word]), columns.paths[word], *more)
        except _Misunderstood as refusal:
            violations.append(refusal.violation)
            return None

    # Everything is looked at before anything is left out: a bad value is found also in a record without a vote.
    prompt = read("prompt", _prompt, read("context", _text), in_cells)
    rating, preferred, voted = None, None, True
    answers: tuple[Any, ...]
    models: tuple[str | None, ...]
    if columns.kind == "ratings":
        answers = (read("response", _text),)
        rating = read("rating", _rating)
        voted = rating is not None
        models = (read("model", _name, "model"),)
    elif columns.kind == "comparisons":
        answers = read("candidate_0", _text), read("candidate_1", _text)
        preferred, voted = read("choice", _choice, answers) or (None, False)
        models = read("model_0", _name, "model"), read("model_1", _name, "model")
    else:
        answers, preferred, models = (read("chosen", _text), read("rejected", _text)), 0, (None, None)
    identity, user, time = read("id", _name, "id"), read("user", _name, "user"), read("time", _time)
    if violations:
        raise RecordRefused(violations)
    if prompt is None:
        raise LeftOut("no-prompt")
    if None in answers:
        raise LeftOut("no-response")
    if not voted:
        raise LeftOut("no-vote")
    if len(answers) == 2 and answers[0] == answers[1]:
        raise LeftOut("equal-responses")
    return Vote(log, line, prompt, answers, rating, preferred, identity, time, models, user)


def is_thumb(value: Any) -> bool:
    """Whether a rating that was understood is a thumb, not a number."""
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().casefold() in _THUMBS)


def _text(value: Any, path: str) -> str | None:
    """A text that says something; None for none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Misunderstood(
            path, "wrong-type", f"{_shown(value)} is no text", "write the text in double quotes"
        )
    return value if value.strip() else None


def _prompt(value: Any, path: str, context: str | None, in_cells: bool) -> Prompt | None:
    if in_cells and isinstance(value, str) and value.lstrip().startswith("[{"):
        with contextlib.suppress(ValueError, RecursionError):  # a text that begins so
            value = json.loads(value)
    if not isinstance(value, list):
        text = _text(value, path)
        return None if text is None else Prompt((Turn("user", text),), context)
    turns: list[Turn] = []
    for number, item in enumerate(value):
        here = f"{path}[{number}]"
        author, content = _turn(item, here)
        if author == "system":
            if number or context is not None:
                raise _Misunderstood(
                    here,
                    "roles-out-of-turn",
                    "a system turn after the beginning",
                    "put it first, and only once",
                )
            context = content
            continue
        if author not in _ROLES:
            raise _Misunderstood(
                f"{here}.{'role' if 'role' in item else 'author'}",
                "unknown-role",
                f"{quoted(author)} is nobody in a conversation",
                "write system, user or assistant",
            )
        turns.append(Turn(_ROLES[author], content))
        if turns[-1].role != ("user", "assistant")[(len(turns) - 1) % 2]:
            raise _Misunderstood(
                here,
                "roles-out-of-turn",
                f"a turn of {quoted(author)} where the other should speak",
                "user and assistant take turns, the user first",
            )
    if not turns:
        return None
    if turns[-1].role != "user":
        raise _Misunderstood(
            path,
            "roles-out-of-turn",
            "the prompt ends with the assistant",
            "end with what the response answers; the response has a field of its own",
        )
    return Prompt(tuple(turns), context)


def _turn(item: Any, path: str) -> tuple[str, str]:
    """Author and content of `{role|author, content}` or Gemini's `{role, parts: [{text}]}`."""
    if not isinstance(item, dict):
        raise _Misunderstood(
            path, "wrong-type", f"{_shown(item)} is no turn", 'write {"role": …, "content": …}'
        )
    author, content = item.get("role", item.get("author")), item.get("content")
    if content is None and isinstance(item.get("parts"), list):
        parts = item["parts"]
        if all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
            content = "".join(part["text"] for part in parts)
    if not isinstance(author, str):
        raise _Misunderstood(
            path, "missing-field", "the turn has no role", "add who speaks: user or assistant"
        )
    if not isinstance(content, str):
        raise _Misunderstood(
            path, "wrong-type", "the turn has no text", "turns of text alone make a preference"
        )
    if not content.strip():
        raise _Misunderstood(
            path, "empty-text", "the turn says nothing", "delete the record or give the text"
        )
    return author.casefold(), content


def _rating(value: Any, path: str) -> Fraction | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if is_thumb(value):
        return Fraction(value if isinstance(value, bool) else _THUMBS[value.strip().casefold()])
    # BigQuery writes INT64 as a text, so a number in quotes is one.
    shown = str(value).strip() if isinstance(value, int | float | str) else ""
    if not _NUMBER.fullmatch(shown):
        raise _Misunderstood(
            path, "wrong-type", f"{_shown(value)} is no rating", "write a number, up or down, true or false"
        )
    return _fraction(shown)


@lru_cache(maxsize=4096)
def _fraction(shown: str) -> Fraction:
    # Exact, so that equal means are equal whatever the order in which the votes are added.
    return Fraction(shown)


def _choice(value: Any, path: str, answers: tuple[str | None, ...]) -> tuple[int | None, bool]:
    """Which answer is preferred, None for neither; and whether anything was said at all."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None, False
    if isinstance(value, str) and value in answers:
        return answers.index(value), True
    word = value.strip().casefold() if isinstance(value, str) else str(value) if type(value) is int else ""
    if word not in _CHOICES:
        raise _Misunderstood(
            path,
            "choice-out-of-range",
            f"{_shown(value)} is neither of the two",
            "write 0, 1 or tie, or the chosen text itself",
        )
    return _CHOICES[word], True


def _name(value: Any, path: str, word: str) -> str | None:
    """An id or a name: text or a whole number."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Misunderstood(path, "wrong-type", f"{_shown(value)} is no {word}", "write it as a text")
    return str(value)


def _time(value: Any, path: str) -> int | None:
    """Microseconds since 1970. A text without a zone is UTC; of numbers the size tells the unit."""
    if value is None or value == "":
        return None
    shown = value.strip() if isinstance(value, str) else value
    try:
        if isinstance(shown, str) and _NUMBER.fullmatch(shown):
            shown = float(shown)
        if isinstance(shown, str):
            # BigQuery writes `2024-01-02 03:04:05.678 UTC`.
            moment = datetime.fromisoformat(shown.removesuffix(" UTC"))
            since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
            return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        if isinstance(shown, int | float) and not isinstance(shown, bool) and math.isfinite(shown):
            unit = next(unit for unit, below in _UNITS if abs(shown) < below)
            return round(shown * unit)
    except (ValueError, OverflowError):
        pass
    raise _Misunderstood(
        path, "wrong-type", f"{_shown(value)} is no time", "write 2026-01-31T12:00:00Z, or seconds since 1970"
    )


# Seconds, milliseconds, microseconds: no two of them overlap between 1973 and 5138.
_UNITS: tuple[tuple[float, float], ...] = ((1_000_000, 1e11), (1_000, 1e14), (1, math.inf))


def _shown(value: Any) -> str:
    return quoted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
