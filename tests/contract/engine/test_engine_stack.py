"""Taking what exists into a stack: resources by their id, and whole deployments from either engine."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tunestack import engine
from tunestack.engine import EngineError, Import

Project = Any  # of conftest.py, which cannot be imported

PROGRAM = """
a = Thing("a", label="x", password=pulumi.Output.secret("s3cret"))
b = Thing("b", label=a.state)
pulumi.export("s", pulumi.Output.secret("x"))
pulumi.export("nested", {"p": pulumi.Output.secret({"q": 1}), "n": [1, 2.5, True]})
"""


def put(project: Project, identifier: str, **properties: Any) -> None:
    """Something that exists remotely and that no stack knows of."""
    (project.home / "cloud").mkdir(exist_ok=True)
    (project.home / "cloud" / identifier.replace("/", "_")).write_text(json.dumps(properties))


def errors(result: Any) -> list[str]:
    return [item["message"] for item in result.diagnostics if item["severity"] == "error"]


async def test_a_resource_is_imported_by_its_id_alone_and_the_program_takes_it_up(project: Project) -> None:
    put(project, "things/b-123456", label="theirs", state="DONE")
    thing = Import("toy:index:Thing", "b", "things/b-123456")
    shown = await project.run("import", imports=(thing,), preview_only=True)
    assert shown.change_summary == {"create": 1, "import": 1}
    project.forget_calls()
    done = await project.run("import", imports=(thing,))
    assert (done.exit_code, done.change_summary) == (0, {"create": 1, "import": 1})
    assert project.calls("Read", "Check", "Diff", "Create", "Update") == ["Read b", "Check b"]
    read, check = (call["request"] for call in project.recorded() if call["method"] in ("Read", "Check"))
    assert (read["id"], read.get("inputs"), read.get("properties")) == ("things/b-123456", None, {})
    assert check["olds"] == check["news"] == {"label": "theirs"}
    state = project.resources()["b"]
    assert (state["protect"], state["inputs"], "importID" in state) == (True, {"label": "theirs"}, False)

    missing = await project.run("import", imports=(Import("toy:index:Thing", "c", "things/nope"),))
    assert (missing.exit_code, "c" in project.resources()) == (1, False)
    assert errors(missing)[0] == "error: resource 'things/nope' does not exist\n"
    other = await project.run("import", imports=(Import("toy:index:Thing", "b", "things/else"),))
    assert errors(other)[0] == f"error: resource '{state['urn']}' already exists\n"
    assert "pending_operations" not in project.export()
    again = await project.run("import", imports=(thing,))
    assert (again.exit_code, again.change_summary) == (0, {"same": 2})

    project.program('Thing("b", label="theirs", opts=ResourceOptions(protect=True))')
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0


async def test_an_exported_deployment_comes_back_with_its_secrets(project: Project) -> None:
    project.program(PROGRAM)
    assert (await project.run("up")).exit_code == 0
    exported = engine.export_stack(project.options)
    assert "s3cret" not in json.dumps(exported)
    assert engine.stack_outputs(project.options) == {
        "s": "[secret]",
        "nested": {"p": "[secret]", "n": [1, 2.5, True]},
    }
    shown = engine.stack_outputs(project.options, show_secrets=True)
    assert shown == {"s": "x", "nested": {"p": {"q": 1}, "n": [1, 2.5, True]}}
    plain = engine.export_stack(project.options, show_secrets=True)
    a = next(item for item in plain["deployment"]["resources"] if item["urn"].endswith("::a"))
    assert a["inputs"]["password"]["plaintext"] == '"s3cret"'

    for taken in (exported, plain):
        assert engine.import_stack(project.options, json.loads(json.dumps(taken))) == []
        assert "s3cret" not in json.dumps(engine.export_stack(project.options))
        assert (await project.run("preview", expect_no_changes=True)).exit_code == 0


def edited(exported: dict[str, Any], edit: Any) -> dict[str, Any]:
    twin = copy.deepcopy(exported)
    edit(twin["deployment"])
    return twin


def pending(deployment: dict[str, Any]) -> None:
    deployment["pending_operations"] = [{"resource": deployment["resources"][-1], "type": "creating"}]


REFUSED = {
    "secrets without a provider": (lambda d: d.pop("secrets_providers"), "no secrets manager could be found"),
    "another passphrase": (
        lambda d: d["secrets_providers"]["state"].update(salt="v1:AAAAAAAAAAA=:v1:AAAAAAAAAAAAAAAA:" + "A" * 32),
        "incorrect passphrase",
    ),
    "out of order": (lambda d: d["resources"].reverse(), "refers to unknown provider"),
    "no parent": (lambda d: d["resources"].pop(0), "parent .* is missing"),
    "twice": (lambda d: d["resources"].append(d["resources"][-1]), "duplicate resource"),
    "another stack": (lambda d: d["resources"][0].update(urn=d["resources"][0]["urn"].replace("dev", "prod")),
                      r"is from a different stack \(prod != dev\)"),
    "tampered with": (lambda d: d["manifest"].update(magic="zzz"), "magic cookie mismatch"),
}  # fmt: skip


async def test_a_dangerous_deployment_is_refused_and_nothing_changes(project: Project) -> None:
    project.program(PROGRAM)
    assert (await project.run("up")).exit_code == 0
    exported = engine.export_stack(project.options)
    for what, (edit, message) in REFUSED.items():
        with pytest.raises(EngineError, match=message):
            engine.import_stack(project.options, edited(exported, edit))
        assert engine.export_stack(project.options) == exported, what
    for junk in ([], {}, {"version": 9}, {"version": 3, "deployment": 7}):
        with pytest.raises(EngineError):
            engine.import_stack(project.options, junk)
    forced = engine.import_stack(project.options, edited(exported, REFUSED["tampered with"][0]), force=True)
    assert "magic cookie mismatch" in forced[0]
    dropped = engine.import_stack(project.options, edited(exported, pending))
    assert "removing pending operation 'creating'" in dropped[0]
    assert "pending_operations" not in project.export()


@pytest.mark.pulumi_cli
async def test_both_engines_import_alike_and_take_each_others_deployments(project: Project) -> None:
    project.program(PROGRAM)
    put(project, "things/i-123456", label="theirs", state="DONE")
    project.pulumi("stack", "init")
    project.pulumi("up", "--yes", "--skip-preview")
    words = ("import", "toy:index:Thing", "i", "things/i-123456", "--yes", "--generate-code=false")
    project.pulumi(*words, "--skip-preview")
    theirs = project.resources()["i"]
    taken = json.loads(project.pulumi("stack", "export").stdout)
    (project.root / "state" / ".pulumi" / "stacks" / "toyproj" / "dev.json").unlink()
    assert engine.import_stack(project.options, taken) == []
    project.program(PROGRAM + 'Thing("i", label="theirs", opts=ResourceOptions(protect=True))')
    assert (await project.run("preview", expect_no_changes=True)).exit_code == 0
    for show in ([], ["--show-secrets"]):
        outputs = json.loads(project.pulumi("stack", "output", "--json", *show).stdout)
        assert outputs == engine.stack_outputs(project.options, show_secrets=bool(show))

    again = Import("toy:index:Thing", "i2", "things/i-123456", protect=True)
    assert (await project.run("import", imports=(again,))).exit_code == 0
    ours = project.resources()["i2"]
    moments = {"urn", "created", "modified"}
    assert {k: v for k, v in ours.items() if k not in moments} == {
        k: v for k, v in theirs.items() if k not in moments
    }
    mine = engine.export_stack(project.options)
    for name, (edit, message) in REFUSED.items():
        (project.root / "export.json").write_text(json.dumps(edited(mine, edit)))
        refused = project.pulumi("stack", "import", "--file", "export.json", check=False)
        assert refused.returncode != 0, (name, message)
    (project.root / "export.json").write_text(json.dumps(mine))
    project.pulumi("stack", "import", "--file", "export.json")
