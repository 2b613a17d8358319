"""gRPC for those of Google's clients that speak nothing else: each call becomes the REST call that it stands for.

Google's front ends do it the other way round. The messages are the client libraries' own: what is not installed is
not served. Which REST method a call is follows from its name; where its fields go, from the method's template: the
template's parameter from the field of that name or from the name of the resource that is sent, the resource as the
body, all else in the query, or in the body where the method takes the whole request.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import orjson
from google.iam.v1 import iam_policy_pb2
from google.protobuf import json_format

from tunestack.emulator.documents import FOLDER

Json = dict[str, Any]
Parameter = tuple[str, str | int | float | bool | None]

log = logging.getLogger("tunestack.emulator")

# Client library's module of a service, its discovery document, where its methods may be.
_CLIENTS = (
    ("google.cloud.logging_v2.services.config_service_v2", "logging.v2"),
    ("google.cloud.logging_v2.services.logging_service_v2", "logging.v2"),
    ("google.cloud.logging_v2.services.metrics_service_v2", "logging.v2"),
    ("google.cloud.monitoring_v3.services.alert_policy_service", "monitoring.v3"),
    ("google.cloud.monitoring_v3.services.metric_service", "monitoring.v3"),
    ("google.cloud.monitoring_v3.services.notification_channel_service", "monitoring.v3"),
    ("google.cloud.monitoring_v3.services.uptime_check_service", "monitoring.v3"),
    ("google.pubsub_v1.services.publisher", "pubsub.v1"),
    ("google.pubsub_v1.services.subscriber", "pubsub.v1"),
    ("google.cloud.secretmanager_v1.services.secret_manager_service", "secretmanager.v1"),
)
# Calls whose names do not tell.
_IRREGULAR = {
    "WriteLogEntries": "logging.entries.write",
    "ListLogEntries": "logging.entries.list",
    "ListTopicSubscriptions": "pubsub.projects.topics.subscriptions.list",
    "ListTopicSnapshots": "pubsub.projects.topics.snapshots.list",
    "Publish": "pubsub.projects.topics.publish",
    "Acknowledge": "pubsub.projects.subscriptions.acknowledge",
    "DetachSubscription": "pubsub.projects.subscriptions.detach",
    "ModifyAckDeadline": "pubsub.projects.subscriptions.modifyAckDeadline",
    "ModifyPushConfig": "pubsub.projects.subscriptions.modifyPushConfig",
    "Pull": "pubsub.projects.subscriptions.pull",
    "Seek": "pubsub.projects.subscriptions.seek",
    "AddSecretVersion": "secretmanager.projects.secrets.addVersion",
    "GetSecretVersion": "secretmanager.projects.secrets.versions.get",
    "AccessSecretVersion": "secretmanager.projects.secrets.versions.access",
    "ListSecretVersions": "secretmanager.projects.secrets.versions.list",
    "EnableSecretVersion": "secretmanager.projects.secrets.versions.enable",
    "DisableSecretVersion": "secretmanager.projects.secrets.versions.disable",
    "DestroySecretVersion": "secretmanager.projects.secrets.versions.destroy",
}
# Policies are any resource's, and their messages not the client library's, whose transports do not tell their classes.
_POLICIES = {
    "GetIamPolicy": iam_policy_pb2.GetIamPolicyRequest,
    "SetIamPolicy": iam_policy_pb2.SetIamPolicyRequest,
    "TestIamPermissions": iam_policy_pb2.TestIamPermissionsRequest,
}
_VERBS = {
    "Create": ("create",),
    "Get": ("get",),
    "List": ("list",),
    "Update": ("patch", "update"),
    "Delete": ("delete",),
}
_STREAMING_PULL = "/google.pubsub.v1.Subscriber/StreamingPull"
_TAIL = "/google.logging.v2.LoggingServiceV2/TailLogEntries"
# Streams that are played by the unary method behind them, asked again and again.
_STREAMS = {_STREAMING_PULL: "pubsub.projects.subscriptions.pull", _TAIL: "logging.entries.list"}
_TAILED_EVERY = 1.0  # seconds; Google gathers entries for two (TailLogEntriesRequest.buffer_window)
_PULLED_AT_ONCE = 100
_CALLS_AT_ONCE = 16


@dataclass(frozen=True)
class Rpc:
    """A call: the classes of its messages, and the REST method (an entry of a discovery document)."""

    request: Any
    response: Any
    method: Json


class _Recorder(grpc.Channel):  # type: ignore[misc]
    """A channel that sends nothing and learns what a client's transport would send."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[Any, Any]] = {}

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any
    ) -> Any:
        request = getattr(request_serializer, "__self__", None)
        self.seen[method] = (request, getattr(response_deserializer, "__self__", None))
        return lambda *arguments, **options: None

    stream_stream = unary_stream = stream_unary = unary_unary

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None: ...

    def unsubscribe(self, callback: Any) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, *_: object) -> None: ...


