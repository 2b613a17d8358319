"""The Pulumi CLI and the embedded engine, taking over from each other in the middle of a stack's life."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest

from tunestack.engine.display import preview_digest

Project = Any  # of conftest.py, which cannot be imported

PROGRAM = """
config = pulumi.Config()

class Group(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("toy:index:Group", name, None, opts)
        self.inner = Thing(f"{name}-inner", label="x", tags={"k": "v", "n": [1, 2.5, True, None]},
                           opts=ResourceOptions(parent=self))
        self.register_outputs({"state": self.inner.state})

secret = pulumi.Output.secret("hunter2")
group = Group("g")
explicit = Toy("eu", account="account-eu", token=secret)
under = ResourceOptions(provider=explicit)
a = Thing("a", label="fixed", size="small", autoname=True, opts=under)
b = Thing("b", label=a.state.apply(lambda state: f"after-{state}"), size="small",
          opts=ResourceOptions(provider=explicit, custom_timeouts=pulumi.CustomTimeouts(create="90m", delete="1.5s"),
                               depends_on=[group], ignore_changes=["tags"]))
c = Thing("c", label="l1", password=secret, nested={"deep": [{"secret": secret}]},
          opts=ResourceOptions(additional_secret_outputs=["state"], delete_before_replace=True))
d = Thing("d", text=pulumi.StringAsset("some text"), file=pulumi.FileAsset("data.txt"),
          opts=ResourceOptions(retain_on_delete=True, deleted_with=a, replace_on_changes=["label"]))
e = Thing("e", label=config.require("label"), opts=ResourceOptions(protect=config.get_bool("protect")))
called = pulumi.runtime.invoke("toy:index:getEcho", {"x": 1}).value
pulumi.export("a", a.state)
pulumi.export("c", c.state)
pulumi.export("echo", called["echo"])
"""


def rich(project: Project) -> Project:
    project.program(PROGRAM)
    (project.root / "infra" / "data.txt").write_text("data\n")
    project.configure(label="l1", protect=True)
    return project


def digest(project: Project) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(project.pulumi("preview", "--json").stdout)
    return result


@pytest.mark.pulumi_cli
async def test_the_cli_takes_over_a_stack_in_place_and_changes_nothing(project: Project) -> None:
    rich(project)
    assert (await project.run("up")).exit_code == 0
    assert digest(project)["changeSummary"] == {"same": 9}

    exported = json.loads(project.pulumi("stack", "export").stdout)
    assert [r["urn"] for r in exported["deployment"]["resources"]] == [
        r["urn"] for r in project.export()["resources"]
    ]
    (project.root / "export.json").write_text(json.dumps({"version": 3, "deployment": project.export()}))
    project.pulumi("stack", "import", "--file", "export.json")
    assert digest(project)["changeSummary"] == {"same": 9}

    # There and back: the CLI updates, the embedded engine goes on from there.
    project.configure(label="l2", protect=True)
    project.pulumi("up", "--yes", "--skip-preview")
    back = await project.run("preview")
    assert back.change_summary == {"same": 9}
    project.configure(label="l3", protect=False)
    assert (await project.run("up")).change_summary == {"same": 8, "update": 1}
    assert (await project.run("destroy")).exit_code == 0
    assert project.cloud() == ["d"]  # retained
    assert project.pulumi("stack", "export").returncode == 0


@pytest.mark.pulumi_cli
async def test_the_embedded_engine_takes_over_a_stack_of_the_cli(project: Project) -> None:
    rich(project)
    project.pulumi("stack", "init")
    project.pulumi("up", "--yes", "--skip-preview")
    outputs = json.loads(project.pulumi("stack", "output", "--json").stdout)
    before = project.export()["resources"]
    preview = await project.run("preview", expect_no_changes=True)
    assert preview.change_summary == {"same": 9}
    again = await project.run("up", expect_no_changes=True)
    assert again.exit_code == 0
    assert again.outputs == {**outputs, "c": "DONE"}
    assert again.outputs_secret_keys == ["c"]
    assert {r["urn"]: r for r in project.export()["resources"]} == {r["urn"]: r for r in before}
    assert (await project.run("refresh", preview_only=True, expect_no_changes=True)).exit_code == 0
    assert digest(project)["changeSummary"] == {"same": 9}


@pytest.mark.pulumi_cli
async def test_a_partial_failure_is_resumed_by_the_other_engine(project: Project) -> None:
    project.program("""
        Thing("a", label="x")
        Thing("b", label="y")
    """)
    project.script(a__create="init-failed", b__create="init-failed")
    assert (await project.run("up")).exit_code == 1
    project.script(a__update="init-failed")
    assert project.pulumi("up", "--yes", "--skip-preview", check=False).returncode == 1
    assert project.resources()["a"]["initErrors"]
    project.script()
    result = await project.run("up")
    assert result.exit_code == 0
    assert "initErrors" not in project.resources()["a"]
    assert project.cloud() == ["a", "b"]


@pytest.mark.pulumi_cli
async def test_wrong_configuration_is_refused_in_the_words_of_the_cli(project: Project) -> None:
    from tunestack.engine import EngineError

    project.project_file("""
        config:
          label: {type: string}
          count: {type: integer}
          names: {type: array, items: {type: string}, default: []}
    """)
    project.pulumi("stack", "init")
    for configuration in ({"label": "x", "count": "many"}, {"label": "x", "names": ["a", 3], "count": 1}, {}):
        project.configure(**configuration)
        with pytest.raises(EngineError) as refused:
            await project.run("preview")
        said = project.pulumi("preview", check=False)
        assert said.returncode == 1
        assert str(refused.value) in said.stderr


BEFORE = """
    class Group(pulumi.ComponentResource):
        def __init__(self, name, opts=None, **inputs):
            super().__init__("toy:index:Group", name, inputs, opts)
            Thing(f"{name}-inner", label="x", opts=ResourceOptions(parent=self))
            self.register_outputs({"n": 1})

    one = Toy("one", account="first")
    a = Thing("a", size="small", label="x", opts=ResourceOptions(delete_before_replace=True))
    b = Thing("b", nickname=a.size.apply(lambda size: f"of-{size}"))
    c = Thing("c", label=a.size)
    d = Thing("d", label="x", opts=ResourceOptions(provider=one, replace_on_changes=["label"]))
    Thing("e", label="x", tags={"a": [1, 2], "b": "x"}, opts=ResourceOptions(ignore_changes=["tags.a"]))
    Thing("f", label="x", opts=ResourceOptions(depends_on=[b], protect=True))
    Group("g")
    Thing("h", label="x", opts=ResourceOptions(replacement_trigger="1", retain_on_delete=True))
    Thing("i", type_="toy:index:Vague", label="x", list=[1, {"k": "v"}])
    pulumi.export("out", {"a": a.state, "n": [1, 2]})
"""
EDITS = (
    ("delete-before-replace", [('size="small"', 'size="large"')]),
    (
        "in place",
        [
            ('label="x"', 'label="y"'),
            ('"a": [1, 2]', '"a": [3]'),
            ("[1, {", "[2, {"),
            ('"n": [1, 2]', '"n": [1]'),
        ],
    ),
    (
        "a provider replaced",
        [('account="first"', 'account="second"'), ('replacement_trigger="1"', 'replacement_trigger="2"')],
    ),
    (
        "renamed",
        [
            ('Group("g")', 'Group("g2", ResourceOptions(aliases=[pulumi.Alias(name="g")]))'),
            ('Thing("i"', 'Thing("j"'),
        ],
    ),
    (
        "gone",
        [('    Thing("h"', '    # Thing("h"'), ('    Group("g")', ""), ("protect=True", "protect=False")],
    ),
)


@pytest.mark.pulumi_cli
async def test_both_engines_say_the_same_of_every_kind_of_edit(project: Project) -> None:
    project.program(BEFORE)
    assert (await project.run("up")).exit_code == 0
    for what, edits in EDITS:
        program = BEFORE
        for old, new in edits:
            assert old in program, what
            program = program.replace(old, new)
        project.program(program)
        theirs = digest(project)
        ours = await project.run("preview")
        assert ours.change_summary == theirs["changeSummary"], what
        mine, other = comparable(ours.steps), comparable(theirs["steps"])
        for key in mine | other:
            assert mine.get(key) == other.get(key), f"{what}: {key}"


def comparable(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Steps by URN, without moments of time and without where in the program a resource was declared."""
    result: dict[str, Any] = {}
    for step in json.loads(json.dumps(steps)):
        for state in ("oldState", "newState"):
            for key in ("created", "modified", "sourcePosition", "stackTrace"):
                step.get(state, {}).pop(key, None)
        for key in ("diffReasons", "replaceReasons"):
            if key in step:
                step[key] = sorted(step[key])
        result[f"{step['op']} {step['urn']}"] = step
    return result


def told(events: list[dict[str, Any]]) -> list[str]:
    """What the events say, without moments of time, random ids and how long it took; steps run side by side."""
    lines = []
    for event in events:
        kind, payload = next((key, value) for key, value in event.items() if key.endswith("Event"))
        if payload.get("ephemeral") or payload.get("severity") == "debug":
            continue
        text = json.dumps({kind: {**payload, "durationSeconds": 0}}, sort_keys=True)
        lines.append(re.sub(r"-[0-9a-f]{6}\b|[0-9a-f]{8}-[0-9a-f-]{27}", "-*", text))
    return sorted(lines)


@pytest.mark.pulumi_cli
async def test_both_engines_tell_the_same_events_and_digests(project: Project) -> None:
    """``up --json``, ``refresh --json`` and ``destroy --json`` event by event; ``preview --json`` key by key."""
    project.program(BEFORE)
    assert (await project.run("up")).exit_code == 0
    program = BEFORE
    for old, new in EDITS[1][1]:
        program = program.replace(old, new)
    project.program(program.replace("protect=True", "protect=False"))
    ours = await project.run("preview")
    assert list(preview_digest(ours)) == list(digest(project))
    saved = project.root / "saved"
    for operation in ("up", "refresh", "destroy"):
        for folder in (project.state, project.home):
            shutil.copytree(folder, saved / folder.name)
        theirs = project.pulumi(operation, "--yes", "--skip-preview", "--json", check=False)
        for folder in (project.state, project.home):
            shutil.rmtree(folder)
            shutil.copytree(saved / folder.name, folder)
        shutil.rmtree(saved)
        ours = await project.run(operation)
        assert ours.exit_code == theirs.returncode == 0, theirs.stderr
        expected = [json.loads(line) for line in theirs.stdout.splitlines() if line.startswith("{")]
        assert told(project.events) == told(expected), operation
