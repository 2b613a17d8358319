"""What a person reads at the end of `up`: what was built, where, in how long, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# The metrics a reader looks at first, by task, and whether more is better (None: neither).
METRICS: dict[str, bool | None] = {
    "accuracy": True,
    "macro_f1": True,
    "answered": True,
    "copies_input": False,
    "bleu": True,
    "rouge_l": True,
    "distinct_2": None,
    "commonest_opening": False,
}
SAMPLE_QUESTION = "The only time the office is quiet is when I'm not there."


def show_summary(outputs: Mapping[str, Any], console: Console, *, seconds: float | None) -> None:
    """Print the summary of the stack's ``outputs``; ``seconds`` is how long the operation took."""
    from rich.rule import Rule

    from tunestack.provider.values import UNKNOWN_TEXT

    declared: Mapping[str, Mapping[str, Any]] = outputs.get("models") or {}
    # The Pulumi CLI keeps outputs of what a selection left out as unknown: there is no such model yet.
    models = {name: model for name, model in declared.items() if model.get("state") != UNKNOWN_TEXT}
    environments: Mapping[str, Mapping[str, Any]] = outputs.get("environments") or {}
    if not models and not environments:
        return
    took = f" · {duration(seconds)}" if seconds is not None else ""
    console.print()
    console.print(Rule(f"[bold]What stands now[/bold]{took}", align="left", style="dim"))
    for region, environment in environments.items():
        console.print(
            f"  [bold]{region:<13}[/bold]  {environment.get('accelerator', '')}, data stays in the "
            f"{environment.get('data_residency', '?')} · {environment.get('datasets_bucket', '')}",
            highlight=False,
            soft_wrap=True,
        )
    for name, model in models.items():
        console.print()
        console.print(*_model(name, model), sep="\n", highlight=False)
    simulated = sorted({str(model["simulated_by"]) for model in models.values() if model.get("simulated_by")})
    if simulated:
        bases = ", ".join(sorted({str(model.get("base_model")) for model in models.values()}))
        console.print()
        console.print(
            f"[dim]What these figures mean: the emulator plays {bases} with {', '.join(simulated)}. Both columns are\n"
            "measured here, on held-out rows, through the deployed endpoint. They show that data, recipe and gate\n"
            "work together; they do not tell what Google's own model would score.[/dim]",
            highlight=False,
        )
    _next_steps(models, console)


def _model(name: str, model: Mapping[str, Any]) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    plan = model.get("plan") or {}
    dataset = model.get("dataset") or {}
    verdict = str(model.get("verdict") or "not judged")
    colour = {"PASS": "green", "FAIL": "red"}.get(verdict, "yellow")
    tuned_in = f" · tuned in {duration(model['duration_seconds'])}" if model.get("duration_seconds") else ""
    head = Text.assemble(
        (name, "bold"), f"  {model.get('region')}, {model.get('accelerator')}  ", (verdict, f"bold {colour}")
    )
    how = (
        f"  {dataset.get('rows')} rows ÷ batch {plan.get('batch_size')} = "
        f"{plan.get('steps_per_epoch')} steps per epoch; "
        f"{plan.get('train_steps')} steps = {plan.get('epochs')} epochs{tuned_in}"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for title, justify in (
        ("held-out set", "left"),
        ("rows", "right"),
        ("metric", "left"),
        ("base", "right"),
        ("tuned", "right"),
    ):
        table.add_column(title, justify="right" if justify == "right" else "left")
    for held, scores in _gated_first(model):
        base, tuned = scores.get("base") or {}, scores.get("tuned") or {}
        first = True
        for metric, better in METRICS.items():
            if metric not in tuned:
                continue
            gain = (tuned[metric] - base.get(metric, 0.0)) * (1 if better else -1)
            style = "" if better is None or gain == 0 else "green" if gain > 0 else "red"
            table.add_row(
                held if first else "",
                f"{scores.get('rows', 0):.0f}" if first else "",
                metric.replace("_", " "),
                f"{base[metric]:.2f}" if metric in base else "–",
                f"[{style}]{tuned[metric]:.2f}[/]" if style else f"{tuned[metric]:.2f}",
            )
            first = False
    parts: list[RenderableType] = [head, Text(how, style="dim"), Padding(table, (0, 0, 0, 2))]
    for sample in (model.get("samples") or [])[:1]:
        parts.append(
            Text.assemble(
                "  “", (_question(str(sample.get("input", ""))), "italic"), "”\n",
                ("    base   ", "dim"), _clipped(str(sample.get("base", ""))), "\n",
                ("    tuned  ", "dim"), (_clipped(str(sample.get("tuned", ""))), "bold"),
            )
        )  # fmt: skip
    for line in model.get("gate") or []:
        if not str(line).startswith("PASS"):
            parts.append(Text(f"  {line}", style="red"))
    return parts


def _gated_first(model: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the held-out sets, those that the gate judges before those that are only reported."""
    judged = [str(line).split(" ")[1] for line in model.get("gate") or [] if " " in str(line)]
    scores: Mapping[str, Mapping[str, Any]] = model.get("scores") or {}
    return sorted(scores.items(), key=lambda entry: (entry[0] not in judged, entry[0]))


def _question(prompt: str) -> str:
    """Return what a prompt asks about: its last paragraph, without the word that introduces it."""
    return prompt.rstrip().rpartition("\n\n")[2].removeprefix("Text: ")


def _next_steps(models: Mapping[str, Any], console: Console) -> None:
    from rich.markup import escape

    steps = []
    if "sarcasm-generation" in models:
        steps.append((f'tunestack predict sarcasm-generation "{SAMPLE_QUESTION}"', "ask the tuned model"))
    elif models:
        steps.append((f'tunestack predict {next(iter(models))} "TEXT"', "ask the tuned model"))
    steps += [
        ("tunestack outputs --json", "models, endpoints and scores for machines"),
        ("tunestack preview", "edit a row in datasets/ first: it says what would be retuned, and why"),
        ("make down", "take everything down again"),
    ]
    console.print()
    console.print("[bold]Try next[/bold]  [dim](tunestack is in .venv/bin)[/dim]")
    for command, why in steps:
        console.print(f"  {escape(command)}  [dim]# {why}[/dim]", highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Return ``seconds`` as people say it: 48 s, 3 min 12 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def _clipped(text: str, width: int = 96) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= width else one_line[: width - 1] + "…"
