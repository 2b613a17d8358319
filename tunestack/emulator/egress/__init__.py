"""The egress guard: on the local stack no process of ours leaves this machine.

`install` guards this process, `guard_environment` is what makes every child guard itself: a folder on ``PYTHONPATH``
whose ``sitecustomize`` loads `guard` before anything else runs, and proxy variables, for what is not Python, that
point to the emulator, which refuses and writes down whatever comes that way.
"""

from __future__ import annotations

import os
from pathlib import Path

from tunestack.emulator.egress import guard
from tunestack.emulator.options import EmulatorOptions

STARTUP = Path(__file__).parent / "startup"


def install() -> None:
    """Stop, from now on, every connection of this process that is not to loopback."""
    guard.install()


def guard_environment(options: EmulatorOptions) -> dict[str, str]:
    """The variables of a guarded child. ``PYTHONPATH`` keeps what this process has behind the guard's folder."""
    proxy = f"http://127.0.0.1:{options.port}"
    direct = ",".join(filter(None, ("127.0.0.1,localhost,::1", os.environ.get(guard.ALLOWED))))
    kept = [
        path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(STARTUP)
    ]
    proxies = dict.fromkeys(guard.PROXIES, proxy)
    return {
        **proxies,
        "grpc_proxy": proxy,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "no_grpc_proxy": direct,
        "PYTHONPATH": os.pathsep.join([str(STARTUP), *kept]),
        guard.MARK: proxy,
    }