def table() -> dict[str, Rpc]:
    """Every call that is served, by its path (``/google.monitoring.v3.MetricService/ListTimeSeries``)."""
    found: dict[str, Rpc] = {}
    for module, document in _CLIENTS:
        try:
            transports = importlib.import_module(f"{module}.transports.grpc")
        except ImportError:
            log.warning(
                "gRPC: %s is not installed, so its calls are not served", module.partition(".services")[0]
            )
            continue
        kind = next(value for name, value in vars(transports).items() if name.endswith("GrpcTransport"))
        recorder = _Recorder()
        transport = kind(channel=recorder)
        # Behind its logging the transport asks the channel only when it sends; and it asks once.
        transport._logged_channel = recorder
        transport._stubs.clear()
        for name in vars(kind):
            if isinstance(getattr(kind, name), property):
                getattr(transport, name)
        methods = orjson.loads((FOLDER / f"{document}.json").read_bytes())["methods"]
        by_id = {method["id"]: method for method in methods if "parameters" in method}
        for path, (request, response) in recorder.seen.items():
            name = path.rpartition("/")[2]
            request = request or _POLICIES.get(name)
            method = _method_of(name, document.partition(".")[0], by_id)
            method = by_id[_STREAMS[path]] if path in _STREAMS else method
            if method is not None and request is not None:
                found[path] = Rpc(request, response, method)
    return found


def _method_of(name: str, service: str, methods: dict[str, Json]) -> Json | None:
    if name in _IRREGULAR:
        return methods.get(_IRREGULAR[name])
    if (
        name in _POLICIES
    ):  # the address is put together from the resource's name, whichever collection it is of
        verb = f".{name[0].lower()}{name[1:]}"
        return next((method for found, method in methods.items() if found.endswith(verb)), None)
    split = re.fullmatch(rf"({'|'.join(_VERBS)})(?:Log(?=[A-Z]))?(\w+)", name)
    if split is None:
        return None
    action, noun = split.groups()
    collection = noun[0].lower() + noun[1:]
    if action != "List":
        collection = (
            collection[:-1] + "ies" if collection.endswith("y") else collection.removesuffix("s") + "s"
        )
    ids = (
        f"{service}.{place}.{plural}.{verb}"
        for place in ("projects", "projects.locations")
        for plural in (collection, collection.replace("timeSerie", "timeSeries").replace("Seriess", "Series"))
        for verb in _VERBS[action]
    )
    return next((methods[found] for found in ids if found in methods), None)


def transcoded(method: Json, request: Json) -> tuple[str, list[Parameter], Json | None]:
    """Path, query and body of the REST call for a request in JSON."""
    rest, sent = dict(request), str(method.get("request", ""))
    held = next(
        (field for field, value in rest.items() if isinstance(value, dict) and _is_a(sent, field)), None
    )
    resource = rest.pop(held) if held else None

    def parameter(found: re.Match[str]) -> str:
        if found.group(1) in rest:
            value = rest.pop(found.group(1))
        else:
            holders = (one for one in (resource, *rest.values()) if isinstance(one, dict))
            value = next((one["name"] for one in holders if "name" in one), "")
        return quote(str(value), safe="/%:@~")

    path = re.sub(r"\{\+?(\w+)\}", parameter, method["template"])
    if resource is not None or not sent:
        return path, list(_query(rest)), resource
    # The request is the body itself; where it is a resource (Pub/Sub's topics) it keeps its name.
    return path, [], rest if sent.endswith("Request") else request


def _is_a(schema: str, field: str) -> bool:
    """Whether a field holds the resource that a method takes as its body: ``sink`` a ``LogSink``."""
    return bool(schema) and not schema.endswith("Request") and schema.lower().endswith(field.lower())


