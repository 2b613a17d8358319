"""IAM policies: one member of a role, one role's members, a whole policy, what is audited.

A policy belongs to many: it is read, changed and written under its etag, and a write that came too late is tried
again (https://cloud.google.com/iam/docs/allow-policies#etag). The four kinds of type are those of
terraform-provider-google (``tpgiamresource``); they are the same for whatever has a policy.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tunestack.emulator.gcp_provider.bindings import (
    CONDITION,
    binding_of,
    condition_key,
    conditional,
    held_as,
    policy_text,
    rebound,
    same_policy,
)
from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.lifecycle import Found, Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.rest import CONFLICTS, PAUSES, GoogleError, Rest
from tunestack.emulator.gcp_provider.schema import Call, ResourceType, expand, parse
from tunestack.emulator.gcp_provider.values import Value


def itself(policy: Json) -> Json:
    return policy


def in_object(policy: Json) -> Json:
    return {"policy": policy}


@dataclass(frozen=True, kw_only=True)
class PolicyHolder:
    """What has a policy: its place in pulumi-gcp, its name, and how its policy is read and written."""

    #: The types' token without the kind and what follows: ``gcp:pubsub/topicIAM``.
    prefix: str
    service: str
    #: The input that names it, the template of its full name, and other ways to write that.
    property: str
    id: str
    forms: tuple[str, ...] = ()
    #: Inputs that may say a part of the name beside it: ``location``.
    beside: str = ""
    read: Call
    write: Call
    #: What a write sends for a policy, and the policy that an answer holds.
    encode: Callable[[Json], Json] = in_object
    decode: Callable[[Json], Json] = itself
    #: What a read sends: projects.getIamPolicy takes the version in its body, the others in the query.
    asks: Json | None = None

    def type_of(self, kind: str) -> str:
        """The type token of a kind: Member, Binding, Policy or AuditConfig."""
        name = self.prefix.rpartition("/")[2] + kind
        return f"{self.prefix}{kind}:{name[0].upper()}{name[1:]}"


class PolicyLifecycle(Lifecycle, ABC):
    """What the kinds share; ``place`` follows the holder's name in an id."""

    #: Inputs that an import names after the holder, separated by blanks.
    named: tuple[str, ...] = ()

    def __init__(self, holder: PolicyHolder, resource: ResourceType, rest: Rest) -> None:
        super().__init__(resource, rest)
        self.holder = holder

    # ---- what a kind decides --------------------------------------------------------------------------

    @abstractmethod
    def put(self, policy: Json, values: State) -> Json | None:
        """The policy with what ``values`` say; None where it is so already."""

    @abstractmethod
    def removed(self, policy: Json, values: State) -> Json | None:
        """The policy without it; None where it is so already."""

    @abstractmethod
    def seen(self, policy: Json, values: State) -> Json | None:
        """What the policy says of it, by property; None where it is gone."""

    def identity(self, values: State) -> str:
        return expand(self.holder.id, values)

    # ---- the operations -------------------------------------------------------------------------------

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables(inputs)
        policy = await self._change("setting", variables, lambda policy: self.put(policy, inputs))
        return self.identity(variables), self._state(policy, variables, inputs)

    async def update(self, identity: str, state: State, inputs: State, seconds: float) -> dict[str, Value]:
        return (await self.create("", inputs, seconds))[1]

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        given = {**inputs, **state}
        variables: State = self.variables(given) if state else self.variables_of_id(identity)
        try:
            policy = await self._policy(variables)
        except GoogleError as error:
            if error.http_status == 404:
                return None
            self.fail("reading the policy for", error, variables=variables)
        if not state:
            variables = self.imported(policy, variables)
        if self.seen(policy, variables) is None:
            return None
        outputs = self._state(policy, variables, inputs or state)
        return Found(self.identity(variables), outputs, dict(inputs) or self.inputs_of(outputs))

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        await self._change("taking back", variables, lambda policy: self.removed(policy, variables))

    def _state(self, policy: Json, variables: State, given: State) -> dict[str, Value]:
        names = {item.name for item in self.type.properties}
        seen = {**(self.seen(policy, variables) or {}), "etag": policy.get("etag")}
        whose = {self.holder.property: given.get(self.holder.property) or expand(self.holder.id, variables)}
        defaults = {key: variables.get(key) for key in ("project", *self.holder.beside.split())}
        kept = {key: value for key, value in given.items() if key in names}
        return {
            key: value
            for key, value in {**defaults, **kept, **whose, **seen}.items()
            if value is not None and key in names
        }

    # ---- names ----------------------------------------------------------------------------------------

    def variables(self, values: State) -> dict[str, Value]:
        """Also the parts of the holder's name, however the program writes it."""
        variables = super().variables(values)
        return {**variables, **(self._parts(str(variables.get(self.holder.property))) or {})}

    def variables_of_id(self, identity: str) -> dict[str, Value]:
        whose, *names = identity.split(" ", len(self.named))
        parts = self._parts(whose)
        if parts is None or len(names) < len(self.named):
            form = " ".join((self.holder.id.replace("{+", "{"), *(f"{{{name}}}" for name in self.named)))
            raise ProviderError("INVALID_ARGUMENT", f"{identity!r} is no id of a {self.type.title}: {form}")
        return {**super().variables({}), **parts, **dict(zip(self.named, names, strict=True))}

    def imported(self, policy: Json, variables: State) -> State:
        """``variables`` of an import's id, with what only the policy tells."""
        return variables

    def _parts(self, name: str) -> dict[str, str] | None:
        found = (parse(template, name) for template in (self.holder.id, *self.holder.forms))
        return next((parts for parts in found if parts is not None), None)

    # ---- the policy -----------------------------------------------------------------------------------

    async def _policy(self, variables: State) -> Json:
        answer = await self.rest.call(self.type.service, self.holder.read, variables, self.holder.asks)
        return self.holder.decode(answer)

    async def _change(self, doing: str, variables: State, change: Callable[[Json], Json | None]) -> Json:
        """The policy after ``change``, which answers None where the policy is right already."""
        address = self.rest.address(self.type.service, self.holder.write.url, variables)
        try:
            async with self.rest.lock(address):
                for pause in (*PAUSES, None):
                    policy = await self._policy(variables)
                    changed = change(policy)
                    if changed is None:
                        return policy
                    try:
                        body = self.holder.encode(changed)
                        return self.holder.decode(
                            await self.rest.request(self.holder.write.method, address, body=body)
                        )
                    except GoogleError as error:
                        if error.http_status not in CONFLICTS or pause is None:
                            raise
                    await self.rest.sleep(pause)
        except GoogleError as error:
            if error.http_status == 404 and doing == "taking back":
                return {}
            self.fail(f"{doing} the policy for", error, variables=variables)
        raise AssertionError("unreachable")


