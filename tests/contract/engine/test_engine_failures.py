"""Failures, interrupts and deaths: what is in state afterwards, and what the next operation makes of it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tunestack.engine import Interrupt, plugin, secrets
from tunestack.engine.errors import EngineError, StackLocked
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.state import verify
from tunestack.engine.store import snapshot_from

Project = Any  # of conftest.py, which cannot be imported


def check_order(project: Project) -> None:
    document = project.export()
    provider = PassphraseSecrets("correct horse", document["secrets_providers"]["state"]["salt"])
    verify(snapshot_from(document, provider).resources)


def messages(project: Project) -> list[str]:
    return [event["diagnosticEvent"]["message"] for event in project.events if "diagnosticEvent" in event]


@contextmanager
def nothing_left_behind(project: Project) -> Iterator[None]:
    """No program and no plugin of the project outlives what is done in between."""
    yield
    marker = str(project.root)

    def alive() -> list[str]:
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if marker in str(process.info["cwd"]) and process.pid != os.getpid():
                found.append(" ".join(process.info["cmdline"] or []))
        return found

    for _ in range(300):
        if not alive():
            return
        import time

        time.sleep(0.01)  # until the kernel has reaped them
    raise AssertionError(f"still running: {alive()}")


async def test_a_partial_failure_keeps_the_id_and_the_next_up_resumes_by_update(project: Project) -> None:
    project.program('Thing("a", label="x")')
    project.script(a__create="init-failed")
    failed = await project.run("up")
    assert failed.exit_code == 1
    assert any("still RUNNING" in item["message"] for item in failed.diagnostics)
    state = project.resources()["a"]
    assert state["id"].startswith("things/a-")
    assert state["initErrors"] == ["still RUNNING; run up again to resume"]
    assert state["outputs"]["state"] == "RUNNING"
    assert "pending_operations" not in project.export()

    preview = await project.run("preview")
    step = next(step for step in preview.steps if step["urn"].endswith("::a"))
    assert (preview.exit_code, step["op"], step["detailedDiff"]) == (0, "update", {})

    project.forget_calls()
    resumed = await project.run("up")
    assert resumed.exit_code == 0
    assert project.calls("Check", "Diff", "Update", "Create") == ["Check a", "Diff a", "Update a"]
    update = next(call["request"] for call in project.recorded() if call["method"] == "Update")
    assert update["olds"]["state"] == "RUNNING"
    assert update["oldInputs"] == update["news"]
    assert "initErrors" not in project.resources()["a"]


async def test_an_update_that_fails_halfway_keeps_old_inputs_and_new_outputs(project: Project) -> None:
    project.program('Thing("a", label="one")')
    await project.run("up")
    project.program('Thing("a", label="two")')
    project.script(a__update="init-failed")
    assert (await project.run("up")).exit_code == 1
    state = project.resources()["a"]
    assert (state["inputs"]["label"], state["outputs"]["label"]) == ("one", "two")
    project.script()
    assert (await project.run("up")).change_summary == {"same": 1, "update": 1}
    assert project.resources()["a"]["inputs"]["label"] == "two"


async def test_a_replacement_that_fails_halfway_is_resumed_before_the_original_goes(project: Project) -> None:
    project.program('Thing("a", size="small")')
    await project.run("up")
    project.program('Thing("a", size="large")')
    project.script(a__create="init-failed")
    assert (await project.run("up")).exit_code == 1
    both = [
        (r.get("delete", False), bool(r.get("initErrors")))
        for r in project.export()["resources"]
        if r["urn"].endswith("::a")
    ]
    assert both == [(False, True), (True, False)]
    assert project.cloud() == ["a", "a"]
    project.script(a__update="fail")
    assert (await project.run("up")).exit_code == 1
    assert project.cloud() == ["a", "a"]
    project.script()
    project.forget_calls()
    assert (await project.run("up")).exit_code == 0
    assert project.calls("Create", "Update", "Delete") == ["Update a", "Delete a"]
    assert project.cloud() == ["a"]


async def test_after_a_failure_nothing_new_begins_and_what_was_made_is_kept(project: Project) -> None:
    project.program("""
        a = Thing("a", label="x")
        b = Thing("b", label=a.state)
        Thing("c", label=b.state)
    """)
    project.script(b__create="fail")
    failed = await project.run("up")
    assert failed.exit_code == 1
    assert [item["message"] for item in failed.diagnostics if item["severity"] == "error"] == [
        "error: create is not allowed\n",
        "error: update failed\n",
    ]
    assert set(project.resources()) == {"toyproj-dev", "default", "a"}
    assert "Create c" not in project.calls()
    check_order(project)
    project.script()
    assert (await project.run("up")).change_summary == {"create": 2, "same": 2}


async def test_a_program_that_raises_fails_the_update_and_keeps_what_was_made(project: Project) -> None:
    project.program("""
        a = Thing("a", label="x")
        a.state.apply(lambda state: 1 / 0)
    """)
    failed = await project.run("up")
    assert failed.exit_code == 1
    assert any("ZeroDivisionError" in item["message"] for item in failed.diagnostics)
    assert "a" in project.resources()
    project.program("raise pulumi.RunError('wrong region: have mars; need us-central1')")
    failed = await project.run("preview")
    assert [item["message"] for item in failed.diagnostics] == [
        "error: wrong region: have mars; need us-central1\n"
    ]


async def test_the_first_interrupt_stores_what_was_under_way_and_the_next_up_resumes(
    project: Project,
) -> None:
    project.program("""
        a = Thing("a", label="x")
        Thing("b", label=a.state)
    """)
    project.script(a__create="slow")
    interrupt = Interrupt()
    with nothing_left_behind(project):
        running = asyncio.create_task(project.run("up", interrupt))
        await project.started("a")
        interrupt.trigger()
        stopped = await running
    assert stopped.exit_code == 1
    assert project.resources()["a"]["initErrors"]
    assert "pending_operations" not in project.export()
    assert "Create b" not in project.calls()
    project.script()
    project.forget_calls()
    assert (await project.run("up")).exit_code == 0
    assert project.calls("Create", "Update") == ["Update a", "Create b"]


async def test_a_second_interrupt_leaves_at_once_with_a_pending_operation(project: Project) -> None:
    project.program('Thing("a", label="x")')
    project.script(a__create="deaf")
    interrupt = Interrupt()
    with nothing_left_behind(project):
        running = asyncio.create_task(project.run("up", interrupt))
        await project.started("a")
        interrupt.trigger()
        while "Cancel" not in project.calls():
            await asyncio.sleep(0.01)
        while not any("still creating" in message for message in messages(project)):
            await asyncio.sleep(0.01)
        assert not running.done()  # a provider that does not listen is waited for
        interrupt.trigger()
        left = await running
    assert left.exit_code == 8
    pending = project.export()["pending_operations"]
    assert [(item["type"], item["resource"].get("id")) for item in pending] == [("creating", None)]
    project.script()
    again = await project.run("up")
    assert again.exit_code == 0
    assert any("interrupted while creating" in item["message"] for item in again.diagnostics)
    assert len(project.export()["pending_operations"]) == 1
    await project.run("refresh", clear_pending_creates=True)
    assert "pending_operations" not in project.export()


async def test_what_an_abandoned_create_made_is_taken_into_state_by_its_id(project: Project) -> None:
    project.program('Thing("a", size=1); Thing("b", size=2)')
    assert (await project.run("up")).exit_code == 0
    # As a run leaves it that was cut off before the provider's answer.
    document = project.export()
    (made,) = [item for item in document["resources"] if item["urn"].endswith("::a")]
    document["resources"].remove(made)
    lost = {key: value for key, value in made.items() if key not in ("id", "outputs")}
    state = project.state / ".pulumi/stacks/toyproj/dev.json"
    whole = json.loads(state.read_text())
    whole["checkpoint"]["latest"] = {
        **document,
        "pending_operations": [{"resource": lost, "type": "creating"}],
    }
    state.write_text(json.dumps(whole))

    with pytest.raises(EngineError, match=r"no create of urn:other is pending; those that are: .*::a"):
        await project.run("refresh", import_pending_creates=(("urn:other", made["id"]),))
    pair = ((made["urn"], made["id"]),)
    seen = await project.run("refresh", import_pending_creates=pair, preview_only=True)
    assert seen.exit_code == 0
    assert len(project.export()["pending_operations"]) == 1
    taken = await project.run("refresh", import_pending_creates=pair)
    assert taken.exit_code == 0
    assert "pending_operations" not in project.export()
    assert project.resources()["a"]["id"] == made["id"]
    again = await project.run("up", expect_no_changes=True)
    assert (again.exit_code, again.change_summary) == (0, {"same": 3})


def named(label: str) -> str:
    return f"""
        pulumi.CustomResource("toy:index:Thing", "a", {{"name": "chosen", "label": "{label}", "state": None}})
    """


async def test_what_a_killed_create_made_under_a_chosen_name_is_taken_over_if_it_is_the_same(
    project: Project,
) -> None:
    project.program(named("x"))
    project.script(a__create="crash")
    assert (await project.run("up")).exit_code == 1
    assert "pending_operations" in project.export()
    project.script()
    project.program(named("y"))
    other = await project.run("up")  # not what was being created: nobody knows whose it is
    assert other.exit_code == 1
    assert any("import toy:index:Thing a ID" in item["message"] for item in other.diagnostics)
    project.program(named("x"))
    done = await project.run("up")
    assert (done.exit_code, project.resources()["a"]["id"]) == (0, "chosen")
    assert any("taken over" in item["message"] for item in done.diagnostics)
    assert "pending_operations" not in project.export()
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0


async def test_timeouts_of_every_kind_reach_the_provider(project: Project) -> None:
    program = """
        Thing("a", label="LABEL", opts=ResourceOptions(
            custom_timeouts=pulumi.CustomTimeouts(create="90s", update="2m", read="1.5s", delete="1h")))
    """
    for label in ("x", "y"):
        project.program(program.replace("LABEL", label))
        assert (await project.run("up")).exit_code == 0
    for operation in ("refresh", "destroy"):
        assert (await project.run(operation)).exit_code == 0
    timeouts = {call["method"]: call["request"].get("timeout") for call in project.recorded()}
    assert {method: timeouts[method] for method in ("Create", "Update", "Read", "Delete")} == {
        "Create": 90,
        "Update": 120,
        "Read": 1.5,
        "Delete": 3600,
    }


async def test_refresh_before_update_reads_first_and_a_clean_read_needs_no_update(project: Project) -> None:
    project.program('Thing("a", label="x")')
    project.script(**{"a__create": "init-failed", "a__refresh-before-update": True})
    assert (await project.run("up")).exit_code == 1
    assert project.resources()["a"]["refreshBeforeUpdate"] is True
    project.script(**{"a__read": "init-failed", "a__refresh-before-update": True})
    project.forget_calls()
    assert (await project.run("preview")).change_summary == {"same": 1, "update": 1}
    assert project.calls("Read", "Diff", "Check", "Update") == [
        "Read a",
        "Diff a",
        "Check a",
        "Diff a",
        "Update a",
    ]
    project.script()
    project.forget_calls()
    done = await project.run("up")
    assert done.change_summary == {"same": 2}
    assert project.calls("Update") == []
    assert "refreshBeforeUpdate" not in project.resources()["a"]


async def test_a_plugin_that_dies_leaves_the_operation_pending(project: Project) -> None:
    project.program('Thing("a", label="x")')
    project.script(a__create="crash")
    failed = await project.run("up")
    assert failed.exit_code == 1
    assert [item["type"] for item in project.export()["pending_operations"]] == ["creating"]


async def test_a_plugin_that_dies_between_two_calls_fails_the_update_and_says_so(project: Project) -> None:
    project.program("""
        a = Thing("a", label="x")
        def kill(state):
            import json, signal
            calls = open(os.environ["TOY_HOME"] + "/calls.jsonl").read().splitlines()
            os.kill(json.loads(calls[-1])["pid"], signal.SIGKILL)
            return state
        Thing("b", label=a.state.apply(kill))
    """)
    async with asyncio.timeout(30):
        failed = await project.run("up")
    assert failed.exit_code == 1
    assert [item["message"] for item in failed.diagnostics if item["severity"] == "error"] == [
        "error: plugin toy ended (exit status -9)\n",
        "error: update failed\n",
    ]
    assert "a" in project.resources()
    project.program('a = Thing("a", label="x")\nThing("b", label=a.state)')
    assert (await project.run("up")).change_summary == {"create": 1, "same": 2}


@pytest.mark.parametrize(
    ("done", "marked"), [(True, "by-itself"), (True, "by-the-pending-operation"), (False, "by-itself")]
)
async def test_after_a_delete_that_was_cut_off_the_next_up_looks_before_it_says_same(
    project: Project, done: bool, marked: str
) -> None:
    project.program('Thing("a", label="x")')
    assert (await project.run("up")).exit_code == 0
    project.script(a__delete="crash")
    assert (await project.run("destroy")).exit_code == 1
    assert project.resources()["a"]["refreshBeforeUpdate"] is True
    state = project.state / ".pulumi/stacks/toyproj/dev.json"
    if marked == "by-the-pending-operation":  # as the CLI leaves it
        whole = json.loads(state.read_text())
        for resource in whole["checkpoint"]["latest"]["resources"]:
            resource.pop("refreshBeforeUpdate", None)
        state.write_text(json.dumps(whole))
    if done:
        (remote,) = (project.home / "cloud").iterdir()
        remote.unlink()
    project.script()
    project.forget_calls()
    assert (await project.run("up")).exit_code == 0
    assert project.calls("Read", "Create") == (["Read a", "Create a"] if done else ["Read a"])
    assert project.cloud() == ["a"]
    assert "refreshBeforeUpdate" not in project.resources()["a"]
    assert "pending_operations" not in project.export()


async def test_a_plugin_that_does_not_come_up_fails_the_update_by_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "START_SECONDS", 2.0)
    silent = project.root / "silent"
    silent.mkdir()
    (silent / "PulumiPlugin.yaml").write_text(
        f"runtime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    )
    (silent / "__main__.py").write_text("import time\ntime.sleep(99)")
    file = project.root / "Pulumi.yaml"
    file.write_text(file.read_text().replace(str(Path(__file__).parent / "provider"), str(silent)))
    project.program('Thing("a", label="x")')
    with nothing_left_behind(project):
        failed = await project.run("up")
    assert any(
        "could not start plugin toy: it did not come up within 2 s" in item["message"]
        for item in failed.diagnostics
    )


async def test_one_operation_at_a_time(project: Project) -> None:
    project.program('Thing("a", label="x")')
    project.script(a__create="slow")
    running = asyncio.create_task(project.run("up"))
    await project.started("a")
    with pytest.raises(StackLocked, match="currently locked by process"):
        await project.run("destroy")
    (project.home / "release").touch()
    assert (await running).exit_code == 0


ENGINE = """
import asyncio, json, sys
from pathlib import Path
from tunestack.engine import EngineOptions, Operation, run, secrets
given = json.loads(sys.argv[1])
secrets.ROUNDS = given["rounds"]
options = EngineOptions(**{key: Path(value) if key.endswith(("directory", "home")) else value
                           for key, value in given["options"].items()})
