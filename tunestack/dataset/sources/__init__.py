"""Records from wherever they are: `open_source` says what a file is by its content, then by its name."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tunestack.dataset.sources.content import Content, LocalFile
from tunestack.dataset.sources.detection import HEAD_BYTES, kind_of, packing_of
from tunestack.dataset.sources.json_lines import JsonLines
from tunestack.dataset.sources.source import (
    BLOCK_BYTES,
    Block,
    Chunk,
    Source,
    SourceDigests,
    SourceFault,
)
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from google.cloud.storage import Client


def open_source(
    address: str | Path,
    *,
    root: Path | None = None,
    columns: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    storage: Client | None = None,
) -> Source:
    """The source at a path (relative to ``root``) or an address `gs://bucket/object#generation`.

    ``columns`` maps each column to its type (see dataset.yaml): by it the cells of a table become JSON values;
    without it all are text but for those that ``kinds`` gives such types. ``storage`` is the client for objects;
    None: one is made where it is needed.
    Raises OSError where a file cannot be read, TunestackError where an object cannot; what is wrong with what
    can be read, a generation that is gone among it, is told by the source's `blocks`.
    """
    try:
        content, file_name = _content(str(address), root, storage)
    except SourceFault as fault:
        return Broken(str(address), fault)
    head, content = _unpacked(content)
    if packing_of(head) is not None:
        return Broken(content.name, SourceFault("compression", "the file is packed twice", "unpack it once"))
    match kind_of(head, file_name):
        case "json-lines":
            return JsonLines(content)
        case "json-list":
            from tunestack.dataset.sources.json_list import JsonList

            return JsonList(content)
        case "parquet":
            from tunestack.dataset.sources.parquet import Parquet

            return Parquet(content)
        case kind:
            from tunestack.dataset.sources.table import Table

            return Table(content, "," if kind == "csv" else "\t", columns, kinds)


def open_existing(address: str, *, storage: Client | None = None) -> Source:
    """A finished JSON Lines object in a bucket, by its generation, to be used as it is.

    Nothing is copied: `check_files([address], format=…)` opens the same source, whose blocks are ranges of the
    object read one after the other, and its `digests()` then has BLAKE3, CRC32C, size and generation, which is
    all that a compiled file needs beside its address. Raises TunestackError as open_source does, and where the
    generation is missing, for then what was checked need not be what is tuned on; the source's blocks raise
    SourceFault where the object is not JSON Lines as the service takes them, or no longer that generation.
    """
    from tunestack.dataset.sources.cloud_storage import ObjectAddress

    if ObjectAddress.parse(address).generation is None:
        raise TunestackError(
            Problem(
                "generation",
                "an existing file is named with its generation",
                address,
                need="gs://bucket/object#generation",
                fix="gcloud storage ls --all-versions shows it",
            )
        )
    from tunestack.dataset.sources.compression import Compressed

    source = open_source(address, storage=storage)
    plain = isinstance(source, JsonLines) and not isinstance(source.content, Compressed)
    if plain or isinstance(source, Broken):
        return source
    return Broken(
        address,
        SourceFault(
            "not-json-lines", "the object is no plain JSON Lines", "name it under records, not existing"
        ),
    )


class Broken(msgspec.Struct, frozen=True):
    """A source of which nothing can be read, and why."""

    name: str
    fault: SourceFault
    translated: bool = False

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[Block]:
        """Raises the fault."""
        raise self.fault

    def chunks(self, block: Block, records: int = 128) -> Iterator[Chunk]:
        """Raises the fault."""
        raise self.fault

    def cell(self, line: int, path: str) -> int:
        """Unknown."""
        return 0

    def digests(self) -> SourceDigests:
        """Raises the fault."""
        raise self.fault


def _content(address: str, root: Path | None, storage: Client | None) -> tuple[Content, str]:
    """Where the bytes lie, and the name of what they are the content of."""
    if address.startswith("gs://"):
        from tunestack.dataset.sources.cloud_storage import CloudObject, ObjectAddress

        return CloudObject(address, storage), ObjectAddress.parse(address).object
    if "://" in address:
        raise TunestackError(
            Problem("address", "only files and gs:// objects can be read", address, fix="copy it here"),
            exit_status=2,
        )
    path = Path(address) if root is None else root / address
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.ESPIPE, "is no file that can be read twice", str(path))
    return LocalFile(path, address), path.name


def _unpacked(content: Content) -> tuple[bytes, Content]:
    """The head of what is within, and how to read it."""
    head = _head(content)
    if (packing := packing_of(head)) is None:
        return head, content
    from tunestack.dataset.sources.compression import Compressed

    content = Compressed(content, packing)
    return _head(content), content


def _head(content: Content) -> bytes:
    with content.open() as stream:
        return stream.read(HEAD_BYTES)
