"""What lies between a resource as it is and as the program wants it, property by property.

Terraform's rules, which the real provider inherits: zero values and absent ones are the same; an input that the
server fills in is no difference while the program is silent about it; what the server alone decides is never one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tunestack.emulator.gcp_provider.mapping import wanted
from tunestack.emulator.gcp_provider.schema import Property
from tunestack.emulator.gcp_provider.values import Value, has_unknown, is_asset


@dataclass(frozen=True)
class Change:
    """One difference: where (``labels.env``, ``lifecycleRules[0].action``), of what kind, and how much it takes."""

    path: str
    kind: Literal["add", "update", "delete"]
    replaces: bool = False

    @property
    def property(self) -> str:
        """The top-level property that it lies in."""
        return self.path.partition(".")[0].partition("[")[0]


def changes(
    properties: Iterable[Property], have: Mapping[str, Value], want: Mapping[str, Value], prefix: str = ""
) -> Iterator[Change]:
    """Every change that brings ``have`` (the state) to ``want`` (the inputs)."""
    for item in properties:
        if not item.output:
            yield from _of_property(item, have.get(item.name), wanted(item, want), prefix + item.name, False)


def _of_property(item: Property, have: Value, want: Value, path: str, replaces: bool) -> Iterator[Change]:
    replaces = replaces or item.replaces
    if want is None and item.server_default:
        return
    if has_unknown(want):
        yield Change(path, "update", replaces)
    elif item.kind == "object":
        yield from _of_object(item, have, want, path, replaces)
    elif item.kind == "list":
        yield from _of_list(item, have or [], want or [], path, replaces)
    elif item.kind in ("map", "labels"):
        yield from _of_map(have or {}, want or {}, path, replaces)
    elif not same(item, have, want):
        yield _change(path, have, want, replaces)


def _of_object(item: Property, have: Value, want: Value, path: str, replaces: bool) -> Iterator[Change]:
    inner = [
        change
        for part in item.fields
        # A part that is never sent cannot be read back either: there is nothing to compare.
        if not part.output and part.path is not None
        for change in _of_property(
            part,
            (have or {}).get(part.name),
            None if want is None else wanted(part, want),
            f"{path}.{part.name}",
            replaces,
        )
    ]
    # A message without fields (a format that has no settings) says something by being there.
    whole = (have is None) != (want is None) and (bool(inner) or not item.fields)
    yield from [_change(path, have, want, any(c.replaces for c in inner))] if whole else inner


def _of_list(
    item: Property, have: list[Value], want: list[Value], path: str, replaces: bool
) -> Iterator[Change]:
    if item.unordered:
        have, want = (
            sorted(values, key=lambda value: repr(_canonical(item, value))) for values in (have, want)
        )
    kind = {"kind": "object", "fields": item.fields} if item.fields else {"canonical": item.canonical}
    entry = Property(name="", **kind)
    for index in range(max(len(have), len(want))):
        at = f"{path}[{index}]"
        if index >= len(have):
            yield Change(at, "add", replaces)
        elif index >= len(want):
            yield Change(at, "delete", replaces)
        else:
            yield from _of_property(entry, have[index], want[index], at, replaces)


def _of_map(
    have: Mapping[str, Value], want: Mapping[str, Value], path: str, replaces: bool
) -> Iterator[Change]:
    for key in sorted({*have, *want}):
        if have.get(key) != want.get(key):
            at = f"{path}.{key}" if key.replace("_", "").isalnum() else f'{path}["{key}"]'
            yield _change(at, have.get(key), want.get(key), replaces)


def _change(path: str, have: Value, want: Value, replaces: bool) -> Change:
    return Change(path, "add" if have is None else "delete" if want is None else "update", replaces)


def same(item: Property, have: Value, want: Value) -> bool:
    """Whether two values of a property mean the same to Google."""
    if is_asset(have) and is_asset(want):
        return bool(have.get("hash") == want.get("hash"))
    have, want = _canonical(item, have), _canonical(item, want)
    return bool(have == want) or (_empty(have) and _empty(want))


def _canonical(item: Property, value: Value) -> Value:
    return value if value is None or item.canonical is None else item.canonical(value)


def _empty(value: Value) -> bool:
    return value in (None, "", 0, False) or value in ([], {})
