"""Batch arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.plan import StepPlan

counts = st.integers(min_value=1, max_value=10_000_000)


@given(rows=counts, batch_size=st.integers(1, 4096), train_steps=st.integers(1, 10_000))
def test_an_epoch_has_just_enough_steps_to_see_every_row(
    rows: int, batch_size: int, train_steps: int
) -> None:
    plan = StepPlan(rows=rows, batch_size=batch_size, train_steps=train_steps)
    assert plan.steps_per_epoch * batch_size >= rows
    assert (plan.steps_per_epoch - 1) * batch_size < rows
    assert plan.steps_per_epoch == math.ceil(rows / batch_size) or rows > 2**53


def test_the_same_rows_take_fewer_steps_on_the_tpu_pod() -> None:
    gpu = StepPlan(rows=240, batch_size=8, train_steps=90)
    tpu = StepPlan(rows=240, batch_size=24, train_steps=30)
    assert (gpu.steps_per_epoch, tpu.steps_per_epoch) == (30, 10)
    assert gpu.epochs == tpu.epochs == 3.0
    assert gpu.sentence() == "240 rows ÷ batch 8 = 30 steps per epoch; 90 steps = 3 epochs"


@pytest.mark.parametrize("bad", [{"rows": 0}, {"batch_size": 0}, {"train_steps": 0}])
def test_nothing_is_planned_from_nothing(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        StepPlan(**{"rows": 1, "batch_size": 1, "train_steps": 1, **bad})
