"""No process of the local stack leaves this machine; who tries is told which call it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tunestack.emulator import egress
from tunestack.emulator.environment import environment

CALLS = {
    # Google's own clients, unchanged, with the endpoints they have by themselves.
    "google-cloud-storage": """
        from google.cloud import storage
        from google.auth.credentials import AnonymousCredentials
        client = storage.Client(project="p", credentials=AnonymousCredentials(),
            client_options={"api_endpoint": "https://storage.googleapis.com"})
        client.get_bucket("b")
        """,
    "google-cloud-kms, gRPC": """
        from google.cloud import kms
        from google.auth.credentials import AnonymousCredentials
        client = kms.KeyManagementServiceClient(credentials=AnonymousCredentials())
        client.list_key_rings(parent="projects/p/locations/us")
        """,
    # reference: `PipelineJob.submit` asks Google for a project's number over gRPC, and used to take 40 s offline.
    "google-cloud-aiplatform's hidden call": """
        from google.cloud.aiplatform.utils import resource_manager_utils
        from google.auth.credentials import AnonymousCredentials
        resource_manager_utils.get_project_number("p", credentials=AnonymousCredentials())
        """,
    "google-auth's token": """
        import google.oauth2.credentials, google.auth.transport.requests
        credentials = google.oauth2.credentials.Credentials(
            None, refresh_token="r", client_id="c", client_secret="s", token_uri="https://oauth2.googleapis.com/token")
        credentials.refresh(google.auth.transport.requests.Request())
        """,
    "httpx": "import httpx; httpx.get('https://example.com/x?key=secret')",
    "a plain socket": "import socket; socket.create_connection(('8.8.8.8', 53), timeout=5)",
    "UDP": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))",
}
NAMED = {
    "google-cloud-storage": "GET https://storage.googleapis.com/storage/v1/b/b",
    "google-cloud-kms, gRPC": "gRPC /google.cloud.kms.v1.KeyManagementService/ListKeyRings (cloudkms.",
    "google-cloud-aiplatform's hidden call": "gRPC /google.cloud.resourcemanager.v3.Projects/GetProject",
    "google-auth's token": "POST https://oauth2.googleapis.com/token",
    "httpx": "GET https://example.com/x (example.com:443)",
    "a plain socket": "8.8.8.8:53",
    "UDP": "8.8.8.8:53",
}


def guarded(emulator, code, *arguments, **more):
    """A guarded child that runs ``code``; as any of ours is started, by its environment alone."""
    options = emulator.running.options
    variables = {**os.environ, **environment(options), **egress.guard_environment(options), **more}
    return subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code), *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


TRY_ALL = """
    import json, sys
    for name, code in json.loads(sys.argv[1]).items():
        try:
            exec(code, {})
            print(json.dumps([name, "", "not stopped"]))
        except Exception as error:
            print(json.dumps([name, type(error).__name__, str(error)]))
    """


@pytest.fixture(scope="module")
def stopped(emulator):
    """What became of each call, made in one guarded process."""
    calls = json.dumps({name: textwrap.dedent(code) for name, code in CALLS.items()})
    ended = guarded(emulator, TRY_ALL, calls)
    assert ended.returncode == 0, ended.stderr
    return {name: (kind, words) for name, kind, words in map(json.loads, ended.stdout.splitlines())}


@pytest.mark.parametrize("client", CALLS)
def test_a_client_that_would_leave_is_stopped_with_a_message_that_names_the_call(stopped, client):
    kind, words = stopped[client]
    assert kind == "EgressRefused", words
    first, fix = words.split("\n")
    assert NAMED[client] in first
    assert "secret" not in first
    assert "tunestack emulator env" in fix


def test_what_stays_on_this_machine_is_let_through(emulator):
    ended = guarded(
        emulator,
        """
        import asyncio, socket
        from google.cloud import storage
        storage.Client().create_bucket("egress-lets-through")
        assert [bucket.name for bucket in storage.Client().list_buckets(prefix="egress")] == ["egress-lets-through"]
        socket.getaddrinfo(socket.gethostname(), None)
        import grpc
        grpc.insecure_channel("127.0.0.1:1").close()
        left, right = socket.socketpair()
        left.sendall(b"x")
        async def main():
            server = await asyncio.start_server(lambda r, w: w.close(), "localhost", 0)
            await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        asyncio.run(main())
        """,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_host_that_is_meant_may_be_called(emulator):
    code = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=0.2)"
    assert "EgressRefused" in guarded(emulator, code).stderr
    assert "EgressRefused" not in guarded(emulator, code, TUNESTACK_EGRESS_ALLOW="192.0.2.1").stderr


def test_a_grandchild_is_guarded_too(emulator):
    code = """
        import subprocess, sys
        inner = "import socket; socket.create_connection(('8.8.8.8', 53))"
        sys.exit(subprocess.run([sys.executable, "-c", inner]).returncode)
        """
    ended = guarded(emulator, code)
    assert ended.returncode == 1
    assert "EgressRefused" in ended.stderr


def test_what_is_not_python_meets_the_emulator_and_is_written_down(emulator):
    """By the proxy variables, as curl, Go and gRPC's own core honour them."""
    variables = egress.guard_environment(emulator.running.options)
    since = max(
        [entry["sequence"] for entry in emulator.call("GET", "/_local/requests")["requests"]], default=0
    )
    for url in ("https://oauth2.googleapis.com/token", "http://example.com/x"):
        ended = subprocess.run(
            ["curl", "-sS", "-w", "%{http_code} %{http_connect}", url],
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "403" in ended.stdout + ended.stderr
    seen = emulator.call("GET", "/_local/requests", since=since)["requests"]
    refused = [(entry["verb"], entry["path"]) for entry in seen if entry["method"] == "egress"]
    assert refused == [("CONNECT", "oauth2.googleapis.com:443"), ("GET", "http://example.com/x")]


def test_the_emulator_is_guarded_and_with_it_what_it_starts(emulator):
    import psutil

    variables = psutil.Process(emulator.running.pid).environ()
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(egress.STARTUP)


def test_another_sitecustomize_is_not_shadowed(emulator, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.was_here = True")
    variables = egress.guard_environment(emulator.running.options)
    path = os.pathsep.join([variables["PYTHONPATH"], str(tmp_path)])
    ended = guarded(emulator, "print(was_here)", PYTHONPATH=path)
    assert ended.stdout.strip() == "True", ended.stderr
