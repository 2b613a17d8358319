"""The gRPC face of the plugin: Pulumi's ``ResourceProvider`` service over the lifecycles."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
import httpx
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tunestack.emulator.gcp_provider import configuration, values
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.errors import InitFailed, ProviderError, status_of
from tunestack.emulator.gcp_provider.functions import FUNCTIONS
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle
from tunestack.emulator.gcp_provider.resources import TYPES
from tunestack.emulator.gcp_provider.rest import GoogleError, Rest

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = Any
#: Seconds without an answer after which a request is given up; uploads go to this machine.
REQUEST_SECONDS = 120.0
_KINDS = {
    (kind, replaces): getattr(provider_pb2.PropertyDiff, kind.upper() + ("_REPLACE" if replaces else ""))
    for kind in ("add", "update", "delete")
    for replaces in (False, True)
}


def understood(
    method: Callable[[Any, Request, Context], Awaitable[Response]],
) -> Callable[[Any, Request, Context], Awaitable[Response]]:
    """Failures that are understood go to the engine as gRPC status and message, never as a traceback."""

    @functools.wraps(method)
    async def answer(self: Any, request: Request, context: Context) -> Response:
        try:
            return await method(self, request, context)
        except InitFailed as failed:
            detail = AnyMessage()
            detail.Pack(
                provider_pb2.ErrorResourceInitFailed(
                    id=failed.id,
                    properties=values.write(failed.outputs, failed.secrets),
                    reasons=failed.reasons,
                    inputs=values.write(failed.inputs, failed.secrets & failed.inputs.keys()),
                )
            )
            status = Status(
                code=grpc.StatusCode.UNAVAILABLE.value[0],
                message="; ".join(failed.reasons),
                details=[detail],
            )
            await context.abort_with_status(rpc_status.to_status(status))
        except ProviderError as error:
            await context.abort(getattr(grpc.StatusCode, error.status), str(error))
        except GoogleError as error:
            await context.abort(getattr(grpc.StatusCode, status_of(error.http_status)), str(error))
        except grpc.aio.BaseError:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            await context.abort(
                grpc.StatusCode.UNKNOWN,
                f"a defect of the stand-in gcp provider: {type(error).__name__}: {error}",
            )
        raise AssertionError("abort raises")

    return answer


class GcpProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One plugin process: one configured provider.

    ``environment`` is read for the variables that the real provider reads.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._rest = Rest(configuration.configure({}, environment), httpx.AsyncClient())

    # ---- the plugin and its configuration -------------------------------------------------------------

    @understood
    async def Handshake(self, request: Any, context: Context) -> Any:  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    @understood
    async def Attach(self, request: Any, context: Context) -> Any:  # noqa: N802
        return Empty()

    @understood
    async def GetPluginInfo(self, request: Any, context: Context) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=configuration.plugin_version())

    @understood
    async def CheckConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        settings = values.read(request.news).values
        failures = configuration.failures(settings, self._environment)
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    @understood
    async def DiffConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        old, new = values.read(request.old_inputs).values, values.read(request.news).values
        found = [
            Change(key, "add" if key not in old else "delete" if key not in new else "update")
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ]
        return _diff_response(found)

    @understood
    async def Configure(self, request: Any, context: Context) -> Any:  # noqa: N802
        settings = values.read(request.args).values
        if failures := configuration.failures(settings, self._environment):
            raise ProviderError("FAILED_PRECONDITION", "; ".join(f"{key}: {why}" for key, why in failures))
        await self._rest.close()
        configured = configuration.configure(settings, self._environment)
        # trust_env: a proxy named in the environment must not see calls to this machine.
        client = httpx.AsyncClient(timeout=REQUEST_SECONDS, trust_env=False)
        self._rest = Rest(configured, client)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    @understood
    async def Cancel(self, request: Any, context: Context) -> Any:  # noqa: N802
        self._rest.cancelled.set()
        return Empty()

    # ---- resources ------------------------------------------------------------------------------------

    @understood
    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        token = _type_of(request)
        if token not in TYPES:
            served = "\n  ".join(sorted(TYPES))
            reason = f"{token} is not served by the local stand-in for pulumi-gcp, which serves\n  {served}"
            return provider_pb2.CheckResponse(inputs=request.news, failures=_failures([("", reason)]))
        news = values.read(request.news)
        inputs, failures = self._lifecycle(request).check(
            _name_of(request),
            request.randomSeed or request.urn.encode(),
            values.read(request.olds).values,
            news.values,
        )
        return provider_pb2.CheckResponse(
            inputs=values.write(inputs, news.secrets), failures=_failures(failures)
        )

    @understood
    async def Diff(self, request: Any, context: Context) -> Any:  # noqa: N802
        lifecycle = self._lifecycle(request)
        state, inputs = values.read(request.olds).values, values.read(request.news).values
        found = lifecycle.diff(state, inputs)
        ignored = tuple(request.ignoreChanges)
        found = [change for change in found if not _lies_in(change.path, ignored)]
        return _diff_response(found, first_delete=lifecycle.same_identity(state, inputs))

    @understood
    async def Create(self, request: Any, context: Context) -> Any:  # noqa: N802
        lifecycle, given = self._lifecycle(request), values.read(request.properties)
        secrets = lifecycle.secrets_of(given.secrets)
        if request.preview:
            return provider_pb2.CreateResponse(
                properties=values.write(lifecycle.planned(given.values), secrets)
            )
        identity, outputs = await lifecycle.create(_name_of(request), given.values, request.timeout)
        return provider_pb2.CreateResponse(id=identity, properties=values.write(outputs, secrets))

    @understood
    async def Read(self, request: Any, context: Context) -> Any:  # noqa: N802
        lifecycle = self._lifecycle(request)
        state, inputs = values.read(request.properties), values.read(request.inputs)
        found = await lifecycle.read(request.id, state.values, inputs.values)
        if found is None:
            return provider_pb2.ReadResponse()
        secrets = lifecycle.secrets_of(state.secrets, inputs.secrets)
        return provider_pb2.ReadResponse(
            id=found.id,
            properties=values.write(found.outputs, secrets),
            # A refresh keeps the program's inputs to the letter; only an import needs any of ours.
            inputs=request.inputs
            if inputs.values
            else values.write(found.inputs, secrets & found.inputs.keys()),
        )

    @understood
    async def Update(self, request: Any, context: Context) -> Any:  # noqa: N802
        lifecycle = self._lifecycle(request)
        state, given = values.read(request.olds), values.read(request.news)
        secrets = lifecycle.secrets_of(given.secrets)
        if request.preview:
            outputs = lifecycle.planned(given.values, state.values)
        else:
            outputs = await lifecycle.update(request.id, state.values, given.values, request.timeout)
        return provider_pb2.UpdateResponse(properties=values.write(outputs, secrets))

    @understood
    async def Delete(self, request: Any, context: Context) -> Any:  # noqa: N802
        state = values.read(request.properties).values
        await self._lifecycle(request).delete(request.id, state, request.timeout)
        return Empty()

    @understood
    async def Invoke(self, request: Any, context: Context) -> Any:  # noqa: N802
        function = FUNCTIONS.get(request.tok)
        if function is None:
            served = ", ".join(sorted(FUNCTIONS))
            raise ProviderError(
                "FAILED_PRECONDITION", f"{request.tok} is not served by the stand-in; there is {served}"
            )
        answer = await function(self._rest, values.read(request.args).values)
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(values.write(answer))
        return response

    async def close(self) -> None:
        await self._rest.close()

    def _lifecycle(self, request: Any) -> Lifecycle:
        token = _type_of(request)
        if token not in TYPES:
            raise ProviderError("FAILED_PRECONDITION", f"{token} is not served by the stand-in gcp provider")
        resource = TYPES[token]
        return (resource.lifecycle or Lifecycle)(resource, self._rest)


def _type_of(request: Any) -> str:
    """The resource's type token; engines before 3.1xx send it in the URN only."""
    return str(request.type or request.urn.split("::")[2].rpartition("$")[2])


def _name_of(request: Any) -> str:
    return str(request.name or request.urn.split("::", 3)[3])


def _failures(found: list[tuple[str, str]]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=key, reason=reason) for key, reason in found]


def _lies_in(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith((f"{root}.", f"{root}[")) for root in roots)


def _diff_response(found: list[Change], *, first_delete: bool = False) -> Any:
    replaces = list(dict.fromkeys(change.property for change in found if change.replaces))
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=list(dict.fromkeys(change.property for change in found)),
        replaces=replaces,
        deleteBeforeReplace=bool(replaces) and first_delete,
        hasDetailedDiff=True,
        detailedDiff={
            change.path: provider_pb2.PropertyDiff(kind=_KINDS[change.kind, change.replaces])
            for change in found
        },
    )
