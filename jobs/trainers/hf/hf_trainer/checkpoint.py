"""Checkpoints that can be gone on from.

The library writes a checkpoint's files one after the other; a killed job may leave half of one. A marker, written
last, says that it is whole and what job it belongs to.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hf_trainer import files

MARKER = "complete.json"


def complete(checkpoint: Path, fingerprint: str) -> None:
    """Mark a checkpoint as whole."""
    files.write_json(checkpoint / MARKER, {"fingerprint": fingerprint})


def newest(folder: Path, fingerprint: str) -> Path | None:
    """The newest whole checkpoint of this very job; all others are removed, for the library would count them."""
    found = []
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            marker = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            marker = {}
        if marker.get("fingerprint") == fingerprint:
            found.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
