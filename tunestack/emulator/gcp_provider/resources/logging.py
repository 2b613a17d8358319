"""gcp.logging: https://cloud.google.com/logging/docs/reference/v2/rest."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.resources.names import last_part
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType, expand
from tunestack.emulator.gcp_provider.values import Value


def _trimmed(text: Value) -> str:
    return str(text).strip()


class AcquiredLifecycle(Lifecycle):
    """What Google has made already (the log buckets ``_Default`` and ``_Required``) is taken over and changed."""

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables({**self.kept_inputs(inputs, {}), **inputs})
        try:
            state = self.outputs(await self.fetch(variables), inputs, {})
        except GoogleError as error:
            if error.http_status == 404:
                return await super().create(name, inputs, seconds)
            self.fail("reading", error, name=name, variables=variables)
        identity = expand(self.type.id, variables)
        return identity, await self.update(identity, state, inputs, seconds)


class SinkLifecycle(AcquiredLifecycle):
    """A change always says where the sink leads and what it takes, as Google asks."""

    def creation_call(self, inputs: State) -> Call:
        custom = "&customWriterIdentity={customWriterIdentity}" if inputs.get("customWriterIdentity") else ""
        return Call(self.type.create.method, self.type.create.url + custom)

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        body = super().update_body(difference, state, inputs)
        always = {key: inputs.get(key) for key in ("destination", "filter", "exclusions") if inputs.get(key)}
        return {**always, **body} if body else {}


_SINKS = "projects/{project}/sinks"
PROJECT_SINK = ResourceType(
    name="gcp:logging/projectSink:ProjectSink",
    service="logging",
    id=_SINKS + "/{name}",
    autoname=Autoname(),
    create=Call("POST", _SINKS + "?uniqueWriterIdentity={uniqueWriterIdentity}"),
    read=Call("GET", _SINKS + "/{name}"),
    update=Call("PATCH", _SINKS + "/{name}?uniqueWriterIdentity={uniqueWriterIdentity}"),
    delete=Call("DELETE", _SINKS + "/{name}"),
    lifecycle=SinkLifecycle,
    properties=declared(
        "gcp:logging/projectSink:ProjectSink",
        address="uniqueWriterIdentity customWriterIdentity",
        replaces="name",
        server="bigqueryOptions",
        default={"uniqueWriterIdentity": True, "exclusions.disabled": False},
        also={"filter": {"canonical": _trimmed}, "exclusions.filter": {"canonical": _trimmed}},
    ),
)

METRIC = ResourceType(
    name="gcp:logging/metric:Metric",
    service="logging",
    id="{name}",
    imports=("{project} {name}",),
    autoname=Autoname(),
    create=Call("POST", "projects/{project}/metrics"),
    read=Call("GET", "projects/{project}/metrics/{name}"),
    update=Call("PUT", "projects/{project}/metrics/{name}"),
    delete=Call("DELETE", "projects/{project}/metrics/{name}"),
    patch="whole",
    properties=declared(
        "gcp:logging/metric:Metric",
        server="metricDescriptor",
        unordered="metricDescriptor.labels",
        default={"metricDescriptor.unit": "1", "metricDescriptor.labels.valueType": "STRING"},
        rest={"bucketOptions.explicitBuckets": "explicitBuckets"},
        also={"name": {"required": True}},
    ),
)


class LogBucketLifecycle(AcquiredLifecycle):
    """Google's own two buckets cannot be deleted, only let go of."""

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        if variables["bucketId"] not in ("_Default", "_Required"):
            await super().remove(variables, state, seconds)

    def variables(self, values: State) -> dict[str, Value]:
        variables = super().variables(values)
        return {**variables, "project": str(variables.get("project", "")).removeprefix("projects/")}


_BUCKETS = "projects/{project}/locations/{location}/buckets"
PROJECT_BUCKET_CONFIG = ResourceType(
    name="gcp:logging/projectBucketConfig:ProjectBucketConfig",
    service="logging",
    id=_BUCKETS + "/{bucketId}",
    create=Call("POST", _BUCKETS + ":createAsync?bucketId={bucketId}"),
    read=Call("GET", _BUCKETS + "/{bucketId}"),
    update=Call("PATCH", _BUCKETS + "/{bucketId}"),
    delete=Call("DELETE", _BUCKETS + "/{bucketId}"),
    lifecycle=LogBucketLifecycle,
    properties=declared(
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
        address="project location bucketId",
        replaces="project location bucketId",
        server="description",
        output="cmekSettings.name cmekSettings.kmsKeyVersionName cmekSettings.serviceAccountId",
        unordered="indexConfigs",
        default={"retentionDays": 30},
        rest={"enableAnalytics": "analyticsEnabled"},
        also={"project": {"canonical": last_part}},
    ),
)

_EXCLUSIONS = "projects/{project}/exclusions"
PROJECT_EXCLUSION = ResourceType(
    name="gcp:logging/projectExclusion:ProjectExclusion",
    service="logging",
    id=_EXCLUSIONS + "/{name}",
    autoname=Autoname(),
    create=Call("POST", _EXCLUSIONS),
    read=Call("GET", _EXCLUSIONS + "/{name}"),
    update=Call("PATCH", _EXCLUSIONS + "/{name}"),
    delete=Call("DELETE", _EXCLUSIONS + "/{name}"),
    properties=declared("gcp:logging/projectExclusion:ProjectExclusion", replaces="name"),
)
TYPES = (PROJECT_SINK, METRIC, PROJECT_BUCKET_CONFIG, PROJECT_EXCLUSION)
