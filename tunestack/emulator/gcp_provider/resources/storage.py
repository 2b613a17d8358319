"""gcp.storage beside buckets and objects: https://cloud.google.com/storage/docs/json_api/v1."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.policy import PolicyHolder, itself, policy_types
from tunestack.emulator.gcp_provider.resources.names import last_part
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType

BUCKET_POLICIES = policy_types(
    PolicyHolder(
        prefix="gcp:storage/bucketIAM",
        service="storage",
        property="bucket",
        id="b/{bucket}",
        forms=("{bucket}",),
        read=Call("GET", "b/{bucket}/iam?optionsRequestedPolicyVersion=3"),
        write=Call("PUT", "b/{bucket}/iam"),
        encode=itself,
    )
)

NOTIFICATION = ResourceType(
    name="gcp:storage/notification:Notification",
    service="storage",
    id="{bucket}/notificationConfigs/{notificationId}",
    create=Call("POST", "b/{bucket}/notificationConfigs"),
    read=Call("GET", "b/{bucket}/notificationConfigs/{notificationId}"),
    delete=Call("DELETE", "b/{bucket}/notificationConfigs/{notificationId}"),
    properties=declared(
        "gcp:storage/notification:Notification",
        address="bucket",
        replaces="bucket payloadFormat topic customAttributes eventTypes objectNamePrefix",
        unordered="eventTypes",
        rest={
            "payloadFormat": "payload_format",
            "customAttributes": "custom_attributes",
            "eventTypes": "event_types",
            "objectNamePrefix": "object_name_prefix",
            "notificationId": "id",
        },
        # //pubsub.googleapis.com/projects/P/topics/T on the wire, projects/P/topics/T in programs.
        also={
            "payloadFormat": {"allowed": ("JSON_API_V1", "NONE")},
            "topic": {
                "encode": lambda topic: (
                    topic if topic.startswith("//") else f"//pubsub.googleapis.com/{topic}"
                ),
                "canonical": lambda topic: topic.removeprefix("//pubsub.googleapis.com/"),
                "decode": lambda topic: topic and topic.removeprefix("//pubsub.googleapis.com/"),
            },
        },
    ),
)


class HmacKeyLifecycle(Lifecycle):
    """The secret is told once; a key must be inactive before it can be deleted."""

    async def fetch(self, variables: State) -> Json:
        return {"metadata": await super().fetch(variables)}

    async def after_creation(self, variables: State, inputs: State) -> None:
        if inputs.get("state", "ACTIVE") != "ACTIVE":
            await self._set_state(variables, inputs["state"])

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        if (await self.rest.call("storage", self.type.read, variables))["state"] == "ACTIVE":
            await self._set_state(variables, "INACTIVE")
        await super().remove(variables, state, seconds)

    async def _set_state(self, variables: State, state: str) -> None:
        call = Call("PUT", "projects/{project}/hmacKeys/{accessId}")
        await self.rest.call("storage", call, variables, {"state": state})

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        return {"state": inputs.get("state") or "ACTIVE"} if difference else {}


HMAC_KEY = ResourceType(
    name="gcp:storage/hmacKey:HmacKey",
    service="storage",
    id="projects/{project}/hmacKeys/{accessId}",
    imports=("{project}/{accessId}", "{accessId}"),
    create=Call("POST", "projects/{project}/hmacKeys?serviceAccountEmail={serviceAccountEmail}"),
    read=Call("GET", "projects/{project}/hmacKeys/{accessId}"),
    update=Call("PUT", "projects/{project}/hmacKeys/{accessId}"),
    delete=Call("DELETE", "projects/{project}/hmacKeys/{accessId}"),
    patch="whole",
    lifecycle=HmacKeyLifecycle,
    properties=declared(
        "gcp:storage/hmacKey:HmacKey",
        replaces="serviceAccountEmail",
        default={"state": "ACTIVE"},
        kept="secret",
        rest={
            key: f"metadata.{key}"
            for key in ("serviceAccountEmail", "state", "accessId", "timeCreated", "updated")
        },
        also={
            "serviceAccountEmail": {"encode": lambda _: None},
            "state": {"encode": lambda _: None, "allowed": ("ACTIVE", "INACTIVE")},
        },
    ),
)

_FOLDER = "b/{bucket}/managedFolders/{name}"
MANAGED_FOLDER = ResourceType(
    name="gcp:storage/managedFolder:ManagedFolder",
    service="storage",
    id="{bucket}/{+name}",
    imports=("{bucket}/managedFolders/{+name}",),
    autoname=Autoname(maximum=222),
    create=Call("POST", "b/{bucket}/managedFolders"),
    read=Call("GET", _FOLDER),
    delete=Call("DELETE", _FOLDER + "?allowNonEmpty={forceDestroy}"),
    properties=declared(
        "gcp:storage/managedFolder:ManagedFolder",
        address="forceDestroy",
        replaces="bucket name",
        default={"forceDestroy": False},
        also={"bucket": {"canonical": last_part}},
    ),
)
TYPES = (*BUCKET_POLICIES, NOTIFICATION, HMAC_KEY, MANAGED_FOLDER)
