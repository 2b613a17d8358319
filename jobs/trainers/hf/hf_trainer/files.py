"""Files that are either whole or absent: written aside, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON so that a reader sees the old file or the whole new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder aside, then put it in the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        fill(aside)
        shutil.rmtree(path, ignore_errors=True)
        aside.replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sha256(path: Path) -> str:
    """The file's SHA-256, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
