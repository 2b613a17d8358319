"""Stops connections that are not to loopback, with a message that names the call.

Loaded alone, before anything else, into every Python process of the local stack: it may import nothing of ours and
little of the standard library.

What it sees: every name that Python resolves and every socket that Python connects (audit events, which cannot be
switched off again), and every call on a gRPC channel, whose sockets are C's. What it does not see: sockets that another
native library opens, and a channel made below ``grpc``'s own functions; those find proxy variables that point to the
emulator, where they are refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any

MARK = "TUNESTACK_EGRESS_GUARD"
"""Set in a guarded process; its value is the emulator's address."""

ALLOWED = "TUNESTACK_EGRESS_ALLOW"
"""Hosts that may be called all the same, separated by commas."""

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")

_EVENTS = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
)
_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost", "0.0.0.0", "::"})  # noqa: S104
_CHANNELS = ("secure_channel", "insecure_channel")
_CALLS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")

_installed = False


class EgressRefused(RuntimeError):
    """A call that would leave this machine. No OSError: clients would take that for a bad line and try for minutes."""

    def __init__(self, host: str, port: object, call: str = "") -> None:
        what = f"{call} ({host}:{port})" if call else f"a connection to {host}:{port}"
        super().__init__(
            f"{what} would leave this machine: the local stack's egress guard stopped it.\n"
            "  fix   give that client the emulator's address: the variables of `tunestack emulator env`, or its own"
            f" endpoint option; where the call is meant, {ALLOWED}={host} lets it out"
        )
        self.host = host
        self.call = call


def install() -> None:
    """Guard this process for the rest of its life. Done twice it changes nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    # A proxy would hide from the hook where Python's own clients want to go.
    for name in PROXIES:
        if os.environ.get(name) == os.environ.get(MARK):
            os.environ.pop(name, None)
    sys.addaudithook(_hook)
    grpc = sys.modules.get("grpc")
    if grpc is not None:
        _guard_grpc(grpc)
    else:
        sys.meta_path.insert(0, _BeforeGrpc())


def is_local(host: str) -> bool:
    """Whether a host is this machine, or one that may be called all the same."""
    name = host.rstrip(".").lower()
    if name in _NAMES or name.endswith(".localhost") or name == os.uname().nodename.lower():
        return True
    if name in os.environ.get(ALLOWED, "").lower().split(","):
        return True
    from ipaddress import ip_address

    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    if event == "socket.getaddrinfo":
        host, port = arguments[:2]
    elif event == "socket.gethostbyname":
        host, port = arguments[0], "?"
    else:
        socket, address = arguments[:2]
        # AF_INET and AF_INET6 alone lead anywhere; their numbers differ between systems, their names do not.
        if address is None or getattr(socket.family, "name", "") not in ("AF_INET", "AF_INET6"):
            return
        host, port = address[:2]
    if isinstance(host, bytes):
        host = host.decode("latin-1")
    if not isinstance(host, str) or is_local(host):
        return
    raise EgressRefused(host, port, _call(sys._getframe(1)))


def _call(frame: FrameType | None) -> str:
    """``GET https://…`` of the request that a client is about to make; empty where no frame knows it."""
    for found in _requests(frame):
        method, url = str(found[0]).upper(), str(found[1])
        if url.startswith(("http://", "https://")):
            return f"{method} {url.partition('?')[0]}"
    return ""


def _requests(frame: FrameType | None) -> Iterator[tuple[object, object]]:
    """What frames say of a request: requests, httpx and urllib have one, urllib3 and http.client method and URL."""
    while frame is not None:
        names = frame.f_locals
        for name in ("request", "req", "prepared_request"):
            request = names.get(name)
            url = getattr(request, "full_url", None) or getattr(request, "url", None)
            if url is not None:
                method = getattr(request, "method", None)
                yield method if isinstance(method, str) else "GET", url
        if isinstance(names.get("method"), str) and isinstance(names.get("url"), str):
            yield names["method"], names["url"]
        frame = frame.f_back


class _BeforeGrpc:
    """Finds ``grpc`` as Python would, and guards it as soon as it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "grpc":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _guard_grpc(module)
                sys.meta_path.remove(self)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _guard_grpc(grpc: Any) -> None:
    for module in (grpc, grpc.aio):
        for name in _CHANNELS:
            setattr(module, name, _guarded(getattr(module, name), grpc))


def _guarded(make: Callable[..., Any], grpc: Any) -> Callable[..., Any]:
    """A maker of channels whose channels to elsewhere refuse each call by its method's name."""

    def make_guarded(target: str, *arguments: Any, **options: Any) -> Any:
        channel = make(target, *arguments, **options)
        host, port = _target(target)
        if host is None or is_local(host):
            return channel
        for kind in _CALLS:
            setattr(channel, kind, _refusing(host, port))
        return channel

    return make_guarded


def _refusing(host: str, port: str) -> Callable[..., Any]:
    def call_of(method: str | bytes, *_: Any, **__: Any) -> Callable[..., Any]:
        name = method.decode() if isinstance(method, bytes) else method

        def refuse(*_: Any, **__: Any) -> Any:
            raise EgressRefused(host, port, f"gRPC {name}")

        # What a callable of grpc's offers beside being called.
        refuse.with_call = refuse.future = refuse  # type: ignore[attr-defined]
        return refuse

    return call_of


def _target(target: str) -> tuple[str | None, str]:
    """Host and port of a gRPC target; no host for a socket in the file system."""
    scheme, _, rest = target.partition(":")
    if scheme in ("unix", "unix-abstract", "vsock"):
        return None, ""
    if scheme in ("dns", "ipv4", "ipv6"):
        target = rest.rpartition("/")[2] if scheme == "dns" else rest
    host, colon, port = target.rpartition(":")
    if not colon or "]" in port:
        host, port = target, "443"
    return host.strip("[]"), port
