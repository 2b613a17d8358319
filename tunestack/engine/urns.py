"""Resource names: ``urn:pulumi:<stack>::<project>::<parent types$type>::<name>``."""

from __future__ import annotations

from dataclasses import dataclass

from tunestack.engine.errors import EngineError
from tunestack.engine.values import UNKNOWN_STRING

ROOT_STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


def make_urn(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """The URN of a resource under `parent` (a URN, or empty); the root stack does not show in it."""
    parent_type = qualified_type(parent) if parent else ""
    if parent_type and parent_type != ROOT_STACK_TYPE:
        type_ = f"{parent_type}${type_}"
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def qualified_type(urn: str) -> str:
    return urn.split("::", 3)[2]


def type_of(urn: str) -> str:
    return qualified_type(urn).rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    return urn.split("::", 3)[3]


def is_provider_type(type_: str) -> bool:
    return type_.startswith(PROVIDER_PREFIX)


def package_of(type_: str) -> str:
    """The package that serves a type: ``gcp`` for ``gcp:storage/bucket:Bucket`` and ``pulumi:providers:gcp``."""
    return type_[len(PROVIDER_PREFIX) :] if is_provider_type(type_) else type_.split(":", 1)[0]


@dataclass(frozen=True)
class ProviderReference:
    """``urn::id`` of a provider resource."""

    urn: str
    id: str

    @classmethod
    def parse(cls, text: str) -> ProviderReference:
        urn, separator, identifier = text.rpartition("::")
        if not separator or urn.count("::") != 3 or not urn.startswith("urn:pulumi:"):
            raise EngineError(f"malformed provider reference {text!r}")
        return cls(urn, identifier)

    @property
    def unknown(self) -> bool:
        return self.id == UNKNOWN_STRING

    def __str__(self) -> str:
        return f"{self.urn}::{self.id}"