class PolicyBinding(PolicyLifecycle):
    """All members of one role (under one condition), whoever else put them there."""

    named: tuple[str, ...] = ("role",)

    def put(self, policy: Json, values: State) -> Json | None:
        binding = binding_of(policy, values)
        wanted = {"role": values["role"], "members": list(values["members"]), **conditional(values)}
        return None if binding == wanted else rebound(policy, binding, wanted)

    def removed(self, policy: Json, values: State) -> Json | None:
        binding = binding_of(policy, values)
        return None if binding is None else rebound(policy, binding, None)

    def seen(self, policy: Json, values: State) -> Json | None:
        """A role that nobody has is a binding without members, not one that is gone."""
        binding = binding_of(policy, values) or {"members": []}
        return {"role": values["role"], "members": list(binding["members"])}

    def identity(self, values: State) -> str:
        return f"{super().identity(values)}/{values['role']}{condition_key(values)}"

    def variables_of_id(self, identity: str) -> dict[str, Value]:
        """``{holder} {role} [{title of the condition}]``; a title may hold blanks."""
        parts = identity.split(" ", len(self.named) + 1)
        title = parts[-1] if len(parts) > len(self.named) + 1 else ""
        whole = " ".join(parts[: len(self.named) + 1])
        return {**super().variables_of_id(whole), **({"condition": {"title": title}} if title else {})}

    def imported(self, policy: Json, variables: State) -> State:
        title = (variables.get("condition") or {}).get("title", "")
        for binding in policy.get("bindings", []):
            titled = (binding.get("condition") or {}).get("title", "") == title
            if titled and binding["role"] == variables["role"]:
                return {**variables, **conditional(binding)}
        return variables


