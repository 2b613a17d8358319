"""The bindings of an IAM policy: found, changed, compared. Order and the case of addresses say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.values import Value

State = Mapping[str, Value]

CONDITION = ("title", "expression", "description")


def condition_of(holder: State) -> dict[str, Any]:
    """The condition of a binding or of a resource's values, without what is empty; {} where there is none."""
    condition = holder.get("condition") or {}
    return {key: condition[key] for key in CONDITION if condition.get(key)}


def conditional(holder: State) -> Json:
    """What a binding says beside role and members: its condition, where it has one."""
    return {"condition": condition} if (condition := condition_of(holder)) else {}


def condition_key(values: State) -> str:
    """What a condition adds to an id: ``/title/description/expression``, as the real provider writes it."""
    condition = condition_of(values)
    parts = (condition.get(key, "") for key in ("title", "description", "expression"))
    return "/" + "/".join(parts) if condition else ""


def binding_of(policy: Json, values: State) -> Json | None:
    """The policy's binding of the role under the condition."""
    for binding in policy.get("bindings", []):
        if binding["role"] == values["role"] and condition_of(binding) == condition_of(values):
            return dict(binding)
    return None


def held_as(binding: Json, member: str) -> str | None:
    """The member as the policy writes it: Google writes e-mail addresses in lower case, whatever was sent."""
    return next((str(held) for held in binding["members"] if held.lower() == member.lower()), None)


def rebound(policy: Json, old: Json | None, new: Json | None) -> Json:
    """The policy with ``new`` in place of ``old``; version 3 where a binding has a condition, as Google asks."""
    bindings = [binding for binding in policy.get("bindings", []) if binding != old] + ([new] if new else [])
    version = 3 if any(binding.get("condition") for binding in bindings) else policy.get("version", 1)
    return {**policy, "version": version, "bindings": bindings}


def policy_text(policy: Json) -> str:
    """As the real provider writes it: audited services, then bindings, nothing else."""
    parts = {key: policy[key] for key in ("auditConfigs", "bindings") if policy.get(key)}
    return json.dumps(parts, separators=(",", ":"))


def same_policy(text: Value) -> Value:
    """Policies that mean the same as one text: order of bindings and members says nothing."""
    try:
        policy = json.loads(text)
    except ValueError:
        return text
    if not isinstance(policy, dict):
        return text
    for binding in policy.get("bindings") or []:
        binding["members"] = sorted({member.lower() for member in binding.get("members") or []})
    for audited in policy.get("auditConfigs") or []:
        for each in audited.get("auditLogConfigs") or []:
            each["exemptedMembers"] = sorted(each.get("exemptedMembers") or [])
        audited["auditLogConfigs"] = sorted(audited.get("auditLogConfigs") or [], key=repr)
    parts = {
        key: sorted(policy[key], key=_sorted_text) for key in ("bindings", "auditConfigs") if policy.get(key)
    }
    return json.dumps(parts, sort_keys=True)


def _sorted_text(value: Value) -> str:
    return json.dumps(cast(Any, value), sort_keys=True)
