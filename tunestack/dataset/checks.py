"""What no single line shows: rows that repeat or contradict each other, leakage, targets and instructions.

These look at what the model will see, the rendered prompt and target, and find every case. Where a finding's
column comes from the file, `placed` fills it in afterwards, from the lines that need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tunestack.dataset.explain import offset_of
from tunestack.dataset.findings import Finding, quoted
from tunestack.dataset.reader import Values, read_lines
from tunestack.spec.suggestion import nearest


class Example(NamedTuple):
    """One row as the model sees it. A held-out row of a generation set has several targets."""

    line: int
    prompt: str
    targets: tuple[str, ...]
    values: Values


@dataclass(frozen=True)
class Examples:
    """The good rows of one file, and which JSON paths their prompts and targets come from."""

    file: str
    rows: Sequence[Example]
    prompt_path: str = "$"
    target_path: str = "$"

    def at_prompt(self, line: int, code: str, message: str, fix: str) -> Finding:
        """A finding at the prompt of a line, its column still to be placed."""
        return Finding(self.file, line, 0, code, self.prompt_path, message, fix)

    def at_target(self, line: int, code: str, message: str, fix: str) -> Finding:
        """A finding at the target of a line, its column still to be placed."""
        return Finding(self.file, line, 0, code, self.target_path, message, fix)


def repeated(examples: Examples) -> Iterator[Finding]:
    """Rows whose prompt stood before in the file: with the same answer, or with another one."""
    answers: dict[str, dict[tuple[str, ...], int]] = {}
    for row in examples.rows:
        earlier = answers.setdefault(row.prompt, {})
        if (line := earlier.get(row.targets)) is not None:
            message = f"the row repeats line {line}"
            yield examples.at_prompt(row.line, "duplicate-row", message, "delete one of the two rows")
            continue
        if earlier:
            targets, line = next(iter(earlier.items()))
            message = (
                f"line {line} answers the same prompt with {quoted(targets[0])}, this one with "
                + quoted(row.targets[0])
            )
            yield examples.at_prompt(row.line, "conflicting-rows", message, "decide for one answer")
        earlier[row.targets] = row.line


def leaked(held_out: Examples, trained: Examples, records: str) -> Iterator[Finding]:
    """Held-out rows whose prompt is among the records that are trained or validated on, the file ``records``."""
    lines = {row.prompt: row.line for row in reversed(trained.rows)}
    for row in held_out.rows:
        if (line := lines.get(row.prompt)) is not None:
            message = f"the held-out prompt is also a record: {records}:{line}"
            yield held_out.at_prompt(row.line, "leakage", message, "delete one of the two rows")


def unlabelled(examples: Examples, labels: Sequence[str]) -> Iterator[Finding]:
    """Rows whose target is none of the labels."""
    allowed = set(labels)
    for row in examples.rows:
        for target in row.targets:
            if target not in allowed:
                meant = nearest(target, labels)
                fix = (
                    f"write `{meant}`" if meant else "write one of the labels, or declare it in dataset.yaml"
                )
                message = f"{quoted(target)} is none of the labels {', '.join(labels)}"
                yield examples.at_target(row.line, "unknown-label", message, fix)


def without_instruction(examples: Examples) -> Iterator[Finding]:
    """Rows whose prompt is nothing but one of their own texts: the model is not told what to do with it."""
    for row in examples.rows:
        if row.prompt.strip() in (value.strip() for value in row.values.values() if isinstance(value, str)):
            message = "the prompt is the bare text, without an instruction"
            yield examples.at_prompt(
                row.line, "instruction-missing", message, "put the instruction into the template"
            )


def placed(findings: Sequence[Finding], path: Path) -> list[Finding]:
    """The same findings with column and excerpt, read from the lines of ``path`` that they point to."""
    lines = read_lines(path, {found.line for found in findings if not found.column})
    result = []
    for found in findings:
        if not found.column and found.line in lines:
            offset, excerpt = offset_of(lines[found.line], found.path)
            found = replace(found, column=offset + 1, excerpt=excerpt)
        result.append(found)
    return result
