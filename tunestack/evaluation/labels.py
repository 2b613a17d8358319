"""Reading a label out of a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WRAPPING = " \t\r\n\"'`*.:"


def is_label(reply: str, labels: Sequence[str]) -> bool:
    """Whether the reply *is* a label: after white space, quotes, asterisks, full stops and colons around it are
    taken off, and in any case of letters, nothing else is left."""
    return reply.strip(_WRAPPING).casefold() in {label.casefold() for label in labels}


def read_label(reply: str, labels: Sequence[str]) -> str | None:
    """The label that a reply gives, None where it gives none.

    The reply itself if it is a label (``is_label``); otherwise the first whole word, or words, of it that are a label:
    of two that begin at the same place the longer. ``no_sarcasm`` is one word, so it never reads as ``sarcasm``.
    """
    bare = reply.strip(_WRAPPING).casefold()
    for label in labels:
        if bare == label.casefold():
            return label
    longest_first = sorted(labels, key=len, reverse=True)
    alternatives = "|".join(re.escape(label.casefold()) for label in longest_first)
    found = re.search(rf"(?<!\w)(?:{alternatives})(?!\w)", reply.casefold())
    if found is None:
        return None
    return next(label for label in labels if label.casefold() == found[0])
