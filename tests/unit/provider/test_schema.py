"""The package's schema and the typed inputs: one says what the other checks, down to the last nested field."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tunestack.provider.custom_job_inputs import CustomJobInputs
from tunestack.provider.deployment_inputs import DeploymentInputs
from tunestack.provider.evaluation import EvaluationInputs
from tunestack.provider.inputs import Inputs
from tunestack.provider.model_version_inputs import ModelVersionInputs
from tunestack.provider.pipeline_job_inputs import PipelineJobInputs
from tunestack.provider.quota_grant_inputs import GrantInputs
from tunestack.provider.registry import RESOURCES
from tunestack.provider.tuning_job_inputs import TuningJobInputs

SCHEMA: dict[str, Any] = json.loads(
    files("tunestack.provider").joinpath("schema.json").read_text(encoding="utf-8")
)
MODELS: dict[str, type[Inputs]] = {
    "tunestack:vertex:PipelineJob": PipelineJobInputs,
    "tunestack:vertex:TuningJob": TuningJobInputs,
    "tunestack:vertex:CustomJob": CustomJobInputs,
    "tunestack:vertex:Evaluation": EvaluationInputs,
    "tunestack:vertex:ModelVersion": ModelVersionInputs,
    "tunestack:vertex:Deployment": DeploymentInputs,
    "tunestack:quota:Grant": GrantInputs,
}


def shape_of_schema(described: dict[str, Any]) -> Any:
    """A type of the schema, its references followed."""
    if "oneOf" in described:
        return {"oneOf": [shape_of_schema(part) for part in described["oneOf"]]}
    reference = described.get("$ref")
    if reference == "pulumi.json#/Any":
        return "any"
    if reference is not None:
        return shape_of_schema(SCHEMA["types"][reference.removeprefix("#/types/")])
    if "enum" in described:
        return sorted(str(choice["value"]) for choice in described["enum"])
    if described["type"] == "array":
        return [shape_of_schema(described["items"])]
    if described["type"] != "object":
        return described["type"]
    if "additionalProperties" in described:
        return {"*": shape_of_schema(described["additionalProperties"])}
    required = set(described.get("required", ()))
    return {
        f"{key}{'' if key in required else '?'}": shape_of_schema(value)
        for key, value in described["properties"].items()
    }


def shape_of_model(described: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The same of what pydantic says of a model."""
    parts = [part for part in described.get("anyOf", ()) if part.get("type") != "null"]
    if len(parts) == 1:
        return shape_of_model(parts[0], definitions)
    if parts:
        return {"oneOf": [shape_of_model(part, definitions) for part in parts]}
    if "$ref" in described:
        return shape_of_model(definitions[described["$ref"].rsplit("/", 1)[1]], definitions)
    if "enum" in described or "const" in described:
        return sorted(described.get("enum") or [described["const"]])
    if "type" not in described:
        return "any"
    if described["type"] == "array":
        return [shape_of_model(described["items"], definitions)]
    if described["type"] != "object":
        return described["type"]
    if "properties" not in described:
        extra = described.get("additionalProperties")
        return {"*": shape_of_model(extra if isinstance(extra, dict) else {}, definitions)}
    required = set(described.get("required", ()))
    return {
        f"{key}{'' if key in required else '?'}": shape_of_model(value, definitions)
        for key, value in described["properties"].items()
    }


def agrees(schema: Any, model: Any) -> bool:
    """Equal, but that the schema may list the values of what a validator of ours checks as a text."""
    if model == "string" and isinstance(schema, list) and schema not in ([], ["string"]):
        return all(isinstance(choice, str) for choice in schema)
    if isinstance(schema, dict) and isinstance(model, dict):
        return schema.keys() == model.keys() and all(agrees(schema[key], model[key]) for key in schema)
    if isinstance(schema, list) and isinstance(model, list) and len(schema) == len(model):
        return all(map(agrees, schema, model))
    return bool(schema == model)


@pytest.mark.parametrize("token", MODELS)
def test_every_input_has_the_type_that_is_checked(token: str) -> None:
    described = SCHEMA["resources"][token]
    model = MODELS[token].model_json_schema(by_alias=True)
    definitions = model.get("$defs", {})
    assert described["inputProperties"].keys() == model["properties"].keys()
    for key, value in described["inputProperties"].items():
        assert agrees(shape_of_schema(value), shape_of_model(model["properties"][key], definitions)), key
        # A default of Pulumi's is put in by the language's own package: it must be the one that is checked.
        if "oneOf" not in value:  # of which Pulumi's schema takes no default
            assert value.get("default") == model["properties"][key].get("default"), key
        assert value.get("description"), key
    assert set(described["requiredInputs"]) == set(model["required"]) - {"project"}


@pytest.mark.parametrize("token", MODELS)
def test_every_output_is_described_and_the_inputs_are_among_them(token: str) -> None:
    described = SCHEMA["resources"][token]
    computed = next(cls.computed for cls in RESOURCES if cls.token == token)
    assert described["properties"].keys() == described["inputProperties"].keys() | set(computed)
    assert all(value.get("description") for value in described["properties"].values())
    assert set(described["required"]) <= described["properties"].keys()
    for key, value in described["inputProperties"].items():
        assert shape_of_schema(value) == shape_of_schema(described["properties"][key]), key


def test_no_type_is_left_over_and_none_is_missing() -> None:
    text = json.dumps(SCHEMA)
    for name in SCHEMA["types"]:
        assert f'"#/types/{name}"' in text, name
    assert SCHEMA["resources"].keys() == {cls.token for cls in RESOURCES} == MODELS.keys()


@pytest.mark.pulumi_cli
@pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH")
def test_the_real_cli_finds_no_fault_and_makes_packages_for_other_languages(tmp_path: Path) -> None:
    """From a copy of the file: given the plugin's folder, the CLI would install into its virtual environment."""
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    environment = {**os.environ, "PULUMI_HOME": str(tmp_path / "home"), "PULUMI_SKIP_UPDATE_CHECK": "true"}

    def pulumi(*arguments: str) -> str:
        done = subprocess.run(
            ["pulumi", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "rror" not in pulumi("schema", "check", "schema.json")
    pulumi("package", "gen-sdk", "schema.json", "--language", "python", "--out", "sdk")
    made = tmp_path / "sdk" / "python" / "pulumi_tunestack"
    for token in MODELS:
        _, module, name = token.split(":")
        assert f"class {name}(" in "".join(file.read_text() for file in (made / module).glob("*.py"))
