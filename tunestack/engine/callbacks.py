"""Functions of the program that the engine calls back: transforms and resource hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from tunestack.engine.channels import CHANNEL_OPTIONS
from tunestack.engine.errors import EngineError
from tunestack.engine.protocol import callback_pb2, callback_pb2_grpc, resource_pb2
from tunestack.engine.state import Resource
from tunestack.engine.urns import name_of
from tunestack.engine.values import to_struct


class HookFailed(Exception):
    """A hook raised; the message is the program's."""


@dataclass(frozen=True)
class Hook:
    callback: Any
    on_dry_run: bool
    ignore_errors: bool


class Callbacks:
    """Who is to be called: stack transforms, transforms of components, hooks by name."""

    def __init__(self, preview: bool) -> None:
        self._preview = preview
        self._channels: dict[str, grpc.aio.Channel] = {}
        self.stack_transforms: list[Any] = []
        self.transforms: dict[str, list[Any]] = {}  # of a component, for all its children
        self.parents: dict[str, str] = {}
        self.hooks: dict[str, Hook] = {}

    async def _invoke(self, callback: Any, request: Any) -> bytes:
        channel = self._channels.get(callback.target)
        if channel is None:
            channel = grpc.aio.insecure_channel(callback.target, options=CHANNEL_OPTIONS)
            self._channels[callback.target] = channel
        stub = callback_pb2_grpc.CallbacksStub(channel)
        message = callback_pb2.CallbackInvokeRequest(
            token=callback.token, request=request.SerializeToString()
        )
        return bytes((await stub.Invoke(message)).response)

    def transforms_for(self, own: list[Any], parent: str) -> list[Any]:
        """The resource's own transforms, those of its parents from the nearest on, then the stack's."""
        chain = list(own)
        while parent:
            chain += self.transforms.get(parent, [])
            parent = self.parents.get(parent, "")
        return chain + self.stack_transforms

    async def transform(
        self, callback: Any, type_: str, name: str, custom: bool, parent: str, properties: Any, options: Any
    ) -> tuple[Any, Any]:
        """Run one transform over a registration: wire properties and options in, and out.

        Raises:
            EngineError: the transform raised.
        """
        request = resource_pb2.TransformRequest(
            type=type_, name=name, custom=custom, parent=parent, properties=properties, options=options
        )
        try:
            answer = resource_pb2.TransformResponse.FromString(await self._invoke(callback, request))
        except grpc.aio.AioRpcError as error:
            raise EngineError(f"invoke transform: {error.details()}") from error
        return (
            answer.properties if answer.HasField("properties") else properties,
            answer.options if answer.HasField("options") else options,
        )

    async def run_hooks(
        self, kind: str, resource: Resource, old: Resource | None, outputs: bool, warn: Any
    ) -> None:
        """Run a resource's hooks of a kind (``BeforeCreate``, …); `outputs` says whether new ones exist.

        Raises:
            HookFailed: a hook raised and is not marked to be ignored.
            EngineError: the program registered no hook of that name (on destroy, hooks need a program).
        """
        deleting = kind.endswith("Delete")
        for name in resource.resource_hooks.get(kind, []):
            hook = self.hooks.get(name)
            if hook is None:
                raise EngineError(
                    f"resource hook {name!r} of {resource.urn} is not registered: hooks run in the program, "
                    "which a destroy does not start"
                )
            if self._preview and not hook.on_dry_run:
                continue
            request = resource_pb2.ResourceHookRequest(
                urn=resource.urn, id=resource.id, name=name_of(resource.urn), type=resource.type
            )
            if not deleting:
                request.new_inputs.CopyFrom(to_struct(resource.inputs))
                if outputs:
                    request.new_outputs.CopyFrom(to_struct(resource.outputs))
            before = resource if deleting else old
            if before is not None:
                request.old_inputs.CopyFrom(to_struct(before.inputs))
                request.old_outputs.CopyFrom(to_struct(before.outputs))
            try:
                raw = await self._invoke(hook.callback, request)
                problem = resource_pb2.ResourceHookResponse.FromString(raw).error
            except grpc.aio.AioRpcError as error:
                problem = error.details() or error.code().name
            if problem and hook.ignore_errors:
                warn(f"{kind} hook {name!r}: {problem}")
            elif problem:
                raise HookFailed(f"{kind} hook {name!r} failed: {problem}")

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)


KINDS = ("before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete")


def hook_names(binding: Any) -> dict[str, list[str]]:
    """The hooks of a registration by kind, named as in state: ``BeforeCreate``, …"""
    return {
        "".join(word.capitalize() for word in kind.split("_")): list(names)
        for kind in KINDS
        if (names := getattr(binding, kind))
    }
