"""What an operation is given and what it gives back. Light to import: no gRPC, no pulumi."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Operation(StrEnum):
    """What is to be done with a stack."""

    PREVIEW = "preview"
    UP = "up"
    REFRESH = "refresh"
    DESTROY = "destroy"
    IMPORT = "import"


@dataclass(frozen=True)
class Selection:
    """What an operation is limited to; URNs, in which ``*`` and ``**`` are wildcards, as for the CLI.

    Attributes:
        targets: only these (``--target``).
        excludes: all but these (``--exclude``).
        replaces: replace these though nothing of them changed (``--replace``).
        target_dependents: with what depends on the targets.
        exclude_dependents: without what depends on the excluded.
    """

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    target_dependents: bool = False
    exclude_dependents: bool = False


@dataclass(frozen=True)
class Import:
    """Something that exists, to be taken into state.

    Attributes:
        type: its token, such as ``tunestack:vertex:PipelineJob``.
        name: what the program will call it.
        id: what its provider calls it.
        protect: keep it from being deleted, the CLI's default.
        parent: URN; empty for the stack itself.
        provider: URN of an explicit provider in state; empty for the package's default provider.
    """

    type: str
    name: str
    id: str
    protect: bool = True
    parent: str = ""
    provider: str = ""


@dataclass(frozen=True)
class EngineOptions:
    """Which stack, and where everything lies.

    Attributes:
        project_directory: the folder of Pulumi.yaml.
        stack: the stack's name; its configuration is ``Pulumi.<stack>.yaml``.
        state_directory: the file backend (``PULUMI_BACKEND_URL=file://…`` of the CLI).
        pulumi_home: ``PULUMI_HOME``, where installed plugins are looked for.
        passphrase: of the stack's secrets (``PULUMI_CONFIG_PASSPHRASE``).
        parallel: how many provider operations run at once.
        environment: what the program and the plugins inherit.
    """

    project_directory: Path
    stack: str
    state_directory: Path
    pulumi_home: Path
    passphrase: str
    parallel: int = 16
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OperationResult:
    """What came of an operation.

    Attributes:
        exit_code: the CLI's: 0 success, 1 failure or interrupted, 7 changes where none were expected, 8 left
            behind by a second interrupt.
        change_summary: number of resources by operation (``create``, ``same``, ``replace``, …).
        steps: the steps of ``pulumi preview --json`` (secrets redacted).
        outputs: the stack's outputs, secrets open.
        outputs_secret_keys: which of them are secret, or hold a secret.
        diagnostics: those of ``pulumi preview --json``.
        configuration: the stack's, by key; secrets are ``[secret]``.
        duration_seconds: wall-clock time.
    """

    exit_code: int
    change_summary: dict[str, int]
    # `asyncio.run` words what it ran even where nobody reads it, which takes long for a thousand steps.
    steps: list[dict[str, Any]] = field(repr=False)
    outputs: dict[str, Any] = field(repr=False)
    outputs_secret_keys: list[str]
    diagnostics: list[dict[str, Any]]
    configuration: dict[str, str]
    duration_seconds: float


class Interrupt:
    """How the caller interrupts an operation: call `trigger` on the loop's thread (a signal handler there).

    The first time, providers are asked to cancel, what is under way ends, and state is written. The second
    time the operation leaves at once, with what was under way noted in state as pending.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def trigger(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
