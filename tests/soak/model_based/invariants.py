"""What must hold after every run, and at the end: each promise that is broken is told with all that led to it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from model_based.cloud import Job
from model_based.scenario import (
    BAD_SEED,
    BUCKET,
    DEPLOYMENT,
    EVALUATION,
    GRANT,
    JOBS,
    TOKENS,
    VERSION,
    Declared,
    Program,
    Run,
)
from tunestack.engine.errors import EngineError
from tunestack.engine.state import Resource, verify
from tunestack.provider.deployment import OWNER_LABEL
from tunestack.provider.job_submission import spec_hash_of_placeholder
from tunestack.vertex.job_state import Outcome as End
from tunestack.vertex.job_state import retry_allowed, state_rule

if TYPE_CHECKING:
    from model_based.world import World

Json = dict[str, Any]


def check_run(world: World, run: Run, status: int, disturbed: bool) -> None:
    """All that holds after any run."""
    check_state(world)
    check_deeds(world, run)
    check_reachable(world, run.program)
    check_exit(world, run, status, disturbed)


def check_state(world: World) -> None:
    """Readable and in order, by the engine's own check."""
    try:
        verify([Resource.from_json(item, lambda text: text) for item in world.resources()])
    except (EngineError, ValueError, KeyError) as error:
        world.broken(f"the state is not in order: {error}")


def check_deeds(world: World, run: Run) -> None:
    """What was submitted and cancelled, each looked at in the moment when it was done."""
    if run.operation in ("preview", "refresh") and world.cloud.deeds:
        world.broken(f"{run.operation} changed something: {world.cloud.deeds}")
    if run.operation == "destroy":
        if any(deed.verb == "submit" for deed in world.cloud.deeds):
            world.broken("destroy submitted something")
        return
    declared = {item.spec_hash for item in run.program if item.is_job}
    wanted = {item.spec_hash for item in touched(run) if item.is_job}
    retries = [(item.spec_hash, item.retry_failed) for item in run.program if item.retry_failed]
    may_cancel = {item.spec_hash for item in run.program if item.on_cancel == "cancel"}
    submitted = Counter(deed.job.spec_hash for deed in world.cloud.deeds if deed.verb == "submit")
    for hash_, count in submitted.items():
        if count > 1:
            world.broken(f"{hash_} was submitted {count} times in one run")
    for deed in world.cloud.deeds:
        job = deed.job
        if not job.spec_hash:
            world.broken(f"{job} carries no label to find it by")
        if deed.verb == "cancel" and job.spec_hash in declared - may_cancel:
            world.broken(f"{job} was cancelled though it is declared")
        if deed.verb == "submit":
            if job.spec_hash not in wanted:
                world.broken(f"{job} was submitted though it is not declared, or not a target")
            for other in deed.others:
                if not is_red(other):
                    world.broken(f"{job} was submitted though there is {other}")
            newest = max(deed.others, key=lambda other: (other.created, other.name), default=None)
            if newest is not None and not any(
                hash_ == job.spec_hash and retry_allowed(newest.state, newest.code, asked)
                for hash_, asked in retries
            ):
                world.broken(f"{job} was submitted though nobody asked to retry {newest}")
    for hash_, count in world.cloud.submissions(world.project).items():
        if count > 1 + world.asked[hash_]:
            world.broken(f"{hash_} was submitted {count} times; asked for: {1 + world.asked[hash_]}")


def check_reachable(world: World, program: Program) -> None:
    """A job that runs is in state, or the next `up` finds it by its label, or its create is told as pending."""
    pending = world.document().get("pending_operations") or []
    names = {str(item.get("id")) for item in world.held(*JOBS)}
    names |= {str((item.get("outputs") or {}).get("name")) for item in world.held(*JOBS)}
    hashes = {item.spec_hash for item in program if item.is_job}
    hashes |= {spec_hash_of_placeholder(name) or "" for name in names}
    for job in world.cloud.jobs(world.project):
        if job.live and job.name not in names and job.spec_hash not in hashes and not pending:
            world.broken(f"{job} is an orphan")
    if not pending:
        endpoints = {(item.get("outputs") or {}).get("endpointName") for item in world.held(DEPLOYMENT)}
        for row in world.cloud.rows("endpoints", world.project):
            if OWNER_LABEL in row.get("labels", {}) and local(world, row["name"]) not in endpoints:
                world.broken(f"the endpoint {row['name']} is an orphan")


