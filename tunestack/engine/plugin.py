"""Provider plugins as processes: where they are found, how they are started, how they end.

Order of search, argv and working directory are the CLI's: ``PULUMI_DEBUG_PROVIDERS``, then Pulumi.yaml's
``plugins.providers``, then ``PATH``, then ``$PULUMI_HOME/plugins``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunestack.engine.errors import EngineRefused, PluginError
from tunestack.engine.processes import Child, Watchdog
from tunestack.engine.project import Project

# A cold interpreter has taken more than a minute on a machine that did much else, or was stopped meanwhile; who does
# not want to wait has ^C. (The CLI allows 10 s, and then fails an update that nothing is wrong with.)
START_SECONDS = 300.0


@dataclass(frozen=True)
class PluginSource:
    """How to get at a plugin: a port to attach to, or a command to start."""

    name: str
    command: tuple[str, ...] = ()
    port: int | None = None
    virtual_environment: Path | None = None
    is_path: bool = False  # of Pulumi.yaml: ended by SIGKILL after Cancel, an executable by SIGINT


def find_plugin(
    name: str, version: str, project: Project, environment: Mapping[str, str], pulumi_home: Path
) -> PluginSource:
    """Find the plugin of provider `name` at `version` (empty: any).

    Raises:
        PluginError: there is none; says where it was looked for.
    """
    for entry in filter(None, environment.get("PULUMI_DEBUG_PROVIDERS", "").split(",")):
        attached, _, port = entry.partition(":")
        if attached == name:
            if not port.isdecimal():
                raise PluginError(f"PULUMI_DEBUG_PROVIDERS: expected a numeric port, got {port!r}")
            return PluginSource(name, port=int(port))
    if name in project.plugin_paths:
        return _from_folder(name, project.plugin_paths[name], is_path=True)
    binary = f"pulumi-resource-{name}"
    if environment.get("PULUMI_IGNORE_AMBIENT_PLUGINS", "").lower() not in ("1", "true"):
        ambient = shutil.which(binary, path=environment.get("PATH", ""))
        if ambient:
            return PluginSource(name, (str(Path(ambient).resolve()),))
    installed = _installed(name, version, pulumi_home / "plugins")
    if installed is not None:
        return _from_folder(name, installed, is_path=False)
    wanted = f" v{version}" if version else ""
    raise PluginError(
        f"no resource plugin '{binary}{wanted}' found: not under plugins.providers in "
        f"{project.directory / 'Pulumi.yaml'}, not on $PATH, not in {pulumi_home / 'plugins'}"
    )


def _from_folder(name: str, folder: Path, is_path: bool) -> PluginSource:
    description = folder / "PulumiPlugin.yaml"
    binary = folder / f"pulumi-resource-{name}"
    if not description.exists():
        if not os.access(binary, os.X_OK):
            raise PluginError(f"{folder}: neither PulumiPlugin.yaml nor an executable pulumi-resource-{name}")
        return PluginSource(name, (str(binary),), is_path=is_path)
    import yaml

    runtime = (yaml.safe_load(description.read_text()) or {}).get("runtime")
    runtime = {"name": runtime} if isinstance(runtime, str) else runtime or {}
    if runtime.get("name") != "python":
        raise EngineRefused(f"plugins of the runtime {runtime.get('name')!r} ({description})")
    options = runtime.get("options") or {}
    environment = (folder / str(options.get("virtualenv") or "venv")).resolve()
    if not (folder / "__main__.py").exists():
        raise EngineRefused(f"Python plugins without __main__.py ({folder})")
    return PluginSource(
        name,
        (str(interpreter(environment)), "-u", str(folder)),
        virtual_environment=environment,
        is_path=is_path,
    )


def _installed(name: str, version: str, plugins: Path) -> Path | None:
    if version:
        exact = plugins / f"resource-{name}-v{version}"
        return exact if exact.is_dir() else None
    pattern = re.compile(rf"resource-{re.escape(name)}-v(\d+)\.(\d+)\.(\d+)")
    found = [
        (tuple(map(int, match.groups())), folder)
        for folder in (plugins.iterdir() if plugins.is_dir() else ())
        if (match := pattern.match(folder.name)) and folder.is_dir()
    ]
    return max(found)[1] if found else None


def interpreter(virtual_environment: Path) -> Path:
    """The Python of a virtual environment.

    Raises:
        PluginError: there is none.
    """
    python = virtual_environment / "bin" / "python"
    if not python.exists():
        raise PluginError(f"the virtual environment {virtual_environment} does not exist or is not one")
    return python


def activated(environment: Mapping[str, str], virtual_environment: Path | None) -> dict[str, str]:
    """The environment as ``activate`` of the virtual environment leaves it."""
    active = dict(environment)
    if virtual_environment is not None:
        active["VIRTUAL_ENV"] = str(virtual_environment)
        active["PATH"] = f"{virtual_environment / 'bin'}{os.pathsep}{active.get('PATH', '')}"
        active.pop("PYTHONHOME", None)
    return active


@dataclass
class Plugin:
    """A plugin that listens on `port`; `child` is None where it was attached to."""

    source: PluginSource
    port: int
    child: Child | None = None
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    async def end(self) -> None:
        """End the process; the provider has had its Cancel."""
        if self.child is not None:
            await self.child.end(None if self.source.is_path else signal.SIGINT)


class PluginHost:
    """Starts plugins, all as children of one engine; `warm` ones are started before they are asked for."""

    def __init__(
        self, project: Project, environment: Mapping[str, str], pulumi_home: Path, watchdog: Watchdog
    ) -> None:
        self._project = project
        self._environment = environment
        self._home = pulumi_home
        self._watchdog = watchdog
        self._warm: dict[PluginSource, list[asyncio.Task[Plugin]]] = {}
        self._started: list[Plugin] = []
        self.engine_address = ""

    def find(self, name: str, version: str) -> PluginSource:
        return find_plugin(name, version, self._project, self._environment, self._home)

    def warm(self, name: str, version: str) -> None:
        """Start a plugin that will be needed soon: it loads while the program does."""
        with contextlib.suppress(PluginError, EngineRefused):
            source = self.find(name, version)
            if source.port is None:
                self._warm.setdefault(source, []).append(asyncio.create_task(self._start(source)))

    async def start(self, name: str, version: str) -> Plugin:
        """A plugin process nobody else uses.

        Raises:
            PluginError: not found, or it did not come up; carries what it wrote to stderr.
        """
        source = self.find(name, version)
        if source.port is not None:
            return Plugin(source, source.port)
        warm = self._warm.get(source)
        return await (warm.pop(0) if warm else self._start(source))

    async def _start(self, source: PluginSource) -> Plugin:
        port: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        errors: deque[str] = deque(maxlen=200)

        def on_stdout(line: str) -> None:
            if not port.done():
                port.set_result(line.strip())

        child = await Child.start(
            self._watchdog,
            [*source.command, self.engine_address],
            self._project.program_directory,
            activated(self._environment, source.virtual_environment),
            on_stdout,
            errors.append,
        )
        gone = asyncio.create_task(child.wait())
        either: set[asyncio.Future[Any]] = {port, gone}
        await asyncio.wait(either, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not port.done():
            early = gone.done()
            await child.end()
            what = (
                f"exited prematurely with code {gone.result()}"
                if early
                else f"did not come up within {START_SECONDS:.0f} s"
            )
            raise PluginError(f"could not start plugin {source.name}: it {what}\n{''.join(errors)}".rstrip())
        if not port.result().isdecimal():
            await child.end()
            raise PluginError(f"plugin {source.name} wrote an invalid port to stdout: {port.result()!r}")
        plugin = Plugin(source, int(port.result()), child, errors)
        self._started.append(plugin)
        return plugin

    async def close(self) -> None:
        """End every plugin that is still there."""
        spares = [task for tasks in self._warm.values() for task in tasks]
        await asyncio.gather(*spares, return_exceptions=True)
        await asyncio.gather(*(plugin.end() for plugin in self._started))
