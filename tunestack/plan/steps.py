"""Batch arithmetic: rows and batch size give steps an epoch; steps give epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepPlan:
    """How often the accelerator sees the rows. ``batch_size`` is in examples; the last batch may be short."""

    rows: int
    batch_size: int
    train_steps: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.batch_size < 1 or self.train_steps < 1:
            raise ValueError("rows, batch size and train steps are at least 1")

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every row is seen once: ceil(rows / batch size)."""
        return -(-self.rows // self.batch_size)

    @property
    def epochs(self) -> float:
        """How often every row is seen, to two decimals."""
        return round(self.train_steps / self.steps_per_epoch, 2)

    def sentence(self) -> str:
        """Say the arithmetic in one line."""
        return (
            f"{self.rows} rows ÷ batch {self.batch_size} = {self.steps_per_epoch} steps per epoch; "
            f"{self.train_steps} steps = {self.epochs:g} epochs"
        )
