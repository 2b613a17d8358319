"""The order of the rows."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler


class EvenSampler(Sampler[int]):
    """Shuffled rows, those with the same reply spread evenly over each epoch.

    A batch then has about the mix of labels that the whole has; else a small classifier spends its steps on following
    the batches' chance majorities. Where every reply is its own, this is a plain shuffle. The order depends on
    `seed` and the epoch alone, so a job that goes on from a checkpoint sees the rows it would have seen.
    """

    def __init__(self, replies: Sequence[tuple[int, ...]], seed: int) -> None:
        self._seed = seed
        self._epoch = 0
        self._groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, reply in enumerate(replies):
            self._groups[reply].append(index)

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def __iter__(self) -> Iterator[int]:
        chance = random.Random(f"{self._seed} {self._epoch}")  # noqa: S311 - an order, not a secret
        placed = []
        for group in self._groups.values():
            offset = chance.random()
            shuffled = chance.sample(group, len(group))
            placed += [((place + offset) / len(group), index) for place, index in enumerate(shuffled)]
        return iter([index for _, index in sorted(placed)])
