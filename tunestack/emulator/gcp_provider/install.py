"""Putting the stand-in where an engine looks for the gcp plugin: ``$PULUMI_HOME/plugins``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from tunestack.emulator.gcp_provider.configuration import plugin_version
from tunestack.spec.errors import Problem, TunestackError

_MODULE = "tunestack.emulator.gcp_provider"


def install(pulumi_home: Path, python: Path) -> Path:
    """Write the plugin's executable for the installed pulumi-gcp version; return its path.

    It runs ``python -m tunestack.emulator.gcp_provider``. Written aside and renamed, so that an engine never
    finds half of it; the same content is left as it is. Raises TunestackError where a real plugin lies there.
    """
    folder = pulumi_home.absolute() / "plugins" / f"resource-gcp-v{plugin_version()}"
    target = folder / "pulumi-resource-gcp"
    # -P: the engine's working folder is the program's, whose modules (storage, configuration, …) must not shadow.
    script = f'#!/bin/sh\nexec {shlex.quote(str(python.absolute()))} -P -m {_MODULE} "$@"\n'
    if target.exists():
        if _MODULE.encode() not in _head(target):
            raise TunestackError(
                Problem(
                    code="real-gcp-plugin",
                    message="a gcp plugin that is not tunestack's stand-in is installed there already",
                    where=str(target),
                    fix="use another PULUMI_HOME for the local stack (tunestack's is .tunestack/pulumi-home)",
                )
            )
        if target.read_text() == script:
            return target
    folder.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    aside.write_text(script)
    aside.chmod(0o755)
    aside.replace(target)
    return target


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)