def check_exit(world: World, run: Run, status: int, disturbed: bool) -> None:
    """The exit status is the truth."""
    if run.operation != "up":
        if status != 0 and not disturbed:
            world.broken(f"{run.operation} ended {status} without a reason")
        if status == 0 and run.operation == "destroy":
            check_destroyed(world)
        return
    jobs = world.cloud.jobs(world.project)
    done = {job.spec_hash for job in jobs if job.state == "SUCCEEDED"}
    undone = [item for item in touched(run) if item.is_job and item.spec_hash not in done]
    if status == 0 and any(item.wait for item in undone):
        world.broken(f"green, and these have not succeeded: {undone}")
    if status == 0:
        check_told(world, touched(run))
    reasons = undone or stays_red(world, touched(run)) or gate_fails(world, touched(run))
    if not disturbed and status != 0 and not reasons:
        world.broken(f"`up` ended {status}, and all that is declared succeeded")
    struck = {-strike.signal for strike in run.strikes if strike.target == "engine"}
    if status not in {0, 1} | ({8} if disturbed else set()) | struck:
        world.broken(f"`up` ended {status}")


def stays_red(world: World, items: Program) -> bool:
    """Whether a job's own run ended red and it was not asked to retry, though another resource of its spec was."""
    red = {job.name for job in world.cloud.jobs(world.project) if is_red(job)}
    unasked = {item.name for item in items if item.is_job and item.retry_failed is not True}
    held = [item for item in world.held(*JOBS) if not item.get("delete") and name_of(item) in unasked]
    return any((item.get("outputs") or {}).get("name") in red for item in held)


def gate_fails(world: World, items: Program) -> bool:
    """Whether an evaluation's model answers worse than its gate asks for."""
    told = {name_of(item): item for item in world.held(*JOBS) if not item.get("delete")}
    judged = [item for item in items if item.kind == EVALUATION and item.of in told]
    return any(not passes(item, told[item.of or ""]["outputs"]) for item in judged)


def passes(item: Declared, job: Json) -> bool:
    """Whether an evaluation passes its gate, of the model of the job in state."""
    return item.seed == 0 or job["identity"]["seed"] != str(BAD_SEED)


def check_told(world: World, items: Program) -> None:
    """After a green run the state says of each resource that it is as declared, and so does the cloud."""
    told = {name_of(item): item for item in world.resources() if not item.get("delete")}
    for item in items:
        found = told.get(item.name)
        if found is None or found.get("initErrors"):
            world.broken(f"green, and the state says of {item.name}: {found}")
            raise AssertionError
        outputs = found.get("outputs") or {}
        if item.is_job and outputs["specHash"] != item.spec_hash:
            world.broken(f"green, and {item.name} is another job than was declared")
        if item.is_job and item.wait and outputs["state"] != "SUCCEEDED":
            world.broken(f"green, and the state says of {item.name}: {found}")
        why_not = amiss(world, item, outputs, told)
        if why_not:
            world.broken(f"green, and {item.name}: {why_not}")


