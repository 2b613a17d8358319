"""gcp.monitoring: https://cloud.google.com/monitoring/api/ref_v3/rest."""

from __future__ import annotations

import json
from typing import Any

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.lifecycle import Found, Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Call, ResourceType
from tunestack.emulator.gcp_provider.values import Value

ALERT_POLICY = ResourceType(
    name="gcp:monitoring/alertPolicy:AlertPolicy",
    service="monitoring",
    id="{+name}",
    create=Call("POST", "v3/projects/{project}/alertPolicies"),
    read=Call("GET", "v3/{+name}"),
    update=Call("PATCH", "v3/{+name}"),
    delete=Call("DELETE", "v3/{+name}"),
    properties=declared(
        "gcp:monitoring/alertPolicy:AlertPolicy",
        output="conditions.name",
        int64="""conditions.conditionSql.rowCountTest.threshold""",
        volatile="creationRecords",
        default={"enabled": True, "documentation.mimeType": "text/markdown"},
        rest={
            "alertStrategy.notificationChannelStrategies": "notificationChannelStrategy",
            "creationRecords": "creationRecord",
        },
        also={"creationRecords": {"decode": lambda record: None if record is None else [record]}},
    ),
)

#: Labels of a channel that hold a secret: Google shows them blotted out.
_SENSITIVE = {"authToken": "auth_token", "password": "password", "serviceKey": "service_key"}


class NotificationChannelLifecycle(Lifecycle):
    """Secret labels travel among the others, and are not to be read back."""

    def creation_body(self, inputs: State) -> Json:
        body = super().creation_body(inputs)
        given = inputs.get("sensitiveLabels") or {}
        secret = {label: given[key] for key, label in _SENSITIVE.items() if given.get(key)}
        written = {label: given[f"{key}Wo"] for key, label in _SENSITIVE.items() if given.get(f"{key}Wo")}
        labels = {**body.get("labels", {}), **secret, **written}
        return {**body, **({"labels": labels} if labels else {})}

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        return self.creation_body(inputs) if difference else {}

    def outputs(self, body: Any, inputs: State, state: State) -> dict[str, Value]:
        values = super().outputs(body, inputs, state)
        mine = (inputs or state).get("labels") or {}
        labels = values.get("labels", {})
        shown = {key: value for key, value in labels.items() if key in mine or key not in _SENSITIVE.values()}
        return {**values, **({"labels": shown} if shown else {})}


NOTIFICATION_CHANNEL = ResourceType(
    name="gcp:monitoring/notificationChannel:NotificationChannel",
    service="monitoring",
    id="{+name}",
    create=Call("POST", "v3/projects/{project}/notificationChannels"),
    read=Call("GET", "v3/{+name}"),
    update=Call("PATCH", "v3/{+name}"),
    delete=Call("DELETE", "v3/{+name}?force={forceDelete}"),
    patch="whole",
    lifecycle=NotificationChannelLifecycle,
    properties=declared(
        "gcp:monitoring/notificationChannel:NotificationChannel",
        address="forceDelete sensitiveLabels",
        default={"enabled": True, "forceDelete": False},
        also={"sensitiveLabels": {"secret": True}},
    ),
)

METRIC_DESCRIPTOR = ResourceType(
    name="gcp:monitoring/metricDescriptor:MetricDescriptor",
    service="monitoring",
    id="{+name}",
    create=Call("POST", "v3/projects/{project}/metricDescriptors"),
    read=Call("GET", "v3/{+name}"),
    update=Call("POST", "v3/projects/{project}/metricDescriptors"),
    delete=Call("DELETE", "v3/{+name}"),
    patch="whole",
    properties=declared(
        "gcp:monitoring/metricDescriptor:MetricDescriptor",
        replaces="metricKind type valueType labels launchStage",
        unordered="labels",
        kept="metadata launchStage",
        default={"labels.valueType": "STRING"},
    ),
)


def _as_stated(found: Any, stated: Any) -> Any:
    """``found`` without what ``stated`` is silent about: Google adds names, defaults and an etag."""
    if isinstance(found, dict) and isinstance(stated, dict):
        return {key: _as_stated(value, stated[key]) for key, value in found.items() if key in stated}
    if isinstance(found, list) and isinstance(stated, list) and len(found) == len(stated):
        return [_as_stated(*pair) for pair in zip(found, stated, strict=True)]
    return found


def _same_json(text: Value) -> Value:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


class DashboardLifecycle(Lifecycle):
    """The program gives Google's JSON as a text; its name is the resource's id."""

    def creation_body(self, inputs: State) -> Json:
        return dict(json.loads(inputs["dashboardJson"]))

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables(inputs)
        try:
            answer = await self.rest.call(
                self.type.service, self.type.create, variables, self.creation_body(inputs)
            )
        except GoogleError as error:
            self.fail("creating", error, name=name, variables=variables)
        return str(answer["name"]), self.outputs(answer, inputs, {})

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        try:
            body = await self.fetch({"id": identity})
        except GoogleError as error:
            if error.http_status == 404:
                return None
            self.fail("reading", error)
        outputs = self.outputs(body, inputs, state)
        return Found(identity, outputs, dict(inputs) or self.inputs_of(outputs))

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        return self.creation_body(inputs) if difference else {}

    def outputs(self, body: Any, inputs: State, state: State) -> dict[str, Value]:
        stated = (inputs or state).get("dashboardJson")
        whole = {key: value for key, value in body.items() if key not in ("name", "etag")}
        shown = _as_stated(body, json.loads(stated)) if stated else whole
        return {**super().outputs({}, inputs, state), "dashboardJson": json.dumps(shown, sort_keys=True)}


DASHBOARD = ResourceType(
    name="gcp:monitoring/dashboard:Dashboard",
    service="monitoring",
    id="projects/{project}/dashboards/{dashboard}",
    create=Call("POST", "v1/projects/{project}/dashboards"),
    read=Call("GET", "v1/{+id}"),
    update=Call("PATCH", "v1/{+id}"),
    delete=Call("DELETE", "v1/{+id}"),
    patch="whole",
    lifecycle=DashboardLifecycle,
    properties=declared(
        "gcp:monitoring/dashboard:Dashboard",
        address="dashboardJson",
        also={"dashboardJson": {"canonical": _same_json}},
    ),
)
TYPES = (ALERT_POLICY, NOTIFICATION_CHANNEL, METRIC_DESCRIPTOR, DASHBOARD)
