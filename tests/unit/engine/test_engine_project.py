"""Pulumi.yaml and the stack's configuration are checked before anything runs, in the CLI's words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunestack.engine.errors import ConfigurationError, EngineRefused
from tunestack.engine.plugin import find_plugin
from tunestack.engine.project import ConfigValue, load_project, load_stack_configuration, refuse_unless_local
from tunestack.engine.requests import parse_duration
from tunestack.engine.secrets import PassphraseSecrets


def write(folder: Path, project: dict[str, Any], config: dict[str, Any] | None = None, **stack: Any) -> None:
    document = {"name": "p", "runtime": "python", **project}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config or {}, **stack}))


def test_values_are_filled_in_and_kept_as_text(tmp_path: Path) -> None:
    schema = {
        "count": {"type": "integer", "default": 3},
        "names": {"type": "array", "items": {"type": "string"}},
        "gcp:project": {"value": "of-all-stacks"},
        "plain": "short for a value",
    }
    write(tmp_path, {"config": schema}, {"p:names": ["a"], "gcp:config:region": "eu", "flag": True})
    values = load_stack_configuration(load_project(tmp_path), "dev", "words").texts()
    assert values == {
        "gcp:project": "of-all-stacks",
        "gcp:region": "eu",
        "p:count": "3",
        "p:flag": "true",
        "p:names": '["a"]',
        "p:plain": "short for a value",
    }


def test_encrypted_values_are_opened_and_remembered_as_secret(tmp_path: Path) -> None:
    secrets = PassphraseSecrets("words")
    config = {
        "p:token": {"secure": secrets.encrypt_text("t")},
        "p:deep": {"list": [{"secure": secrets.encrypt_text("u")}]},
    }
    write(
        tmp_path,
        {"config": {"token": {"type": "string", "secret": True}}},
        config,
        encryptionsalt=secrets.state,
    )
    configuration = load_stack_configuration(load_project(tmp_path), "dev", "words")
    assert configuration.texts() == {"p:deep": '{"list":["u"]}', "p:token": "t"}
    assert configuration.secret_keys() == ["p:deep", "p:token"]


@pytest.mark.parametrize(
    ("schema", "config", "message"),
    [
        (
            {"a": {"type": "string"}, "b": {"type": "string"}},
            {},
            "Stack 'dev' is missing configuration values 'a' and 'b'",
        ),
        (
            {"n": {"type": "integer"}},
            {"p:n": "x"},
            "Stack 'dev' with configuration key 'n' must be of type 'integer'",
        ),
        ({"n": {"type": "boolean"}}, {"p:n": "yes"}, "must be of type 'boolean'"),
        (
            {"n": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}},
            {"p:n": [["a", 1]]},
            "must be of type 'array<array<string>>'",
        ),
        ({"n": {"type": "string", "secret": True}}, {"p:n": "x"}, "must be encrypted as it's secret"),
        ({"n": {"type": "array"}}, {}, "does not specify the underlying type via the 'items' attribute"),
        ({"n": {"type": "integer", "default": "x"}}, {}, "is not of the expected type 'integer'"),
        (
            {"gcp:region": {"type": "string"}},
            {},
            "is not namespaced by the project and should not define a type",
        ),
        ({"gcp:region": {"description": "x"}}, {}, "must provide an attribute 'value'"),
    ],
)
def test_wrong_configuration_is_named(tmp_path: Path, schema: Any, config: Any, message: str) -> None:
    write(tmp_path, {"config": schema}, config)
    with pytest.raises(ConfigurationError) as error:
        load_stack_configuration(load_project(tmp_path), "dev", "words")
    assert message in str(error.value)


@pytest.mark.parametrize("project", [{"runtime": "nodejs"}, {"packages": {"x": "./x"}}])
def test_projects_of_another_kind_are_refused_by_name(tmp_path: Path, project: dict[str, Any]) -> None:
    write(tmp_path, project)
    with pytest.raises(EngineRefused):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("http://127.0.0.1:8571", True),
        ("http://localhost:1/x", True),
        ("http://[::1]:80", True),
        ("https://127.0.0.1", False),
        ("http://127.0.0.1.example.com", False),
        ("http://user@127.0.0.1", False),
        ("http://0.0.0.0", False),
        ("127.0.0.1:8571", False),
        ("", False),
        (8571, False),
        (["http://127.0.0.1:1", "http://10.0.0.1"], False),
    ],
)
def test_only_loopback_is_local(tmp_path: Path, endpoint: Any, local: bool) -> None:
    values = {"p:emulator": ConfigValue(json.dumps({"storageEndpoint": endpoint}), structured=True)}
    from tunestack.engine.project import StackConfiguration

    configuration = StackConfiguration(values, None)
    if local:
        refuse_unless_local("dev", configuration)
    else:
        with pytest.raises(EngineRefused, match="storageEndpoint"):
            refuse_unless_local("dev", configuration)


def test_plugins_are_found_where_the_cli_finds_them(tmp_path: Path) -> None:
    write(tmp_path, {})
    project, home = load_project(tmp_path), tmp_path / "home"
    for version in ("9.9.0", "10.2.0"):
        folder = home / "plugins" / f"resource-gcp-v{version}"
        folder.mkdir(parents=True)
        (folder / "pulumi-resource-gcp").touch(0o755)
    newest = find_plugin("gcp", "", project, {}, home)
    assert newest.command == (str(home / "plugins/resource-gcp-v10.2.0/pulumi-resource-gcp"),)
    assert "v9.9.0" in find_plugin("gcp", "9.9.0", project, {}, home).command[0]
    ambient = tmp_path / "bin" / "pulumi-resource-gcp"
    ambient.parent.mkdir()
    ambient.touch(0o755)
    assert find_plugin("gcp", "", project, {"PATH": str(ambient.parent)}, home).command == (str(ambient),)
    ignoring = {"PATH": str(ambient.parent), "PULUMI_IGNORE_AMBIENT_PLUGINS": "true"}
    assert find_plugin("gcp", "", project, ignoring, home) == newest
    assert find_plugin("gcp", "", project, {"PULUMI_DEBUG_PROVIDERS": "x:1,gcp:42"}, home).port == 42
    with pytest.raises(Exception, match=r"no resource plugin 'pulumi-resource-gcp v1\.0\.0' found"):
        find_plugin("gcp", "1.0.0", project, {}, home)


def test_durations_are_gos() -> None:
    assert [parse_duration(text) for text in ("", "90s", "1h30m", "1.5s", "250ms")] == [
        0,
        90,
        5400,
        1.5,
        0.25,
    ]
    with pytest.raises(Exception, match="customTimeout"):
        parse_duration("soon")


def test_importing_the_engine_is_cheap() -> None:
    heavy = "[name for name in ('grpc', 'pulumi', 'google.protobuf', 'rich', 'cryptography') if name in sys.modules]"
    code = f"import sys, tunestack.engine; print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
