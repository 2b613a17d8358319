"""What a program asks for: goals, and the names under which their resources may have been known before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tunestack.engine.errors import EngineError
from tunestack.engine.state import Resource
from tunestack.engine.urns import ROOT_STACK_TYPE, make_urn, name_of, qualified_type, type_of
from tunestack.engine.values import SIGNATURE, Properties, Secret, equal, unwrap


@dataclass(frozen=True)
class Alias:
    """An earlier identity: a whole URN, or the parts that were different."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass
class Goal:
    """One resource as the program wants it. None stands for an option that was left to the default."""

    type: str
    name: str
    custom: bool
    inputs: Properties = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    protect: bool | None = None
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    delete_before_replace: bool | None = None
    ignore_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    import_id: str = ""
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    replace_on_changes: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    retain_on_delete: bool | None = None
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    hide_diff: list[str] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)

    def inherit(self, parent: Goal | None) -> None:
        """Take over what children take over from their parents where they say nothing themselves."""
        if parent is None:
            return
        if self.protect is None:
            self.protect = parent.protect
        if self.retain_on_delete is None:
            self.retain_on_delete = parent.retain_on_delete
        self.deleted_with = self.deleted_with or parent.deleted_with

    def resource(self, urn: str, old: Resource | None) -> Resource:
        """The resource in state that this goal leads to; it has no id and no outputs yet."""
        return Resource(
            urn=urn,
            type=self.type,
            custom=self.custom,
            inputs=dict(self.inputs),
            parent=self.parent,
            protect=bool(self.protect),
            dependencies=list(self.dependencies),
            provider=self.provider,
            property_dependencies={
                key: list(urns) for key, urns in sorted(self.property_dependencies.items())
            },
            additional_secret_outputs=list(self.additional_secret_outputs),
            custom_timeouts=dict(self.custom_timeouts),
            import_id=self.import_id,
            retain_on_delete=bool(self.retain_on_delete),
            deleted_with=self.deleted_with,
            replace_with=list(self.replace_with),
            created=old.created if old else "",
            modified=old.modified if old else "",
            ignore_changes=list(self.ignore_changes),
            hide_diff=list(self.hide_diff),
            replace_on_changes=list(self.replace_on_changes),
            replacement_trigger=self.replacement_trigger,
            resource_hooks={key: list(names) for key, names in self.hooks.items()},
            rest=dict(old.rest) if old else {},
        )


class Aliases:
    """Which resources are known by another name in the old state."""

    def __init__(self, stack: str, project: str) -> None:
        self._stack = stack
        self._project = project
        self.old_names: dict[str, str] = {}  # new URN → the URN it has in the old state
        self.new_names: dict[str, str] = {}  # the URN in the old state → new URN

    def record(self, urn: str, old_urn: str) -> None:
        self.old_names[urn] = old_urn
        self.new_names[old_urn] = urn

    def candidates(self, goal: Goal) -> list[str]:
        """All URNs the goal's resource may have had, nearest first."""
        urns = [self._collapse(goal, alias) for alias in goal.aliases]
        old_parent = self.old_names.get(goal.parent)
        if old_parent:
            urns += [self._inherited(goal.type, goal.name, goal.parent, old_parent)]
            urns += [
                self._inherited(type_of(urn), name_of(urn), goal.parent, old_parent)
                for urn in urns[: len(goal.aliases)]
            ]
        return list(dict.fromkeys(urns))

    def _collapse(self, goal: Goal, alias: Alias) -> str:
        if alias.urn:
            return alias.urn
        parent = self.old_names.get(alias.parent, alias.parent) if alias.parent else goal.parent
        if alias.no_parent or (parent and qualified_type(parent) == ROOT_STACK_TYPE):
            parent = ""
        return make_urn(
            alias.stack or self._stack,
            alias.project or self._project,
            parent,
            alias.type or goal.type,
            alias.name or goal.name,
        )

    def _inherited(self, type_: str, name: str, parent: str, old_parent: str) -> str:
        """A child's name often begins with its parent's: then it changed with it."""
        parent_name = name_of(parent)
        if name.startswith(parent_name):
            name = name_of(old_parent) + name[len(parent_name) :]
        return make_urn(self._stack, self._project, old_parent, type_, name)


