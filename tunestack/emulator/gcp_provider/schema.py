"""The words in which a resource type is described: its properties, its requests, its names.

A description says what Google's API and pulumi-gcp say of a type, and nothing about how it is carried out;
:mod:`.mapping`, :mod:`.difference` and :mod:`.lifecycle` read it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from tunestack.emulator.gcp_provider.values import UNKNOWN, Value

if TYPE_CHECKING:
    from tunestack.emulator.gcp_provider.lifecycle import Lifecycle
    from tunestack.emulator.gcp_provider.rest import Rest

Kind = Literal["text", "integer", "number", "boolean", "map", "labels", "object", "list", "asset"]


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property of a resource type.

    ``name`` is pulumi-gcp's name on the wire, ``rest`` the dotted path in Google's JSON (None: the property is
    only kept in the state, never sent). ``fields`` describe the keys of an object, or of the objects of a list.
    """

    name: str
    kind: Kind = "text"
    rest: str | None = ""
    required: bool = False
    #: A change of it makes a new resource.
    replaces: bool = False
    #: Chosen by the server, never an input.
    output: bool = False
    #: An input that the server fills in when the program says nothing; then no value of it is drift.
    server_default: bool = False
    default: Value = None
    #: 64-bit integers are strings in Google's JSON.
    int64: bool = False
    #: In Google's JSON the list is an object, by this field of its items.
    keyed_by: str | None = None
    #: The order of the list's items means nothing.
    unordered: bool = False
    #: No read tells it: it stays as it was sent, or as the answer to the creation said.
    kept: bool = False
    #: An update of the resource may change it, so a preview of one does not promise it.
    volatile: bool = False
    secret: bool = False
    #: A template over other properties: known before the server answers.
    derived: str | None = None
    #: What is compared in place of the value itself, where Google treats spellings alike.
    canonical: Callable[[Value], Value] | None = None
    #: Conversions where the shapes differ by more than the name.
    encode: Callable[[Value], Value] | None = None
    decode: Callable[[Value], Value] | None = None
    allowed: tuple[str, ...] = ()
    fields: tuple[Property, ...] = ()

    @property
    def path(self) -> tuple[str, ...] | None:
        """Where the value lies in Google's JSON."""
        return None if self.rest is None else tuple((self.rest or self.name).split("."))


@dataclass(frozen=True)
class Call:
    """One REST request: method, and address relative to the service's endpoint as a template.

    ``{name}`` is percent-encoded, ``{+name}`` is put in as it is.
    """

    method: str
    url: str


@dataclass(frozen=True)
class Autoname:
    """A name made from the resource's logical name and the engine's random seed, when the program gives none."""

    property: str = "name"
    maximum: int = 255

    def name(self, logical: str, seed: bytes) -> str:
        """``logical`` shortened, a hyphen and seven hexadecimal digits of the seed's hash."""
        return self._stem(logical) + hashlib.sha256(seed).hexdigest()[:7]

    def made(self, logical: str, name: str) -> bool:
        """Whether ``name`` is one that :meth:`name` makes."""
        return re.fullmatch(re.escape(self._stem(logical)) + "[0-9a-f]{7}", name) is not None

    def _stem(self, logical: str) -> str:
        return logical.lower()[: self.maximum - 8] + "-"


@dataclass(frozen=True, kw_only=True, repr=False)
class ResourceType:
    """Everything there is to know of one type."""

    #: Pulumi's type token.
    name: str
    #: Which of the provider's endpoints serves it: a key of ``configuration.ENDPOINTS``.
    service: str
    properties: tuple[Property, ...]
    #: Template of the Pulumi id.
    id: str
    #: Templates of the ids that ``pulumi import`` and ``.get()`` accept beside it.
    imports: tuple[str, ...] = ()
    create: Call
    read: Call
    update: Call | None = None
    delete: Call | None = None
    #: How an update says what changes: null deletes (storage), an update mask beside new values, or the whole body.
    patch: Literal["merge", "mask", "whole"] = "mask"
    #: What the update mask says for a key of the body, where it is not the key itself.
    masks: Mapping[str, str] = field(default_factory=dict)
    #: The key under which an update's body lies (Pub/Sub).
    envelope: str | None = None
    autoname: Autoname | None = None
    #: Inputs of the real type that the stand-in refuses, each with the reason.
    refused: Mapping[str, str] = field(default_factory=dict)
    #: The carrying out, where it is more than the requests above.
    lifecycle: Callable[[ResourceType, Rest], Lifecycle] | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        return self.name.rpartition(":")[2]

    def property_named(self, name: str) -> Property | None:
        return next((item for item in self.properties if item.name == name), None)


#: What nearly every type of pulumi-gcp 10.2 has: what a delete means.
DELETION_POLICY = Property(
    name="deletionPolicy", rest=None, default="DELETE", allowed=("DELETE", "PREVENT", "ABANDON")
)
PROJECT = Property(name="project", rest=None, server_default=True, replaces=True)
_VARIABLE = re.compile(r"\{(\+?)(\w+)\}")


class MissingVariable(KeyError):
    """A template needs a value that is not there."""


def expand(template: str, variables: Mapping[str, Value], *, encoded: bool = False) -> str:
    """The template with its variables put in: RFC 6570's two simplest forms, all that Google's paths use.

    ``encoded``: as an address (``{name}`` percent-encoded). Raises MissingVariable where a value is absent or
    unknown.
    """

    def put(match: re.Match[str]) -> str:
        value = variables.get(match[2])
        if value is None or value in ("", UNKNOWN):
            raise MissingVariable(match[2])
        if isinstance(value, bool):
            return str(value).lower()
        return quote(str(value), safe="") if encoded and not match[1] else str(value)

    return _VARIABLE.sub(put, template)


def variables_of(template: str) -> tuple[str, ...]:
    return tuple(match[2] for match in _VARIABLE.finditer(template))


def parse(template: str, text: str) -> dict[str, str] | None:
    """The values that make ``template`` into ``text``; None where it does not fit."""
    pattern, end = "", 0
    for match in _VARIABLE.finditer(template):
        pattern += (
            re.escape(template[end : match.start()]) + f"(?P<{match[2]}>{'.+' if match[1] else '[^/]+'})"
        )
        end = match.end()
    found = re.fullmatch(pattern + re.escape(template[end:]), text)
    return found.groupdict() if found else None
