"""Never pay twice, never orphan, never report a false success: random programs, edits, outcomes, faults and signals.

``make soak`` (SOAK_SEED, SOAK_RUNS) plays thousands, ``make test`` always the same few; docs/testing.md says what each
level proves.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from model_based.cloud import Cloud
from model_based.scenario import (
    BAD_SEED,
    BUCKET,
    CUSTOM,
    DEPLOYMENT,
    EVALUATION,
    PIPELINE,
    TUNING,
    VERSION,
    Declared,
    Fault,
    Outcome,
    Run,
    Scenario,
    Strike,
)
from model_based.strategies import scenarios
from model_based.world import Broken, ForkServer, World, brief

# Its faults are drawn at random: one whose method a run does not call fires never, and proves nothing wrong.
pytestmark = pytest.mark.faults_may_miss

SEED = int(os.environ.get("SOAK_SEED") or 0)
# Of five runs each: with nothing else running a minute and a half on two cores.
SCENARIOS = int(os.environ.get("SOAK_RUNS") or 60)
HALVES = 2  # tests that share them: one for each core
FAILURES_SHOWN = 5
PROGRESS = 50  # scenarios from one line that tells how many there were to the next


class Stage:
    """What scenarios share: an emulator, and a process to fork from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cloud = Cloud(folder / "cloud")
        self.server = ForkServer()
        self.scenarios = self.runs = 0

    def play(self, scenario: Scenario, cli: str | None = None) -> int:
        """Plays it; the number of signals that met a process."""
        world = World(self.cloud, self.server, self.folder, scenario, cli)
        self.scenarios += 1
        try:
            world.play()
            return world.struck
        finally:
            self.runs += world.runs
            world.remove()

    def close(self) -> None:
        self.server.close()
        self.cloud.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    # In memory where that is there: what is proved here does not hang on the disk's own time.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        stage = Stage(Path(folder))
        yield stage
        stage.close()


