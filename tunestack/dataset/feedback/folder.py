"""The pairs as a dataset folder, written whole or not at all, and never over anything that is not ours."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunestack.dataset.aside import folder_aside, sync_folder
from tunestack.dataset.digest import DigestedFile, file_digest
from tunestack.dataset.feedback.pairs import LeftOutVote, Pair
from tunestack.spec.errors import Problem, TunestackError

PROVENANCE = "provenance.json"
# What others put beside a dataset.yaml: it stays. (The lock is stale then, as `compile --check` says.)
KEPT = ("dataset.lock.json", "allow.yaml")
# Says in `provenance.json` that the folder is one of these, and in which form.
COLLECTED = 1


def dataset_name(folder: Path) -> str:
    """The folder's name in the letters that a dataset's name may have."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:63].strip("-")
    return name if name[:1].isalpha() else f"feedback-{name}"[:63].strip("-")


def refuse_foreign(folder: Path) -> None:
    """Raise TunestackError unless ``folder`` is not there, is empty, or is as it was written here."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    why = "it is a file" if not folder.is_dir() else _foreign(folder)
    if why:
        raise TunestackError(
            Problem(
                "output-not-ours",
                f"the output is not what was collected here: {why}",
                str(folder),
                fix="collect into another folder with --output",
            ),
            exit_status=2,
        )


def _foreign(folder: Path) -> str:
    try:
        provenance = json.loads((folder / PROVENANCE).read_bytes())
        digests = provenance["files"] if provenance["collected"] == COLLECTED else None
    except (OSError, ValueError, KeyError, TypeError):
        digests = None
    if not isinstance(digests, dict):
        return f"it has no {PROVENANCE} of a collection"
    for path in sorted(folder.iterdir()):
        if path.name == PROVENANCE or path.name in KEPT:
            continue
        if path.name not in digests or not path.is_file():
            return f"{path.name} was added"
        if file_digest(path) != digests[path.name]:
            return f"{path.name} was changed"
    return ""


def write_folder(
    output: Path,
    pairs: Sequence[Pair],
    left_out: Sequence[LeftOutVote],
    provenance: Mapping[str, Any],
    *,
    name: str,
    validation: int,
) -> None:
    """Write the folder in place of what was there. Raises OSError; then what was there is there still."""
    home = output.resolve().parent
    home.mkdir(parents=True, exist_ok=True)
    target = home / output.resolve().name
    with folder_aside(home) as aside:
        new, old = aside / "new", aside / "old"
        new.mkdir()
        digests = {}
        for file, lines in _files(pairs, left_out, name, validation):
            with DigestedFile(new / file) as written:
                for line in lines:
                    written.write(line)
                digests[file] = written.finish().digest
        with DigestedFile(new / PROVENANCE) as written:
            whole = {"collected": COLLECTED, **provenance, "files": digests}
            written.write(json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n")
            written.finish()
        for kept in KEPT:
            if (target / kept).is_file():
                shutil.copy2(target / kept, new / kept)
        sync_folder(new)
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        sync_folder(home)


def _files(
    pairs: Sequence[Pair], left_out: Sequence[LeftOutVote], name: str, validation: int
) -> Iterator[tuple[str, Iterator[bytes]]]:
    with_context = any(pair.prompt.context is not None for pair in pairs)
    yield "records.jsonl", (_line(_record(pair, with_context)) for pair in pairs)
    yield (
        "left-out.jsonl",
        (
            _line({"reason": vote.reason, "vote": vote.reference, "log": vote.log, "line": vote.line})
            for vote in left_out
        ),
    )
    yield "dataset.yaml", iter([_dataset(name, validation, with_context).encode()])


def _record(pair: Pair, with_context: bool) -> dict[str, Any]:
    return {
        **({"context": pair.prompt.context} if with_context else {}),
        "prompt": [{"role": turn.role, "content": turn.text} for turn in pair.prompt.turns],
        "candidate_0": pair.candidates[0],
        "candidate_1": pair.candidates[1],
        "choice": pair.choice,
        "evidence": pair.evidence,
        "score_0": pair.scores[0],
        "score_1": pair.scores[1],
        "models_0": pair.models[0],
        "models_1": pair.models[1],
        "votes": pair.votes,
    }


def _dataset(name: str, validation: int, with_context: bool) -> str:
    # Turns and no template: what was served holds its instruction already, and a single turn compiles to a text.
    lines = [
        f"name: {name}",
        "description: Preferences collected from votes on served answers; provenance.json says from which.",
        "format: rlhf-preference  # or, by --format, gemini-preference",
        "records: records.jsonl",
        "columns:",
        *(["  context: string"] if with_context else []),
        "  prompt: messages        # as it was served",
        "  candidate_0: string",
        "  candidate_1: string",
        "  choice: integer",
        "  evidence: string        # ratings of either answer, or comparisons of the two",
        "  score_0: number         # mean rating, or how many preferred it",
        "  score_1: number",
        "  models_0: list[string]  # what wrote it",
        "  models_1: list[string]",
        "  votes: list[string]     # ids, or log:line",
        *(['context: "{{ context }}"'] if with_context else []),
        "messages: prompt",
        'candidate_0: "{{ candidate_0 }}"',
        'candidate_1: "{{ candidate_1 }}"',
        'choice: "{{ choice }}"',
        *([f"split: {{validation: {validation}}}"] if validation else []),
    ]
    return "\n".join(lines) + "\n"


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
