"""What the program and the plugins talk to: ``ResourceMonitor`` and ``Engine``, served over gRPC.

A handler only translates. The work runs in tasks of its own under a shield: gRPC cancels a handler whose
client hangs up, and a step that has begun must end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio

from tunestack.engine.answers import ProviderError
from tunestack.engine.callbacks import Hook
from tunestack.engine.channels import SERVER_OPTIONS
from tunestack.engine.defaults import DefaultProviders
from tunestack.engine.deployment import Deployment
from tunestack.engine.errors import EngineError, EngineRefused, ResourceError
from tunestack.engine.goals import Goal
from tunestack.engine.operations import Operations
from tunestack.engine.protocol import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from tunestack.engine.registration import Registered, Registrations
from tunestack.engine.requests import RESULTS, goal_of, options_of, refuse_unimplemented, response_of
from tunestack.engine.store import ORGANIZATION
from tunestack.engine.urns import is_provider_type, make_urn, package_of
from tunestack.engine.values import (
    contains_unknowns,
    equal,
    from_struct,
    hash_assets,
    lower_outputs,
    raise_outputs,
    to_struct,
)

FEATURES = (
    "SECRETS",
    "RESOURCE_REFERENCES",
    "OUTPUT_VALUES",
    "ALIAS_SPECS",
    "REPLACEMENT_TRIGGER",
    "DELETED_WITH",
    "REPLACE_WITH",
    "TRANSFORMS",
    "RESOURCE_HOOKS",
)
_LEGACY_FEATURES = {
    "secrets",
    "resourceReferences",
    "outputValues",
    "aliasSpecs",
    "deletedWith",
    "transforms",
    "resourceHooks",
}
_Result = TypeVar("_Result")


class Tasks:
    """Runs what handlers ask for to its end, whether or not they are still there to hear of it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait until nothing runs any more."""
        while self._running:
            await asyncio.wait(set(self._running))


class EngineService(engine_pb2_grpc.EngineServicer):
    """``pulumirpc.Engine``: messages for the person who waits, and the root resource."""

    _SEVERITIES = ("debug", "info", "warning", "error")

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._root = ""
        self.errors_logged = False

    async def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        severity = self._SEVERITIES[request.severity]
        if severity == "error":
            self.errors_logged = True
        self._deployment.reporter.diagnostic(
            severity, request.message, request.urn, request.ephemeral, request.streamId
        )
        return _empty()

    async def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    async def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        return engine_pb2.RequirePulumiVersionResponse()


class MonitorService(resource_pb2_grpc.ResourceMonitorServicer):
    """``pulumirpc.ResourceMonitor``: registrations, reads and function calls of the program."""

    def __init__(
        self,
        deployment: Deployment,
        defaults: DefaultProviders,
        registrations: Registrations,
        tasks: Tasks,
        working_directory: Path,
        configuration: dict[str, str],
        secret_keys: list[str],
        parallel: int,
    ) -> None:
        self._deployment = deployment
        self._defaults = defaults
        self._registrations = registrations
        self._operations = Operations(deployment)
        self._tasks = tasks
        self._directory = working_directory
        self._information = resource_pb2.DeploymentInfo(
            project=deployment.project,
            stack=deployment.stack,
            organization=ORGANIZATION,
            dryRun=deployment.preview,
            parallel=parallel,
            config=configuration,
            configSecretKeys=secret_keys,
            supportedFeatures=[
                resource_pb2.ResourceMonitorFeature.Value(f"RESOURCE_MONITOR_FEATURE_{name}")
                for name in FEATURES
            ],
        )
        self.all_registered = asyncio.Event()
        self.may_leave = asyncio.Event()

    # -- what can be asked for --

    async def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._information

    async def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _LEGACY_FEATURES)

    # -- resources --

    async def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, self._register(request))

    async def _register(self, request: Any) -> Any:
        deployment = self._deployment
        refuse_unimplemented(request)
        dependencies = {key: set(item.urns) for key, item in request.propertyDependencies.items()}
        properties, options = request.object, options_of(request)
        chain = deployment.callbacks.transforms_for(list(request.transforms), request.parent)
        if chain:
            properties = to_struct(raise_outputs(from_struct(properties), dependencies))
        for callback in chain:
            properties, options = await deployment.callbacks.transform(
                callback, request.type, request.name, request.custom, request.parent, properties, options
            )
        try:
            goal = goal_of(request, properties, options, dependencies, self._directory)
            if goal.custom and not is_provider_type(goal.type):
                goal.provider = await self._provider(goal.provider, package_of(goal.type), options.version)
        except ResourceError:  # of its default provider; reported
            urn = make_urn(deployment.stack, deployment.project, request.parent, request.type, request.name)
            return response_of(Registered(urn, result="fail"), request)
        goal.inherit(deployment.goals.get(request.parent))
        urn = make_urn(deployment.stack, deployment.project, goal.parent, goal.type, goal.name)
        deployment.callbacks.parents[urn] = goal.parent
        if not request.custom and request.transforms:
            deployment.callbacks.transforms[urn] = list(request.transforms)
        return response_of(await self._registrations.register(goal), request)

    async def _provider(self, reference: str, package: str, version: str) -> str:
        if not reference:
            return await self._defaults.reference(package, version)
        self._deployment.registry.get(reference)
        return reference

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, self._outputs(request))

    async def _outputs(self, request: Any) -> Any:
        deployment = self._deployment
        resource = deployment.news.get(request.urn)
        if request.urn in deployment.scope.skipped:
            return _empty()
        if resource is None:
            if not deployment.stopping:
                raise EngineError(f"cannot register outputs of {request.urn}: it was not registered")
            return _empty()
        outputs = lower_outputs(from_struct(request.outputs), set())
        if not deployment.preview:  # of what failed there is nothing to say
            outputs = {key: value for key, value in outputs.items() if not contains_unknowns(value)}
        if (deployment.preview or not deployment.stopping) and not equal(resource.outputs, outputs):
            resource.outputs = outputs
            deployment.journal.touch()
        step = deployment.steps.get(request.urn)
        if step is not None:
            if step.new is not None and step.new is not resource:
                step.new = resource
            deployment.reporter.outputs(step)
            if not resource.custom and resource.resource_hooks:
                await self._operations.component_done(step)
        return _empty()

    async def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, self._read(request))

    async def _read(self, request: Any) -> Any:
        goal = Goal(
            type=request.type,
            name=request.name,
            custom=True,
            inputs=lower_outputs(from_struct(request.properties), set()),
            parent=request.parent,
            dependencies=list(request.dependencies),
            additional_secret_outputs=list(request.additionalSecretOutputs),
        )
        if package_of(goal.type) == "pulumi":
            raise EngineRefused(f"{goal.type} (stack references)")
        goal.provider = await self._provider(request.provider, package_of(goal.type), request.version)
        registered = await self._registrations.read(goal, request.id)
        return resource_pb2.ReadResourceResponse(
            urn=registered.urn,
            properties=to_struct(registered.outputs, keep_secrets=request.acceptSecrets),
            result=RESULTS[registered.result],
        )

    # -- functions --

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, self._invoke(request))

    async def _invoke(self, request: Any) -> Any:
        package = package_of(request.tok)
        if package == "pulumi":
            raise EngineRefused(f"the built-in function {request.tok}")
        reference = await self._provider(request.provider, package, request.version)
        arguments = lower_outputs(hash_assets(from_struct(request.args), self._directory), set())
        provider = self._deployment.registry.get(reference)
        try:
            result, failures = await provider.invoke(request.tok, arguments, self._deployment.preview)
        except ProviderError as error:
            raise EngineError(f"invocation of {request.tok} returned an error: {error}") from error
        response = resource_pb2.ResourceInvokeResponse()
        if result is None:
            response.unknown = True
        else:
            getattr(response, "return").CopyFrom(to_struct(result))
        for failure in failures:
            response.failures.add(property=failure.property, reason=failure.reason)
        return response

    async def Call(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, _refuse(f"method calls ({request.tok})"))

    async def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, _refuse(f"parameterized packages ({request.name})"))

    # -- callbacks --

    async def RegisterStackTransform(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._deployment.callbacks.stack_transforms.append(request)
        return _empty()

    async def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, _refuse("invoke transforms"))

    async def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        hook = Hook(request.callback, request.on_dry_run, request.ignore_errors)
        self._deployment.callbacks.hooks[request.name] = hook
        return _empty()

    async def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(context, _refuse("error hooks"))

    # -- the end --

    async def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The program has registered all it will; it stays for the hooks of deletes until it may leave."""
        self.all_registered.set()
        await self.may_leave.wait()
        return _empty()

    async def _answer(self, context: Any, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await self._tasks.run(work)
        except (EngineError, ResourceError) as error:
            self._deployment.fail("" if isinstance(error, ResourceError) else str(error))
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


async def serve(engine: EngineService, monitor: MonitorService | None) -> tuple[grpc.aio.Server, str]:
    """Serve both on a free port of loopback; returns the server and its address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    if monitor is not None:
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


async def _refuse(what: str) -> Any:
    raise EngineRefused(what)


def _empty() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()