sys.exit(asyncio.run(run(Operation(given["operation"]), options)).exit_code)
"""


async def start_engine(project: Project, operation: str) -> asyncio.subprocess.Process:
    import json
    from dataclasses import asdict

    options = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(project.options).items()}
    given = json.dumps({"operation": operation, "options": options, "rounds": secrets.ROUNDS})
    return await asyncio.create_subprocess_exec(sys.executable, "-c", ENGINE, given)


@pytest.mark.parametrize("seed", [1])
async def test_kill_9_at_any_moment_leaves_a_state_that_converges(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    program = """
        things = [Thing(f"t{i}", label=LABEL, autoname=True) for i in range(12)]
        for i, thing in enumerate(things):
            Thing(f"u{i}", label=thing.state, size=SIZE)
    """
    with nothing_left_behind(project):
        for _ in range(4):
            label, size = f"label-{chance.randrange(3)}", chance.choice(["small", "large"])
            project.program(program.replace("LABEL", repr(label)).replace("SIZE", repr(size)))
            process = await start_engine(project, chance.choice(["up", "up", "up", "destroy"]))
            before = len(project.recorded())
            moment = chance.randrange(5, 45)
            while process.returncode is None and len(project.recorded()) < before + moment:
                try:
                    await asyncio.wait_for(process.wait(), 0.005)
                except TimeoutError:
                    continue
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            check_order(project)
    final = await project.run("up")
    assert final.exit_code == 0
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0
    assert (await project.run("destroy")).exit_code == 0
    assert project.export().get("resources", []) == []