class PolicyMember(PolicyBinding):
    """One member of one role, beside whoever else has it."""

    named = ("role", "member")

    def put(self, policy: Json, values: State) -> Json | None:
        binding = binding_of(policy, values)
        if binding is not None and held_as(binding, values["member"]):
            return None
        base = binding or {"role": values["role"], "members": [], **conditional(values)}
        return rebound(policy, binding, {**base, "members": [*base["members"], values["member"]]})

    def removed(self, policy: Json, values: State) -> Json | None:
        binding = binding_of(policy, values)
        if binding is None or (held := held_as(binding, values["member"])) is None:
            return None
        left = [member for member in binding["members"] if member != held]
        return rebound(policy, binding, {**binding, "members": left} if left else None)

    def seen(self, policy: Json, values: State) -> Json | None:
        binding = binding_of(policy, values)
        held = None if binding is None else held_as(binding, values["member"])
        return None if held is None else {"role": values["role"], "member": held, **conditional(values)}

    def identity(self, values: State) -> str:
        holder = expand(self.holder.id, values)
        return f"{holder}/{values['role']}/{values['member']}{condition_key(values)}"


class WholePolicy(PolicyLifecycle):
    """The whole policy; deleting it leaves an empty one."""

    def put(self, policy: Json, values: State) -> Json | None:
        wanted = json.loads(values["policyData"])
        return {**wanted, "version": 3, **({"etag": policy["etag"]} if policy.get("etag") else {})}

    def removed(self, policy: Json, values: State) -> Json | None:
        return {"version": 3, "bindings": [], **({"etag": policy["etag"]} if policy.get("etag") else {})}

    def seen(self, policy: Json, values: State) -> Json | None:
        return {"policyData": policy_text(policy)}


class AuditConfig(PolicyLifecycle):
    """What is audited of one service."""

    named = ("service",)

    def put(self, policy: Json, values: State) -> Json | None:
        logs = values["auditLogConfigs"]
        return self._with(policy, [{"service": values["service"], "auditLogConfigs": logs}], values)

    def removed(self, policy: Json, values: State) -> Json | None:
        return self._with(policy, [], values)

    def seen(self, policy: Json, values: State) -> Json | None:
        for audited in policy.get("auditConfigs", []):
            if audited["service"] == values["service"]:
                return dict(audited)
        return None

    def identity(self, values: State) -> str:
        return f"{super().identity(values)}/audit_config/{values['service']}"

    def _with(self, policy: Json, audited: list[Json], values: State) -> Json:
        others = [each for each in policy.get("auditConfigs", []) if each["service"] != values["service"]]
        return {**policy, "auditConfigs": [*others, *audited]}


_KINDS: dict[str, type[PolicyLifecycle]] = {
    "Member": PolicyMember,
    "Binding": PolicyBinding,
    "Policy": WholePolicy,
    "AuditConfig": AuditConfig,
}


def policy_types(
    holder: PolicyHolder, kinds: tuple[str, ...] = ("Member", "Binding", "Policy")
) -> tuple[ResourceType, ...]:
    """The types of the kinds for one holder."""
    return tuple(_policy_type(holder, kind) for kind in kinds)


def _policy_type(holder: PolicyHolder, kind: str) -> ResourceType:
    token = holder.type_of(kind)
    named = _KINDS[kind].named
    replaces = {
        holder.property,
        *holder.beside.split(),
        *named,
        *({"condition"} if kind in ("Member", "Binding") else ()),
    }
    if kind in ("Member", "Binding"):
        replaces |= {f"condition.{part}" for part in CONDITION}
    compared: dict[str, dict[str, Any]] = {
        "Member": {"member": {"canonical": str.lower}},
        "Binding": {"members": {"canonical": str.lower}},
        "Policy": {"policyData": {"canonical": same_policy}},
    }
    also = dict(compared.get(kind, {}))
    if holder.id.startswith(("b/", "projects/")):
        also[holder.property] = {"canonical": _last}
    ordered = {"Binding": "members", "AuditConfig": "auditLogConfigs auditLogConfigs.exemptedMembers"}
    properties = declared(
        token,
        replaces=" ".join(sorted(replaces)),
        server=holder.beside,
        unordered=ordered.get(kind, ""),
        also=also,
    )
    return ResourceType(
        name=token,
        service=holder.service,
        id=" ".join((holder.id, *(f"{{+{name}}}" for name in named))),
        create=holder.write,
        read=holder.read,
        properties=properties,
        lifecycle=partial(_KINDS[kind], holder),
    )


def _last(name: Value) -> str:
    return str(name).rpartition("/")[2]
