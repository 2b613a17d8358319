"""What becomes of resources: each of Pulumi's options, over a real program and a real provider process."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tunestack.engine import EngineError, EngineRefused

Project = Any  # of conftest.py, which cannot be imported


def ops(result: Any) -> dict[str, str]:
    """Operation by resource name."""
    return {step["urn"].rsplit("::", 1)[1]: step["op"] for step in result.steps}


def errors(result: Any) -> str:
    return "\n".join(item["message"] for item in result.diagnostics if item["severity"] == "error")


async def test_delete_before_replace_takes_dependents_down_first_and_brings_them_back(
    project: Project,
) -> None:
    program = """
        a = Thing("a", size=SIZE, opts=ResourceOptions(delete_before_replace=True))
        b = Thing("b", nickname=a.size.apply(lambda size: f"of-{size}"))   # a change of it replaces
        c = Thing("c", label=a.size)                                       # a change of it updates
        d = Thing("d", label="x", opts=ResourceOptions(depends_on=[a]))    # nothing of it changes
    """
    project.program(program.replace("SIZE", "'small'"))
    await project.run("up")
    project.program(program.replace("SIZE", "'large'"))
    preview = await project.run("preview")
    assert preview.change_summary == {"replace": 2, "same": 2, "update": 1}
    project.forget_calls()
    replaced = await project.run("up")
    assert replaced.change_summary == {"replace": 2, "same": 2, "update": 1}
    made = project.calls("Create", "Delete", "Update")
    assert made[:3] == ["Delete b", "Delete a", "Create a"]
    assert sorted(made[3:]) == ["Create b", "Update c"]
    assert project.cloud() == ["a", "b", "c", "d"]
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0


async def test_options_that_decide_what_changes_and_what_is_deleted(project: Project) -> None:
    program = """
        FIRST
        Thing("ignored", label=LABEL, tags={"a": LABEL, "b": "kept"},
              opts=ResourceOptions(ignore_changes=["label", "tags.a"]))
        Thing("forced", label=LABEL, opts=ResourceOptions(replace_on_changes=["label"]))
        Thing("triggered", opts=ResourceOptions(replacement_trigger=LABEL))
        lead = Thing("lead", size=SIZE)
        Thing("follows", label="x", opts=ResourceOptions(replace_with=[lead]))
        Thing("vague", type_="toy:index:Vague", label=LABEL)
    """
    first = """
        kept = Thing("kept", label="x", opts=ResourceOptions(retain_on_delete=True))
        host = Thing("host", label="x")
        Thing("guest", label="x", opts=ResourceOptions(deleted_with=host))
    """
    indented = "\n        ".join(line.strip() for line in first.strip().splitlines())
    project.program(program.replace("FIRST", indented).replace("LABEL", "'one'").replace("SIZE", "'small'"))
    assert (await project.run("up")).exit_code == 0
    project.program(program.replace("FIRST", "").replace("LABEL", "'two'").replace("SIZE", "'large'"))
    project.forget_calls()
    changed = await project.run("up")
    assert changed.exit_code == 0
    assert ops(changed) | {"toyproj-dev": "same"} == {
        "toyproj-dev": "same",
        "forced": "replace",
        "triggered": "replace",
        "lead": "replace",
        "follows": "replace",
        "vague": "update",
        "kept": "delete",
        "host": "delete",
        "guest": "delete",
    }
    assert project.resources()["ignored"]["inputs"] == {"label": "one", "tags": {"a": "one", "b": "kept"}}
    deleted = project.calls("Delete")
    assert "Delete host" in deleted
    assert not {"Delete kept", "Delete guest"} & set(deleted)
    assert "kept" not in project.resources()
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0


async def test_protected_resources_are_neither_deleted_nor_replaced(project: Project) -> None:
    program = 'Thing("a", size=SIZE, opts=ResourceOptions(protect=True))'
    project.program(program.replace("SIZE", "'small'"))
    await project.run("up")
    before = project.export()["resources"]
    project.program("")
    refused = await project.run("up")
    assert refused.exit_code == 1
    assert "cannot be deleted\nbecause it is protected" in errors(refused)
    assert (await project.run("destroy")).exit_code == 1
    project.program(program.replace("SIZE", "'large'"))
    refused = await project.run("preview")
    assert refused.exit_code == 1
    assert "unable to replace resource" in errors(refused)
    assert project.export()["resources"] == before
    assert project.cloud() == ["a"]


async def test_renamed_and_moved_resources_are_found_by_their_aliases(project: Project) -> None:
    group = """
        class Group(pulumi.ComponentResource):
            def __init__(self, name, opts=None):
                super().__init__("toy:index:Group", name, None, opts)
                inner = Thing(f"{name}-inner", label="x", opts=ResourceOptions(parent=self))
                Thing(f"{name}-user", label=inner.state, opts=ResourceOptions(parent=self))
                self.register_outputs({})
    """
    project.program(
        group
        + """
        Group("old")
        Thing("loose", label="x")
        pulumi.export("n", 1)
    """
    )
    await project.run("up")
    ids = {name: item.get("id") for name, item in project.resources().items()}
    project.program(
        group
        + """
        moved = Group("new", ResourceOptions(aliases=[pulumi.Alias(name="old")]))
        Thing("tight", label="x", opts=ResourceOptions(
            parent=moved, aliases=[pulumi.Alias(name="loose", parent=pulumi.ROOT_STACK_RESOURCE)]))
        pulumi.export("n", 1)
    """
    )
    project.forget_calls()
    renamed = await project.run("up")
    assert renamed.exit_code == 0, renamed.diagnostics
    assert renamed.change_summary == {"same": 5}
    assert project.calls("Create", "Delete") == []
    after = project.resources()
    assert [after[name]["id"] for name in ("new-inner", "new-user", "tight")] == [
        ids[name] for name in ("old-inner", "old-user", "loose")
    ]
    assert "::old-inner" not in json.dumps(project.export()["resources"])
    assert (await project.run("destroy")).exit_code == 0


async def test_explicit_providers_serve_with_their_own_configuration(project: Project) -> None:
    program = """
        seed = Thing("seed", label="x")
        one = Toy("one", account=ACCOUNT, region="eu")
        two = Toy("two", account=seed.state)             # known only after seed was made
        Thing("of-one", label="x", opts=ResourceOptions(provider=one))
        of_two = Thing("of-two", label="x", opts=ResourceOptions(provider=two))
        echo = pulumi.runtime.invoke_output("toy:index:getEcho", {"x": 1}, pulumi.InvokeOptions(provider=one)) \\
            if hasattr(pulumi.runtime, "invoke_output") else None
        pulumi.export("account", of_two.account)
    """
    project.configure(toy__account="of-the-stack")
    project.program(program.replace("ACCOUNT", "'first'"))
    preview = await project.run("preview")
    assert preview.change_summary == {"create": 6}
    up = await project.run("up")
    assert up.outputs == {"account": "DONE"}
    accounts = {
        name: item["outputs"].get("account")
        for name, item in project.resources().items()
        if "outputs" in item
    }
    assert (accounts["seed"], accounts["of-one"], accounts["of-two"]) == ("of-the-stack", "first", "DONE")
    assert "region" in project.resources()["one"]["inputs"]

    # A new account replaces the provider, and with it what it serves.
    project.program(program.replace("ACCOUNT", "'second'"))
    moved = await project.run("up")
    assert moved.exit_code == 0, moved.diagnostics
    assert {name: op for name, op in ops(moved).items() if op != "same"} == {
        "one": "replace",
        "of-one": "replace",
    }
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0
    assert (await project.run("destroy")).exit_code == 0
    assert project.cloud() == []


async def test_what_exists_already_is_imported_or_only_read(project: Project) -> None:
    (project.home / "cloud").mkdir()
    for name in ("mine", "theirs"):
        (project.home / "cloud" / f"things_{name}-1").write_text(json.dumps({"label": "x", "state": "DONE"}))
    project.program("""
        mine = Thing("mine", label="x", opts=ResourceOptions(import_="things/mine-1"))
        theirs = Thing("theirs", opts=ResourceOptions(id="things/theirs-1"))
        pulumi.export("states", [mine.state, theirs.state])
    """)
    adopted = await project.run("up")
    assert adopted.exit_code == 0, adopted.diagnostics
    assert adopted.outputs == {"states": ["DONE", "DONE"]}
    assert adopted.change_summary == {"create": 1, "import": 1, "read": 1}
    assert project.calls("Create") == []
    assert project.resources()["theirs"]["external"] is True
    assert (await project.run("up")).change_summary == {"read": 1, "same": 2}
    await project.run("destroy")
    assert project.cloud() == ["theirs"]
    project.program('Thing("gone", label="x", opts=ResourceOptions(import_="things/none"))')
    missing = await project.run("preview")
    assert missing.exit_code == 1
    assert "resource 'things/none' does not exist" in errors(missing)


async def test_transforms_and_hooks_of_the_program_are_called(project: Project) -> None:
    project.program("""
        def label(args):
            if args.custom and args.type_.startswith("toy:index"):
                return pulumi.ResourceTransformResult({**args.props, "tag": "all"}, args.opts)

        pulumi.runtime.register_resource_transform(label)

        @pulumi.resource_hook("note")
        def note(args):
            print("hook", args.name, (args.new_outputs or {}).get("state"))

        hooks = pulumi.ResourceHookBinding(before_create=[note], after_create=[note], before_delete=[note])
        if pulumi.Config().get_bool("there"):
            a = Thing("a", label="x", opts=ResourceOptions(hooks=hooks))
            Thing("b", label=a.state, password=pulumi.Output.secret("s"))
    """)
    project.configure(there=True)
    made = await project.run("up")
    assert made.exit_code == 0, made.diagnostics
    resources = project.resources()
    assert resources["a"]["inputs"] == {"label": "x", "tag": "all"}
    assert resources["b"]["inputs"]["tag"] == "all"
    assert "ciphertext" in resources["b"]["inputs"]["password"]
    assert resources["b"]["dependencies"] == [resources["a"]["urn"]]
    said = [item["message"].strip() for item in made.diagnostics if item["message"].startswith("hook")]
    assert said == ["hook a None", "hook a DONE"]
    project.configure(there=False)
    gone = await project.run("up")
    assert gone.exit_code == 0, gone.diagnostics
    assert [item["message"].strip() for item in gone.diagnostics if "hook" in item["message"]] == [
        "hook a None"
    ]


async def test_secrets_never_reach_state_events_or_steps_in_the_open(project: Project) -> None:
    project.program("""
        secret = pulumi.Output.secret("hunter2")
        a = Thing("a", password=secret, nested={"deep": [secret]})
        Thing("b", label=a.state, opts=ResourceOptions(additional_secret_outputs=["label"]))
        pulumi.export("password", a.password)
    """)
    result = await project.run("up")
    for document in (project.export(), project.events, result.steps):
        assert "hunter2" not in json.dumps(document)
    assert result.outputs == {"password": "hunter2"}
    assert result.outputs_secret_keys == ["password"]
    from tunestack import engine

    assert engine.stack_outputs(project.options) == {"password": "[secret]"}
    assert engine.stack_outputs(project.options, show_secrets=True) == {"password": "hunter2"}
    first = (project.state / ".pulumi/stacks/toyproj/dev.json").read_text()
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0
    assert (
        project.state / ".pulumi/stacks/toyproj/dev.json"
    ).read_text() == first  # not even new ciphertexts


async def test_assets_differ_only_when_their_content_does(project: Project) -> None:
    project.program('Thing("a", text=pulumi.StringAsset("words"), file=pulumi.FileAsset("data.txt"))')
    data = project.root / "infra" / "data.txt"
    data.write_text("one\n")
    await project.run("up")
    create = next(call["request"]["properties"] for call in project.recorded() if call["method"] == "Create")
    assert create["file"]["path"] == "data.txt"
    assert create["file"]["hash"] == "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"
    assert (create["text"]["text"], len(create["text"]["hash"])) == ("words", 64)
    data.touch()
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0
    data.write_text("two\n")
    assert (await project.run("up")).change_summary == {"same": 1, "update": 1}


@pytest.mark.parametrize(
    ("program", "what"),
    [
        ("pulumi.StackReference('organization/other/dev')", "stack references"),
        ("Thing('a', file=pulumi.FileArchive('.'))", "archives"),
        ("pulumi.runtime.invoke('pulumi:pulumi:getResource', {})", "built-in function"),
    ],
)
async def test_what_is_not_implemented_is_refused_by_name(project: Project, program: str, what: str) -> None:
    project.program(program)
    refused = await project.run("preview")
    assert refused.exit_code == 1
    assert what in errors(refused)
    assert "Traceback" not in errors(refused)


async def test_only_stacks_on_loopback_are_served(project: Project) -> None:
    for endpoints in (
        {},
        {"endpoint": "https://europe-west4-aiplatform.googleapis.com"},
        {"endpoint": "http://127.0.0.1:8571", "regions": [{"storageEndpoint": "http://10.0.0.1"}]},
    ):
        (project.root / "Pulumi.dev.yaml").write_text(
            json.dumps({"config": {f"toyproj:{key}": value for key, value in endpoints.items()}})
        )
        with pytest.raises(EngineRefused, match=r"stack 'dev'.*use the Pulumi CLI"):
            await project.run("preview")
    (project.root / "Pulumi.yaml").unlink()
    with pytest.raises(EngineError, match=r"no Pulumi\.yaml project file found"):
        await project.run("preview")


async def test_a_plugin_already_running_can_be_attached_to(project: Project) -> None:
    import asyncio
    import sys
    from pathlib import Path

    provider = str(Path(__file__).parent / "provider")
    process = await asyncio.create_subprocess_exec(
        sys.executable, provider, env=project.environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = (await process.stdout.readline()).decode().strip()
    try:
        project.environment["PULUMI_DEBUG_PROVIDERS"] = f"toy:{port}"
        project.program('Thing("a", label="x")')
        assert (await project.run("up")).exit_code == 0
        assert {call["pid"] for call in project.recorded()} == {process.pid}
        assert project.calls()[:2] == ["Attach", "Handshake"]
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("named", [True, False])
async def test_plugins_that_the_project_names_load_while_a_new_stacks_program_does(
    project: Project, named: bool
) -> None:
    """They are up before anything asked for them; a stack that stands starts those of its state alone."""
    plugin = project.root / "marked"
    plugin.mkdir()
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    (plugin / "PulumiPlugin.yaml").write_text(json.dumps({"runtime": runtime}))
    (plugin / "__main__.py").write_text(f"open({str(plugin / 'started')!r}, 'w'); print(1, flush=True)")
    lines = f"plugins: {{providers: [{{name: marked, path: {plugin}}}]}}" if named else ""
    text = (project.root / "Pulumi.yaml").read_text().partition("plugins:")[0]
    (project.root / "Pulumi.yaml").write_text(text + lines)
    project.program("pulumi.export('answer', 42)")
    assert (await project.run("up")).exit_code == 0
    assert (plugin / "started").exists() is named
    (plugin / "started").unlink(missing_ok=True)
    assert (await project.run("up", expect_no_changes=True)).exit_code == 0
    assert not (plugin / "started").exists()
