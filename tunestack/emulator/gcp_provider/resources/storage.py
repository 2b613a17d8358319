"""gcp.storage beside buckets and objects: https://cloud.google.com/storage/docs/json_api/v1."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.policy import PolicyHolder, itself, policy_types
from tunestack.emulator.gcp_provider.schema import Call, ResourceType

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

TYPES = (*BUCKET_POLICIES, NOTIFICATION)
