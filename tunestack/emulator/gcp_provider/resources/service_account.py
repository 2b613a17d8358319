"""gcp.serviceaccount.Account: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.schema import (
    DELETION_POLICY,
    PROJECT,
    Autoname,
    Call,
    Property,
    ResourceType,
)
from tunestack.emulator.gcp_provider.values import Value

_EMAIL = "{accountId}@{project}.iam.gserviceaccount.com"
_TEXTS = ("displayName", "description")


class AccountLifecycle(Lifecycle):
    """Bodies are enveloped, and a call of its own disables an account."""

    async def adopt(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]] | None:
        if not inputs.get("createIgnoreAlreadyExists"):
            return await super().adopt(name, inputs, seconds)
        state = self.outputs(await self.fetch(self.variables(self.planned(inputs))), inputs, {})
        return state["name"], await self.update(state["name"], state, inputs, seconds)

    def creation_body(self, inputs: State) -> Json:
        texts = {key: inputs[key] for key in _TEXTS if inputs.get(key)}
        return {"accountId": inputs["accountId"], "serviceAccount": texts}

    async def after_creation(self, variables: State, inputs: State) -> None:
        if inputs.get("disabled"):
            await self._set_disabled(variables, True)

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        return {}  # enveloped, below

    async def after_update(self, variables: State, difference: list[Change], inputs: State) -> None:
        names = {change.property for change in difference}
        if texts := [key for key in _TEXTS if key in names]:
            account = {key: inputs.get(key, "") for key in texts}
            body = {"serviceAccount": account, "updateMask": ",".join(texts)}
            await self.rest.call("iam", Call("PATCH", "{+name}"), variables, body)
        if "disabled" in names:
            await self._set_disabled(variables, bool(inputs.get("disabled")))

    async def _set_disabled(self, variables: State, disabled: bool) -> None:
        verb = "disable" if disabled else "enable"
        await self.rest.call("iam", Call("POST", "{+name}:" + verb), variables, {})


SERVICE_ACCOUNT = ResourceType(
    name="gcp:serviceaccount/account:Account",
    service="iam",
    id="{+name}",
    autoname=Autoname(property="accountId", maximum=30),
    create=Call("POST", "projects/{project}/serviceAccounts"),
    read=Call("GET", "{+name}"),
    delete=Call("DELETE", "{+name}"),
    lifecycle=AccountLifecycle,
    properties=(
        Property(
            name="accountId",
            rest="email",
            required=True,
            replaces=True,
            decode=lambda email: email.partition("@")[0] if email else None,
        ),
        PROJECT,
        DELETION_POLICY,
        Property(name="displayName"),
        Property(name="description"),
        Property(name="disabled", kind="boolean", default=False, decode=bool),
        Property(name="createIgnoreAlreadyExists", kind="boolean", rest=None),
        Property(name="name", output=True, derived="projects/{project}/serviceAccounts/" + _EMAIL),
        Property(name="email", output=True, derived=_EMAIL),
        Property(name="member", rest=None, output=True, derived="serviceAccount:" + _EMAIL),
        Property(name="uniqueId", output=True),
    ),
)
