"""REST calls as the real provider makes them: addresses from the tables, Google's errors, operations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tunestack.emulator.gcp_provider.configuration import Configuration, stand_in
from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.schema import Call, MissingVariable, expand
from tunestack.emulator.gcp_provider.values import Value

if TYPE_CHECKING:
    import httpx

Sleep = Callable[[float], Awaitable[None]]

#: What terraform-provider-google repeats, too (429, 500, 502, 503), and how long this one waits in between.
TRANSIENT = frozenset({429, 500, 502, 503})
PAUSES = (0.1, 0.3, 0.9)
POLL_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
CONFLICTS = frozenset({409, 412})


@dataclass
class GoogleError(Exception):
    """An error answer of a Google API."""

    http_status: int
    message: str
    reason: str = ""

    def __str__(self) -> str:
        return f"googleapi: Error {self.http_status}: {self.message}" + (
            f", {self.reason}" if self.reason else ""
        )


class OperationFailed(ProviderError):
    """A long-running operation that ended with an error."""


class Cancelled(ProviderError):
    """The engine is closing; what was waited for goes on without us."""


class Rest:
    """The client of one configured provider. ``sleep`` waits between tries and polls, ``now`` is the time."""

    def __init__(
        self,
        configuration: Configuration,
        client: httpx.AsyncClient,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.configuration = configuration
        self.now = now
        self.sleep = sleep
        self.cancelled = asyncio.Event()
        self._client = client
        self._locks: dict[str, asyncio.Lock] = {}

    def endpoint(self, service: str) -> str:
        """The base address of a service, with a slash at its end. Raises ProviderError where none is set."""
        try:
            return self.configuration.endpoints[service]
        except KeyError:
            raise ProviderError(
                "FAILED_PRECONDITION", f"the provider has no {service}CustomEndpoint. {stand_in()}"
            ) from None

    def address(self, service: str, template: str, variables: Mapping[str, Value]) -> str:
        """The address that a table's template stands for. Raises ProviderError where a value is missing."""
        try:
            return self.endpoint(service) + expand(template, variables, encoded=True)
        except MissingVariable as missing:
            raise ProviderError(
                "INVALID_ARGUMENT",
                f"{missing.args[0]} is set neither on the resource nor on the provider (address: {template})",
            ) from None

    def lock(self, address: str) -> asyncio.Lock:
        """One writer at a time for read-modify-write on ``address``."""
        return self._locks.setdefault(address, asyncio.Lock())

    async def call(
        self, service: str, call: Call, variables: Mapping[str, Value], body: Any = None
    ) -> dict[str, Any]:
        """One request of a table. Raises GoogleError for an error answer, ProviderError for none."""
        return await self.request(call.method, self.address(service, call.url, variables), body=body)

    async def request(
        self,
        method: str,
        address: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One request; transient failures are repeated (emulator.md C.2). Answers the JSON object, {} for none."""
        response = await self.send(method, address, body=body, content=content, headers=headers)
        if response.is_error:
            raise _google_error(response)
        return response.json() if response.content else {}

    async def send(
        self,
        method: str,
        address: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        import httpx

        sent = dict(headers or {})
        if self.configuration.access_token:
            sent["authorization"] = f"Bearer {self.configuration.access_token}"
        if body is not None:
            content, sent["content-type"] = json.dumps(body).encode(), "application/json"
        for pause in (*PAUSES, None):
            try:
                response = await self._client.request(method, address, content=content, headers=sent)
            except httpx.ConnectError:
                raise ProviderError(
                    "FAILED_PRECONDITION",
                    f"nothing answers at {address.split('/', 3)[2]}; start it with `tunestack emulator start`",
                ) from None
            except httpx.HTTPError as error:
                raise ProviderError("UNAVAILABLE", f"{method} {address}: {error!r}") from error
            if response.status_code not in TRANSIENT or pause is None:
                return response
            await self.sleep(pause)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        await self._client.aclose()

    async def wait(self, service: str, operation: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer of a long-running operation, polled at most ``seconds`` long.

        Raises OperationFailed for one that fails, Cancelled when the engine closes, ProviderError on time-out.
        """
        waited = 0.0
        polls = iter(POLL_SECONDS)
        pause = POLL_SECONDS[-1]
        current = dict(operation)
        while not current.get("done"):
            if self.cancelled.is_set():
                raise Cancelled("CANCELLED", f"stopped waiting for {current.get('name')}; it goes on")
            if waited >= seconds:
                raise ProviderError(
                    "DEADLINE_EXCEEDED", f"{current.get('name')} did not end in {seconds:.0f} s"
                )
            pause = next(polls, pause)
            await self.sleep(pause)
            waited += pause
            current = await self.request("GET", self.endpoint(service) + str(current["name"]))
        if error := current.get("error"):
            raise OperationFailed("FAILED_PRECONDITION", f"{error.get('message')} (code {error.get('code')})")
        return current.get("response") or {}


def is_operation(answer: Mapping[str, Any]) -> bool:
    """Whether an answer is a long-running operation; ``done`` is absent until it is."""
    name = str(answer.get("name", ""))
    return "/operations/" in name or name.startswith("operations/")


def _google_error(response: httpx.Response) -> GoogleError:
    try:
        error = response.json()["error"]
        details = error.get("errors") or [{}]
        return GoogleError(
            response.status_code, str(error["message"]), details[0].get("reason") or error.get("status", "")
        )
    except (ValueError, KeyError, TypeError, IndexError):
        text = response.text.strip()[:500]
        return GoogleError(response.status_code, text or response.reason_phrase or "no message")
