"""``fields=items(name,size),nextPageToken``: Google's partial response.

https://cloud.google.com/storage/docs/json_api#partial-response
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tunestack.emulator.errors import invalid

_Tree = dict[str, Any]


def parse(text: str) -> _Tree:
    """The tree of names that a mask keeps; an empty subtree keeps everything below it."""
    tokens = re.findall(r"[(),/]|[^(),/\s]+", text)
    tree, rest = _list(tokens)
    if rest:
        raise invalid(f"Invalid field selection {text}")
    return tree


def _list(tokens: list[str]) -> tuple[_Tree, list[str]]:
    tree: _Tree = {}
    while tokens:
        name, *tokens = tokens
        if name in "(),/":
            raise invalid(f"Invalid field selection {name}")
        node: _Tree = tree.setdefault(name, {})
        while tokens and tokens[0] == "/":
            if len(tokens) < 2:
                raise invalid("Invalid field selection /")
            node = node.setdefault(tokens[1], {})
            tokens = tokens[2:]
        if tokens and tokens[0] == "(":
            children, tokens = _list(tokens[1:])
            if not tokens or tokens[0] != ")":
                raise invalid("Invalid field selection (")
            node.update(children)
            tokens = tokens[1:]
        if not tokens or tokens[0] == ")":
            break
        if tokens[0] != ",":
            raise invalid(f"Invalid field selection {tokens[0]}")
        tokens = tokens[1:]
    return tree, tokens


def check(tree: _Tree, schemas: Mapping[str, Any], message: str) -> None:
    """Raises 400 on a name that a message of Google's has not, as Cloud Storage does."""
    properties = schemas.get(message, {}).get("properties")
    for name, below in tree.items():
        if name == "*" or properties is None:
            continue
        if name not in properties:
            raise invalid(f"Invalid field selection {name}")
        declared = properties[name].get("items", properties[name])
        if below and "$ref" in declared:
            check(below, schemas, declared["$ref"])


def select(value: Any, tree: _Tree) -> Any:
    """What of ``value`` the mask keeps."""
    if not tree or ("*" in tree and not tree["*"]):
        return value
    if isinstance(value, list):
        return [select(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    everywhere = tree.get("*")
    return {
        key: select(child, tree.get(key, everywhere) or {})
        for key, child in value.items()
        if key in tree or everywhere is not None
    }
