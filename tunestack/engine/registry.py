"""Provider instances: one plugin process for each provider resource, under its reference ``urn::id``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable

from tunestack.engine.answers import CheckFailure, Diff
from tunestack.engine.errors import EngineError, PluginError
from tunestack.engine.plugin import PluginHost
from tunestack.engine.provider import Provider, without_internal
from tunestack.engine.state import Resource
from tunestack.engine.urns import ProviderReference, package_of, type_of
from tunestack.engine.values import UNKNOWN_STRING, Properties, equal


class Registry:
    """What the engine asks of a provider resource: check, diff, create, update, and staying the same.

    A plugin is started by `check`, and configured once it is known what becomes of the resource.
    """

    def __init__(self, host: PluginHost, preview: bool) -> None:
        self._host = host
        self._preview = preview
        self._instances: dict[str, Provider] = {}
        self._unconfigured: dict[str, Provider] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._all: list[Provider] = []

    async def _load(self, urn: str, inputs: Properties) -> Provider:
        version = inputs.get("version")
        plugin = await self._host.start(package_of(type_of(urn)), version if isinstance(version, str) else "")
        provider = Provider(plugin, self._host.engine_address)
        self._all.append(provider)
        await provider.open()
        return provider

    def get(self, reference: str) -> Provider:
        """The provider that serves a resource.

        Raises:
            EngineError: nothing was registered under this reference.
        """
        try:
            return self._instances[reference]
        except KeyError:
            raise EngineError(f"unknown provider '{reference}'") from None

    def knows(self, reference: str) -> bool:
        return reference in self._instances

    async def check(
        self, urn: str, olds: Properties, news: Properties
    ) -> tuple[Properties, list[CheckFailure]]:
        provider = self._unconfigured.get(urn) or await self._load(urn, news)
        inputs, failures = await provider.check_config(urn, without_internal(olds), without_internal(news))
        if failures:
            return inputs, failures
        self._unconfigured[urn] = provider
        if "version" in news and inputs.setdefault("version", news["version"]) != news["version"]:
            raise PluginError(
                f"provider '{urn}' attempted to change version from {news['version']!r} to {inputs['version']!r}"
            )
        if "__internal" in news:
            inputs["__internal"] = news["__internal"]
        return inputs, []

    async def diff(self, old: Resource, news: Properties, ignore: Iterable[str]) -> Diff:
        provider = self._unconfigured.get(old.urn) or self.get(f"{old.urn}::{old.id}")
        filtered = without_internal(news)
        diff = await provider.diff_config(old, filtered, ignore)
        if diff.changes == "unknown":
            return Diff("none" if equal(old.outputs, filtered) else "some")
        return diff

    async def diff_config(self, reference: str, old: Resource, news: Properties) -> Diff:
        """Ask the provider under `reference` what it would mean to take over from the provider `old`."""
        return await self.get(reference).diff_config(old, without_internal(news), ())

    async def create(self, new: Resource) -> str:
        """Configure the checked instance under a new id, which is unknown in a preview."""
        provider = self._unconfigured.pop(new.urn, None) or await self._load(new.urn, new.inputs)
        identifier = UNKNOWN_STRING if self._preview else str(uuid.uuid4())
        self._configure(provider, new, identifier)
        return identifier

    async def same(self, resource: Resource) -> None:
        """Make the instance of an unchanged provider resource ready, if it is not yet."""
        if self.knows(f"{resource.urn}::{resource.id}"):
            self._unconfigured.pop(resource.urn, None)
            return
        provider = self._unconfigured.pop(resource.urn, None) or await self._load(
            resource.urn, resource.inputs
        )
        self._configure(provider, resource, resource.id)

    async def update(self, new: Resource) -> None:
        """Put an instance with new inputs in place of the one before."""
        provider = self._unconfigured.pop(new.urn, None) or await self._load(new.urn, new.inputs)
        self._configure(provider, new, new.id)

    def _configure(self, provider: Provider, resource: Resource, identifier: str) -> None:
        provider.configure(resource.urn, identifier, resource.inputs)
        self._instances[f"{resource.urn}::{identifier}"] = provider

    async def ensure(self, reference: str, olds: dict[str, Resource]) -> None:
        """Load a provider from its state: for deletes and refreshes, which no program asks for.

        Raises:
            StateError: the state does not have that provider.
            PluginError: its plugin does not start.
        """
        if not reference or self.knows(reference):
            return
        loading = self._loading.get(reference)
        if loading is None:
            loading = self._loading[reference] = asyncio.create_task(self._ensure(reference, olds))
        await asyncio.shield(loading)

    async def _ensure(self, reference: str, olds: dict[str, Resource]) -> None:
        resource = olds.get(reference)
        if resource is None:
            urn = ProviderReference.parse(reference).urn
            raise EngineError(f"could not find provider {urn} ({reference}) in the state")
        provider = await self._load(resource.urn, resource.inputs)
        if not self.knows(reference):  # it may have been registered meanwhile
            self._configure(provider, resource, resource.id)

    async def cancel(self) -> None:
        await asyncio.gather(*(provider.cancel() for provider in self._all))

    async def close(self) -> None:
        """Cancel and end every instance."""
        await asyncio.gather(*(self._close(provider) for provider in self._all))

    async def _close(self, provider: Provider) -> None:
        await provider.cancel()
        await provider.close()
