"""``tunestack emulator fault|outcome|clock|settings``: what is to go wrong, how jobs are to end, what time it is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunestack.cli.help_formatter import help_formatter
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.emulator.process import RunningEmulator

Json = dict[str, Any]

_FAULT_EXAMPLES = """examples:
  tunestack emulator fault add aiplatform.projects.locations.pipelineJobs.create --status 503 --times 2
  tunestack emulator fault add storage.objects.get --truncate-after 1000
  tunestack emulator fault list"""
_OUTCOME_EXAMPLES = """examples:
  tunestack emulator outcome add --job sarcasm-classification --cause stockout
  tunestack emulator outcome add --display-name 'sarcasm*' --state CANCELLED --after-step 20
  tunestack emulator outcome add --now --kind pipelineJobs --state CANCELLED   # stopped in the console
  tunestack emulator outcome add --file outcomes.yaml

A file is a list of outcomes, with the words of the options:
  - {job: sarcasm-classification, cause: preemption, after-step: 40}
  - {kind: tuningJobs, state: SUCCEEDED, after-seconds: 30, times: 10}"""


def add_actions(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the subcommands; ``action(name, summary)`` makes a parser with what all of them take."""
    fault = action("fault", "let calls go wrong by Google's method ids, and see whether they did")
    _with_examples(fault, _FAULT_EXAMPLES)
    fault.add_argument("verb", choices=("add", "list", "clear"))
    fault.add_argument("method", nargs="?", help="add: a method id, or a pattern with *")
    fault.add_argument("--status", type=int, help="answer this HTTP status instead of doing it")
    fault.add_argument("--message", help="the error's message")
    fault.add_argument("--reason", help="the reason in Cloud Storage's errors")
    fault.add_argument("--details", type=_as_json, metavar="JSON", help="the error's details, a list")
    fault.add_argument("--delay-ms", type=int, metavar="N", help="wait before anything else")
    fault.add_argument(
        "--truncate-after", type=int, metavar="BYTES", help="do it, and cut the answer (0: no answer)"
    )
    fault.add_argument("--times", type=int, help="how often (default: 1)")

    outcome = action("outcome", "say how coming jobs end, or those that run now")
    _with_examples(outcome, _OUTCOME_EXAMPLES)
    outcome.add_argument("verb", choices=("add", "list", "clear"))
    outcome.add_argument("--file", "-f", type=Path, help="outcomes in YAML")
    outcome.add_argument("--now", action="store_true", help="for the jobs that run now, not for coming ones")
    outcome.add_argument("--job", help="jobs with this label `job`: the name of a file under jobs/")
    outcome.add_argument("--kind", help="pipelineJobs, tuningJobs, customJobs, …")
    outcome.add_argument("--display-name", help="a pattern with *")
    outcome.add_argument("--label", action="append", metavar="KEY=PATTERN", help="may be repeated")
    outcome.add_argument("--state", help="the end (default: FAILED), or a live state to be held in")
    outcome.add_argument("--cause", help="stockout, quota, preemption, internal, unavailable, deadline, data")
    outcome.add_argument("--status", help="of the error, as a google.rpc.Code")
    outcome.add_argument("--message", help="of the error")
    outcome.add_argument(
        "--after-seconds", type=float, metavar="N", help="of running, by the emulator's clock"
    )
    outcome.add_argument("--after-step", type=int, metavar="N", help="train for real until then")
    outcome.add_argument("--task", help="the pipeline's task that it happens to (default: tune)")
    outcome.add_argument("--times", type=int, help="for how many jobs (default: 1)")

    clock = action("clock", "see, move or hold the emulator's time")
    change = clock.add_mutually_exclusive_group()
    change.add_argument("--set", metavar="TIME", help="2026-12-24T18:00:00Z")
    change.add_argument("--advance", type=float, metavar="SECONDS")
    clock.add_argument(
        "--stopped", action=argparse.BooleanOptionalAction, default=None, help="hold it, or let it go"
    )

    settings = action("settings", "see or change settings until the emulator ends")
    settings.add_argument("changes", nargs="*", metavar="NAME=VALUE", help="e.g. enforceIam=false")


def run(running: RunningEmulator, arguments: argparse.Namespace) -> int:
    actions = {"fault": _fault, "outcome": _outcome, "clock": _clock, "settings": _settings}
    return actions[arguments.action](running, arguments)


def doings(running: RunningEmulator) -> Iterable[str]:
    """What an emulator does, in a few lines."""
    health, settings, faults = (_ask(running, "GET", path) for path in ("health", "settings", "faults"))
    jobs = health["jobs"]
    yield f"project {health['project']}, IAM {'enforced' if settings['enforceIam'] else 'not enforced'}"
    yield f"jobs: {jobs['running']} running, {jobs['waiting']} waiting"
    left = [fault for fault in faults["faults"] if fault["fired"] < fault["times"]]
    if left:
        yield f"faults that have not fired: {', '.join(fault['method'] for fault in left)}"


def _fault(running: RunningEmulator, arguments: argparse.Namespace) -> int:
    if arguments.verb == "add":
        if not arguments.method:
            raise _usage("which method? e.g. tunestack emulator fault add storage.objects.get --status 503")
        if arguments.status is arguments.delay_ms is arguments.truncate_after is None:
            raise _usage("what is to happen? give --status, --delay-ms or --truncate-after")
        body = _given(
            arguments,
            ("method", "status", "message", "reason", "details", "delay_ms", "truncate_after", "times"),
        )
        return _show([_ask(running, "POST", "faults", body)], arguments, _fault_words)
    verb = "DELETE" if arguments.verb == "clear" else "GET"
    return _show(_ask(running, verb, "faults")["faults"], arguments, _fault_words)