def amiss(world: World, item: Declared, outputs: Json, told: dict[str, Json]) -> str:
    """What is wrong in the cloud with a resource that is no job; nothing where all is right."""
    if item.kind == VERSION:
        source = told[item.of or ""]["outputs"]["model"]
        if outputs["source"].partition("@")[0] != source.partition("@")[0]:
            return f"it is a version of {outputs['source']}, not of {source}"
        aliases = world.cloud.aliases(google(world, outputs["name"]))
        return "" if f"alias-{item.label}" in aliases else f"its aliases are {aliases}"
    if item.kind == DEPLOYMENT:
        there = {local(world, row["name"]): row for row in world.cloud.rows("endpoints", world.project)}
        deployed = [
            (local(world, entry["model"]), row["trafficSplit"].get(entry["id"]))
            for row in [there.get(outputs["endpointName"], {})]
            for entry in row.get("deployedModels", [])
        ]
        model = told[item.of or ""]["outputs"]["model"].partition("@")[0]
        return "" if deployed == [(local(world, model), 100)] else f"{deployed}, not {model}, serves there"
    if item.kind == EVALUATION:
        job = told[item.of or ""]["outputs"]
        accuracy = 0 if job["identity"]["seed"] == str(BAD_SEED) else 1
        if outputs["endpoint"] != job["endpoint"]:
            return f"{outputs['endpoint']} was judged, not {job['endpoint']}"
        if not passes(item, job) or outputs["verdict"] != "PASS":
            return f"its gate does not pass ({outputs['verdict']})"
        if outputs["scores"]["held-out"]["tuned"]["accuracy"] != accuracy:
            return f"its scores are {outputs['scores']}"
        return "" if world.cloud.has_object(outputs["reportUri"]) else f"there is no {outputs['reportUri']}"
    if item.kind == GRANT:
        return "" if outputs["granted"] >= item.seed + 1 else f"{outputs['granted']} is granted"
    return ""


def check_final(world: World, program: Program) -> None:
    """What is in state is what is declared, and so is what is in the cloud."""
    names = [name_of(item) for item in world.resources() if item["type"] in TOKENS.values()]
    if sorted(names) != sorted(item.name for item in program):
        world.broken(f"in state: {sorted(names)}; declared: {sorted(item.name for item in program)}")
    pending = world.document().get("pending_operations")
    buckets = {item["id"] for item in world.held(BUCKET)}
    there = world.cloud.buckets(world.project)
    # One whose create was cut off, and which then left the program, is told as a pending operation.
    if not (buckets == there or (pending and buckets < there)):
        world.broken(f"buckets {there}, in state {buckets}")
    succeeded = {job.name for job in world.cloud.jobs(world.project) if job.state == "SUCCEEDED"}
    if not pending:
        for job in world.cloud.jobs(world.project):
            if job.live:
                world.broken(f"{job} still runs though `up` is green")
    names_held = {(item.get("outputs") or {}).get("name") for item in world.held(*JOBS)}
    if not {name for name in names_held if name} <= succeeded:
        world.broken("a job in state did not succeed")
    if len(world.cloud.preferences(world.project)) > 1:
        world.broken("more than one request for the same quota")


def check_destroyed(world: World) -> None:
    """Nothing is in state, nothing runs, and what was made beside jobs is gone."""
    if world.resources() or any(job.live for job in world.cloud.jobs(world.project)):
        world.broken("destroy left something behind")
    if not world.document().get("pending_operations"):
        for row in world.cloud.rows("models", world.project):
            aliases = world.cloud.aliases(f"{row['name']}@1") - {"default"}
            if aliases:
                world.broken(f"destroy left the aliases {aliases}")


def touched(run: Run) -> Program:
    """What a run is about: all that is declared, or its targets."""
    return tuple(item for item in run.program if not run.targets or item.name in run.targets)


def is_red(job: Job) -> bool:
    """Ended otherwise than by success, or about to."""
    rule = state_rule(job.state)
    return rule.outcome is End.RED or not rule.adoptable


def name_of(item: Json) -> str:
    return str(item["urn"].rsplit("::", 1)[1])


def local(world: World, name: str) -> str:
    """A name with the project's id, which the provider uses for what it names itself."""
    return f"projects/{world.project}/{name.split('/', 2)[2]}"


def google(world: World, name: str) -> str:
    """A name with the project's number, as the emulator's rows have it."""
    number = world.cloud.call(world.cloud.state.projects.number, world.project)
    return f"projects/{number}/{name.split('/', 2)[2]}"
