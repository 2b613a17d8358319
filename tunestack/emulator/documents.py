"""Google's discovery documents, pruned: which request is which method, and the schemas beside it."""

from __future__ import annotations

import re
from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "discovery"
_ANY = -1  # slashes of a path whose last parameter takes any number of segments


@dataclass(frozen=True)
class Method:
    """One REST method. ``id`` is Google's; ``document`` says which version's schemas it speaks."""

    id: str
    document: str
    verb: str
    path: str
    request: str | None
    response: str | None
    parameters: Json | None
    upload: str | None = None
    download: str | None = None

    @property
    def service(self) -> str:
        return self.id.partition(".")[0]

    @property
    def version(self) -> str:
        return self.document.partition(".")[2]

    @property
    def takes_any_body(self) -> bool:
        """Whether the body may be anything: it goes to a model as it is, and its schema is of a wrapping alone."""
        return self.id.endswith((".rawPredict", ".streamRawPredict"))


@dataclass(frozen=True)
class Match:
    """A request that is a method's: ``kind`` is ``call``, ``upload`` or ``download``."""

    method: Method
    parameters: dict[str, str]
    kind: str = "call"


@dataclass
class Route:
    """Which addresses are a method's. The expression is compiled when an address with its ``prefix`` comes: of two
    thousand, a process meets a few."""

    rank: int
    prefix: str
    expression: str
    method: Method
    kind: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.expression)


@dataclass
class Documents:
    """Every document read, with its routes indexed."""

    methods: dict[str, list[Method]] = field(default_factory=lambda: defaultdict(list))
    schemas: dict[str, dict[str, Json]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    _routes: dict[tuple[str, int], list[Route]] = field(default_factory=lambda: defaultdict(list))

    def match(self, verb: str, raw_path: str) -> Match | None:
        """The method of a request, from its undecoded path: an object's name is one segment, ``%2F`` and all.

        ``/ui/`` is where Google's generated REST transports poll operations; it is a view of v1beta1, the
        wider of the two versions.
        """
        path = raw_path.lstrip("/")
        if path.startswith("ui/"):
            path = "v1beta1/" + path[3:]
        slashes = path.count("/")
        for route in (*self._routes.get((verb, slashes), ()), *self._routes.get((verb, _ANY), ())):
            found = path.startswith(route.prefix) and route.pattern.fullmatch(path)
            if found:
                return Match(
                    route.method,
                    {name.rstrip("_"): unquote(value) for name, value in found.groupdict().items()},
                    route.kind,
                )
        return None

    def add(self, document: str, content: Json) -> None:
        self.schemas[document] = content["schemas"]
        self.revisions[document] = content["revision"]
        for entry in content["methods"]:
            method = Method(
                id=entry["id"],
                document=document,
                verb=entry["httpMethod"],
                path=entry["path"],
                request=entry.get("request"),
                response=entry.get("response"),
                parameters=entry.get("parameters"),
                upload=entry.get("upload"),
                download=entry.get("download"),
            )
            self.methods[method.id].append(method)
            template = entry.get("template", entry["path"])
            self._route(template, method, "call")
            if method.upload:
                self._route(method.upload, method, "upload")
                self._route("resumable/" + method.upload, method, "upload")
            if method.download:
                self._route(method.download, method, "download")

    def _route(self, template: str, method: Method, kind: str) -> None:
        expression, segments = _expression(template, method.parameters or {})
        # `…/endpoints/1:predict` also looks like an endpoint called `1:predict`: verbs are tried first. And
        # Logging has `projects.sinks.get` beside a `sinks.get` of any parent: what is served is tried first.
        rank = 2 * (re.search(r":\w+$", template) is None) + (method.parameters is None)
        route = Route(rank, template.partition("{")[0], expression, method, kind)
        insort(self._routes[method.verb, segments], route, key=lambda route: route.rank)


def _expression(template: str, parameters: Json) -> tuple[str, int]:
    """The regular expression of a path template and the number of slashes in what it matches (`_ANY`: varies)."""
    expression = ""
    shape = ""
    for part in re.split(r"(\{[^}]*\})", template):
        if not part.startswith("{"):
            expression += re.escape(part)
            shape += part
            continue
        name = part.strip("{}")
        inner = "[^/]+"
        if name.startswith("+"):
            name = name[1:]
            inner = parameters.get(name, {}).get("pattern", "^[^/]+$").strip("^$")
        # A group's name may not be a keyword-like duplicate; parameters of one template are distinct.
        expression += f"(?P<{re.sub(r'[^A-Za-z0-9]', '_', name)}>{inner})"
        shape += inner.replace("[^/]+", "x")
    return expression, _ANY if ".*" in shape else shape.count("/")


@cache
def load() -> Documents:
    """All documents of the package (1 MiB of JSON; about 0.1 s, once a process)."""
    documents = Documents()
    for file in sorted(FOLDER.glob("*.json")):
        documents.add(file.stem, orjson.loads(file.read_bytes()))
    return documents