def _fault_words(fault: Json) -> str:
    what = [
        f"answers {fault['status']}" if fault["status"] else "",
        f"waits {fault['delayMs']} ms" if fault["delayMs"] else "",
        f"cut after {fault['truncateAfter']} bytes" if fault["truncateAfter"] is not None else "",
    ]
    return f"{fault['method']}: {', '.join(filter(None, what))}; fired {fault['fired']} of {fault['times']}"


def _outcome(running: RunningEmulator, arguments: argparse.Namespace) -> int:
    if arguments.verb != "add":
        verb = "DELETE" if arguments.verb == "clear" else "GET"
        return _show(_ask(running, verb, "outcomes")["outcomes"], arguments, _outcome_words)
    bodies = _outcomes_of(arguments.file) if arguments.file else [_outcome_of(vars(arguments))]
    if arguments.now:
        moved = [name for body in bodies for name in _ask(running, "POST", "jobs", body)["moved"]]
        return _show(moved, arguments, str, "no live job fits")
    return _show([_ask(running, "POST", "outcomes", body) for body in bodies], arguments, _outcome_words)


_OUTCOME_KEYS = (
    "kind",
    "display_name",
    "labels",
    "state",
    "cause",
    "status",
    "message",
    "after_seconds",
    "after_step",
    "task",
    "times",
)


def _outcome_of(values: Json) -> Json:
    labels = dict(values.get("labels") or {})
    for pair in values.get("label") or []:
        key, equals, pattern = pair.partition("=")
        if not equals:
            raise _usage(f"--label {pair}: it is KEY=PATTERN")
        labels[key] = pattern
    if values.get("job"):
        labels["job"] = values["job"]
    found = {**values, "labels": labels or None}
    return {_camel(key): found[key] for key in _OUTCOME_KEYS if found.get(key) is not None}


def _outcomes_of(path: Path) -> list[Json]:
    """The outcomes in a YAML file. Raises TunestackError."""
    import yaml

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        words = error.strerror if isinstance(error, OSError) else None
        problem = Problem("outcomes-unreadable", words or str(error), str(path))
        raise TunestackError(problem, exit_status=2) from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TunestackError(
            Problem("outcomes-unreadable", "it is not a list of outcomes", str(path), fix=_OUTCOME_EXAMPLES),
            exit_status=2,
        )
    known = {*_OUTCOME_KEYS, "job"}
    found = []
    for number, entry in enumerate(entries, start=1):
        named = {str(key).replace("-", "_"): value for key, value in entry.items()}
        if unknown := sorted(set(named) - known):
            allowed = ", ".join(key.replace("_", "-") for key in sorted(known))
            raise TunestackError(
                Problem("unknown-key", f"outcome {number} has {', '.join(unknown)}", str(path), need=allowed),
                exit_status=2,
            )
        found.append(_outcome_of(named))
    return found


def _outcome_words(outcome: Json) -> str:
    of = [
        outcome["kind"] if outcome["kind"] != "*" else "any job",
        f"called {outcome['displayName']}" if outcome["displayName"] != "*" else "",
        *(f"{key}={value}" for key, value in outcome["labels"].items()),
    ]
    when = (
        f"at step {outcome['afterStep']}"
        if outcome["afterStep"] is not None
        else f"after {outcome['afterSeconds']:g} s"
    )
    why = f" ({outcome['status']}: {outcome['message']})" if outcome["state"] == "FAILED" else ""
    return f"{' '.join(filter(None, of))}: {outcome['state']} {when}{why}; used {outcome['used']} of {outcome['times']}"


def _clock(running: RunningEmulator, arguments: argparse.Namespace) -> int:
    body = {"set": arguments.set, "advanceSeconds": arguments.advance, "stopped": arguments.stopped}
    body = {key: value for key, value in body.items() if value is not None}
    answer = _ask(running, "POST" if body else "GET", "clock", body or None)
    ahead = f", {answer['aheadSeconds']:g} s ahead" if answer["aheadSeconds"] else ""
    return _show(
        [answer], arguments, lambda clock: clock["now"] + ahead + (", stopped" if clock["stopped"] else "")
    )


def _settings(running: RunningEmulator, arguments: argparse.Namespace) -> int:
    changes = {}
    for pair in arguments.changes:
        name, equals, value = pair.partition("=")
        if not equals:
            raise _usage(f"{pair}: it is NAME=VALUE")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            raise _usage(f"{pair}: a value is true, false or a number") from None
    answer = _ask(running, "POST" if changes else "GET", "settings", changes or None)
    lines = [f"{name}={json.dumps(value)}" for name, value in answer.items()]
    return _show([answer] if arguments.json else lines, arguments, str)


def _ask(running: RunningEmulator, verb: str, path: str, body: Json | None = None) -> Json:
    from tunestack.emulator.process import ask

    return ask(running.url, verb, f"/_local/{path}", body)


def _show(
    found: list[Any], arguments: argparse.Namespace, words: Callable[[Any], str], none: str = "none"
) -> int:
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\n".join(map(words, found)) or none)
    return 0


def _given(arguments: argparse.Namespace, names: Iterable[str]) -> Json:
    return {_camel(name): value for name in names if (value := getattr(arguments, name)) is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON") from None


def _usage(words: str) -> TunestackError:
    return TunestackError(Problem("usage", words), exit_status=2)


def _with_examples(parser: argparse.ArgumentParser, examples: str) -> None:
    parser.epilog = examples
    parser.formatter_class = help_formatter
