"""What a set of policies grants, without effects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import Any

from tunestack.emulator.access.conditions import Condition, Request, parse

Json = dict[str, Any]

ANONYMOUS = "anonymous"
"""Who calls without a token."""


def identities(principal: str) -> frozenset[str]:
    """The members that name a principal (an e-mail address, or `ANONYMOUS`). Groups are not played."""
    if principal == ANONYMOUS:
        return frozenset({"allUsers"})
    kind = "serviceAccount" if principal.endswith(".gserviceaccount.com") else "user"
    found = {"allUsers", "allAuthenticatedUsers", f"{kind}:{principal}"}
    if kind == "user":
        found.add(f"domain:{principal.rpartition('@')[2]}")
    return frozenset(found)


def grants(
    bindings: Iterable[Json],
    members: Collection[str],
    permission: str,
    request: Request,
    permits: Callable[[str, str], bool],
) -> bool:
    """Whether one of ``bindings`` gives ``permission`` to one of ``members``; ``permits(role, permission)``."""
    return any(
        permits(binding["role"], permission) and _holds(binding.get("condition"), request)
        for binding in bindings
        if not members.isdisjoint(binding.get("members", []))  # type: ignore[attr-defined]
    )


def roles_of(bindings: Iterable[Json], members: Collection[str]) -> set[str]:
    """The roles that members hold without a condition."""
    return {
        binding["role"]
        for binding in bindings
        if "condition" not in binding and set(members) & set(binding.get("members", []))
    }


def _holds(condition: Json | None, request: Request) -> bool:
    return condition is None or _parsed(condition.get("expression", ""))(request)


@lru_cache(maxsize=256)
def _parsed(expression: str) -> Condition:
    return parse(expression)
