"""Which prompts are validated on: those with the smallest keyed hashes.

The choice depends on the prompts alone: not on the order of rows, and hardly on other rows (a row that is added
moves at most one other). Rows with the same prompt never part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import xxhash

# Part of the split's definition: another key is another split of every dataset.
SPLIT_KEY = 0x74756E65_73706C31  # "tunespl1"


def validation_prompts(prompts: Sequence[str], count: int, strata: Sequence[str] | None = None) -> set[str]:
    """The prompts whose rows, ``count`` in all, are validated on.

    ``strata`` gives each row's stratum: every stratum then gives its share, rounded by largest remainder. Where
    equal prompts would overshoot, the number falls short of ``count`` rather.
    """
    rows = Counter(prompts)
    stratum: dict[str, str] = {}
    for prompt, name in zip(prompts, strata if strata is not None else [""] * len(prompts), strict=True):
        stratum[prompt] = min(name, stratum.get(prompt, name))
    members: defaultdict[str, list[str]] = defaultdict(list)
    for prompt in sorted(rows, key=lambda prompt: (_hash(prompt), prompt)):
        members[stratum[prompt]].append(prompt)
    sizes = {name: sum(rows[prompt] for prompt in inside) for name, inside in members.items()}
    chosen: set[str] = set()
    for name, share in _shares(sizes, count).items():
        for prompt in members[name]:
            if rows[prompt] <= share:
                chosen.add(prompt)
                share -= rows[prompt]
    return chosen


def _shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    total = sum(sizes.values())
    count = min(count, total)
    shares = {name: count * size // total for name, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda name: (-(count * sizes[name] % total), name))
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    return shares


def _hash(prompt: str) -> int:
    return xxhash.xxh3_64_intdigest(prompt.encode(), seed=SPLIT_KEY)
