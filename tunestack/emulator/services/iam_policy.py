"""IAM policies: the checks that every ``setIamPolicy`` makes."""

from __future__ import annotations

import base64
import re
from typing import Any

from tunestack.emulator.access.conditions import Unevaluated, parse
from tunestack.emulator.call import Call
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.services.resources import named_row
from tunestack.emulator.state import State

Json = dict[str, Any]

# cloud.google.com/iam/docs/principal-identifiers
_MEMBER = re.compile(
    r"(allUsers|allAuthenticatedUsers"
    r"|(deleted:)?(user|serviceAccount|group|domain|projectOwner|projectEditor|projectViewer|principal|principalSet):.+)"
)
_ROLE = re.compile(r"(roles/[\w.]+|(projects|organizations)/[^/]+/roles/[\w.]+)")


def check_bindings(bindings: list[Json]) -> list[Json]:
    """The bindings with members of one role (and condition) joined. Raises 400 on a role or member that is not."""
    joined: dict[str, Json] = {}
    for binding in bindings:
        role = binding.get("role", "")
        if not _ROLE.fullmatch(role):
            raise invalid(f"Role {role} is not supported for this resource.")
        for member in binding.get("members", []):
            if not _MEMBER.fullmatch(member):
                raise invalid(
                    f"The member {member} is of an unknown type. Please set a valid type prefix for the member."
                )
        _check_condition(binding.get("condition"))
        key = f"{role} {binding.get('condition')}"
        kept = joined.setdefault(key, {**binding, "members": []})
        kept["members"] += [member for member in binding.get("members", []) if member not in kept["members"]]
    return [binding for binding in joined.values() if binding["members"]]


def _check_condition(condition: Json | None) -> None:
    """Refuses an expression that would not be evaluated: a grant must be as wide as it reads, or not be there."""
    if condition is None:
        return
    try:
        parse(condition.get("expression", ""))
    except Unevaluated as error:
        raise invalid(
            f"The condition {condition.get('expression', '')!r} cannot be set: {error}. The emulator evaluates"
            " request.time against timestamp(), and resource.name, type and service with ==, !=, startsWith, endsWith."
        ) from None


def set_policy(state: State, resource: str, policy: Json, mask: str | None = None) -> Json:
    """Replace a resource's policy. Raises 409 ABORTED when its etag is not the current one."""
    current = state.policies.get(resource)
    if policy.get("etag") and policy["etag"] != current["etag"]:
        raise ApiError(
            "ABORTED",
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
        )
    fields = [field.strip() for field in mask.split(",")] if mask else ["bindings", "version", "auditConfigs"]
    changed = {key: value for key, value in current.items() if key != "etag"}
    for field in fields:
        if field in policy:
            changed[field] = policy[field]
    changed["bindings"] = check_bindings(changed.get("bindings", []))
    return shown(state.policies.put(resource, changed))


def shown(policy: Json) -> Json:
    """Without the emulator's own counter."""
    return {key: value for key, value in policy.items() if key != "revision"}


def read_policy(call: Call, kind: str = "") -> Json:
    """A whole ``getIamPolicy`` method of a resource that is there."""
    named_row(call, "resource", kind)
    return policy_of(call, call.parent("resource"))


def write_policy(call: Call, kind: str = "") -> Json:
    """A whole ``setIamPolicy`` method."""
    named_row(call, "resource", kind)
    return replace_policy(call, call.parent("resource"))


def policy_of(call: Call, resource: str) -> Json:
    """The policy kept under a name, as it goes over the wire: an etag is bytes there."""
    return _wire(call.state.policies.get(resource))


def replace_policy(call: Call, resource: str) -> Json:
    """Put the body's policy in the place of the one kept under a name. Raises as `set_policy` does."""
    policy = dict(call.body.get("policy", {}))
    if policy.get("etag"):
        policy["etag"] = base64.b64decode(policy["etag"]).decode("latin-1")
    return _wire(set_policy(call.state, resource, policy, call.body.get("updateMask")))


def held_permissions(call: Call) -> Json:
    """A whole ``testIamPermissions`` method: what is not permitted is left out where IAM is enforced (`Access`)."""
    return {"permissions": call.body.get("permissions", [])}


def _wire(policy: Json) -> Json:
    return {**shown(policy), "etag": base64.b64encode(policy["etag"].encode()).decode()}
