"""Values and their differences as Pulumi users know them, as lines of styled text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from tunestack.engine.values import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    REFERENCE_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN_STRING,
)

SYMBOLS: Final = {"create": "+", "update": "~", "delete": "-", "replace": "+-", "same": " "}
STYLES: Final = {
    "create": "green",
    "create-replacement": "green",
    "import": "green",
    "read": "cyan",
    "update": "yellow",
    "refresh": "yellow",
    "replace": "magenta",
    "delete": "red",
    "delete-replaced": "red",
    "discard": "red",
}
_MARKS: Final = {"+": "green", "-": "red", "~": "yellow"}


def scalar(value: Any) -> str | None:
    """A value that fits on one line, or None when it is a list or a map with something in it."""
    if isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature == SECRET_SIGNATURE:
            return "[secret]"
        if signature == ASSET_SIGNATURE:
            what = f"file:{value['path']}" if value.get("path") else "text"
            return f"asset({what}:{str(value.get('hash', ''))[:7]})"
        if signature == ARCHIVE_SIGNATURE:
            return f"archive({str(value.get('hash', ''))[:7]})"
        if signature == REFERENCE_SIGNATURE:
            return str(value.get("urn"))
        return None if value else "{}"
    if isinstance(value, list):
        return None if value else "[]"
    if value == UNKNOWN_STRING:
        return "[unknown]"
    if value == "[secret]":
        return "[secret]"
    if value is None:
        return "<null>"
    return json.dumps(value, ensure_ascii=False)


def value_lines(properties: Mapping[str, Any], indent: int, mark: str = "") -> Iterator[Text]:
    """A map, one property a line, names padded to one width."""
    width = max((len(str(key)) for key in properties), default=0)
    for key, value in properties.items():
        yield from _lines(f"{key:<{width}}: ", value, indent, mark)


def _lines(label: str, value: Any, indent: int, mark: str) -> Iterator[Text]:
    flat = scalar(value)
    if flat is not None:
        for number, part in enumerate(_shortened(flat)):
            yield _line(f"{label}{part}" if number == 0 else f"    {part}", indent, mark)
        return
    items = (
        value.items()
        if isinstance(value, dict)
        else ((f"[{index}]", item) for index, item in enumerate(value))
    )
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    pairs = list(items)
    width = max(len(str(key)) for key, _ in pairs)
    yield _line(f"{label}{opening}", indent, mark)
    for key, item in pairs:
        yield from _lines(f"{key:<{width}}: ", item, indent + 4, mark)
    yield _line(closing, indent, mark)


def _shortened(text: str, limit: int = 600) -> list[str]:
    """Long values in part: nobody reads a pipeline specification in a diff."""
    return [text] if len(text) <= limit else [f"{text[:limit]}… ({len(text):,} characters)"]


def _line(text: str, indent: int, mark: str) -> Text:
    lead = " " * max(indent - 2, 0) + (f"{mark} " if mark else "  ") if indent >= 2 else " " * indent
    return Text(lead + text, style=_MARKS.get(mark, ""))


def difference_lines(old: Mapping[str, Any], new: Mapping[str, Any], indent: int) -> Iterator[Text]:
    """What differs between two maps: ``+`` added, ``-`` gone, ``~`` changed, down to the value that did."""
    changed = [key for key in [*old, *(key for key in new if key not in old)] if old.get(key) != new.get(key)]
    width = max((len(str(key)) for key in changed), default=0)
    for key in changed:
        yield from _difference(f"{key:<{width}}: ", old.get(key, _ABSENT), new.get(key, _ABSENT), indent)


_ABSENT: Final = object()


def _difference(label: str, old: Any, new: Any, indent: int) -> Iterator[Text]:
    if old is _ABSENT:
        yield from _lines(label, new, indent, "+")
        return
    if new is _ABSENT:
        yield from _lines(label, old, indent, "-")
        return
    if _plain_map(old) and _plain_map(new):
        yield _line(f"{label}{{", indent, "~")
        yield from difference_lines(old, new, indent + 4)
        yield _line("}", indent, "")
        return
    if isinstance(old, list) and isinstance(new, list) and (old or new):
        yield _line(f"{label}[", indent, "~")
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            if before != after:
                yield from _difference(f"[{index}]: ", before, after, indent + 4)
        yield _line("]", indent, "")
        return
    before, after = scalar(old), scalar(new)
    if before is None or after is None:
        yield from _lines(label, old, indent, "-")
        yield from _lines(label, new, indent, "+")
        return
    yield _line(f"{label}{_shortened(before, 200)[0]} => {_shortened(after, 200)[0]}", indent, "~")


def _plain_map(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and SIGNATURE not in value


def step_lines(step: Mapping[str, Any]) -> Iterator[Text]:
    """One step of a preview in full: the resource, its id and URN, and its properties or what differs."""
    op, urn = step["op"], step["urn"]
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    type_ = (new or old).get("type", "")
    style = STYLES.get(op, "")
    yield Text(f"{SYMBOLS.get(op, '~'):<2}{type_}: ({op})", style=style)
    if old.get("id"):
        yield Text(f"    [id={old['id']}]")
    yield Text(f"    [urn={urn}]")
    if op == "create" or not old:
        yield from value_lines(new.get("inputs") or {}, 4)
    elif op != "delete":
        yield from difference_lines(old.get("inputs") or {}, new.get("inputs") or {}, 4)
    for reason in step.get("replaceReasons") or []:
        yield Text(f"    replaced because of: {reason}", style="magenta")


def short_difference(metadata: Mapping[str, Any]) -> str:
    """``[diff: ~label,size]`` for the info column of an update or replacement."""
    old, new = metadata.get("old"), metadata.get("new")
    keys = metadata.get("diffs") or []
    if not old or not new or not keys:
        return ""
    groups: dict[str, list[str]] = {"+": [], "-": [], "~": []}
    for key in keys:
        before, after = key in old["inputs"], key in new["inputs"]
        groups["~" if before == after else "+" if after else "-"].append(key)
    return "[diff: " + ", ".join(f"{mark}{','.join(names)}" for mark, names in groups.items() if names) + "]"
