"""The clock that tests drive: forward only, kept over a restart, and awaited by whatever waits for a moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunestack.emulator.clock import Clock
from tunestack.emulator.database import Database
from tunestack.emulator.errors import ApiError
from tunestack.emulator.services import accelerators

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Real:
    """The machine's time, as a test has it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "state.db")
    yield database
    database.close()


def test_it_is_the_machines_time_until_it_is_moved(database):
    real = Real()
    clock = Clock(database, real)
    assert clock() == START
    clock.change({"advanceSeconds": 3600})
    real.now += timedelta(seconds=5)
    assert clock() == START + timedelta(seconds=3605)
    clock.change({"stopped": True})
    real.now += timedelta(seconds=100)
    assert clock() == START + timedelta(seconds=3605)
    clock.change({"stopped": False})
    real.now += timedelta(seconds=1)
    assert clock() == START + timedelta(seconds=3606)
    clock.change({"set": "2027-01-01T00:00:00Z"})
    assert clock() == datetime(2027, 1, 1, tzinfo=UTC)


_CHANGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"advanceSeconds": st.integers(0, 10**6)}),
        st.fixed_dictionaries({"stopped": st.booleans()}),
        st.fixed_dictionaries({"advanceSeconds": st.floats(0, 1e6), "stopped": st.booleans()}),
    ),
    max_size=8,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_CHANGES, st.integers(0, 1000))
def test_it_never_goes_back_not_even_over_a_restart(database, changes, passed):
    real = Real()
    database.execute("DELETE FROM meta WHERE key = 'clock'")
    clock = Clock(database, real)
    last = clock()
    for change in changes:
        clock.change(change)
        real.now += timedelta(seconds=passed)
        assert clock() >= last
        last = clock()
    assert abs(Clock(database, real)() - last) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "body",
    [
        {"set": "2020-01-01T00:00:00Z"},
        {"set": "yesterday"},
        {"advanceSeconds": -1},
        {"advanceSeconds": True},
        {"set": "2030-01-01T00:00:00Z", "advanceSeconds": 1},
        {"speed": 2},
    ],
)
def test_what_no_clock_does_is_refused(database, body):
    clock = Clock(database, Real())
    with pytest.raises(ApiError):
        clock.change(body)
    assert clock() == START


async def test_who_waits_wakes_when_it_is_moved_there_and_not_before(database):
    clock = Clock(database, Real())
    never = asyncio.Event()
    waiting = asyncio.create_task(clock.wait_until(START + timedelta(hours=1), never))
    await asyncio.sleep(0)
    clock.change({"advanceSeconds": 3599})
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    clock.change({"advanceSeconds": 1})
    assert await asyncio.wait_for(waiting, 10) is False


async def test_who_waits_is_interrupted(database):
    clock = Clock(database, Real())
    stop = asyncio.Event()
    waiting = asyncio.create_task(clock.wait_until(START + timedelta(hours=1), stop))
    await asyncio.sleep(0)
    stop.set()
    assert await asyncio.wait_for(waiting, 10) is True


@pytest.mark.parametrize(
    ("machine", "replicas", "count"),
    [
        ({"acceleratorType": "NVIDIA_A100_80GB", "acceleratorCount": 8}, 2, {"A10080GBGPUs": 16}),
        ({"machineType": "cloud-tpu", "acceleratorType": "TPU_V3", "acceleratorCount": 32}, 1, {"V3TPUs": 32}),
        ({"machineType": "ct5lp-hightpu-4t"}, 2, {"V5ETPU": 8}),
        ({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "4x4"}, 4, {"V5ETPU": 16}),
        ({"machineType": "ct6e-standard-8t", "tpuTopology": "nonsense"}, 1, {"V6ETPU": 8}),
        ({"machineType": "n1-standard-4"}, 3, {}),
        ({}, 1, {}),
    ],
)  # fmt: skip
def test_machines_have_the_accelerators_that_quotas_count(machine, replicas, count):
    assert dict(accelerators.of_machine(machine, replicas)) == count
