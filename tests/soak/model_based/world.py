"""One scenario played: a project's folder, its state, its processes, and what must hold after every run."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson

from model_based.cloud import HELD_OUT, Cloud
from model_based.fork_server import PASSPHRASE, gone_within, hit, hit_each, processes_of
from model_based.invariants import check_final, check_run
from model_based.scenario import (
    DEPLOYMENT,
    EVALUATION,
    GRANT,
    JOBS,
    QUOTA,
    TOKENS,
    VERSION,
    Program,
    Run,
    Scenario,
    Strike,
)
from tunestack.emulator.gcp_provider.install import install
from tunestack.engine import secrets

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
RUNS_UNTIL_QUIET = 8
FEW_ROUNDS = 1000  # of the passphrase's hash: a million would be most of a run's time
LONGEST_RUN = 150.0  # seconds; a second or two is usual, on a machine that others use too up to a minute
_numbers = itertools.count(1)


class Broken(AssertionError):
    """A promise was broken; the message says which, and what led to it."""


class ForkServer:
    """The process that forks a run's processes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "model_based.fork_server"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fork server is gone")
        answer: Json = json.loads(line)
        return answer

    def run(self, request: Json) -> int | None:
        """Exit status of the operation; minus the signal's number where one ended it; None: it had to be killed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        engine = self._answer()["engine"]
        ended = gone_within(engine, LONGEST_RUN)
        if not ended:
            os.kill(engine, signal.SIGUSR1)  # it tells what it waits for
            gone_within(engine, 2.0)
            os.kill(engine, signal.SIGABRT)
        status = int(self._answer()["status"])
        return status if ended else None

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


class Late:
    """A create, the ``number``-th request of its run, that is on its way until the ``until``-th of the next run."""

    def __init__(self, number: int, until: int) -> None:
        self.number, self.until = number, until
        self.released = asyncio.Event()
        self.arrived = threading.Event()


@dataclass
class Watch:
    """What happens with the requests of one run.

    ``struck``: the strikes that came due. ``awaited``: the create that is on its way from the run before; ``caught``:
    the one that goes on its way here.
    """

    run: Run
    awaited: Late | None
    struck: list[Strike] = field(default_factory=list)
    caught: Late | None = None


class World:
    """A stack in a project of its own on a cloud that others share."""

    def __init__(
        self, cloud: Cloud, server: ForkServer, folder: Path, scenario: Scenario, cli: str | None = None
    ) -> None:
        self.cloud, self.server, self.scenario = cloud, server, scenario
        self.cli = cli  # the Pulumi CLI, which is to take over the state after every run
        self.project = f"soak-{next(_numbers)}"
        self.folder = folder / self.project
        self.history: list[str] = []
        self.asked: Counter[str] = Counter()  # spec hash → how often another submission was asked for
        self.program: Program = ()
        self.runs = 0
        self._awaited: Late | None = None
        self._prepare()

    def _prepare(self) -> None:
        (self.folder / "state").mkdir(parents=True)
        (self.folder / "infra").mkdir()
        shutil.copy(ROOT / "tests/soak/program/__main__.py", self.folder / "infra")
        install(self.folder / "home", Path(sys.executable))
        plugin = ROOT / "tunestack/provider/plugin"
        (self.folder / "Pulumi.yaml").write_text(
            f"name: {self.project}\nmain: infra\n"  # URNs, and so automatic names, of its own
            f"runtime: {{name: python, options: {{toolchain: pip, virtualenv: {sys.prefix}}}}}\n"
            f"plugins: {{providers: [{{name: tunestack, path: {plugin}}}]}}\n"
        )
        (self.folder / "Pulumi.dev.yaml").write_text(
            f"config:\n  {self.project}:endpoint: {self.cloud.url}\n"
        )
        self.cloud.call(self.cloud.state.runner.outcomes.clear)
        for title, ends in self.scenario.outcomes:
            for end in ends:
                body = {
                    "displayName": title,
                    "state": end.state,
                    "cause": end.cause,
                    "afterSeconds": end.after,
                }
                self.cloud.call(self.cloud.state.runner.script, body)
        self.cloud.call(self.cloud.state.runner.script, {"state": "SUCCEEDED", "times": 1000})

    @property
    def struck(self) -> int:
        """Number of signals that met a process."""
        path = self.folder / "struck.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the scenario --

    def play(self) -> None:
        """Every run of the scenario, then `up` until quiet; where that is red, with a retry asked for everywhere."""
        for run in self.scenario.runs:
            self.run(run)
        program = self.scenario.last
        if self.until_quiet(program) != 0:
            lax = tuple(replace(item, seed=0) if item.kind == EVALUATION else item for item in program)
            program = tuple(replace(item, retry_failed=item.is_job) for item in lax)
            status = self.until_quiet(program)
            if status != 0:
                self.broken(f"with a retry asked for everywhere, and lax gates, `up` still ends {status}")
        check_final(self, program)
        if self.scenario.destroy:
            self.run(Run(program, "destroy"))

    def until_quiet(self, program: Program) -> int:
        """`up` until it changes nothing any more; its exit status."""
        before = None
        for _ in range(RUNS_UNTIL_QUIET):
            status = self.run(Run(program))
            now = (status, tuple(self.cloud.jobs(self.project)), self.meaning())
            if now == before:
                return status
            before = now
        self.broken(f"`up` is not quiet after {RUNS_UNTIL_QUIET} runs")
        raise AssertionError

    def run(self, run: Run) -> int:
        """One run with what happens to it, and all that must hold after it."""
        self._note_what_is_asked(run)
        self.program = run.program
        self.runs += 1
        document = {
            "project": self.project,
            "quota": QUOTA,
            "held_out": HELD_OUT,
            "resources": [item.to_json() for item in run.program],
        }
        (self.folder / "program.json").write_text(json.dumps(document))
        watch = Watch(run, self._awaited)
        self.cloud.call(self.cloud.state.faults.clear)
        for fault in run.faults:
            body = {
                "method": fault.method,
                "times": fault.times,
                "status": fault.status,
                "truncateAfter": fault.truncate_after,
                "delayMs": fault.delay_ms,
            }
            httpx.post(f"{self.cloud.url}/_local/faults", json=body).raise_for_status()
        seen = len(processes_of(self.folder))
        self.cloud.deeds.clear()
        self.cloud.count_anew(lambda *moment: self._on_request(watch, *moment))
        strikes = [asdict(strike) for strike in run.strikes if strike.event]
        request = {
            "folder": str(self.folder),
            "operation": run.operation,
            "targets": [f"**::{name}" for name in run.targets],
            "strikes": strikes,
            "rounds": FEW_ROUNDS if self.cli is None else secrets.ROUNDS,
        }
        before = self.document()
        status = self.server.run(request)
        if run.operation == "preview" and self.document() != before:
            self.broken("a preview changed the state")
        left = [
            (role, pid) for role, pid in processes_of(self.folder)[seen:] if not gone_within(pid, LONGEST_RUN)
        ]
        self.cloud.count_anew(None)
        if watch.awaited is not None:
            self.cloud.call(watch.awaited.released.set)
            watch.awaited.arrived.wait(10)
        self._awaited = watch.caught
        fired = any(fault["fired"] for fault in self.cloud.call(self.cloud.state.faults.to_json))
        self.cloud.call(self.cloud.state.faults.clear)
        deeds = [f"{deed.verb} {deed.job.kind}/…{deed.job.name[-4:]}" for deed in self.cloud.deeds]
        self.history.append(f"{brief(run)} → {status} {deeds}")
        if status is None:
            self.broken("the run did not end")
            raise AssertionError
        if left:
            self.broken(f"left behind: {left}")
        if self.cli is not None and (run.strikes or run.faults):
            self.check_takeover(self.cli)
        disturbed = bool(run.strikes or run.late or run.targets) or fired
        check_run(self, run, status, disturbed or any(item.deadline for item in run.program))
        return status

    async def _on_request(self, watch: Watch, number: int, before: bool, what: str) -> None:
        """What happens with a request, in the emulator's thread."""
        run, awaited, caught = watch.run, watch.awaited, watch.caught
        if awaited is not None and before and number == awaited.until:
            awaited.released.set()
        if caught is not None and not before and number == caught.number:
            caught.arrived.set()
        creates = before and what.startswith("POST") and what.rpartition("/")[2] in JOBS
        # One at a time is on its way, or it would be for longer than the run that comes after it.
        free = caught is None and (awaited is None or awaited.arrived.is_set())
        if run.late and creates and free and hit_each(self.folder, "tunestack", signal.SIGKILL):
            watch.caught = caught = Late(number, run.late)
            await caught.released.wait()
        for strike in run.strikes:
            due = strike.request and (strike.request, strike.before) == (number, before)
            if due and strike not in watch.struck:
                watch.struck.append(strike)
                pid = hit(self.folder, strike.target, strike.signal)
                if pid is not None and strike.signal == signal.SIGKILL:
                    await asyncio.to_thread(gone_within, pid, 5.0)  # the answer comes too late for it

    def _note_what_is_asked(self, run: Run) -> None:
        """A resource that left the program is deleted; a retry that was asked for is one submission in this run."""
        declared = {item.spec_hash for item in run.program if item.is_job}
        before = {item.spec_hash for item in self.program if item.is_job}
        left = before - declared if run.operation != "destroy" else before | declared
        self.asked.update(left | {item.spec_hash for item in run.program if item.retry_failed})

    # -- what is there --

    def document(self) -> Json:
        path = self.folder / f"state/.pulumi/stacks/{self.project}/dev.json"
        if not path.exists():
            return {}
        latest: Json = orjson.loads(path.read_bytes())["checkpoint"]["latest"]
        return latest

    def resources(self) -> list[Json]:
        return list(self.document().get("resources") or [])

    def held(self, *kinds: str) -> list[Json]:
        """Resources of these kinds in state, with those that wait to be deleted."""
        tokens = {TOKENS[kind] for kind in kinds}
        return [item for item in self.resources() if item["type"] in tokens]

    def meaning(self) -> str:
        """State without what each run writes anew, and without an order that nothing depends on."""
        resources = sorted(self.resources(), key=lambda item: (item["urn"], str(item.get("id"))))
        plain = [{k: v for k, v in item.items() if k != "modified"} for item in resources]
        return json.dumps(plain, sort_keys=True)

    def broken(self, promise: str) -> None:
        cloud = "\n".join(f"    {job}" for job in self.cloud.jobs(self.project))
        held = "\n".join(
            f"    {item['urn'].rsplit('::', 1)[1]} {item.get('outputs', {}).get('state')} {item.get('id')}"
            f" delete={item.get('delete', False)} {item.get('initErrors', '')}"
            for item in self.held(*JOBS, VERSION, DEPLOYMENT, GRANT, EVALUATION)
        )
        pending = [
            f"{item['type']} {item['resource']['urn']}"
            for item in self.document().get("pending_operations") or []
        ]
        history = "\n".join(f"    {line}" for line in self.history)
        events = self.folder / "events.jsonl"
        said = [
            entry["diagnosticEvent"]["message"].strip()
            for entry in map(json.loads, events.read_text().splitlines() if events.exists() else [])
            if "diagnosticEvent" in entry
        ]
        log = self.folder / "engine.log"
        raise Broken(
            f"{promise}\n  runs:\n{history}\n  cloud:\n{cloud}\n  state:\n{held}\n  pending: {pending}\n"
            f"  said: {said}\n  log: {log.read_text()[-3000:] if log.exists() else ''}"
        )

    def check_takeover(self, cli: str) -> None:
        """The Pulumi CLI takes the state that the run left."""
        backend = self.folder / "cli"
        new = not backend.exists()
        backend.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        document = self.folder / "exported.json"
        document.write_text(json.dumps({"version": 3, "deployment": self.document()}))
        commands = [["init", "dev"]] if new else []
        for words in [*commands, ["import", "--stack", "dev", "--file", str(document)]]:
            ended = subprocess.run(
                [cli, "stack", *words, "--non-interactive"],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
            if ended.returncode != 0:
                self.broken(f"pulumi stack {words[0]}: {ended.stdout}{ended.stderr}")


def brief(value: Any) -> str:
    """A value's repr without what is as by default."""
    if isinstance(value, tuple):
        return f"({''.join(brief(item) + ', ' for item in value)})"
    if not is_dataclass(value):
        return repr(value)
    pairs = [(item, getattr(value, item.name)) for item in fields(value)]
    shown = [f"{item.name}={brief(given)}" for item, given in pairs if given != item.default]
    return f"{type(value).__name__}({', '.join(shown)})"
