"""The gRPC servicer: Pulumi's ``ResourceProvider`` protocol on one side, ``Resource`` classes on the other.

It knows the protocol and no resource; ``registry.py`` names those. What the engine does with each answer is in
pulumi/pulumi ``docs/architecture/providers/implementers-guide.md``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
from pydantic import ValidationError

from tunestack.provider.configuration import (
    Configuration,
    check_configuration,
    configuration_differences,
    parse_configuration,
)
from tunestack.provider.engine_log import EngineLog, EngineRow
from tunestack.provider.redaction import DiscreetRow, kept_secret, redacted, secrets_of_request
from tunestack.provider.resource import (
    Call,
    Checked,
    Differences,
    InitFailed,
    PropertyProblem,
    Refused,
    Resource,
    Session,
)
from tunestack.provider.values import Properties, decode, encode
from tunestack.spec.errors import TunestackError
from tunestack.vertex.errors import (
    Conflict,
    GoogleError,
    InvalidArgument,
    NotFound,
    NotSent,
    PermissionDenied,
    ResourceExhausted,
    ServiceFault,
    Unauthenticated,
)

Context = Any  # grpc.aio.ServicerContext, which is generic over messages that we do not name
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

FLUSH = 25.0
"""Seconds that Cancel waits for operations in flight; the engine gives all providers 30 s together."""

SHORTEST_TOKEN = 16
"""Characters of an access token that is one: the local stack's stand-in is the word ``local``."""

_STATUS_OF: tuple[tuple[type[GoogleError], str], ...] = (
    (InvalidArgument, "INVALID_ARGUMENT"),
    (Unauthenticated, "UNAUTHENTICATED"),
    (PermissionDenied, "PERMISSION_DENIED"),
    (NotFound, "NOT_FOUND"),
    (Conflict, "ALREADY_EXISTS"),
    (ResourceExhausted, "RESOURCE_EXHAUSTED"),
    # Surely nothing was done: an engine keeps what ends UNAVAILABLE or CANCELLED as pending, for nobody may know.
    (NotSent, "ABORTED"),
    (ServiceFault, "UNAVAILABLE"),
)


def _guarded(handler: Handler) -> Handler:
    """Turns what an operation raises into the status that the engine understands; no traceback reaches a person.

    Never UNKNOWN, INTERNAL or DATA_LOSS: for those the engine takes its own state to be corrupt.
    """

    @functools.wraps(handler)
    async def guarded(self: ProviderServicer, request: Any, context: Context) -> Any:
        async with self.in_flight():
            try:
                return await handler(self, request, context)
            except InitFailed as failure:
                await context.abort_with_status(init_failed_status(failure, self.secrets_of(request)))
            except Refused as refusal:
                await self.refuse(context, request, refusal.status, refusal)
            except GoogleError as error:
                status = next(
                    (name for kind, name in _STATUS_OF if isinstance(error, kind)), "FAILED_PRECONDITION"
                )
                await self.refuse(context, request, status, error)
            except TunestackError as error:
                await self.refuse(context, request, "FAILED_PRECONDITION", error)
            except ValueError as error:
                await self.refuse(context, request, "INVALID_ARGUMENT", error)

    return guarded  # type: ignore[return-value]


def init_failed_status(failure: InitFailed, secrets: Collection[str] = ()) -> Any:
    """The gRPC status with ``ErrorResourceInitFailed`` in its details."""
    reasons = [redacted(reason, secrets) for reason in failure.reasons]
    outputs = kept_secret(failure.outputs, secrets)
    detail = provider_pb2.ErrorResourceInitFailed(id=failure.id, properties=encode(outputs), reasons=reasons)
    if failure.inputs is not None:
        detail.inputs.CopyFrom(encode(failure.inputs))
    packed = any_pb2.Any()
    packed.Pack(detail)
    message = "; ".join(reasons)
    code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
    return rpc_status.to_status(status_pb2.Status(code=code, message=message, details=[packed]))


