"""What `up` would tune, in how many steps, and why: the table under a preview."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tunestack.plan import ResolvedPlan

if TYPE_CHECKING:
    from rich.console import Console

PIPELINE_JOB = "tunestack:vertex:PipelineJob"
# How each part of a run's identity is called in front of people.
WORDS = {
    "dataset": "training rows changed",
    "evaluation_data": "validation rows changed",
    "train_steps": "train steps",
    "learning_rate_multiplier": "learning rate multiplier",
    "base_model": "base model",
    "accelerator": "accelerator",
    "batch_size": "batch size",
    "region": "region",
    "template": "pipeline template",
    "early_stopping": "early stopping",
    "evaluation_interval": "evaluation interval",
    "method": "method",
}
DIGESTS = frozenset({"dataset", "evaluation_data"})


@dataclass(frozen=True)
class PlannedJob:
    """One line of the table. ``action`` is tune, retune, resume or unchanged."""

    job: str
    action: str
    reason: str
    region: str
    accelerator: str
    rows: int
    batch_size: int
    steps_per_epoch: int
    train_steps: int
    epochs: float
    spec_hash: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def planned_jobs(plans: Iterable[ResolvedPlan], steps: Sequence[Mapping[str, Any]]) -> list[PlannedJob]:
    """Join the resolved ``plans`` with an engine's preview ``steps`` (the shape of ``pulumi preview --json``)."""
    by_name = {
        str(step["urn"]).rpartition("::")[2]: step
        for step in steps
        if f"{PIPELINE_JOB}::" in str(step.get("urn", "")) and step.get("op") != "delete-replaced"
    }
    jobs = []
    for plan in plans:
        action, reason = _action(by_name.get(plan.job.name))
        jobs.append(
            PlannedJob(
                job=plan.job.name,
                action=action,
                reason=reason,
                region=plan.job.region,
                accelerator=plan.accelerator.description,
                rows=plan.steps.rows,
                batch_size=plan.steps.batch_size,
                steps_per_epoch=plan.steps.steps_per_epoch,
                train_steps=plan.steps.train_steps,
                epochs=plan.steps.epochs,
                spec_hash=plan.spec_hash,
            )
        )
    return jobs


def _action(step: Mapping[str, Any] | None) -> tuple[str, str]:
    op = str(step.get("op", "same")) if step else "same"
    if step is None or op in ("same", "refresh"):
        return "unchanged", ""
    if op == "create":
        return "tune", "new"
    if op == "update":
        return "update", "no retraining" if not (step.get("oldState") or {}).get(
            "initErrors"
        ) else "goes on waiting"
    old = _identity(step.get("oldState"))
    new = _identity(step.get("newState"))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    reasons = [
        f"{WORDS.get(key, key)} ({_short(key, old.get(key))} → {_short(key, new.get(key))})"
        for key in changed
    ]
    return "retune", "; ".join(reasons) or "its specification changed"


def _identity(state: Mapping[str, Any] | None) -> dict[str, str]:
    return dict(((state or {}).get("inputs") or {}).get("identity") or {})


def _short(key: str, value: str | None) -> str:
    return "none" if not value else value[:8] if key in DIGESTS else value


def show_plan(jobs: Sequence[PlannedJob], console: Console, *, with_action: bool = True) -> None:
    """Print the table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    colours = {"tune": "green", "retune": "yellow", "unchanged": "dim"}
    for title in ("tuning job", *(("action",) if with_action else ()), "where", "steps"):
        table.add_column(title)
    for job in jobs:
        action = f"[{colours.get(job.action, 'default')}]{job.action}[/]" + (
            f"\n{job.reason}" if job.reason else ""
        )
        table.add_row(
            f"[bold]{job.job}[/bold]",
            *((action,) if with_action else ()),
            f"{job.region}\n{job.accelerator}",
            f"{job.rows} rows ÷ batch {job.batch_size} = {job.steps_per_epoch} steps per epoch\n"
            f"{job.train_steps} steps = {job.epochs:g} epochs",
        )
    console.print(table, highlight=False)
