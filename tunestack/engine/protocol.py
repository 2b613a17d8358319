"""Pulumi's messages without the SDK around them, whose import takes half as long as all else that an operation loads.

The messages are modules inside the SDK's packages. While they are imported, empty packages stand in for those, and are
taken away again: whoever imports pulumi in this process gets it whole, with these same messages.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


@contextlib.contextmanager
def _without_the_sdk() -> Iterator[None]:
    found = importlib.util.find_spec("pulumi")
    if "pulumi" in sys.modules or found is None or not found.submodule_search_locations:
        yield
        return
    folder = Path(found.submodule_search_locations[0])
    names = {
        "pulumi": folder,
        "pulumi.runtime": folder / "runtime",
        "pulumi.runtime.proto": folder / "runtime" / "proto",
    }
    for name, path in names.items():
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


with _without_the_sdk():
    from pulumi.runtime.proto import (
        callback_pb2,
        callback_pb2_grpc,
        engine_pb2,
        engine_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        resource_pb2,
        resource_pb2_grpc,
    )

__all__ = [
    "callback_pb2",
    "callback_pb2_grpc",
    "engine_pb2",
    "engine_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "resource_pb2",
    "resource_pb2_grpc",
]
