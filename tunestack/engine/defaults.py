"""Default providers: made by the engine when a resource names none, configured by the stack's configuration."""

from __future__ import annotations

import asyncio

from tunestack.engine.errors import ResourceError
from tunestack.engine.goals import Goal
from tunestack.engine.project import StackConfiguration
from tunestack.engine.registration import Registrations
from tunestack.engine.urns import PROVIDER_PREFIX
from tunestack.engine.values import Secret


class DefaultProviders:
    """One default provider for each package and version, registered like any other resource."""

    def __init__(self, registrations: Registrations, configuration: StackConfiguration) -> None:
        self._registrations = registrations
        self._configuration = configuration
        self._made: dict[tuple[str, str], asyncio.Task[str]] = {}

    async def reference(self, package: str, version: str) -> str:
        """The reference (``urn::id``) of the default provider of a package.

        Raises:
            ResourceError: it could not be made; reported.
        """
        key = (package, version)
        if key not in self._made:
            self._made[key] = asyncio.create_task(self._make(package, version))
        return await asyncio.shield(self._made[key])

    async def _make(self, package: str, version: str) -> str:
        inputs = {
            name: Secret(value.text) if value.secret else value.text
            for name, value in self._configuration.of_package(package).items()
        }
        name = "default"
        if version:
            name += "_" + version.replace(".", "_").replace("-", "_").replace("+", "_")
            inputs["version"] = version
        goal = Goal(type=PROVIDER_PREFIX + package, name=name, custom=True, inputs=dict(inputs))
        registered = await self._registrations.register(goal)
        if registered.result != "success":
            raise ResourceError(f"the default provider of {package} could not be made")
        return f"{registered.urn}::{registered.id}"