def play_half(stage: Stage, half: int) -> None:
    """Goes on after a failure: what a moment decides may not come again, so each is told whole at once."""
    failures: list[str] = []

    @seed(HALVES * SEED + half)
    @settings(
        max_examples=max(1, SCENARIOS // HALVES),
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios())
    def play(scenario: Scenario) -> None:
        if len(failures) < FAILURES_SHOWN:
            if stage.scenarios and stage.scenarios % PROGRESS == 0:
                print(f"{stage.scenarios} scenarios, {stage.runs} runs", file=sys.stderr, flush=True)
            try:
                stage.play(scenario)
            except Broken as broken:
                failures.append(f"{brief(scenario)}\n{broken}")
                print(failures[-1], file=sys.stderr, flush=True)  # now: a long run may be cut off

    play()
    told = f"{stage.scenarios} scenarios, {stage.runs} runs"
    print(f"SOAK_SEED={SEED} SOAK_RUNS={SCENARIOS}: {told}", file=sys.stderr, flush=True)
    again = f"SOAK_SEED={SEED} SOAK_RUNS={SCENARIOS} make soak"
    assert not failures, "\n\n".join([f"{len(failures)} scenarios failed; again: {again}", *failures])


@pytest.mark.timeout(0)
def test_whatever_happens_a_job_is_paid_for_once_and_told_as_it_is(stage: Stage) -> None:
    play_half(stage, 0)


@pytest.mark.pulumi_cli
@pytest.mark.timeout(0)
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH")
def test_the_pulumi_cli_takes_over_the_state_that_a_disturbed_run_left(stage: Stage) -> None:
    program = (
        Declared("a"),
        Declared("b", TUNING),
        Declared("c", BUCKET, after=("a",)),
        Declared("v", VERSION, of="a"),
    )
    killed = Strike(signal.SIGKILL, request=5)
    left = (Strike(signal.SIGINT, request=4), Strike(signal.SIGINT, request=5))
    other = tuple(replace(item, seed=1) for item in program)
    scenario = Scenario((Run(program, strikes=(killed,)), Run(program), Run(other, strikes=left)))
    assert stage.play(scenario, shutil.which("pulumi")) >= 2  # the second ^C comes only if it still runs


# -- what was found, shrunk --


def test_two_resources_of_one_spec_created_at_once_are_one_job(stage: Stage) -> None:
    stage.play(Scenario((Run((Declared("a"), Declared("b"))),)))


def test_a_run_ends_whose_provider_dies_between_two_calls(stage: Stage) -> None:
    program = (Declared("a", BUCKET), Declared("b", TUNING, 2), Declared("c", after=("a", "b")))
    slow = Fault("aiplatform.projects.locations.tuningJobs.list", times=2, status=500)
    killed = Strike(signal.SIGKILL, "tunestack", event=13)  # b is done, and nothing was asked about c yet
    assert stage.play(Scenario((Run(program, faults=(slow,), strikes=(killed,)),))) == 1


@pytest.mark.parametrize("moment", [1, 3, 9])
def test_a_create_that_arrives_in_the_next_run_is_no_second_job(stage: Stage, moment: int) -> None:
    program = (Declared("a"),)
    assert stage.play(Scenario((Run(program, late=moment), Run(program)))) == 1


def test_a_retry_that_three_resources_ask_for_is_one_submission_a_run(stage: Stage) -> None:
    job = Declared("a", retry_failed=True)
    program = (job, replace(job, name="b"), replace(job, name="c"))
    stage.play(Scenario((Run(program),), outcomes=((job.title, (Outcome("FAILED", "data"),) * 3),)))


@pytest.mark.parametrize("moment", [4, 8])
def test_what_a_destroy_that_was_cut_off_took_away_is_made_again(stage: Stage, moment: int) -> None:
    program = (
        Declared("a", deletion_policy="DELETE"),
        Declared("b", TUNING),
        Declared("d", DEPLOYMENT, of="a"),
        Declared("v", VERSION, of="b"),
    )
    killed = Strike(signal.SIGKILL, "tunestack", request=moment)
    assert stage.play(Scenario((Run(program), Run(program, "destroy", strikes=(killed,)), Run(program)))) == 1


@pytest.mark.parametrize("kind", [TUNING, CUSTOM])
def test_a_create_of_a_job_that_the_server_names_arrives_in_the_next_run_and_is_no_second_job(
    stage: Stage, kind: str
) -> None:
    program = (Declared("a", kind),)
    assert stage.play(Scenario((Run(program, late=2), Run(program)))) == 1


@pytest.mark.parametrize("kind", [PIPELINE, TUNING, CUSTOM])
def test_two_updates_in_a_row_whose_creates_arrive_late_submit_each_spec_once(
    stage: Stage, kind: str
) -> None:
    program = (Declared("a", kind, 2), Declared("b", kind, 2, second=True), Declared("c", kind, 1))
    assert stage.play(Scenario((Run(program, late=1), Run(program, late=2), Run(program)))) >= 2


def test_two_provider_resources_with_one_spec_are_one_job_and_one_retry(stage: Stage) -> None:
    jobs = [Declared("a", kind, retry_failed=True) for kind in (PIPELINE, TUNING, CUSTOM)]
    program = tuple(
        replace(job, name=f"{name}{number}", second=name == "b")
        for number, job in enumerate(jobs)
        for name in ("a", "b")
    )
    failed = tuple((job.title, (Outcome("FAILED", "stockout"),) * 3) for job in jobs)
    stage.play(Scenario((Run(program),), outcomes=failed))


def test_another_model_behind_a_job_is_judged_anew(stage: Stage) -> None:
    def program(seed: int) -> tuple[Declared, ...]:
        return Declared("a", seed=seed), Declared("e", EVALUATION, 1, of="a")

    stage.play(Scenario((Run(program(0)), Run(program(BAD_SEED)), Run(program(1)))))


# -- the other half: away from the first, or one of two workers gets both --


@pytest.mark.timeout(0)
def test_whatever_else_happens_a_job_is_paid_for_once_and_told_as_it_is(stage: Stage) -> None:
    play_half(stage, 1)
