"""Prompts and answers of finished files, in whichever of the formats their lines are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tunestack.dataset.formats import FORMATS
from tunestack.dataset.part_checks import LABEL_COLUMNS
from tunestack.dataset.sources import open_source
from tunestack.dataset.sources.source import SourceFault
from tunestack.spec.errors import Problem, TunestackError


def prompts_and_answers(path: str | Path) -> Iterator[tuple[str, str]]:
    """Of every line of a finished file, in any of the formats, prompt and answer in their canonical forms.

    ``path`` may also be an address `gs://bucket/object#generation`. Raises TunestackError (exit status 2).
    """
    facts_of = _FactsOfAnyFormat()
    columns = LABEL_COLUMNS if str(path).partition("#")[0].endswith(".tsv") else None
    before = 0
    try:
        source = open_source(path, columns=columns)
        for block in source.blocks():
            last = 0
            for chunk in source.chunks(block):
                try:
                    yield from facts_of(chunk.texts)
                except _NoFormatError as error:
                    raise _no_line(path, before + chunk.lines[error.index]) from None
                last = chunk.lines[-1] if chunk.lines else last
            before += last
    except SourceFault as fault:
        raise unreadable(path, fault.message, fault.fix) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise unreadable(path, f"{Path(path).name} cannot be read: {reason}") from None


class _NoFormatError(Exception):
    def __init__(self, index: int) -> None:
        self.index = index


class _FactsOfAnyFormat:
    """Prompts and answers of lines whose format nobody named: the one that read the latest line is tried first."""

    def __init__(self) -> None:
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}
        self._latest = "supervised"

    def __call__(self, texts: Sequence[bytes]) -> Iterator[tuple[str, str]]:
        try:
            lines = list(map(self._decoder(self._latest).decode, texts))
        except (msgspec.DecodeError, UnicodeDecodeError):
            for index, text in enumerate(texts):
                yield from self._single(index, text)
        else:
            facts = FORMATS[self._latest].facts(lines)
            yield from zip(facts.prompts, facts.answers, strict=True)

    def _single(self, index: int, text: bytes) -> Iterator[tuple[str, str]]:
        for name in dict.fromkeys([self._latest, *FORMATS]):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                line = self._decoder(name).decode(text)
                self._latest = name
                facts = FORMATS[name].facts([line])
                yield facts.prompts[0], facts.answers[0]
                return
        raise _NoFormatError(index)

    def _decoder(self, name: str) -> msgspec.json.Decoder[Any]:
        if name not in self._decoders:
            self._decoders[name] = msgspec.json.Decoder(FORMATS[name].line)
        return self._decoders[name]


def _no_line(path: str | Path, line: int) -> TunestackError:
    fix = (
        f"tunestack dataset check {path} says what is wrong; raw records are compared by their dataset folder"
    )
    problem = Problem("no-format", "the line is of none of the formats", f"{path}:{line}", fix=fix)
    return TunestackError(problem, exit_status=2)


def unreadable(path: str | Path, message: str, fix: str = "") -> TunestackError:
    return TunestackError(Problem("file-unreadable", message, str(path), fix=fix), exit_status=2)