class ProviderServicer(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process. ``connect`` makes the session from a configuration: the one seam to the network."""

    def __init__(
        self,
        resources: Sequence[type[Resource]],
        connect: Callable[[Configuration], Session],
        *,
        engine_address: str | None = None,
    ) -> None:
        self._classes = {cls.token: cls for cls in resources}
        self._connect = connect
        self._engine = EngineLog(engine_address)
        self._session: Session | None = None
        self._resources: dict[str, Resource] = {}
        self._checked: set[str] = set()
        self._cancelled = asyncio.Event()
        self._flying = 0
        self._landed = asyncio.Event()
        self._landed.set()

    def secrets_of(self, request: Any) -> frozenset[str]:
        """What nobody may read in an answer to this request: what it marks as secret, and our access token."""
        token = self._session.configuration.access_token if self._session is not None else None
        return secrets_of_request(request) | ({token} if token and len(token) >= SHORTEST_TOKEN else set())

    async def refuse(self, context: Context, request: Any, status: str, error: Exception) -> None:
        """Ends a call with an error that a person reads."""
        message = redacted(str(error), self.secrets_of(request))
        await context.abort(grpc.StatusCode[status], message)

    @asynccontextmanager
    async def in_flight(self) -> AsyncIterator[None]:
        """Counts an operation, so that Cancel can wait for its answer to be given."""
        self._flying += 1
        self._landed.clear()
        try:
            yield
        finally:
            self._flying -= 1
            if self._flying == 0:
                self._landed.set()

    # Life

    async def Handshake(self, request: Any, context: Context) -> Any:  # noqa: N802
        """A new engine: its address for the log, and no cancellation yet."""
        await self._meet(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    async def Attach(self, request: Any, context: Context) -> Any:  # noqa: N802
        """An engine that found us already running (``PULUMI_DEBUG_PROVIDERS``); its address differs each time."""
        await self._meet(request.address)
        return empty_pb2.Empty()

    async def _meet(self, address: str) -> None:
        if address:
            await self._engine.close()
            self._engine = EngineLog(address)
        self._cancelled = asyncio.Event()

    async def GetPluginInfo(self, request: Any, context: Context) -> Any:  # noqa: N802
        """The version of this package."""
        return plugin_pb2.PluginInfo(version=version("tunestack"))

    async def GetSchema(self, request: Any, context: Context) -> Any:  # noqa: N802
        """The schema for other languages, YAML and ``pulumi package add``."""
        schema = files("tunestack.provider").joinpath("schema.json").read_text(encoding="utf-8")
        return provider_pb2.GetSchemaResponse(schema=schema)

    async def GetMapping(self, request: Any, context: Context) -> Any:  # noqa: N802
        """No other tool's resources map to ours."""
        return provider_pb2.GetMappingResponse()

    async def GetMappings(self, request: Any, context: Context) -> Any:  # noqa: N802
        """No other tool's resources map to ours."""
        return provider_pb2.GetMappingsResponse()

    async def Cancel(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Asks every operation to stop and waits until they have answered. Also comes at each normal end, and twice."""
        self._cancelled.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._landed.wait(), FLUSH)
        return empty_pb2.Empty()

    # Configuration

    async def CheckConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Every problem of the provider's configuration as one of its properties."""
        return _check_response(check_configuration(decode(request.news)))

    async def DiffConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Changes of the configuration; none replaces the provider."""
        return _diff_response(configuration_differences(decode(request.old_inputs), decode(request.news)))

    @_guarded
    async def Configure(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Opens the session that all later calls use."""
        try:
            configuration = parse_configuration(decode(request.args))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Refused("INVALID_ARGUMENT", f"provider configuration {where}: {first['msg']}") from None
        self._session = self._connect(configuration)
        self._session.marks.update = self._engine.address  # its own for each operation
        self._resources = {token: cls(self._session) for token, cls in self._classes.items()}
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    # Resources

    def _resource(self, request: Any) -> Resource:
        token = request.type or request.urn.split("::")[2].rsplit("$", 1)[-1]
        if token not in self._classes:
            known = ", ".join(sorted(self._classes))
            raise Refused("UNIMPLEMENTED", f"there is no resource {token}; there are {known}")
        if self._session is None:
            raise Refused("FAILED_PRECONDITION", "the provider was not configured")
        return self._resources[token]

    def _call(self, request: Any, timeout: float = 0.0) -> Call:
        name = request.name or request.urn.rsplit("::", 1)[-1]
        row = DiscreetRow(EngineRow(self._engine, request.urn), self.secrets_of(request))
        return Call(request.urn, name, row, self._cancelled, timeout or None)

    def _encode(self, request: Any, outputs: Properties) -> Any:
        return encode(kept_secret(outputs, secrets_of_request(request)))

    @_guarded
    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Defaults and problems; the same inputs give the same answer."""
        checked = self._resource(request).check(decode(request.news))
        self._checked.add(request.urn)
        return _check_response(checked)

    @_guarded
    async def Diff(self, request: Any, context: Context) -> Any:  # noqa: N802
        """What changes, property by property."""
        resource = self._resource(request)
        olds, news = decode(request.olds), decode(request.news)
        differences = resource.differences(olds, decode(request.old_inputs), news)
        ignored = set(request.ignoreChanges)
        if ignored:
            kept = {path: change for path, change in differences.changes.items() if path not in ignored}
            differences = Differences(kept, differences.in_state)
        if request.urn in self._checked:
            # A refresh compares too, without a Check before: it says nothing about what the program declares.
            resource.seen(request.id, request.urn, kept=not differences.replace)
        return _diff_response(differences)

    @_guarded
    async def Create(self, request: Any, context: Context) -> Any:  # noqa: N802
        """In a preview only the outputs that can be known."""
        resource, inputs = self._resource(request), decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(
                properties=self._encode(request, resource.preview(inputs, None))
            )
        created = await resource.create(self._call(request, request.timeout), inputs)
        return provider_pb2.CreateResponse(id=created.id, properties=self._encode(request, created.outputs))

    @_guarded
    async def Read(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Refresh (with the stored inputs, which are given back) or import (with the id only)."""
        resource = self._resource(request)
        call = self._call(request, request.timeout)
        found = await resource.read(call, request.id, decode(request.properties), decode(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse(id="")
        return provider_pb2.ReadResponse(
            id=found.id,
            properties=self._encode(request, found.outputs),
            inputs=self._encode(request, found.inputs),
        )

    @_guarded
    async def Update(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Also called without any difference, for a resource whose initialization failed."""
        resource = self._resource(request)
        olds, news = decode(request.olds), decode(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=self._encode(request, resource.preview(news, olds)))
        outputs = await resource.update(self._call(request, request.timeout), request.id, olds, news)
        return provider_pb2.UpdateResponse(properties=self._encode(request, outputs))

    @_guarded
    async def Delete(self, request: Any, context: Context) -> Any:  # noqa: N802
        """What is gone already is fine."""
        resource = self._resource(request)
        call = self._call(request, request.timeout)
        await resource.delete(call, request.id, decode(request.properties), decode(request.old_inputs))
        return empty_pb2.Empty()

    # Not offered

    @_guarded
    async def Invoke(self, request: Any, context: Context) -> Any:  # noqa: N802
        """There are no functions."""
        _refuse(f"there is no function {request.tok}")

    @_guarded
    async def Construct(self, request: Any, context: Context) -> Any:  # noqa: N802
        """There are no remote components."""
        _refuse(f"there is no component {request.type}")

    @_guarded
    async def Call(self, request: Any, context: Context) -> Any:  # noqa: N802
        """There are no methods."""
        _refuse(f"there is no method {request.tok}")

    @_guarded
    async def Parameterize(self, request: Any, context: Context) -> Any:  # noqa: N802
        """The provider takes no parameters."""
        _refuse("the provider cannot be parameterized")

    async def close(self) -> None:
        """Closes the channel to the engine."""
        await self._engine.close()


def _refuse(message: str) -> NoReturn:
    raise Refused("UNIMPLEMENTED", message)


def _check_response(checked: Checked) -> Any:
    def failure(problem: PropertyProblem) -> Any:
        return provider_pb2.CheckFailure(property=problem.property, reason=problem.reason)

    return provider_pb2.CheckResponse(
        inputs=encode(checked.inputs), failures=[failure(problem) for problem in checked.problems]
    )


def _diff_response(differences: Differences) -> Any:
    kinds = provider_pb2.PropertyDiff.Kind
    detailed = {
        path: provider_pb2.PropertyDiff(
            kind=kinds.Value(change.value), inputDiff=path not in differences.in_state
        )
        for path, change in differences.changes.items()
    }
    some = provider_pb2.DiffResponse.DIFF_SOME if detailed else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some,
        diffs=sorted({_top(path) for path in detailed}),
        replaces=sorted(path for path, change in differences.changes.items() if change.replaces),
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def _top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]
