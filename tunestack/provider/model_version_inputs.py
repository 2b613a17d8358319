"""The inputs of a ModelVersion and their rules. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field

from tunestack.provider.inputs import Inputs
from tunestack.provider.job_inputs import DeletionPolicy, EncryptionSpec, Location, Project, ServiceAccount
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import Properties, has_unknown, plain
from tunestack.vertex.model import DEFAULT_ALIAS, ModelName

_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def resource_labels(labels: dict[str, str] | None) -> dict[str, str] | None:
    """The labels of a model or an endpoint. Raises ValueError for what Google refuses, and for names of ours."""
    for key, value in (labels or {}).items():
        if key.startswith("tunestack-"):
            raise ValueError(f"label {key}: names that begin with tunestack- are set for you")
        if not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"label key {key!r}: a lowercase letter, then up to 62 of a-z 0-9 _ -")
        if not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"label {key}={value!r}: a value has up to 63 of a-z 0-9 _ -")
    return labels


def _aliases(aliases: list[str] | None) -> list[str] | None:
    for alias in aliases or ():
        if alias == DEFAULT_ALIAS:
            raise ValueError(
                "default is no alias like others: every model has it on one version; say default: true"
            )
        if not _ALIAS.fullmatch(alias):
            raise ValueError(
                f"alias {alias!r}: a lowercase letter, up to 126 of a-z A-Z 0-9 -, and at the end one of a-z 0-9"
            )
    twice = sorted(alias for alias, count in Counter(aliases or ()).items() if count > 1)
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    return aliases


def _pinned(name: str) -> str:
    version = ModelName.parse(name).version
    if version and not version.isdigit():
        raise ValueError(f"{name!r}: an alias moves; name the number of the version, models/M@2")
    return name


Labels = Annotated[dict[str, str] | None, AfterValidator(resource_labels), Field(max_length=62)]
PinnedModel = Annotated[str, AfterValidator(_pinned)]


class ModelVersionInputs(Inputs):
    """A version of a tuned model, where it is needed and under the aliases that it has there.

    ``source_model``: ``projects/P/locations/L/models/M@V``; without ``@V`` the version that is default when this is
    created, and that one from then on. Where ``project`` and ``location`` are not those of the source, it is copied
    there as the model ``model_id`` (absent: the source's own id), or as its next version where that model exists.
    ``spec_hash``: refuse another run's model. ``default``: make it the default version; false leaves the default be.
    """

    project: Project
    location: Location
    source_model: PinnedModel
    aliases: Annotated[list[str] | None, AfterValidator(_aliases)] = None
    default: bool = False
    labels: Labels = None
    description: Annotated[str | None, Field(max_length=1024)] = None
    spec_hash: Annotated[str | None, Field(pattern=r"^[0-9a-f]{32}$")] = None
    model_id: Annotated[str | None, Field(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = None
    encryption_spec: EncryptionSpec | None = None
    service_account: ServiceAccount | None = None
    deletion_policy: DeletionPolicy = "ABANDON"


COPY_ONLY = ("modelId", "encryptionSpec", "serviceAccount")
"""Inputs that say how a copy is made."""


def model_version_problems(inputs: Properties) -> list[PropertyProblem]:
    """Rules between properties; ``inputs`` may hold unknown values."""
    given = {key: value for key, value in plain(inputs).items() if not has_unknown(value)}
    project, location = given.get("project"), given.get("location")
    problems = []
    key = (given.get("encryptionSpec") or {}).get("kmsKeyName")
    if key and location and f"/locations/{location}/" not in key:
        problems.append(
            PropertyProblem("encryptionSpec.kmsKeyName", f"the key must be in {location}, where the copy is")
        )
    source = given.get("sourceModel")
    if source and location and project:
        name = ModelName.parse(source)
        if (name.project, name.location) == (project, location):
            problems += [
                PropertyProblem(key, f"is for a copy, and {source} is in {location} already: leave it out")
                for key in COPY_ONLY
                if key in given
            ]
    return problems
