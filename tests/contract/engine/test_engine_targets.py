"""``--target``, ``--exclude`` and ``--replace``: what is touched, what stays, and that the CLI says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tunestack.engine import Selection
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.state import verify
from tunestack.engine.store import snapshot_from

Project = Any  # of conftest.py, which cannot be imported

PROGRAM = """
class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("toy:index:Group", name)
        self.inner = Thing(name + "-inner", label="LABEL", opts=ResourceOptions(parent=self))
        self.register_outputs({"s": self.inner.state})
a = Thing("a", label="LABEL", size="SIZE")
b = Thing("b", label=a.state.apply(lambda state: f"after-{state}"), size="SIZE")
c = Thing("c", label="LABEL", opts=ResourceOptions(depends_on=[b]))
g = Group("g")
EXTRA
pulumi.export("a", a.state)
"""
OLD = 'old = Thing("old", label="x"); dep = Thing("dep", label=old.state)'
NEW = 'n = Thing("n", label="x"); m = Thing("m", label=n.state)'
THING = "urn:pulumi:dev::toyproj::toy:index:Thing::"


def program(label: str, size: str, extra: str = "") -> str:
    return PROGRAM.replace("LABEL", label).replace("SIZE", size).replace("EXTRA", extra)


def things(*names: str) -> tuple[str, ...]:
    return tuple(THING + name for name in names)


def in_order(project: Project) -> None:
    document = project.export()
    secrets = PassphraseSecrets("correct horse", document["secrets_providers"]["state"]["salt"])
    verify(snapshot_from(document, secrets).resources)


def errors(result: Any) -> list[str]:
    return [item["message"] for item in result.diagnostics if item["severity"] == "error"]


async def test_only_targets_are_touched_and_state_stays_in_order(project: Project) -> None:
    project.program(program("one", "small", OLD))
    assert (await project.run("up")).exit_code == 0
    before = project.export()["resources"]
    project.program(program("two", "large", NEW))

    # `dep` depends on `old`, and the program knows neither any more: both must stay, in order.
    project.forget_calls()
    done = await project.run("up", selection=Selection(targets=things("c")))
    assert (done.exit_code, done.change_summary) == (0, {"same": 9, "update": 1})
    assert project.calls("Check", "Update", "Create", "Delete") == ["Check c", "Update c"]
    in_order(project)
    after = {item["urn"]: item for item in project.export()["resources"]}
    assert [urn for item in before if (urn := item["urn"]) in after and after[urn] != item] == [THING + "c"]

    # What is created must have what it needs.
    refused = await project.run("up", selection=Selection(targets=things("m")))
    assert (refused.exit_code, "m" in project.resources()) == (1, False)
    assert errors(refused)[0] == (
        f"error: Resource '{THING}m' depends on '{THING}n' which was was not specified in --target list.\n"
    )
    refused = await project.run("up", selection=Selection(excludes=things("n")))
    assert (refused.exit_code, "m" in project.resources()) == (1, False)
    both = await project.run("up", selection=Selection(targets=things("n"), target_dependents=True))
    assert (both.exit_code, both.change_summary["create"]) == (0, 2)

    # What is deleted takes with it what depends on it, if that was asked for.
    refused = await project.run("up", selection=Selection(targets=things("old")))
    assert refused.exit_code == 1
    assert {"old", "dep"} <= set(project.resources())
    assert f"Resource '{THING}dep' will be destroyed but was not specified" in errors(refused)[0]
    gone = await project.run("up", selection=Selection(targets=("**::old",), target_dependents=True))
    assert (gone.exit_code, gone.change_summary["delete"]) == (0, 2)
    in_order(project)
    assert (await project.run("up")).exit_code == 0
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0


async def test_a_replacement_that_is_asked_for_happens_though_nothing_changed(project: Project) -> None:
    project.program(program("one", "small"))
    assert (await project.run("up")).exit_code == 0
    identity = project.resources()["a"]["id"]
    done = await project.run("up", selection=Selection(replaces=("**::a",)))
    assert done.change_summary == {"replace": 1, "same": 5}
    replaced = next(step for step in done.steps if step["urn"] == THING + "a" and step["op"] == "replace")
    assert replaced["replaceReasons"] == ["id"]
    assert project.resources()["a"]["id"] != identity
    unknown = await project.run("up", selection=Selection(replaces=things("nope")))
    assert errors(unknown)[0].startswith(f"error: Target '{THING}nope' could not be found in the stack.")


async def test_refresh_and_destroy_keep_to_targets_and_excludes(project: Project) -> None:
    project.program(program("one", "small"))
    assert (await project.run("up")).exit_code == 0
    project.forget_calls()
    await project.run("refresh", selection=Selection(targets=things("a"), target_dependents=True))
    assert project.calls("Read") == ["Read a", "Read b", "Read c"]
    project.forget_calls()
    await project.run("refresh", selection=Selection(excludes=things("a"), exclude_dependents=True))
    assert project.calls("Read") == ["Read g-inner"]
    unknown = await project.run("destroy", selection=Selection(targets=things("nope")))
    assert errors(unknown)[0] == f"error: no resource named '{THING}nope' found\n"
    kept = await project.run("destroy", selection=Selection(excludes=things("b")))
    assert kept.exit_code == 0
    assert set(project.resources()) == {"toyproj-dev", "default", "a", "b"}
    in_order(project)


CASES = [
    Selection(targets=things("a")),
    Selection(targets=things("a"), target_dependents=True),
    Selection(targets=things("old"), target_dependents=True),
    Selection(targets=things("zzz")),
    Selection(targets=("**Group*",)),
    Selection(excludes=things("a")),
    Selection(excludes=things("a"), exclude_dependents=True),
    Selection(excludes=things("dep")),
    Selection(replaces=things("c")),
]


@pytest.mark.pulumi_cli
async def test_the_cli_says_the_same_of_every_selection(project: Project) -> None:
    project.program(program("one", "small", OLD))
    assert (await project.run("up")).exit_code == 0
    project.program(program("two", "large", NEW))
    for selection in CASES:
        flags = [
            word
            for flag, urns in (
                ("--target", selection.targets),
                ("--exclude", selection.excludes),
                ("--replace", selection.replaces),
            )
            for urn in urns
            for word in (flag, urn)
        ]
        flags += ["--target-dependents"] * selection.target_dependents
        flags += ["--exclude-dependents"] * selection.exclude_dependents
        run = project.pulumi("preview", "--json", *flags, check=False)
        theirs = json.loads(run.stdout)
        ours = await project.run("preview", selection=selection)
        assert ours.exit_code == run.returncode, selection
        assert ours.change_summary == theirs["changeSummary"], selection
        assert operations(ours.steps) == operations(theirs["steps"]), selection


def operations(steps: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((step["op"], step["urn"], tuple(step.get("replaceReasons") or ())) for step in steps)
