"""Which rows are validated on: those whose prompts have the smallest keyed hashes.

The choice depends on the prompts alone: not on the order of rows, not on how many processes read them, and hardly on
other rows (a row that is added moves at most one other). Rows with the same prompt never part. Only hashes are
needed, 8 bytes a row, so that a file of any size is split without its texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import xxhash

from tunestack.dataset.findings import Finding

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy

    _Array: TypeAlias = numpy.ndarray[Any, Any]
    from tunestack.catalog.limits import Limits

# Part of the split's definition: another key is another split of every dataset.
SPLIT_KEY = 0x74756E65_73706C31  # "tunespl1"
# Above this many rows numpy's sort wins over its import, which takes about 0.1 s.
_PLAIN_ROWS = 20_000
# Rows that are sorted at a time.
_SLICE_ROWS = 1 << 15


def prompt_hash(prompt: str) -> int:
    """Keyed XXH3 (64 bits) of a prompt in its canonical form (`formats.format.Facts.prompts`)."""
    return xxhash.xxh3_64_intdigest(prompt.encode(), seed=SPLIT_KEY)


def validation_hashes(
    hashes: Sequence[int], count: int, strata: Sequence[str] | None = None
) -> frozenset[int]:
    """The prompt hashes whose rows, ``count`` in all, are validated on.

    ``hashes`` has each row's `prompt_hash` (an `array("Q")` is taken without a copy). ``strata`` gives each row's
    stratum: every stratum then gives its share, rounded by largest remainder. A prompt in several strata belongs to
    the alphabetically first. Where equal prompts would overshoot, the number falls short of ``count`` rather.
    """
    if count < 1 or not hashes:
        return frozenset()
    if strata is not None and len(strata) != len(hashes):
        raise ValueError(f"{len(hashes)} rows have {len(strata)} strata")
    return (_by_counting if len(hashes) <= _PLAIN_ROWS else _by_sorting)(hashes, count, strata)


def _by_counting(hashes: Sequence[int], count: int, strata: Sequence[str] | None) -> frozenset[int]:
    """For few rows, without numpy, and the reference for `_by_sorting`."""
    rows = Counter(hashes)
    stratum: dict[int, str] = {}
    for each, name in zip(hashes, strata if strata is not None else [""] * len(hashes), strict=True):
        stratum[each] = min(name, stratum.get(each, name))
    members: defaultdict[str, list[int]] = defaultdict(list)
    for each in sorted(rows):
        members[stratum[each]].append(each)
    sizes = {name: sum(rows[each] for each in inside) for name, inside in members.items()}
    chosen: set[int] = set()
    for name, share in _shares(sizes, count).items():
        for each in members[name]:
            if rows[each] <= share:
                chosen.add(each)
                share -= rows[each]
    return frozenset(chosen)


def _by_sorting(hashes: Sequence[int], count: int, strata: Sequence[str] | None) -> frozenset[int]:
    """For many rows: the very same choice, a slice of the hashes at a time, for sorting all would take their room
    several times over."""
    import numpy as np

    names = sorted(set(strata)) if strata is not None else [""]
    codes = {name: code for code, name in enumerate(names)}
    keys = np.asarray(hashes, dtype=np.uint64)
    of_rows = None
    if strata is not None:
        of_rows = np.fromiter((codes[name] for name in strata), dtype=np.int32, count=len(strata))
    sizes = np.zeros(len(names))
    for _, rows, stratum in _slices(keys, of_rows):
        sizes += np.bincount(stratum, weights=rows, minlength=len(names))
    # A name without rows of its own: all its prompts stand in an earlier stratum, too.
    shares = _shares({name: int(sizes[code]) for name, code in codes.items() if sizes[code]}, count)
    left = {codes[name]: share for name, share in shares.items() if share}
    chosen: set[int] = set()
    for distinct, rows, stratum in _slices(keys, of_rows):
        by_stratum = np.argsort(stratum, kind="stable")  # within a stratum the order of the hashes is kept
        found, starts = np.unique(stratum[by_stratum], return_index=True)
        for code, members in zip(found.tolist(), np.split(by_stratum, starts[1:]), strict=True):
            if code in left:
                taken = _filled(members, rows, left[code])
                chosen.update(distinct[taken].tolist())
                left[code] -= int(rows[taken].sum())
                if not left[code]:
                    del left[code]
        if not left:
            break
    return frozenset(chosen)


def _slices(keys: _Array, of_rows: _Array | None) -> Iterator[tuple[_Array, _Array, _Array]]:
    """The distinct hashes in ascending order, some at a time, each with its number of rows and its stratum."""
    import numpy as np

    slices = -(-len(keys) // _SLICE_ROWS)
    edges = [(number << 64) // slices for number in range(slices + 1)]
    for low, high in pairwise(edges):
        inside = keys >= np.uint64(low)
        inside &= keys <= np.uint64(high - 1)
        part = keys[inside]
        if not len(part):
            continue
        if of_rows is None:
            distinct, rows = np.unique(part, return_counts=True)
            yield distinct, rows, np.zeros(len(distinct), dtype=np.int32)
            continue
        order = np.argsort(part, kind="stable")
        distinct, first, rows = np.unique(part[order], return_index=True, return_counts=True)
        yield distinct, rows, np.minimum.reduceat(of_rows[inside][order], first)


def _filled(members: _Array, rows: _Array, share: int) -> _Array:
    """Those of ``members``, taken in order wherever they still fit, whose rows fill ``share``."""
    import numpy as np

    taken = [members[:0]]
    while share and len(members := members[rows[members] <= share]):
        # The first member fits, so each turn takes at least one; without repeated prompts there is one turn.
        fitting = int(np.searchsorted(np.cumsum(rows[members]), share, side="right"))
        taken.append(members[:fitting])
        share -= int(rows[members[:fitting]].sum())
        members = members[fitting:]
    return np.concatenate(taken)


def _shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    total = sum(sizes.values())
    count = min(count, total)
    shares = {name: count * size // total for name, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda name: (-(count * sizes[name] % total), name))
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    return shares


def split_finding(
    limits: Limits, rows: int, count: int, file: str, line: int = 0, column: int = 0
) -> Finding | None:
    """What is wrong with validating on ``count`` of ``rows`` rows; the place is that of `split.validation`.

    A number that the service would refuse is refused here and never cut to what it takes: whoever asked for more
    shall know that there is less. No limit is made up where none is known.
    """
    from tunestack.catalog.limits import validation_limit

    most = validation_limit(limits, rows)
    if count >= max(rows, 1):
        message = f"{count:,} rows to validate on leave none of the {rows:,} to train on"
        return Finding(file, line, column, "split-too-large", "", message, "validate on fewer")
    if count <= most:
        return None
    source = limits.rows_source
    message = (
        f"{count:,} rows to validate on; {limits.family} takes at most {most:,} of {rows:,} "
        f"({source.where}, checked {source.checked}{'' if source.verified else ', secondary source'})"
    )
    return Finding(file, line, column, "split-too-large", "", message, f"write `validation: {most}`")
