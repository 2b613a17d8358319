"""``tunestack jobs``: the stack's jobs as they are now, and waiting for those that run, also without a program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tunestack.cli.project import Project, add_stack_argument, find_project

if TYPE_CHECKING:
    import asyncio

    from rich.table import Table

    from tunestack.cli.jobs_display import Display
    from tunestack.provider.resource import Session
    from tunestack.vertex.job import Job

KINDS = ("PipelineJob", "TuningJob", "CustomJob")
"""Types of ``tunestack:vertex:…`` that are jobs."""

INTERRUPTED = 130


@dataclass(frozen=True)
class JobRow:
    """One job of the stack. ``name``: the resource's; ``id``: the job's full name; ``error``: why it cannot be seen."""

    name: str
    kind: str
    id: str
    region: str
    spec_hash: str
    state: str
    progress: str = ""
    error: str = ""

    def as_json(self) -> dict[str, str]:
        return {
            "name": self.name,
            "kind": self.kind,
            "id": self.id,
            "region": self.region,
            "specHash": self.spec_hash,
            "state": self.state,
            "progress": self.progress,
            "error": self.error,
        }

    def seen(self, job: Job) -> JobRow:
        """The row after a look at the job."""
        progress = job.error_message if job.rule.terminal else job.progress
        words = "" if progress == job.state.lower() else progress
        return replace(self, state=job.state, progress=words, error="")

    @property
    def green(self) -> bool:
        """Whether it ended as it should."""
        return self.state == "SUCCEEDED" and not self.error

    @property
    def words(self) -> str:
        return self.error or self.progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | watch")
    for name, summary in (
        ("list", "the stack's jobs as they are now"),
        ("watch", "follow them until all have ended; ^C leaves, the jobs go on"),
    ):
        action = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        action.add_argument("names", nargs="*", metavar="NAME", help="these jobs only")
        add_stack_argument(action)
        action.add_argument("--json", action="store_true", help="for machines; watch: a line a change")


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from tunestack.cli.engines import open_engine

    project = find_project(arguments.cwd, arguments.stack)
    rows = chosen(jobs_in(open_engine(project, "auto").resources()), arguments.names)
    if not rows and not arguments.json:
        print(f"stack {project.stack} has no jobs; run: tunestack up --stack {project.stack}")
        return 0
    if arguments.action == "list":
        return asyncio.run(_list(project, rows, as_json=arguments.json))
    return asyncio.run(_watch(project, rows, as_json=arguments.json))


def jobs_in(resources: Iterable[Mapping[str, Any]]) -> list[JobRow]:
    """The jobs among a deployment's resources, by name; those that wait for their deletion are left out."""
    rows = []
    for resource in resources:
        package, _, kind = str(resource.get("type")).rpartition(":")
        if package != "tunestack:vertex" or kind not in KINDS or resource.get("delete"):
            continue
        outputs = resource.get("outputs") or {}
        # The id of a submission that was unconfirmed stays a placeholder; its name does not.
        id_ = str(outputs.get("name") or resource.get("id") or "")
        rows.append(
            JobRow(
                name=str(resource["urn"]).rpartition("::")[2],
                kind=kind,
                id=id_,
                region=str(outputs.get("location") or ""),
                spec_hash=str(outputs.get("specHash") or ""),
                state=str(outputs.get("state") or "UNCONFIRMED"),
            )
        )
    return sorted(rows, key=lambda row: (row.name, row.kind))


def chosen(rows: list[JobRow], names: Sequence[str]) -> list[JobRow]:
    """The rows with these names, all of them without names. Raises TunestackError for a name that is no job's."""
    from tunestack.spec.errors import Problem, TunestackError

    known = sorted({row.name for row in rows})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise TunestackError(
            *(
                Problem("no-such-job", f"the stack has no job {name!r}", have=", ".join(known) or "no jobs")
                for name in unknown
            ),
            exit_status=2,
        )
    return [row for row in rows if not names or row.name in names]