# -- property paths: `a.b[0]["c"]`, `*` for any element -----------------------------------------------------

_PATH = re.compile(
    r"""\.?(?P<name>[^.\[\]"]+)   # a name
    |\["(?P<quoted>(?:[^"\\]|\\.)*)"\]  # ["a name with dots"]
    |\[(?P<index>\d+)\]
    |\[(?P<any>\*)\]""",
    re.VERBOSE,
)


def parse_path(text: str) -> tuple[str | int, ...]:
    """The parts of a property path.

    Raises:
        EngineError: it is not one.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PATH.match(text, position)
        if match is None:
            raise EngineError(f"invalid property path {text!r}")
        if match["quoted"] is not None:
            parts.append(re.sub(r"\\(.)", r"\1", match["quoted"]))
        elif match["index"] is not None:
            parts.append(int(match["index"]))
        else:
            parts.append(match["name"] or match["any"])
        position = match.end()
    return tuple(parts)


def contains_path(pattern: tuple[str | int, ...], path: tuple[str | int, ...]) -> bool:
    """Whether `path` lies at or under `pattern`, in which ``*`` stands for any one part."""
    return len(pattern) <= len(path) and all(
        part in ("*", given) for part, given in zip(pattern, path, strict=False)
    )


def reset_paths(news: Properties, olds: Properties, paths: Iterable[str]) -> tuple[Properties, list[str]]:
    """`news` with the values of `olds` at the given paths (``ignoreChanges``), and the paths that did not fit."""
    result: Any = news
    unfit = []
    for text in paths:
        changed, fits = _reset(result, olds, parse_path(text))
        result = changed if fits else result
        if not fits:
            unfit.append(text)
    return result, unfit


_ABSENT = object()


def _reset(new: Any, old: Any, path: tuple[str | int, ...]) -> tuple[Any, bool]:
    if not path:
        return old, True
    part, rest = path[0], path[1:]
    old, plain = _open(old), _open(new)
    if isinstance(plain, dict) and (isinstance(old, dict) or old is _ABSENT):
        known = old if isinstance(old, dict) else {}
        if part == "*":
            if rest and plain.keys() != known.keys():
                return new, False
            keys: list[Any] = list(known) if not rest else list(plain)
            result = {} if not rest else dict(plain)
        else:
            keys, result = [part], dict(plain)
        for key in keys:
            value, fits = _reset(plain.get(key, _ABSENT), known.get(key, _ABSENT), rest)
            if not fits:
                return new, False
            if value is _ABSENT:
                result.pop(key, None)
            else:
                result[key] = value
        return result, True
    if isinstance(plain, list) and isinstance(old, list):
        if len(plain) != len(old):
            return new, False
        indices = range(len(plain)) if part == "*" else [part]
        copy = list(plain)
        for index in indices:
            if not isinstance(index, int) or index >= len(copy):
                return new, False
            copy[index], fits = _reset(copy[index], old[index], rest)
            if not fits:
                return new, False
        return copy, True
    return new, plain is _ABSENT and old is _ABSENT


def _open(value: Any) -> Any:
    return value.value if isinstance(value, Secret) else value


def changes_between(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Paths that differ (secretness aside), each with ``add``, ``delete`` or ``update``."""
    old, new = _open(old), _open(new)
    if isinstance(old, dict) and isinstance(new, dict) and SIGNATURE not in old and SIGNATURE not in new:
        for key in sorted(old.keys() | new.keys()):
            yield from _change(old.get(key, _ABSENT), new.get(key, _ABSENT), join_path(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            yield from _change(before, after, f"{path}[{index}]")
    elif not equal(unwrap(old), unwrap(new)):
        yield path, "update"


def _change(old: Any, new: Any, path: str) -> Iterator[tuple[str, str]]:
    if old is _ABSENT:
        yield path, "add"
    elif new is _ABSENT:
        yield path, "delete"
    else:
        yield from changes_between(old, new, path)


def join_path(path: str, key: str) -> str:
    """`path` and one more name, quoted where it would read as more than one."""
    if re.search(r'[.\[\]"]', key) or not key:
        return path + '["' + key.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    return f"{path}.{key}" if path else key
