"""The one shape of an error that a person reads: code, what, where, have against need, fix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
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
