"""A client that is killed in the midst of a request."""

from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit


def test_a_request_that_never_was_whole_is_not_carried_out_and_is_no_failure_of_the_emulator(
    emulator: Any,
) -> None:
    path = "/v1/projects/cut-off/locations/us-central1/customJobs"
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer local\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(emulator.url).port)) as client:
        client.sendall(f'{head}{{"displayName": '.encode())
    end = time.monotonic() + 30
    while time.monotonic() < end:
        log = emulator.call("GET", "/_local/requests")["requests"]
        found = [entry["status"] for entry in log if entry["path"] == path]
        if found:
            break
    assert found == [499]
    assert emulator.call("GET", path) in ({}, {"customJobs": []})
