"""What a file is, told by its first bytes before its name: names are wrong more often than bytes are."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from tunestack.dataset.sources.source import SourceFault

Packing = Literal["gzip", "zstd"]
Kind = Literal["json-lines", "json-list", "csv", "tsv", "parquet"]

# So much of a file is looked at.
HEAD_BYTES = 64 << 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_MAGIC: dict[bytes, Packing] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PACKING_SUFFIXES = {".gz", ".gzip", ".zst", ".zstd"}


def packing_of(head: bytes) -> Packing | None:
    """How a file is compressed that begins so."""
    return next((packing for magic, packing in _MAGIC.items() if head.startswith(magic)), None)


def kind_of(head: bytes, name: str) -> Kind:
    """What a file is that begins with ``head``, unpacked; JSON Lines where nothing says otherwise."""
    if head.startswith(b"PAR1"):
        return "parquet"
    suffix = _suffix(name)
    start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if suffix in {".csv", ".tsv", ".tab"} and not re.match(rb'\[\s*[\]{]|\{\s*["}]', start):
        return "csv" if suffix == ".csv" else "tsv"
    if start.startswith(b"["):
        return "json-lines" if _whole_first_line(start) else "json-list"
    if suffix == ".parquet" and not start.startswith(b"{"):
        return "parquet"
    return "json-lines"


def refuse_other_than_json(head: bytes) -> None:
    """Raises SourceFault where the first bytes of a text file say that no line of it is a record."""
    refuse_other_than_utf_8(head)
    if re.match(rb"(?:\xef\xbb\xbf)?[ \t]*\{[ \t]*\r?\n", head):
        raise SourceFault("not-json-lines", "a record goes over several lines", "one record a line: jq -c .")


def refuse_other_than_utf_8(head: bytes) -> None:
    """Raises SourceFault for UTF-16 and UTF-32, with a byte order mark or told by their zero bytes."""
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if marked or (len(head) > 3 and 0 in head[:2] and head[:4].count(0) >= 2):
        raise SourceFault("encoding", "the file is UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8")


def _suffix(name: str) -> str:
    path = PurePosixPath(name.lower())
    return path.with_suffix("").suffix if path.suffix in _PACKING_SUFFIXES else path.suffix


def _whole_first_line(start: bytes) -> bool:
    """Whether the first line is JSON by itself with more after it: then no list goes over the whole file."""
    first, _, rest = start.partition(b"\n")
    if not rest.strip():
        return False
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
