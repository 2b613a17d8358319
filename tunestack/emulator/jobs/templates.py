"""The published pipeline templates that the emulator plays: parameters as Google's, tasks of our own.

A template that is not here is accepted, as Vertex accepts any URI, and its job fails saying so.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

Json = dict[str, Any]
Violation = tuple[str, str]


@dataclass(frozen=True)
class Parameter:
    """``type`` is STRING, NUMBER_INTEGER, NUMBER_DOUBLE or BOOLEAN; ``default`` None means required."""

    type: str
    default: str | float | bool | None = None

    def fits(self, value: Any) -> bool:
        if self.type == "STRING":
            return isinstance(value, str)
        if self.type == "BOOLEAN":
            return isinstance(value, bool)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.type == "NUMBER_DOUBLE" or float(value).is_integer()


@dataclass(frozen=True)
class Template:
    """A template by its name in the URI, with the tasks it runs, in order."""

    name: str
    parameters: dict[str, Parameter]
    tasks: tuple[str, ...]

    @property
    def version(self) -> str:
        """A digest of what the emulator plays; Google's is that of the compiled template."""
        body = {key: [value.type, value.default] for key, value in self.parameters.items()}
        return "sha256:" + hashlib.sha256(orjson.dumps([self.name, body, self.tasks])).hexdigest()

    def violations(self, values: Json) -> list[Violation]:
        """Everything that is wrong with a job's parameter values."""
        found: list[Violation] = []
        for name, value in values.items():
            field = f"runtime_config.parameter_values.{name}"
            parameter = self.parameters.get(name)
            if parameter is None:
                known = ", ".join(sorted(self.parameters))
                found.append(
                    (field, f"The input parameter {name} is not in the pipeline {self.name}: it has {known}.")
                )
            elif not parameter.fits(value):
                found.append(
                    (field, f"The input parameter {name} is {value!r}; it must be a {parameter.type}.")
                )
        for name, parameter in self.parameters.items():
            if parameter.default is None and values.get(name) in (None, ""):
                found.append(
                    (
                        f"runtime_config.parameter_values.{name}",
                        f"The required input parameter {name} is not set.",
                    )
                )
        return found

    def with_defaults(self, values: Json) -> Json:
        """The values with defaults filled in and numbers of the declared type."""
        result: Json = {}
        for name, parameter in self.parameters.items():
            value: Any = values.get(name, parameter.default)
            result[name] = int(value) if parameter.type == "NUMBER_INTEGER" else value
        return result


# Names, types and defaults: python-aiplatform, test_language_models.py, the compiled tuning template;
# enable_checkpoint_selection and max_context_length: sent by its SDK.
TUNE_LARGE_MODEL = Template(
    name="tune-large-model",
    parameters={
        "project": Parameter("STRING"),
        "location": Parameter("STRING"),
        "model_display_name": Parameter("STRING"),
        "large_model_reference": Parameter("STRING", "text-bison@001"),
        "dataset_uri": Parameter("STRING", ""),
        "dataset_name": Parameter("STRING", ""),
        "train_steps": Parameter("NUMBER_INTEGER", 300),
        "learning_rate": Parameter("NUMBER_DOUBLE", -1.0),
        "learning_rate_multiplier": Parameter("NUMBER_DOUBLE", 1.0),
        "accelerator_type": Parameter("STRING", ""),
        "evaluation_data_uri": Parameter("STRING", ""),
        "evaluation_interval": Parameter("NUMBER_INTEGER", 20),
        "evaluation_output_root_dir": Parameter("STRING", ""),
        "enable_early_stopping": Parameter("BOOLEAN", True),
        "enable_checkpoint_selection": Parameter("STRING", "default"),
        "tensorboard_resource_id": Parameter("STRING", ""),
        "default_context": Parameter("STRING", ""),
        "encryption_spec_key_name": Parameter("STRING", ""),
        "tpu_training_skip_cmek": Parameter("BOOLEAN", False),
        "tuning_method": Parameter("STRING", "tune_v2"),
        "api_endpoint": Parameter("STRING", "aiplatform.googleapis.com/ui"),
        "max_context_length": Parameter("STRING", ""),
    },
    tasks=("validate-dataset", "tune", "upload-llm-model", "deploy-llm-model"),
)

TEMPLATES = (TUNE_LARGE_MODEL,)


def find_template(uri: str) -> Template | None:
    """The template that a URI's path names (``…/tune-large-model/v2.0.0``)."""
    segments = re.split(r"/+", urlsplit(uri).path)
    return next((template for template in TEMPLATES if template.name in segments), None)
