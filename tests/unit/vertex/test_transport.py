"""Retries: what is repeated, when, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tunestack.vertex.credentials import DefaultCredentials, StaticToken, token_source
from tunestack.vertex.errors import (
    GoogleError,
    InvalidArgument,
    NotFound,
    NotSent,
    PermissionDenied,
    ResourceExhausted,
    ServiceFault,
    Unauthenticated,
)
from tunestack.vertex.loopback import is_loopback
from tunestack.vertex.timing import Timing
from tunestack.vertex.transport import Transport, retry_after

URL = "https://us-central1-aiplatform.googleapis.com/v1/x"


class Server:
    """Answers in turn; records what was slept and which tokens came."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.slept: list[float] = []
        self.tokens: list[str] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append(request.headers["authorization"])
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def transport(self, tokens: Any = None) -> Transport:
        timing = Timing(lambda: 0.0, self.sleep, lambda: 0.0, lambda: 1.0)
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return Transport(tokens or StaticToken("t"), timing=timing, http=http)


def failure(status: int, **headers: str) -> httpx.Response:
    error = {
        "error": {"code": status, "status": "SOME_STATUS", "message": "why", "details": [{"@type": "x"}]}
    }
    return httpx.Response(status, json=error, headers=headers)


async def test_a_repeatable_request_outlives_faults_with_growing_pauses() -> None:
    server = Server(
        failure(503), httpx.ReadTimeout("slow"), failure(500), httpx.Response(200, json={"ok": True})
    )
    async with server.transport() as transport:
        answer = await transport.request("GET", URL, repeatable=True)
    assert answer.json() == {"ok": True}
    assert server.slept == [0.5, 1.0, 2.0]


async def test_google_says_how_long_to_wait() -> None:
    server = Server(failure(429, **{"retry-after": "7"}), httpx.Response(200, json={}))
    async with server.transport() as transport:
        await transport.request("GET", URL, repeatable=True)
    assert server.slept == [7.0]


@pytest.mark.parametrize(
    "answer", [failure(503), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")]
)
async def test_what_may_have_been_carried_out_is_not_repeated(answer: httpx.Response | Exception) -> None:
    server = Server(answer)
    async with server.transport() as transport:
        with pytest.raises(ServiceFault) as caught:
            await transport.request("POST", URL, repeatable=False)
    assert not isinstance(caught.value, NotSent)
    assert server.slept == []


@pytest.mark.parametrize("answer", [failure(429), httpx.ConnectError("refused")])
async def test_what_was_surely_not_carried_out_is_repeated(answer: httpx.Response | Exception) -> None:
    server = Server(answer, httpx.Response(200, json={}))
    async with server.transport() as transport:
        await transport.request("POST", URL, repeatable=False)
    assert len(server.slept) == 1


async def test_retries_end() -> None:
    server = Server(*[failure(503) for _ in range(6)])
    async with server.transport() as transport:
        with pytest.raises(ServiceFault):
            await transport.request("GET", URL, repeatable=True)
    assert len(server.slept) == 5


async def test_an_old_token_is_renewed_once() -> None:
    class Tokens:
        value = "old"

        async def token(self, *, renew: bool = False) -> str:
            self.value = "new" if renew else self.value
            return self.value

    server = Server(failure(401), httpx.Response(200, json={}))
    async with server.transport(Tokens()) as transport:
        await transport.request("POST", URL, repeatable=False)
    assert server.tokens == ["Bearer old", "Bearer new"]
    server = Server(failure(401), failure(401))
    async with server.transport(Tokens()) as transport:
        with pytest.raises(Unauthenticated):
            await transport.request("POST", URL, repeatable=False)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidArgument),
        (403, PermissionDenied),
        (404, NotFound),
        (418, GoogleError),
        (501, ServiceFault),
    ],
)
async def test_an_error_says_what_google_said(status: int, kind: type[GoogleError]) -> None:
    async with Server(failure(status)).transport() as transport:
        with pytest.raises(kind) as caught:
            await transport.request("GET", URL, repeatable=True)
    assert (caught.value.status, caught.value.message, caught.value.http_status) == (
        "SOME_STATUS",
        "why",
        status,
    )
    assert caught.value.details == ({"@type": "x"},)


async def test_an_answer_that_is_no_json_is_an_error_all_the_same() -> None:
    async with Server(httpx.Response(404, text="<html>nothing</html>")).transport() as transport:
        with pytest.raises(NotFound, match="nothing"):
            await transport.request("GET", URL, repeatable=True)


async def test_too_many_requests_are_named_in_the_end() -> None:
    async with Server(*[failure(429) for _ in range(6)]).transport() as transport:
        with pytest.raises(ResourceExhausted):
            await transport.request("POST", URL, repeatable=False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("12", 12.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50.0),
        ("Wed, 31 Dec 1969 00:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=10.0) == seconds


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8571", True),
        ("http://localhost:8571/x", True),
        ("http://[::1]:1", True),
        ("https://us-central1-aiplatform.googleapis.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("nonsense", False),
    ],
)
def test_only_this_machine_is_loopback(url: str, local: bool) -> None:
    assert is_loopback(url) is local


async def test_a_token_of_google_never_goes_to_loopback() -> None:
    assert await token_source("http://127.0.0.1:1", None).token() == "local"
    assert await token_source("http://127.0.0.1:1", "given").token() == "given"
    assert isinstance(token_source(None, None), DefaultCredentials)
    assert isinstance(token_source("https://eu-aiplatform.example", None), DefaultCredentials)


async def test_credentials_that_cannot_be_had_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth
    import google.auth.exceptions

    def nothing(**_: Any) -> Any:
        raise google.auth.exceptions.DefaultCredentialsError("none found")

    monkeypatch.setattr(google.auth, "default", nothing)
    with pytest.raises(Unauthenticated, match="gcloud auth application-default login"):
        await DefaultCredentials().token()


async def test_one_refresh_serves_all_and_an_expired_token_is_refreshed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import asyncio

    import google.auth

    class Credentials:
        valid = False
        refreshes = 0

        def refresh(self, _: Callable[..., Any]) -> None:
            self.refreshes += 1
            self.valid = True

        @property
        def token(self) -> str:
            return f"token-{self.refreshes}"

    held = Credentials()
    monkeypatch.setattr(google.auth, "default", lambda **_: (held, "project"))
    source = DefaultCredentials()
    assert set(await asyncio.gather(*[source.token() for _ in range(5)])) == {"token-1"}
    held.valid = False
    assert await source.token() == "token-2"
    assert await source.token(renew=True) == "token-3"
