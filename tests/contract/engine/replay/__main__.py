"""A provider that answers with what was recorded, and notes what it is asked.

``TOY_HOME`` names a folder: ``recorded.json`` has the calls to answer (method, request, response; of a function
also the URN of the provider instance that answered), ``calls.jsonl`` gets one line a call.
"""

import asyncio
import fcntl
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
from google.protobuf import json_format, message_factory  # noqa: E402
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc  # noqa: E402

HOME = Path(os.environ["TOY_HOME"])
SERVICE = provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"]
FIXED = {
    "Handshake": {"acceptResources": True, "acceptSecrets": True},
    "GetPluginInfo": {"version": "10.2.0"},
    "Cancel": {},
}


class Replay(provider_pb2_grpc.ResourceProviderServicer):
    """One instance; every method of the service does the same."""

    instance = ""


def handler(method):
    answer_type = message_factory.GetMessageClass(method.output_type)

    async def answer(self, request, context):
        asked = json_format.MessageToDict(request)
        if method.name == "Configure":
            Replay.instance = request.urn
        key = asked.get("urn") or Replay.instance
        with (HOME / "calls.jsonl").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            line = {"method": method.name, "request": asked, "provider": Replay.instance}
            file.write(json.dumps(line) + "\n")
        found = FIXED.get(method.name)
        for call in json.loads((HOME / "recorded.json").read_text()) if found is None else ():
            if call["method"] == method.name and key == (call["request"].get("urn") or call.get("provider")):
                found = call["response"]
        if found is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method.name} of {key} was not recorded")
        return json_format.ParseDict(found, answer_type()) if found else answer_type()

    return answer


for described in SERVICE.methods:
    setattr(Replay, described.name, handler(described))


async def main():
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Replay(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


asyncio.run(main())
