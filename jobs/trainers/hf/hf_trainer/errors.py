"""What goes wrong, said for people. Each failure has a kind that decides who can do something about it."""

from __future__ import annotations

import errno
from typing import Literal

Kind = Literal["data", "resources", "internal"]


class TrainerError(Exception):
    """A failure with a message for people. `kind`: the caller's data, the machine's resources, or our own fault."""

    def __init__(self, message: str, kind: Kind = "data") -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Stopped(Exception):
    """The process was asked to stop (SIGTERM); what could be saved is saved."""


def explain(error: BaseException) -> TrainerError:
    """Any exception as a failure for people. Full disks and memory are told apart from faults of the program.

    torch and safetensors wrap a full disk in exceptions of their own, so their texts are looked at too.
    """
    if isinstance(error, TrainerError):
        return error
    text = f"{type(error).__name__}: {error}"
    if (
        getattr(error, "errno", None) == errno.ENOSPC
        or "No space left" in text
        or "failed writing file" in text
    ):
        return TrainerError(
            f"the disk is full ({error}): free some space and start the job again", "resources"
        )
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return TrainerError(
            f"not enough memory ({error}): use a smaller batch_size or shorter rows", "resources"
        )
    if isinstance(error, PermissionError):
        return TrainerError(f"no permission: {error}", "resources")
    if isinstance(error, FileNotFoundError):
        return TrainerError(f"file not found: {error.filename or error}", "data")
    return TrainerError(text, "internal")