def table(rows: Sequence[JobRow]) -> Table:
    """The rows as a person reads them."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("job", "kind", "state", "progress", "region", "spec hash"):
        shown.add_column(title, overflow="fold" if title == "progress" else "ellipsis")
    for row in rows:
        style = "green" if row.green else "red" if _ended(row) else "yellow"
        state = Text(row.state, style=style)
        shown.add_row(Text(row.name), row.kind, state, Text(row.words), row.region, row.spec_hash[:12])
    return shown


def _ended(row: JobRow) -> bool:
    from tunestack.vertex.job_state import state_rule

    return bool(row.error) or state_rule(row.state).terminal


def _session(project: Project) -> Session:
    from tunestack.provider.configuration import Configuration
    from tunestack.provider.registry import connect

    return connect(Configuration(endpoint=project.endpoint))


async def _look(session: Session, row: JobRow) -> tuple[JobRow, Job | None]:
    """The row after one look at its job; None where there is none to see."""
    from tunestack.provider.job_submission import spec_hash_of_placeholder
    from tunestack.vertex.custom_job import CustomJob
    from tunestack.vertex.errors import GoogleError, NotFound
    from tunestack.vertex.pipeline_job import PipelineJob
    from tunestack.vertex.tuning_job import TuningJob

    view: type[Job] = {"PipelineJob": PipelineJob, "TuningJob": TuningJob, "CustomJob": CustomJob}[row.kind]
    if spec_hash_of_placeholder(row.id):
        return replace(row, error="whether it was submitted is not known; `tunestack up` finds out"), None
    try:
        job = view(await session.vertex.get_job(view.collection, row.id, attempts=3))
    except NotFound:
        return replace(row, error="no longer exists; `tunestack refresh` forgets it"), None
    except GoogleError as error:
        return replace(row, error=f"cannot be seen: {error.status}: {error.message}"), None
    return row.seen(job), job


async def _looks(session: Session, rows: Sequence[JobRow]) -> list[tuple[JobRow, Job | None]]:
    import asyncio

    at_once = asyncio.Semaphore(8)

    async def look(row: JobRow) -> tuple[JobRow, Job | None]:
        async with at_once:
            return await _look(session, row)

    return list(await asyncio.gather(*(look(row) for row in rows)))


async def _list(project: Project, rows: Sequence[JobRow], *, as_json: bool) -> int:
    from tunestack.cli.terminal import console

    rows = [row for row, _ in await _looks(_session(project), rows)]
    if as_json:
        print(json.dumps({"jobs": [row.as_json() for row in rows]}, indent=2))
    else:
        console().print(table(rows))
    return 0


async def _watch(project: Project, rows: Sequence[JobRow], *, as_json: bool) -> int:
    import asyncio
    import signal
    import sys

    from tunestack.cli.jobs_display import show

    cancelled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, cancelled.set)
    session = _session(project)
    with show(sys.stdout, as_json=as_json) as display:
        ended = await follow_all(session, rows, display, cancelled)
    if cancelled.is_set():
        if not as_json:
            print("left; the jobs go on. `tunestack jobs watch` takes them up again, `tunestack up` finishes")
        return INTERRUPTED
    return 0 if all(row.green for row in ended) else 1


async def follow_all(
    session: Session, rows: Sequence[JobRow], display: Display, cancelled: asyncio.Event
) -> list[JobRow]:
    """Follows every job to its end, or until ``cancelled``; the rows as they were last seen."""
    import asyncio
    import math

    from tunestack.provider.following import Interrupted, follow, unless_cancelled
    from tunestack.provider.resource import Call
    from tunestack.vertex.errors import GoogleError, NotFound

    current = {(row.kind, row.name): row for row in rows}

    def told(row: JobRow) -> None:
        current[row.kind, row.name] = row
        display.rows(list(current.values()), row)

    async def one(row: JobRow, job: Job | None) -> None:
        told(row)
        if job is None:
            return
        call = Call("", row.name, display.row(row.name), cancelled, math.inf)
        try:
            await follow(session, call, job, show=True, seen=lambda view: told(row.seen(view)))
        except NotFound:
            told(replace(current[row.kind, row.name], error="no longer exists"))
        except GoogleError as error:
            told(
                replace(current[row.kind, row.name], error=f"cannot be seen: {error.status}: {error.message}")
            )

    try:
        looks = await unless_cancelled(_looks(session, rows), cancelled)
        await asyncio.gather(*(one(row, job) for row, job in looks))
    except Interrupted:
        pass
    return list(current.values())
