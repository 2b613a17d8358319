"""The process that the user's program runs in, as the engine sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tunestack.engine.plugin import activated, interpreter
from tunestack.engine.processes import Child, Watchdog
from tunestack.engine.project import Project


class Program:
    """Started early, it loads the SDK while the engine gets ready; it runs nothing until it is told to.

    What it is told may hold secrets: it goes through a pipe, not through a file, an argument or a variable
    of the environment (which are limited to 128 KiB each besides).
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._child: Child | None = None
        self.on_line: Callable[[str, bool], None] = lambda _line, _is_error: None

    @classmethod
    async def start(cls, project: Project, environment: Mapping[str, str], watchdog: Watchdog) -> Self:
        """Start the process in the program's virtual environment and folder."""
        program = cls(project)
        active = activated(environment, project.virtual_environment)
        active["PYTHONUNBUFFERED"] = "1"
        python = str(interpreter(project.virtual_environment)) if project.virtual_environment else "python3"
        program._child = await Child.start(
            watchdog,
            [python, "-P", Path(__file__).with_name("runner.py")],
            project.program_directory,
            active,
            lambda line: program.on_line(line, False),
            lambda line: program.on_line(line, True),
            listens=True,
        )
        return program

    @property
    def child(self) -> Child:
        if self._child is None:  # pragma: no cover - `start` makes it
            raise RuntimeError("the program was not started")
        return self._child

    async def go(self, settings: Mapping[str, Any]) -> None:
        """Tell it all it needs to know; now it runs the program."""
        main = self._project.main
        program = Path(main).name if (self._project.directory / main).is_file() else "."
        await self.child.tell(json.dumps({"program": program, **settings}))
