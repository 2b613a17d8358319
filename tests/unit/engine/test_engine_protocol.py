"""Pulumi's messages without its SDK: cheap for the engine, and whole for whoever imports pulumi after it."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENGINE = "import tunestack.engine.session, tunestack.engine.protocol as protocol, sys"
SDK = "import pulumi, pulumi.runtime, pulumi.dynamic, pulumi.automation"


def run(*lines: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_engine_does_not_load_the_sdk() -> None:
    run(
        ENGINE,
        "assert not {'pulumi', 'pulumi.runtime', 'pulumi.runtime.proto', 'pulumi.output'} & set(sys.modules)",
    )


@pytest.mark.parametrize("order", [(ENGINE, SDK), (SDK, ENGINE)], ids=["engine first", "sdk first"])
def test_the_sdk_and_the_engine_share_their_messages(order: tuple[str, str]) -> None:
    run(
        *order,
        "assert pulumi.runtime.proto.CreateRequest is protocol.provider_pb2.CreateRequest",
        "from pulumi.runtime.proto import provider_pb2",
        "assert provider_pb2 is protocol.provider_pb2",
        "assert pulumi.runtime.run_in_stack and pulumi.Output",
    )
