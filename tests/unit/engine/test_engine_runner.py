"""The program's process: how it waits for what the program made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pulumi
import pytest
from pulumi.output import UNKNOWN
from pulumi.runtime import rpc
from pulumi.runtime.settings import SETTINGS

from tunestack.engine import runner
from tunestack.engine.runner import GatheringAsyncio

FIRST = asyncio.FIRST_COMPLETED
EACH = "tunestack.engine.runner.GATHERING_SECONDS_EACH"


async def test_what_completes_one_after_the_other_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EACH, 10.0)

    async def end(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    tasks = [asyncio.ensure_future(end(turns)) for turns in range(1, 50)]
    done, pending = await GatheringAsyncio().wait(tasks, return_when=FIRST)
    assert (done, pending) == (set(tasks), set())


@pytest.mark.parametrize("turns", [0, 1, 5], ids=["before", "first", "after another"])
async def test_a_failure_is_told_at_once(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EACH, 10.0)

    async def fail() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ValueError("of the program")

    loop = asyncio.get_running_loop()
    failing, other = asyncio.ensure_future(fail()), asyncio.ensure_future(asyncio.sleep(0))
    never = asyncio.ensure_future(asyncio.Event().wait())
    started = loop.time()
    done, pending = await GatheringAsyncio().wait([failing, other, never], return_when=FIRST)
    assert loop.time() - started < 5
    assert isinstance(failing.exception(), ValueError)
    assert failing in done
    assert pending == {never}
    never.cancel()


async def test_what_takes_long_does_not_hold_up_the_rest() -> None:
    quick, never = asyncio.ensure_future(asyncio.sleep(0)), asyncio.ensure_future(asyncio.Event().wait())
    assert await GatheringAsyncio().wait([quick, never], return_when=FIRST) == ({quick}, {never})
    never.cancel()


async def test_it_waits_for_as_long_as_nothing_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EACH, 0.0)
    late = asyncio.ensure_future(asyncio.sleep(0.01))
    assert await GatheringAsyncio().wait([late], return_when=FIRST) == ({late}, set())


async def test_every_other_wait_is_that_of_asyncio() -> None:
    gathering = GatheringAsyncio()
    never = asyncio.ensure_future(asyncio.Event().wait())
    assert await gathering.wait([never], timeout=0, return_when=FIRST) == (set(), {never})
    assert gathering.sleep is asyncio.sleep
    never.cancel()


def test_the_sdk_does_what_it_does_under_the_names_that_are_replaced() -> None:
    import pulumi.runtime
    from pulumi.runtime.proto import source_pb2

    wait_for_rpcs = pulumi.runtime.run_in_stack.__globals__["wait_for_rpcs"]
    assert wait_for_rpcs.__globals__["asyncio"] is asyncio
    assert {"asyncio", "wait", "FIRST_COMPLETED"} <= set(wait_for_rpcs.__code__.co_names)
    stack_trace = pulumi.runtime.exists_resource.__globals__["_get_stack_trace"]
    assert isinstance(stack_trace(), source_pb2.StackTrace)


class Declared(pulumi.Resource):
    """A resource that is registered nowhere."""

    def __init__(self) -> None:
        pass


@pytest.fixture
def _no_output_stays() -> Iterator[None]:
    yield
    SETTINGS.outputs.clear()  # those that failed would fail the next program of this process


@pytest.mark.usefixtures("_no_output_stays")
@pytest.mark.parametrize("failed", [None, ValueError("refused")])
@pytest.mark.parametrize("custom", [True, False])
@pytest.mark.parametrize("value", ["text", None, {"a": [1.0]}, {"later": UNKNOWN}])
async def test_outputs_resolve_as_those_of_the_sdk(
    value: object, custom: bool, failed: Exception | None
) -> None:
    told = []
    for transfer in (rpc.transfer_properties, runner.transfer_properties):
        resource, other = Declared(), Declared()
        resolvers = transfer(resource, dict.fromkeys(["urn", "id", "state"]), custom)
        outputs = {
            name: output for name, output in vars(resource).items() if isinstance(output, pulumi.Output)
        }
        for resolve in resolvers.values():
            resolve(value, True, True, {other} if custom else None, failed)
        if failed is not None:
            with pytest.raises(ValueError, match="refused"):
                await outputs["state"].future()
        else:
            state = outputs["state"]
            depends_on = {"itself" if each is resource else "other" for each in await state.resources()}
            known = await state.is_known(), await state.is_secret(), depends_on
            told.append((await state.future(), await state.future(with_unknowns=True), known))
        told.append((set(resolvers), set(outputs)))
    half = len(told) // 2
    assert told[:half] == told[half:]