def _query(fields: Json, prefix: str = "") -> Iterator[Parameter]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _query(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield from ((prefix + name, str(item)) for item in value)
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)


class Door(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Handles every call by a request to the emulator at ``url``."""

    def __init__(self, url: str) -> None:
        self._rpcs = table()
        self._http = httpx.Client(base_url=url, timeout=60)

    def service(self, details: Any) -> Any:
        rpc = self._rpcs.get(details.method)
        if rpc is None:
            return None
        codec = {
            "request_deserializer": lambda data: _bare(rpc.request).FromString(data),
            "response_serializer": lambda message: message.SerializeToString(),
        }
        if details.method in _STREAMS:
            stream = self._tail if details.method == _TAIL else self._streaming_pull
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: stream(rpc, requests, context), **codec
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._answer(rpc, request, context), **codec
        )

    def _answer(self, rpc: Rpc, request: Any, context: Any) -> Any:
        reply = self._call(rpc.method, json_format.MessageToDict(request), context)
        return json_format.ParseDict(reply, _bare(rpc.response)(), ignore_unknown_fields=True)

    def _streaming_pull(self, rpc: Rpc, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Messages as they come, while acknowledgements and deadlines come the other way."""
        subscription = {"subscription": next(requests).subscription}
        acknowledge, modify = (
            self._rpcs[f"/google.pubsub.v1.Subscriber/{name}"].method
            for name in ("Acknowledge", "ModifyAckDeadline")
        )

        def take() -> None:
            with contextlib.suppress(grpc.RpcError):  # the client has hung up
                for request in requests:
                    if request.ack_ids:
                        self._call(acknowledge, {**subscription, "ackIds": list(request.ack_ids)}, context)
                    deadlines = request.modify_deadline_seconds
                    for ack_id, seconds in zip(request.modify_deadline_ack_ids, deadlines, strict=True):
                        change = {"ackIds": [ack_id], "ackDeadlineSeconds": seconds}
                        self._call(modify, {**subscription, **change}, context)

        threading.Thread(target=take, daemon=True).start()
        while context.is_active():
            reply = self._call(rpc.method, {**subscription, "maxMessages": _PULLED_AT_ONCE}, context)
            if reply:
                yield json_format.ParseDict(reply, _bare(rpc.response)())

    def _tail(self, rpc: Rpc, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Entries as they come in, each once, by the time that the emulator received them."""
        request = json_format.MessageToDict(next(requests))
        since = self._http.get("/_local/clock").json()["now"]
        sent: set[tuple[str, str]] = set()
        while context.is_active():
            wanted = f'receiveTimestamp>="{since}" AND ({request.get("filter") or "logName:*"})'
            asked = {"resourceNames": request.get("resourceNames", []), "filter": wanted, "pageSize": 1000}
            found = self._call(rpc.method, asked, context).get("entries", [])
            fresh = [entry for entry in found if (entry["timestamp"], entry["insertId"]) not in sent]
            sent |= {(entry["timestamp"], entry["insertId"]) for entry in fresh}
            if fresh:
                since = max(entry["receiveTimestamp"] for entry in fresh)
                yield json_format.ParseDict(
                    {"entries": fresh}, _bare(rpc.response)(), ignore_unknown_fields=True
                )
            time.sleep(_TAILED_EVERY)

    def _call(self, method: Json, request: Json, context: Any) -> Json:
        path, query, body = transcoded(method, request)
        headers = {key: value for key, value in context.invocation_metadata() if key == "authorization"}
        answer = self._http.request(
            method["httpMethod"], f"/{path}", params=query, json=body, headers=headers
        )
        reply: Json = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            error = reply.get("error", {})
            status = getattr(grpc.StatusCode, str(error.get("status")), grpc.StatusCode.UNKNOWN)
            context.abort(status, error.get("message", answer.text))
        return reply


def _bare(kind: Any) -> Any:
    """The protobuf class of a message's class; the client libraries wrap theirs (proto-plus)."""
    return type(kind.pb(kind())) if hasattr(kind, "pb") else kind


def open_door(url: str, port: int = 0) -> tuple[grpc.Server, int]:
    """Serve gRPC on loopback for the emulator at ``url``; the server and its port (``port`` 0 takes a free one)."""
    server = grpc.server(ThreadPoolExecutor(_CALLS_AT_ONCE), handlers=[Door(url)])
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port
