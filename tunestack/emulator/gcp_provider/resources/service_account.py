"""gcp.serviceaccount: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType
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
    properties=declared(
        "gcp:serviceaccount/account:Account",
        address="createIgnoreAlreadyExists",
        replaces="accountId",
        default={"disabled": False},
        rest={"accountId": "email", "member": None},
        also={
            "accountId": {"decode": lambda email: email.partition("@")[0] if email else None},
            "disabled": {"decode": bool},
            "name": {"derived": "projects/{project}/serviceAccounts/" + _EMAIL},
            "email": {"derived": _EMAIL},
            "member": {"derived": "serviceAccount:" + _EMAIL},
        },
    ),
)
SERVICE_ACCOUNT_POLICIES = policy_types(
    PolicyHolder(
        prefix="gcp:serviceaccount/iAM",
        service="iam",
        property="serviceAccountId",
        id="{+serviceAccountId}",
        read=Call("POST", "{+serviceAccountId}:getIamPolicy?options.requestedPolicyVersion=3"),
        write=Call("POST", "{+serviceAccountId}:setIamPolicy"),
    )
)


class KeyLifecycle(Lifecycle):
    """The private half is told once; a key whose public half is given is uploaded."""

    def creation_call(self, inputs: State) -> Call:
        verb = "keys:upload" if inputs.get("publicKeyData") else "keys"
        return Call("POST", "{+account}/" + verb)

    def creation_body(self, inputs: State) -> Json:
        body = super().creation_body(inputs)
        given = {"publicKeyData"} if "publicKeyData" in body else {"keyAlgorithm", "privateKeyType"}
        return {key: value for key, value in body.items() if key in given}

    def variables(self, values: State) -> dict[str, Value]:
        """``account``: the account's full name, which a program may also give as its address or its id."""
        variables = super().variables(values)
        account, project = str(variables.get("serviceAccountId", "")), variables.get("project") or "-"
        if "/" not in account:
            email = account if "@" in account else f"{account}@{project}.iam.gserviceaccount.com"
            account = f"projects/{project if '@' not in account else '-'}/serviceAccounts/{email}"
        return {**variables, "account": account}


KEY = ResourceType(
    name="gcp:serviceaccount/key:Key",
    service="iam",
    id="{+name}",
    create=Call("POST", "{+account}/keys"),
    read=Call("GET", "{+name}?publicKeyType={publicKeyType}"),
    delete=Call("DELETE", "{+name}"),
    lifecycle=KeyLifecycle,
    properties=declared(
        "gcp:serviceaccount/key:Key",
        address="serviceAccountId publicKeyType keepers",
        replaces="serviceAccountId keyAlgorithm privateKeyType publicKeyType publicKeyData keepers",
        default={
            "keyAlgorithm": "KEY_ALG_RSA_2048",
            "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE",
            "publicKeyType": "TYPE_X509_PEM_FILE",
        },
        kept="privateKey privateKeyType publicKeyData",
        rest={
            "publicKey": "publicKeyData",
            "privateKey": "privateKeyData",
            "validAfter": "validAfterTime",
            "validBefore": "validBeforeTime",
        },
        # The public half that reads tell is the output's, in the form that publicKeyType names.
        also={"publicKeyData": {"decode": lambda _: None}},
    ),
)
TYPES = (SERVICE_ACCOUNT, *SERVICE_ACCOUNT_POLICIES, KEY)
