"""What a file is, told by its first bytes before its name."""

from __future__ import annotations

import re

from tunestack.dataset.sources.source import SourceFault

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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
