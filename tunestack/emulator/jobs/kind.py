"""What a kind of job is to the runner."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

from tunestack.emulator.jobs.run import Run
from tunestack.emulator.state import State

Json = dict[str, Any]
R = TypeVar("R", bound=Run)


class JobKind(Protocol[R]):
    """``collection`` is the REST collection, ``noun`` what people say; ``states`` are the ends and live states
    that Google knows for it, without their prefix."""

    collection: ClassVar[str]
    noun: ClassVar[str]
    states: ClassVar[frozenset[str]]

    def open(self, state: State, name: str) -> R:
        """The job's run."""

    def trains(self, run: R) -> bool:
        """Whether it needs a slot: jobs that only play a script do not."""

    async def work(self, run: R) -> Json:
        """From RUNNING to the end; the fields of the row of a job that succeeded.

        Begun again after a restart it comes to the same end. Raises `TaskFailed`, `TaskCancelled`, `Ended`.
        """

    def close(self, run: R, state: str, error: Json | None) -> None:
        """Bring the parts of a job to their end that ends red in ``state``, inside its transaction."""
