"""Values and their differences as Pulumi users know them, as lines of styled text."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from tunestack.engine.values import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    REFERENCE_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN_STRING,
    equal,
)

SYMBOLS: Final = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "replace": "+-",
    "import": "=",
    "read": ">",
    "same": " ",
}
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


_ABSENT: Final = object()


def difference_lines(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    indent: int,
    hidden: Collection[str] = (),
    aligned: bool = False,
    unchanged: bool = False,
    changed: Collection[str] = (),
) -> Iterator[Text]:
    """What differs between two maps: ``+`` added, ``-`` gone, ``~`` changed, down to the value that did.

    Of the keys in `hidden` it is only said that they differ; with `unchanged` the others are shown in place, and
    with `aligned` they are not shown but decide where values stand. Keys in `changed` differ even where nobody may
    see how: in what is secret.
    """
    keys = sorted({*old, *new})
    shown = [key for key in keys if not equal(old.get(key), new.get(key)) or key in changed]
    wide = keys if aligned or unchanged else shown
    width = max((len(str(key)) for key in wide), default=0)
    for key in keys:
        label = f"{key:<{width}}: "
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if key not in shown:
            if unchanged:
                yield from _lines(label, after, indent, "")
        elif key in hidden:
            yield _line(f"{key} (hidden)", indent, _mark(before, after))
        elif equal(before, after):
            yield _line(f"{label}[secret] => [secret]", indent, "~")
        else:
            yield from _difference(label, before, after, indent)


def _mark(old: Any, new: Any) -> str:
    return "+" if old is _ABSENT else "-" if new is _ABSENT else "~"


def _difference(label: str, old: Any, new: Any, indent: int) -> Iterator[Text]:
    if old is _ABSENT:
        yield from _lines(label, new, indent, "+")
    elif new is _ABSENT:
        yield from _lines(label, old, indent, "-")
    elif _plain_map(old) and _plain_map(new):
        yield _line(f"{label}{{", indent, "~")
        yield from difference_lines(old, new, indent + 4)
        yield _line("}", indent, "")
    elif isinstance(old, list) and isinstance(new, list) and (old or new):
        yield _line(f"{label}[", indent, "~")
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            if before == after:
                yield from _lines(f"[{index}]: ", after, indent + 4, "")
            else:
                yield from _difference(f"[{index}]: ", before, after, indent + 4)
        yield _line("]", indent, "")
    elif isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new):
        yield _line(label, indent, "~")
        yield from _text_difference(old, new, indent + 4)
    else:
        before, after = scalar(old), scalar(new)
        if before is None or after is None:
            yield from _lines(label, old, indent, "-")
            yield from _lines(label, new, indent, "+")
        else:
            shown = f"{_shortened(before, 200)[0]} => {_shortened(after, 200)[0]}"
            yield _line(label + shown, indent, "~")


def _text_difference(old: str, new: str, indent: int, context: int = 3) -> Iterator[Text]:
    """Texts of several lines, line by line: nobody finds one word in a prompt that stands there twice."""
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=context)
    for number, line in enumerate(lines):
        if number >= 2 and not line.startswith("@@"):  # without the names of files that it has none of
            yield _line(line[1:], indent, line[0].strip())
        elif number > 2:
            yield _line("…", indent, "")


def _plain_map(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and SIGNATURE not in value


def step_lines(
    op: str,
    urn: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    reasons: Collection[str] = (),
    changed: Collection[str] = (),
    hidden: Collection[str] = (),
) -> Iterator[Text]:
    """One step in full: the resource, its id and URN, and its properties or what differs.

    `old` and `new` are states with ``type``, ``id``, ``inputs`` and ``outputs``; one of them may be empty.
    """
    type_ = (new or old).get("type", "")
    yield Text(f"{SYMBOLS.get(op, '~'):<2}{type_}: ({op})", style=STYLES.get(op, ""))
    identifier = (old or new).get("id")
    if identifier:
        yield Text(f"    [id={identifier}]")
    yield Text(f"    [urn={urn}]")
    if op == "delete" or not new:
        yield from value_lines(old.get("inputs") or {}, 4)
    elif op in ("create", "import", "read") or not old:
        yield from value_lines(new.get("inputs") or {}, 4)
    else:
        before, after = old.get("inputs") or {}, new.get("inputs") or {}
        if equal(
            before, after
        ):  # what a refresh found: the program says what it said, the resource is another
            before, after = old.get("outputs") or {}, new.get("outputs") or {}
        secret = [key for key in changed if scalar(before.get(key)) == scalar(after.get(key)) == "[secret]"]
        yield from difference_lines(before, after, 4, hidden, changed=secret)
    for reason in reasons:
        yield Text(f"    replaced because of: {reason}", style="magenta")


def short_difference(metadata: Mapping[str, Any]) -> str:
    """``[diff: ~label,size]`` for the info column of an update or replacement."""
    old, new = metadata.get("old"), metadata.get("new")
    if not old or not new:
        return ""
    hidden = new.get("hideDiffs") or []
    groups: dict[str, list[str]] = {"+": [], "-": [], "~": []}
    for key in metadata.get("diffs") or []:
        if key not in hidden:
            before, after = key in old["inputs"], key in new["inputs"]
            groups["~" if before == after else "+" if after else "-"].append(key)
    if bool(old.get("protect")) != bool(new.get("protect")):
        groups["~"].append("protect")
    shown = ", ".join(f"{mark}{','.join(names)}" for mark, names in groups.items() if names)
    return f"[diff: {shown}]" if shown else ""
