# ruff: noqa: N802 - methods are named by the protocol
"""A provider that does as it is told: real over the wire, with files for a cloud.

``TOY_HOME`` names a folder: ``script.json`` says how calls end (read anew at each call), ``calls.jsonl`` gets
one line a call, ``cloud/`` holds one file a resource. A script maps ``name.method`` to one of
``ok``, ``fail``, ``init-failed``, ``slow`` (until ``release`` exists or Cancel), ``deaf`` (until ``release``
exists, whatever Cancel says), ``crash``; ``name.refresh-before-update`` asks for that.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import json
import os
import sys
import types
from pathlib import Path


def _without_the_sdk() -> None:
    """Let ``pulumi.runtime.proto`` be imported without the SDK around it, which takes half a second."""
    location = Path(importlib.util.find_spec("pulumi").origin).parent
    for name, folder in (("pulumi", location), ("pulumi.runtime", location / "runtime")):
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


_without_the_sdk()

import grpc  # noqa: E402
import grpc.aio  # noqa: E402
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2  # noqa: E402
from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

HOME = Path(os.environ["TOY_HOME"])
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
FORCES_REPLACEMENT = {"size", "nickname"}


def to_dict(struct):
    return json_format.MessageToDict(struct)


def to_struct(value):
    return json_format.ParseDict(value, struct_pb2.Struct())


def plain(value):
    """Without the marks of secrets, which must not make a difference."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return plain(value["value"])
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


