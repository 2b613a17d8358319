"""What a stack's configuration (``Pulumi.<stack>.yaml``, keys ``tunestack:*``) may say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tunestack.spec.errors import Problem, TunestackError

# https://cloud.google.com/resource-manager/docs/creating-managing-projects
_PROJECT_ID = re.compile(r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
PROTECTED_STACKS = frozenset({"prod", "production"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback_url(url: str) -> bool:
    """Say whether ``url`` is plain HTTP to this machine with a port."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and parts.port is not None
    except ValueError:  # a port that is no number
        return False


class StackSpec(BaseModel):
    """One stack: where it lives, in which regions, which jobs it tunes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    project: str = Field(description="The Google Cloud project id.")
    regions: tuple[str, ...] = Field(min_length=1, description="Regions that get a tuning environment.")
    jobs: tuple[str, ...] = Field(description="Names of the files under jobs/ that this stack tunes.")
    endpoint: str | None = Field(None, description="http://127.0.0.1:PORT of the emulator; absent: Google.")
    labels: dict[str, str] = Field(default_factory=dict)
    retry_failed: tuple[str, ...] = Field((), description="Jobs that may be submitted again after a red end.")
    enforce_iam: bool = Field(True, description="Whether the emulator asks IAM policies before each call.")
    keep_models: bool = Field(True, description="Keep tuned models when their job is destroyed.")
    keep_data: bool = Field(True, description="Refuse to destroy buckets that still hold objects.")
    protect: bool | None = Field(
        None, description="Refuse to destroy or replace jobs, evaluations and versions; absent: in prod only."
    )

    @field_validator("project")
    @classmethod
    def _project_id(cls, value: str) -> str:
        if not _PROJECT_ID.fullmatch(value):
            raise ValueError(
                "a project id has 6 to 30 lowercase letters, digits and hyphens, starting with a letter"
            )
        return value

    @field_validator("endpoint")
    @classmethod
    def _endpoint_on_loopback(cls, value: str | None) -> str | None:
        if value is not None and not is_loopback_url(value):
            raise ValueError(
                "an endpoint is http://127.0.0.1:PORT (the emulator); leave it out to use Google"
            )
        return value

    @field_validator("regions", "jobs")
    @classmethod
    def _no_duplicates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({item for item in value if value.count(item) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return value

    @property
    def protects_models(self) -> bool:
        """Whether what a model stands on can be neither destroyed nor replaced without saying so first."""
        return self.name in PROTECTED_STACKS if self.protect is None else self.protect

    @property
    def is_local(self) -> bool:
        """Whether the stack talks to the emulator rather than to Google."""
        return self.endpoint is not None


def stack_from_configuration(name: str, values: Mapping[str, object], places: Mapping[str, str]) -> StackSpec:
    """Return the stack ``name`` from its configuration ``values`` (short keys).

    ``places`` gives ``file:line:column`` of a key where its file has it. Raises TunestackError with every problem.
    """
    try:
        return StackSpec.model_validate({"name": name, **values})
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            key = str(detail["loc"][0]) if detail["loc"] else ""
            missing = detail["type"] == "missing"
            message = "is missing" if missing else detail["msg"].removeprefix("Value error, ")
            problems.append(
                Problem(
                    "stack-configuration",
                    f"tunestack:{key} {message}" if missing else f"tunestack:{key}: {message}",
                    places.get(key, f"Pulumi.{name}.yaml"),
                    have="" if missing else repr(detail["input"]),
                    fix=f"pulumi config set tunestack:{key} VALUE --stack {name}, or edit Pulumi.{name}.yaml",
                )
            )
        raise TunestackError(*problems) from None


def stack_file_places(path: Path) -> dict[str, str]:
    """Return ``file:line:column`` of each ``tunestack:`` key in a stack's configuration file.

    Pulumi itself ignores a key that nobody reads: a misspelt one would silently do nothing. Here it is a problem.
    Raises TunestackError for unknown keys and for YAML that cannot be read.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TunestackError(
            Problem(
                "no-such-stack",
                f"there is no configuration for stack {path.stem.removeprefix('Pulumi.')!r}",
                str(path),
                need=", ".join(sorted(found.name for found in path.parent.glob("Pulumi.*.yaml"))),
                fix="name one of these stacks, or write the file",
            ),
            exit_status=2,
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        raise TunestackError(Problem("yaml-syntax", error.problem or "not YAML", place)) from None
    allowed = set(StackSpec.model_fields) - {"name"}
    places: dict[str, str] = {}
    problems: list[Problem] = []
    for key, node in _configuration_keys(root):
        namespace, _, short = key.value.partition(":")
        if namespace != "tunestack":
            continue
        place = f"{path.name}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if short not in allowed:
            close = difflib.get_close_matches(short, allowed, n=1)
            problems.append(
                Problem(
                    "unknown-key",
                    f"unknown configuration key {key.value!r}"
                    + (f" (did you mean 'tunestack:{close[0]}'?)" if close else ""),
                    place,
                    need=", ".join(f"tunestack:{name}" for name in sorted(allowed)),
                )
            )
        places[short] = f"{path.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
    if problems:
        raise TunestackError(*problems)
    return places


def _configuration_keys(root: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the key and value nodes under ``config:``."""
    if not isinstance(root, yaml.MappingNode):
        return
    for key, value in root.value:
        if key.value == "config" and isinstance(value, yaml.MappingNode):
            yield from value.value
