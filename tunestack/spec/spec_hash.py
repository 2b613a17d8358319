"""The identity of a run: a hash of everything that decides its result."""

from __future__ import annotations

import json
from collections.abc import Mapping

from blake3 import blake3

SPEC_HASH_LABEL = "tunestack-spec-hash"
"""Label of a job that carries its spec hash; a Google label value holds at most 63 characters."""


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises ValueError for numbers that JSON cannot hold (NaN, infinities).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def spec_hash(identity: Mapping[str, str]) -> str:
    """32 hex digits (128 bits of BLAKE3) over the canonical JSON of ``identity``; the order of keys is nothing."""
    return blake3(canonical_json(dict(identity)).encode()).hexdigest(length=16)
