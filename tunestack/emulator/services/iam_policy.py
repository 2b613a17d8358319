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


# cloud.google.com/iam/docs/conditions-overview: basic roles take none.
_BASIC = ("roles/owner", "roles/editor", "roles/viewer")


def check_bindings(state: State, bindings: list[Json]) -> list[Json]:
    """The bindings with members of one role (and condition) joined. Raises 400 on a role or member that is not."""
    joined: dict[str, Json] = {}
    for binding in bindings:
        role = binding.get("role", "")
        _check_role(state, role)
        if binding.get("condition") is not None and role in _BASIC:
            raise invalid(f"A condition cannot be set on {role}: basic roles take none.")
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


def _check_role(state: State, role: str) -> None:
    """Refuses what is no role's name, and a role of a project's own that is not there (an organisation's never is).

    Which predefined roles Google has is not known here to the last: one that is unknown permits nothing.
    """
    if not _ROLE.fullmatch(role):
        raise invalid(f"Role {role} is not supported for this resource.")
    if not role.startswith("roles/") and state.rows.find(state.projects.canonical(role)) is None:
        # Words: hashicorp/vault-plugin-secrets-gcp#84.
        raise invalid(f"Role ({role}) does not exist in the resource's hierarchy.")


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
    """Replace a resource's policy. Raises 409 ABORTED when its etag is not the current one.

    400 where conditions are there and the version is not 3, unless there is no etag: then Google overwrites blindly.
    """
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
    if "bindings" in fields:  # a policy without any is empty, and clients send no empty list
        changed["bindings"] = policy.get("bindings", [])
    changed["bindings"] = check_bindings(state, changed.get("bindings", []))
    conditional = _conditional(changed["bindings"])
    if policy.get("etag") and (conditional or _conditional(current["bindings"])):
        _check_version(policy.get("version", 1))
    changed["version"] = 3 if conditional else policy.get("version", 1)
    return shown(state.policies.put(resource, changed))


def _conditional(bindings: list[Json]) -> bool:
    return any("condition" in binding for binding in bindings)


def _check_version(version: int) -> None:
    """Words: hashicorp/vault-plugin-secrets-gcp#88."""
    if version != 3:
        raise invalid(
            f"Specified policy version ({version}) cannot be less than the existing policy version (3). For more"
            " information, please refer to https://cloud.google.com/iam/docs/policies#versions."
        )


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
