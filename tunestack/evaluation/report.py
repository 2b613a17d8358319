"""The report of an evaluation: JSON for machines, Markdown for people; the same evaluation gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from blake3 import blake3

from tunestack.evaluation.judgement import HeldOutRow, HeldOutSet, Judgement, Replies, Task, judge
from tunestack.spec.job import GateRule


@dataclass(frozen=True)
class Subject:
    """What was judged, by which rules.

    ``model``: what the endpoint had to serve, where that was said; ``notes``: what a reader must know of the models,
    such as who plays them.
    """

    endpoint: str
    base_model: str
    task: Task
    labels: tuple[str, ...]
    max_output_tokens: int
    notes: tuple[str, ...] = ()
    model: str = ""
    rules: tuple[GateRule, ...] = ()


@dataclass(frozen=True)
class Report:
    """Both forms and the name that their content gives them."""

    name: str
    json: bytes
    markdown: bytes


def make_report(
    subject: Subject, sets: Sequence[HeldOutSet], replies: Mapping[str, Replies], judgement: Judgement
) -> Report:
    """Every row with both replies, so that any figure can be counted again; no time, no host: only what decides it."""
    document = {
        "subject": {
            **asdict(replace(subject, rules=())),
            "rules": [rule.model_dump(exclude_none=True) for rule in subject.rules],
        },
        "verdict": judgement.verdict,
        "gate": judgement.lines,
        "scores": judgement.scores,
        "sets": [_set(held, replies[held.name]) for held in sets],
    }
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    content = text.encode()
    name = f"evaluation-{blake3(content).hexdigest(length=8)}"
    return Report(name, content, _markdown(subject, sets, judgement).encode())


def read_report(content: bytes) -> tuple[Subject, list[HeldOutSet], Judgement]:
    """What a report in JSON tells, judged again from its rows. Raises ValueError where it is none."""
    try:
        document = json.loads(content)
        told = document["subject"]
        rules = tuple(GateRule.model_validate(rule) for rule in told["rules"])
        subject = Subject(
            **{**told, "labels": tuple(told["labels"]), "notes": tuple(told["notes"]), "rules": rules}
        )
        sets, replies = [], {}
        for held in document["sets"]:
            rows = tuple(HeldOutRow(row["input"], tuple(row["references"])) for row in held["rows"])
            sets.append(HeldOutSet(held["name"], held["uri"], held["digest"], rows))
            tuned, base = ([row[who] for row in held["rows"]] for who in ("tuned", "base"))
            replies[held["name"]] = Replies(tuple(tuned), tuple(base))
        return subject, sets, judge(subject.task, subject.labels, sets, replies, rules)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no report of an evaluation, or one of an older version: {error!r}") from error


def _set(held: HeldOutSet, replies: Replies) -> dict[str, Any]:
    return {
        "name": held.name,
        "uri": held.uri,
        "digest": held.digest,
        "rows": [
            {"input": row.input, "references": list(row.references), "base": base, "tuned": tuned}
            for row, base, tuned in zip(held.rows, replies.base, replies.tuned, strict=True)
        ],
    }


def _markdown(subject: Subject, sets: Sequence[HeldOutSet], judgement: Judgement) -> str:
    lines = [
        f"# Evaluation: {judgement.verdict}",
        "",
        f"- tuned: `{subject.endpoint}`",
        f"- base: `{subject.base_model}`",
        *(f"- {note}" for note in subject.notes),
        "",
        "## Gate",
        "",
        *([f"- {line}" for line in judgement.lines] or ["- no rule"]),
    ]
    for held in sets:
        scores = judgement.scores[held.name]
        lines += [
            "",
            f"## {held.name} ({len(held.rows)} rows)",
            "",
            "| metric | base | tuned |",
            "|---|---|---|",
        ]
        lines += [
            f"| {metric} | {scores['base'][metric]:.3f} | {scores['tuned'][metric]:.3f} |"
            for metric in scores["tuned"]
        ]
    lines += ["", "## Samples"]
    for sample in judgement.samples:
        parts = (
            ("input", sample.input),
            ("base", sample.base),
            ("tuned", sample.tuned),
            ("reference", sample.reference),
        )
        lines += ["", f"**{sample.set}**", "", *(f"- {label}: {_inline(text)}" for label, text in parts)]
    return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    """Text of a model on one line, as code: it must not become Markdown of ours."""
    flat = " ".join(text.split()).replace("`", "'")
    return f"`{flat}`" if flat else "*(nothing)*"
