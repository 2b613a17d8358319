"""Held-out sets as compiled: JSON lines of ``input_text``, ``output_text`` and perhaps ``references``."""

from __future__ import annotations

import json

from blake3 import blake3

from tunestack.evaluation.judgement import HeldOutRow, HeldOutSet
from tunestack.spec.errors import Problem, TunestackError


def read_held_out(name: str, uri: str, digest: str, content: bytes) -> HeldOutSet:
    """The rows of a held-out file. Raises TunestackError where it is not the one declared, or holds no rows."""
    have = blake3(content).hexdigest()
    if have != digest:
        raise TunestackError(
            Problem(
                "held-out-changed",
                f"held-out set {name} is not the one that was declared",
                where=uri,
                have=have,
                need=digest,
                fix="run `tunestack up` again: it uploads the file that the dataset compiles to",
            )
        )
    rows = tuple(
        _row(uri, number, line)
        # A line separator (U+2028) ends no line of JSON Lines: it may stand in a text as it is.
        for number, line in enumerate(content.decode().split("\n"), 1)
        if line.strip()
    )
    if not rows:
        raise TunestackError(Problem("held-out-empty", f"held-out set {name} has no rows", where=uri))
    return HeldOutSet(name, uri, digest, rows)


def _row(uri: str, number: int, line: str) -> HeldOutRow:
    where = f"{uri}:{number}"
    try:
        row = json.loads(line)
        references = row.get("references") or [row["output_text"]]
        return HeldOutRow(str(row["input_text"]), tuple(str(reference) for reference in references))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        need = '{"input_text": …, "output_text": …, "references"?: […]}'
        raise TunestackError(
            Problem("held-out-row", f"not a held-out row: {error!r}", where=where, have=line[:120], need=need)
        ) from error
