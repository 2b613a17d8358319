"""gcp.pubsub: https://cloud.google.com/pubsub/docs/reference/rest."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.resources.names import last_part, seconds
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType, expand
from tunestack.emulator.gcp_provider.values import Value


class PubSubLifecycle(Lifecycle):
    """Bodies carry full names where programs may give short ones."""

    def creation_body(self, inputs: State) -> Json:
        body = {**super().creation_body(inputs), "name": expand(self.type.id, self.variables(inputs))}
        if "topic" in body:
            topic = {**self.variables(inputs), "topic": last_part(body["topic"])}
            full = "/" in body["topic"]
            body["topic"] = body["topic"] if full else expand("projects/{project}/topics/{topic}", topic)
        return body

    def variables(self, values: State) -> dict[str, Value]:
        variables = super().variables(values)
        return {**variables, **({"name": last_part(variables["name"])} if variables.get("name") else {})}


_TOPIC = "projects/{project}/topics/{name}"
TOPIC = ResourceType(
    name="gcp:pubsub/topic:Topic",
    service="pubsub",
    id=_TOPIC,
    imports=("{project}/{name}", "{name}"),
    autoname=Autoname(),
    create=Call("PUT", _TOPIC),
    read=Call("GET", _TOPIC),
    update=Call("PATCH", _TOPIC),
    delete=Call("DELETE", _TOPIC),
    envelope="topic",
    lifecycle=PubSubLifecycle,
    properties=declared(
        "gcp:pubsub/topic:Topic",
        address="name",
        replaces="name tags",
        server="messageStoragePolicy",
        unordered="messageStoragePolicy.allowedPersistenceRegions",
        kept="tags",
        default={
            "schemaSettings.encoding": "ENCODING_UNSPECIFIED",
            "messageTransforms.disabled": False,
            "ingestionDataSourceSettings.cloudStorage.textFormat.delimiter": "\n",
            "ingestionDataSourceSettings.platformLogsSettings.severity": "SEVERITY_UNSPECIFIED",
        },
        also={
            "name": {"canonical": last_part},
            "schemaSettings.encoding": {
                "canonical": lambda text: str(text).replace("ENCODING_UNSPECIFIED", "")
            },
            "messageRetentionDuration": {"canonical": seconds},
        },
    ),
)

_SUBSCRIPTION = "projects/{project}/subscriptions/{name}"
SUBSCRIPTION = ResourceType(
    name="gcp:pubsub/subscription:Subscription",
    service="pubsub",
    id=_SUBSCRIPTION,
    imports=("{project}/{name}", "{name}"),
    autoname=Autoname(),
    create=Call("PUT", _SUBSCRIPTION),
    read=Call("GET", _SUBSCRIPTION),
    update=Call("PATCH", _SUBSCRIPTION),
    delete=Call("DELETE", _SUBSCRIPTION),
    envelope="subscription",
    lifecycle=PubSubLifecycle,
    properties=declared(
        "gcp:pubsub/subscription:Subscription",
        address="name",
        replaces="name topic enableMessageOrdering filter tags",
        server="""ackDeadlineSeconds expirationPolicy retryPolicy.maximumBackoff retryPolicy.minimumBackoff
            cloudStorageConfig.textConfig""",
        output="cloudStorageConfig.state cloudStorageConfig.textConfig.state",
        int64="cloudStorageConfig.maxBytes cloudStorageConfig.maxMessages",
        kept="tags",
        default={
            "messageRetentionDuration": "604800s",
            "cloudStorageConfig.maxDuration": "300s",
            "messageTransforms.disabled": False,
        },
        also={
            "topic": {"canonical": last_part},
            "messageRetentionDuration": {"canonical": seconds},
            # An empty text is a subscription that never expires; Google leaves the key out then.
            "expirationPolicy.ttl": {"canonical": lambda ttl: seconds(ttl) if ttl else ""},
            "retryPolicy.maximumBackoff": {"canonical": seconds},
            "retryPolicy.minimumBackoff": {"canonical": seconds},
        },
    ),
)


def _holder(noun: str) -> PolicyHolder:
    name = "projects/{project}/" + noun + "s/{" + noun + "}"
    return PolicyHolder(
        prefix=f"gcp:pubsub/{noun}IAM",
        service="pubsub",
        property=noun,
        id=name,
        forms=("{project}/{" + noun + "}", "{" + noun + "}"),
        read=Call("GET", name + ":getIamPolicy?options.requestedPolicyVersion=3"),
        write=Call("POST", name + ":setIamPolicy"),
    )


TYPES = (
    TOPIC,
    SUBSCRIPTION,
    *policy_types(_holder("topic")),
    *policy_types(_holder("subscription")),
)
