"""What a watcher of the job sees: `progress.jsonl` and `metrics.jsonl`, a line at a time, flushed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class JsonLines:
    """An append-only file of JSON objects; keys whose value is None are left out."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def append(self, **values: Any) -> None:
        line = json.dumps({key: value for key, value in values.items() if value is not None})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def forget_after(self, step: int) -> None:
        """Drop lines of steps that will be done again, and a last line that a kill cut in two."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:
                continue
        aside = self.path.with_name(f".{self.path.name}")
        aside.write_text("".join(kept), encoding="utf-8")
        aside.replace(self.path)


class Progress:
    """Phases and steps with a forecast of the time left.

    The forecast is the mean time of this process's steps, evaluations included, times the steps left.
    """

    def __init__(self, path: Path, steps: int, clock: Callable[[], float]) -> None:
        self._lines = JsonLines(path)
        self._steps = steps
        self._clock = clock
        self._begun = clock()
        self._first_step: tuple[int, float] | None = None

    def report(
        self,
        phase: str,
        step: int | None = None,
        epoch: float | None = None,
        loss: float | None = None,
        eval_loss: float | None = None,
        rows: tuple[int, int] | None = None,
    ) -> None:
        """Append a line; `rows`: of how many rows how many are cached."""
        self._lines.append(
            phase=phase,
            step=step,
            steps=self._steps,
            epoch=None if epoch is None else round(epoch, 3),
            loss=loss,
            eval_loss=eval_loss,
            rows_done=rows and rows[0],
            rows=rows and rows[1],
            elapsed_seconds=round(self.elapsed, 2),
            eta_seconds=None if step is None else self._forecast(step),
        )

    def stepping(self, step: int) -> None:
        """Steps begin now, after `step` of them are done."""
        self._first_step = (step, self._clock())

    @property
    def elapsed(self) -> float:
        return self._clock() - self._begun

    def _forecast(self, step: int) -> float | None:
        if self._first_step is None or step <= self._first_step[0]:
            return None
        first, began = self._first_step
        return round((self._clock() - began) / (step - first) * (self._steps - step), 1)
