"""How an emulator is started."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

DEFAULT_PORT = 8571
DEFAULT_DATA = Path(".tunestack/emulator")
DEFAULT_PROJECT = "tunestack-local"


@dataclass(frozen=True)
class EmulatorOptions:
    """Everything that decides how an emulator behaves.

    ``port`` 0 takes a free one. ``trainer`` and ``base_model`` may be absent: then storage and the registry
    work, and a job that has to train fails saying so. ``parallel_jobs`` is the number of jobs that run at once
    (absent: the cores); each gets ``cores // parallel_jobs`` threads. ``check_responses`` holds every answer
    against Google's schema. ``idle_seconds`` is how long the predict worker stays without work. ``enforce_iam``
    asks policies before each call (docs/emulator.md). ``rpc_port`` serves gRPC too (0 takes a free port, absent: not),
    for the clients that speak nothing else; it needs their libraries.
    """

    data: Path = DEFAULT_DATA
    port: int = DEFAULT_PORT
    project: str = DEFAULT_PROJECT
    base_model: Path | None = None
    trainer: Path | None = None
    parallel_jobs: int | None = None
    check_responses: bool = True
    idle_seconds: float = 300.0
    enforce_iam: bool = False
    rpc_port: int | None = None

    def resolved(self) -> EmulatorOptions:
        """The same with absolute paths."""
        return replace(
            self,
            data=self.data.absolute(),
            base_model=self.base_model and self.base_model.absolute(),
            trainer=self.trainer and self.trainer.absolute(),
        )

    @property
    def account(self) -> str:
        """The service account whose credentials the emulator gives out: the first owner of every project."""
        return f"tunestack@{self.project}.iam.gserviceaccount.com"

    @property
    def cores(self) -> int:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def parallel(self) -> int:
        return max(1, self.parallel_jobs or self.cores)

    @property
    def threads(self) -> int:
        """Threads of one job, and of the predict worker."""
        return max(1, self.cores // self.parallel)

    def to_json(self) -> dict[str, Any]:
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> EmulatorOptions:
        paths = {"data", "base_model", "trainer"}
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            key: Path(value) if key in paths and value is not None else value
            for key, value in body.items()
            if key in known
        }
        return cls(**values)
