"""An operation that changes something in the cloud, and what the engine must hear where it breaks half way."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tunestack.provider.following import DEFAULT_DEADLINE, HEARTBEAT, Interrupted, unless_cancelled
from tunestack.provider.resource import Call, InitFailed, Refused, Session
from tunestack.provider.values import Properties
from tunestack.vertex.client import Json, location_of
from tunestack.vertex.errors import GoogleError, NotSent, ResourceExhausted, ServiceFault
from tunestack.vertex.timing import backoff

RESUME = "run `tunestack up` (or `pulumi up`) again to go on"


class OperationFailed(GoogleError):
    """A long-running operation ended in an error: what it was to do is not done."""


class Attempt:
    """What is known of a resource while it is made or changed; ``left``: a request that changes something went out.

    From then on the only error is ``InitFailed`` with the id, so that nothing is made that the state does not know.
    """

    def __init__(self, id_: str, inputs: Properties, outputs: Properties) -> None:
        self.id = id_
        self._has_id = bool(id_)
        self.inputs = inputs
        self.outputs = dict(outputs)
        self.left = False

    def known_as(self, id_: str) -> None:
        """The id, or a better one, of what is being made; what is there already keeps its id."""
        if not self._has_id:
            self.id = id_

    def in_doubt(self, id_: str, outputs: Properties) -> None:
        """Something that changes something went out, and this is what is known of it."""
        self.left = True
        self.known_as(id_ or self.id)
        self.outputs |= outputs

    @contextmanager
    def sending(self, id_: str = "", **outputs: Any) -> Iterator[None]:
        """Around such a request, with what is known should its answer be lost. One that is refused changed nothing."""
        before = (self.left, self.id, dict(self.outputs))
        self.in_doubt(id_, outputs)
        try:
            yield
        except ServiceFault as error:
            if isinstance(error, NotSent):
                self.left, self.id, self.outputs = before
            raise
        except GoogleError:
            self.left, self.id, self.outputs = before
            raise

    def state(self) -> Properties:
        """Inputs and outputs; what is not known is left out."""
        known = {key: value for key, value in self.outputs.items() if value is not None}
        return {**self.inputs, **known}

    async def carry_out(self, call: Call, work: Awaitable[None]) -> Properties:
        """The state after ``work``. Raises ``InitFailed`` once something left, else what ``work`` raised."""
        try:
            await unless_cancelled(work, call.cancelled)
        except Interrupted:
            if not self.left:
                raise Refused("ABORTED", "stopped before anything was changed") from None
            raise self._failed(f"interrupted; {RESUME}") from None
        except InitFailed:
            raise
        except (GoogleError, Refused) as error:
            if not self.left:
                raise
            raise self._failed(f"{error}; {RESUME}") from error
        except Exception as error:
            if not self.left:
                raise
            raise self._failed(f"stopped by an error of ours: {error!r}; {RESUME}") from error
        return self.state()

    def _failed(self, reason: str) -> InitFailed:
        return InitFailed(self.id, self.state(), [reason], self.inputs)


async def finish(session: Session, call: Call, operation: Mapping[str, Any], what: str) -> Json:
    """The response of a long-running operation, with a sign of life on the row.

    Raises ``OperationFailed``, other ``GoogleError`` (also where the call's time is over) and ``Interrupted``.
    """
    timing, current = session.timing, operation
    name = str(operation.get("name") or "")
    begun = spoke = timing.monotonic()
    attempt = 0
    while name and not current.get("done"):
        now = timing.monotonic()
        line = f"{what} · {now - begun:.0f} s"
        if now - spoke >= HEARTBEAT:
            spoke = now
            await call.log.info(line)
        else:
            await call.log.status(line)
        if now - begun >= (call.deadline or DEFAULT_DEADLINE):
            raise GoogleError(
                0, "DEADLINE_EXCEEDED", f"{what} is not done after {now - begun:.0f} s ({name})"
            )
        await session.pause(backoff(attempt, timing, first=0.2, ceiling=10.0), call.cancelled)
        if call.cancelled.is_set():
            raise Interrupted
        attempt += 1
        try:
            current = await session.vertex.call("GET", location_of(name), name, repeatable=True)
        except (ServiceFault, ResourceExhausted) as error:
            await call.log.status(f"no answer, still trying · {error.status}")
    try:
        return await session.vertex.wait(current)
    except GoogleError as error:
        raise OperationFailed(error.http_status, error.status, error.message, error.details) from error