class Toy(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, engine_address):
        self.cancelled = asyncio.Event()
        self.config = {}
        self.attach(engine_address)

    def attach(self, address):
        self.engine = engine_pb2_grpc.EngineStub(grpc.aio.insecure_channel(address)) if address else None

    def note(self, method, request, **more):
        HOME.mkdir(exist_ok=True)
        line = {"method": method, "request": json_format.MessageToDict(request), "pid": os.getpid(), **more}
        with (HOME / "calls.jsonl").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(line) + "\n")

    def script(self, name, method, default="ok"):
        try:
            return json.loads((HOME / "script.json").read_text()).get(f"{name}.{method}", default)
        except FileNotFoundError:
            return default

    def remote(self, identifier):
        return HOME / "cloud" / identifier.replace("/", "_")

    def write(self, identifier, properties):
        (HOME / "cloud").mkdir(exist_ok=True)
        self.remote(identifier).write_text(json.dumps(plain(properties)))

    async def log(self, urn, message, ephemeral=False):
        request = engine_pb2.LogRequest(severity="INFO", urn=urn, message=message, ephemeral=ephemeral)
        await self.engine.Log(request)

    async def perform(self, context, request, method, identifier, outputs):
        """End the call as the script says; `outputs` are there either way."""
        ending = self.script(request.name, method)
        refresh = self.script(request.name, "refresh-before-update", False)
        if ending in ("slow", "deaf"):
            await self.log(request.urn, f"waiting for {identifier} 50 %", ephemeral=True)
            (HOME / f"{request.name}.started").touch()
            while not (HOME / "release").exists() and not (ending == "slow" and self.cancelled.is_set()):
                await asyncio.sleep(0.01)
            ending = "init-failed" if self.cancelled.is_set() and ending == "slow" else "ok"
        if ending == "crash":
            os._exit(3)
        if ending == "init-failed":
            detail = any_pb2.Any()
            detail.Pack(
                provider_pb2.ErrorResourceInitFailed(
                    id=identifier,
                    properties=to_struct({**outputs, "state": "RUNNING"}),
                    reasons=["still RUNNING; run up again to resume"],
                    inputs=to_struct({key: value for key, value in outputs.items() if key != "state"}),
                    refresh_before_update=refresh,
                )
            )
            status = status_pb2.Status(code=2, message="initialization failed", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNKNOWN, "initialization failed")
        return refresh

    async def refuse(self, context, request, method):
        if self.script(request.name, method) == "fail":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{method} is not allowed")

    # -- the provider itself --

    async def Attach(self, request, context):
        self.note("Attach", request)
        self.attach(request.address)
        return empty_pb2.Empty()

    async def Handshake(self, request, context):
        self.note("Handshake", request)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    async def GetPluginInfo(self, request, context):
        self.note("GetPluginInfo", request)
        return plugin_pb2.PluginInfo(version="0.1.0")

    async def CheckConfig(self, request, context):
        self.note("CheckConfig", request)
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request, context):
        self.note("DiffConfig", request)
        return self.diff(to_dict(request.old_inputs), to_dict(request.news), replacing={"account"})

    async def Configure(self, request, context):
        self.note("Configure", request)
        self.config = plain(to_dict(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    async def Cancel(self, request, context):
        self.note("Cancel", request)
        self.cancelled.set()
        return empty_pb2.Empty()

    # -- things --

    async def Check(self, request, context):
        self.note("Check", request)
        news = to_dict(request.news)
        olds = to_dict(request.olds)
        failures = []
        if plain(news.get("size")) == "bad":
            reason = "size must be small or large; got 'bad'"
            failures.append(provider_pb2.CheckFailure(property="size", reason=reason))
        if news.get("autoname"):
            digest = hashlib.sha256(request.randomSeed).hexdigest()[:7]
            news["nickname"] = olds.get("nickname") or f"{request.name}-{digest}"
        return provider_pb2.CheckResponse(inputs=to_struct(news), failures=failures)

    def diff(self, olds, news, replacing):
        olds, news = plain(olds), plain(news)
        changed = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key))
        detailed = {}
        for key in changed:
            kind = "ADD" if key not in olds else "DELETE" if key not in news else "UPDATE"
            kind += "_REPLACE" if key in replacing else ""
            detailed[key] = provider_pb2.PropertyDiff(kind=kind, inputDiff=True)
        return provider_pb2.DiffResponse(
            changes="DIFF_SOME" if changed else "DIFF_NONE",
            diffs=changed,
            replaces=[key for key in changed if key in replacing],
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(news.get("deleteFirst")),
        )

    async def Diff(self, request, context):
        self.note("Diff", request)
        if request.type.endswith(":Vague"):
            return provider_pb2.DiffResponse(changes="DIFF_UNKNOWN")
        return self.diff(to_dict(request.old_inputs), to_dict(request.news), FORCES_REPLACEMENT)

    def outputs(self, inputs):
        outputs = dict(inputs)
        if self.config.get("account"):
            outputs["account"] = self.config["account"]
        return outputs

    async def Create(self, request, context):
        self.note("Create", request)
        inputs = to_dict(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(self.outputs(inputs)))
        await self.refuse(context, request, "create")
        digest = hashlib.sha256(os.urandom(8)).hexdigest()[:6]
        identifier = plain(inputs).get("name") or f"things/{request.name}-{digest}"
        if self.remote(identifier).exists():
            await context.abort(grpc.StatusCode.UNKNOWN, f"Error 409: {identifier} exists, conflict")
        outputs = {**self.outputs(inputs), "state": "DONE"}
        self.write(identifier, outputs)
        await self.log(request.urn, f"submitted {identifier}")
        refresh = await self.perform(context, request, "create", identifier, outputs)
        return provider_pb2.CreateResponse(
            id=identifier, properties=to_struct(outputs), refresh_before_update=refresh
        )

    async def Update(self, request, context):
        self.note("Update", request)
        outputs = {**self.outputs(to_dict(request.news)), "state": "DONE"}
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct(outputs))
        await self.refuse(context, request, "update")
        self.write(request.id, outputs)
        refresh = await self.perform(context, request, "update", request.id, outputs)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs), refresh_before_update=refresh)

    async def Read(self, request, context):
        self.note("Read", request)
        remote = self.remote(request.id)
        if not remote.exists():
            return provider_pb2.ReadResponse()
        await self.refuse(context, request, "read")
        outputs = json.loads(remote.read_text())
        marked = to_dict(request.inputs)
        for key, value in marked.items():  # secrets stay secret
            if isinstance(value, dict) and value.get(SIGNATURE) == SECRET and key in outputs:
                outputs[key] = {**value, "value": outputs[key]}
        inputs = {key: value for key, value in outputs.items() if key not in ("state", "account")}
        await self.perform(context, request, "read", request.id, outputs)
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=to_struct(outputs),
            inputs=to_struct(inputs),
            refresh_before_update=False,
        )

    async def Delete(self, request, context):
        self.note("Delete", request)
        await self.refuse(context, request, "delete")
        await self.perform(context, request, "delete", request.id, {})
        self.remote(request.id).unlink(missing_ok=True)
        return empty_pb2.Empty()

    async def Invoke(self, request, context):
        self.note("Invoke", request)
        result = {"echo": to_dict(request.args), "account": self.config.get("account", "")}
        return provider_pb2.InvokeResponse(**{"return": to_struct(result)})


async def main():
    # On a machine that holds it up, gRPC would end what nobody took up for 30 s.
    server = grpc.aio.server(options=[("grpc.server_max_unrequested_time_in_server", 2**31 - 1)])
    toy = Toy(sys.argv[1] if len(sys.argv) > 1 else "")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(toy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


asyncio.run(main())
