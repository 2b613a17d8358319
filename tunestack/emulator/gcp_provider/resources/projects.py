"""gcp.projects: a project's policy, its own roles, the services' agents."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Found, Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType, expand
from tunestack.emulator.gcp_provider.values import Value

PROJECT_POLICIES = policy_types(
    PolicyHolder(
        prefix="gcp:projects/iAM",
        service="resourceManager",
        property="project",
        id="{project}",
        forms=("projects/{project}",),
        read=Call("POST", "projects/{project}:getIamPolicy"),
        write=Call("POST", "projects/{project}:setIamPolicy"),
        encode=lambda policy: {"policy": policy, "updateMask": "bindings,etag,auditConfigs"},
        asks={"options": {"requestedPolicyVersion": 3}},
    ),
    ("Member", "Binding", "Policy", "AuditConfig"),
)

_ROLE = "projects/{project}/roles/{roleId}"


class CustomRoleLifecycle(Lifecycle):
    """A role that was deleted lingers and keeps its id: creating it again restores it."""

    def creation_body(self, inputs: State) -> Json:
        return {"roleId": inputs["roleId"], "role": super().creation_body(inputs)}

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables(inputs)
        try:
            lingers = (await self.fetch(variables)).get("deleted", False)
        except GoogleError as error:
            if error.http_status != 404:
                self.fail("creating", error, name=name, variables=variables)
            lingers = False
        if not lingers:
            return await super().create(name, inputs, seconds)
        identity = expand(self.type.id, variables)
        state = self.outputs(await self.fetch(variables), inputs, {})
        return identity, await self.update(identity, state, inputs, seconds)

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        found = await super().read(identity, state, inputs)
        return None if found is not None and found.outputs.get("deleted") else found

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        return {}  # sent after the role is restored, below

    async def after_update(self, variables: State, difference: list[Change], inputs: State) -> None:
        if (await self.fetch(variables)).get("deleted"):
            await self.rest.call("iam", Call("POST", f"{_ROLE}:undelete"), variables, {})
        if difference:
            body = {"title": "", "description": "", **super().creation_body(inputs)}
            await self.rest.call("iam", Call("PATCH", _ROLE), variables, body)


CUSTOM_ROLE = ResourceType(
    name="gcp:projects/iAMCustomRole:IAMCustomRole",
    service="iam",
    id=_ROLE,
    imports=("{project}/{roleId}", "{roleId}"),
    # The hyphen is pulumi-gcp's: Google refuses such an id, so that a program has to give one.
    autoname=Autoname(property="roleId"),
    create=Call("POST", "projects/{project}/roles"),
    read=Call("GET", _ROLE),
    delete=Call("DELETE", _ROLE),
    lifecycle=CustomRoleLifecycle,
    properties=declared(
        "gcp:projects/iAMCustomRole:IAMCustomRole",
        address="roleId",
        replaces="roleId",
        unordered="permissions",
        default={"stage": "GA"},
        rest={"permissions": "includedPermissions"},
        also={"name": {"derived": _ROLE}},
    ),
)


class ServiceIdentityLifecycle(Lifecycle):
    """Google makes the agent when asked and never shows or deletes it."""

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables(inputs)
        try:
            answer = await self.rest.call(self.type.service, self.type.create, variables)
            made = await self.rest.wait(self.type.service, answer, seconds or 1200)
        except GoogleError as error:
            self.fail("creating", error, name=name, variables=variables)
        email = made.get("email")
        told = {"email": email, "member": f"serviceAccount:{email}"} if email else {}
        return expand(self.type.id, variables), {**self.kept_inputs(inputs, {}), **told}

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        known = dict(state) or self.variables_of_id(identity)
        return Found(identity, known, dict(inputs) or self.inputs_of(known))


SERVICE_IDENTITY = ResourceType(
    name="gcp:projects/serviceIdentity:ServiceIdentity",
    service="serviceUsageBeta",
    id="projects/{project}/services/{service}",
    create=Call("POST", "projects/{project}/services/{service}:generateServiceIdentity"),
    read=Call("GET", "projects/{project}/services/{service}"),
    lifecycle=ServiceIdentityLifecycle,
    properties=declared(
        "gcp:projects/serviceIdentity:ServiceIdentity", address="service", replaces="service"
    ),
)
TYPES = (*PROJECT_POLICIES, CUSTOM_ROLE, SERVICE_IDENTITY)
