"""The one shape of an error that a person reads: code, what, where, have against need, fix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong, with everything needed to mend it.

    ``where`` is ``file:line:column`` or a path or an address; ``have`` and ``need`` may be empty where the
    message says it all; ``fix`` is a command or an edit.
    """

    code: str
    message: str
    where: str = ""
    have: str = ""
    need: str = ""
    fix: str = ""

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message}"]
        for label, value in (("at", self.where), ("have", self.have), ("need", self.need), ("fix", self.fix)):
            if value:
                lines.append(f"  {label:<5} {value}")
        return "\n".join(lines)


class TunestackError(Exception):
    """Bad input or a state that a person must mend. Shown without a traceback; exit status 1 (2: cannot run)."""

    def __init__(self, *problems: Problem, exit_status: int = 1) -> None:
        if not problems:
            raise ValueError("an error without a problem says nothing")
        self.problems = problems
        self.exit_status = exit_status
        super().__init__("\n".join(str(problem) for problem in problems))

    def __reduce__(self) -> tuple[partial[TunestackError], tuple[Problem, ...]]:
        """Pickled by its problems: it is raised in one process and told in another."""
        return partial(TunestackError, exit_status=self.exit_status), self.problems


class SeveralErrors(TunestackError):
    """Everything that is wrong in several places at once; each error keeps its own way of being told."""

    def __init__(self, errors: Sequence[TunestackError], *, root: str = "") -> None:
        """``root`` is a folder that every place is told from, wherever the program happens to run."""
        prefix = f"{root}/" if root else ""
        self._told = "\n".join(str(error) for error in errors)
        if prefix:
            self._told = self._told.replace(prefix, "")
        problems = [
            problem._replace(where=problem.where.removeprefix(prefix))
            for error in errors
            for problem in error.problems
        ]
        super().__init__(*problems, exit_status=max(error.exit_status for error in errors))

    def __str__(self) -> str:
        return self._told
