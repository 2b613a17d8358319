"""One member of one role in the IAM policy of a bucket, a project or a service account.

The policy belongs to many: it is read, changed and written under its etag, and a write that came too late is
tried again (https://cloud.google.com/iam/docs/allow-policies#etag).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunestack.emulator.gcp_provider.lifecycle import Found, Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.rest import CONFLICTS, PAUSES, GoogleError
from tunestack.emulator.gcp_provider.schema import Call, Property, ResourceType, expand
from tunestack.emulator.gcp_provider.values import Value

_CONDITION = ("title", "expression", "description")


class PolicyMember(Lifecycle):
    """``read`` of the table gets the policy, ``create`` sets it."""

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables(inputs)
        try:
            policy = await self._change(variables, lambda policy: _with_member(policy, inputs))
        except GoogleError as error:
            self.fail("setting the policy for", error, name=name, variables=variables)
        return expand(self.type.id, variables), self.outputs(policy, inputs, {})

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        variables = self.variables({**inputs, **state}) if state else self.variables_of_id(identity)
        try:
            policy = await self._policy(variables)
        except GoogleError as error:
            if error.http_status == 404:
                return None
            self.fail("reading the policy for", error, variables=variables)
        binding = _binding(policy, variables)
        if binding is None or not _holds(binding, variables["member"]):
            return None
        given = {item.name for item in self.type.properties if not item.output}
        complete = {key: value for key, value in variables.items() if key in given}
        outputs = self.outputs(policy, inputs or complete, state)
        return Found(expand(self.type.id, variables), outputs, dict(inputs) or complete)

    async def update(self, identity: str, state: State, inputs: State, seconds: float) -> dict[str, Value]:
        """Nothing of a member can change in place; the engine asks only to go on after a failure."""
        return (await self.create("", inputs, seconds))[1]

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        await self._change(variables, lambda policy: _without_member(policy, variables))

    async def _policy(self, variables: State) -> Json:
        # projects.getIamPolicy takes the version in its body, the others in the query.
        body = {"options": {"requestedPolicyVersion": 3}} if self.type.service == "resourceManager" else None
        return await self.rest.call(self.type.service, self.type.read, variables, body)

    async def _change(self, variables: State, change: Callable[[Json], Json | None]) -> Json:
        """The policy after ``change``, which answers None where the policy is right already."""
        address = self.rest.address(self.type.service, self.type.create.url, variables)
        async with self.rest.lock(address):
            for pause in (*PAUSES, None):
                policy = await self._policy(variables)
                changed = change(policy)
                if changed is None:
                    return policy
                whole = {"policy": changed, "updateMask": "bindings,etag,auditConfigs"}
                body = changed if self.type.create.method == "PUT" else whole
                try:
                    return await self.rest.request(self.type.create.method, address, body=body)
                except GoogleError as error:
                    if error.http_status not in CONFLICTS or pause is None:
                        raise
                await self.rest.sleep(pause)
        raise AssertionError("unreachable")


def _condition(holder: State) -> dict[str, Any]:
    condition = holder.get("condition") or {}
    return {key: condition[key] for key in _CONDITION if condition.get(key)}


def _binding(policy: Json, values: State) -> Json | None:
    """The policy's binding of the role under the condition."""
    for binding in policy.get("bindings", []):
        if binding["role"] == values["role"] and _condition(binding) == _condition(values):
            return dict(binding)
    return None


def _holds(binding: Json, member: str) -> bool:
    """Google writes e-mail addresses of members in lower case, whatever was sent."""
    return member.lower() in {str(held).lower() for held in binding.get("members", [])}


def _with_member(policy: Json, values: State) -> Json | None:
    binding = _binding(policy, values)
    if binding is not None and _holds(binding, values["member"]):
        return None
    condition = _condition(values)
    new = {"role": values["role"], "members": [], **({"condition": condition} if condition else {})}
    grown = {**(binding or new), "members": [*(binding or new).get("members", []), values["member"]]}
    return _written(policy, binding, grown)


def _without_member(policy: Json, values: State) -> Json | None:
    binding = _binding(policy, values)
    if binding is None or not _holds(binding, values["member"]):
        return None
    left = [held for held in binding["members"] if held.lower() != values["member"].lower()]
    return _written(policy, binding, {**binding, "members": left} if left else None)


def _written(policy: Json, old: Json | None, new: Json | None) -> Json:
    bindings = [binding for binding in policy.get("bindings", []) if binding != old] + ([new] if new else [])
    version = 3 if any(binding.get("condition") for binding in bindings) else policy.get("version", 1)
    return {**policy, "version": version, "bindings": bindings}


def _member_type(
    name: str, service: str, of: Property, prefix: str, get: Call, set_: Call, imports: tuple[str, ...]
) -> ResourceType:
    fields = tuple(Property(name=key, required=key != "description", replaces=True) for key in _CONDITION)
    return ResourceType(
        name=name,
        service=service,
        id=prefix + "{" + of.name + "}/{+role}/{+member}",
        imports=imports,
        create=set_,
        read=get,
        lifecycle=PolicyMember,
        properties=(
            of,
            Property(name="role", rest=None, required=True, replaces=True),
            Property(name="member", rest=None, required=True, replaces=True),
            Property(name="condition", kind="object", rest=None, replaces=True, fields=fields),
            Property(name="etag", output=True, volatile=True),
        ),
    )


BUCKET_IAM_MEMBER = _member_type(
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "storage",
    Property(
        name="bucket",
        rest=None,
        required=True,
        replaces=True,
        canonical=lambda bucket: str(bucket).removeprefix("b/"),
    ),
    "b/",
    Call("GET", "b/{bucket}/iam?optionsRequestedPolicyVersion=3"),
    Call("PUT", "b/{bucket}/iam"),
    ("b/{bucket} {+role} {+member}", "{bucket} {+role} {+member}"),
)
PROJECT_IAM_MEMBER = _member_type(
    "gcp:projects/iAMMember:IAMMember",
    "resourceManager",
    Property(name="project", rest=None, required=True, replaces=True),
    "",
    Call("POST", "projects/{project}:getIamPolicy"),
    Call("POST", "projects/{project}:setIamPolicy"),
    ("{project} {+role} {+member}",),
)
SERVICE_ACCOUNT_IAM_MEMBER = _member_type(
    "gcp:serviceaccount/iAMMember:IAMMember",
    "iam",
    Property(name="serviceAccountId", rest=None, required=True, replaces=True),
    "",
    Call("POST", "{+serviceAccountId}:getIamPolicy?options.requestedPolicyVersion=3"),
    Call("POST", "{+serviceAccountId}:setIamPolicy"),
    ("{+serviceAccountId} {+role} {+member}",),
)
