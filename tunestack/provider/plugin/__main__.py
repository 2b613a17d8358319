"""Started by the engine as ``python <this folder> <engine address>``; everything else is in the package."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

# Before the imports: an engine that is killed meanwhile must be missed.
ENGINE_PROCESS = os.getppid()

# gRPC's core writes about connections that end; the engine would show it when a plugin dies early.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def protocol_without_the_sdk() -> None:
    """Make ``pulumi.runtime.proto`` importable alone.

    A plugin needs Pulumi's messages and nothing of its SDK, whose import takes as long as all the rest of a
    plugin's start; it is started twice in every ``up``. So the packages above the messages stay empty here.
    """
    found = importlib.util.find_spec("pulumi")
    folders = [Path(path) for path in (found and found.submodule_search_locations) or ()]
    for name, part in (("pulumi", ""), ("pulumi.runtime", "runtime")):
        package = ModuleType(name)
        package.__path__ = [str(folder / part) for folder in folders]
        sys.modules[name] = package


protocol_without_the_sdk()

from tunestack.provider.main import main  # noqa: E402

main(ENGINE_PROCESS)
