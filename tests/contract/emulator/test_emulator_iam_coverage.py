"""No method is open: who has no role is refused each that is implemented, whatever service it is of."""

from __future__ import annotations

import re
from dataclasses import replace

import httpx
import pytest

from tunestack.emulator import process
from tunestack.emulator.access.permissions import permission_of
from tunestack.emulator.call import HANDLERS
from tunestack.emulator.documents import load
from tunestack.emulator.environment import token_of
from tunestack.emulator.services import register_services

# Answered to anyone, by Google too: what one may do oneself, and how an upload that was begun goes on.
OPEN = re.compile(r".*\.testIamPermissions")


@pytest.fixture(scope="module")
def iam(emulator, tmp_path_factory):
    data = tmp_path_factory.mktemp("iam-coverage") / "data"
    local = type(emulator)(replace(emulator.options, data=data, port=0, enforce_iam=True))
    local.call("POST", "/storage/v1/b", {"name": "aaa"}, project="tunestack-local")
    yield local
    process.stop(data)


def implemented():
    """One method of each id; of the hundreds that read long-running operations alike, those of one collection."""
    register_services()
    for method_id in sorted(HANDLERS):
        if ".operations." in method_id and ".models.operations." not in method_id:
            continue
        yield from load().methods[method_id][:1]


def address(method):
    """A path of the method's, every part of it called ``aaa``."""

    def filled(found):
        name = found.group(1)
        if not name.startswith("+"):
            return "aaa"
        pattern = (method.parameters or {}).get(name[1:], {}).get("pattern", "aaa")
        return re.sub(r"\[\^/\][+*]|\.[+*]", "aaa", pattern.strip("^$"))

    return "/" + re.sub(r"\{([^}]*)\}", filled, method.path)


def test_who_has_no_role_is_refused_every_method(iam):
    client = httpx.Client(
        base_url=iam.url, headers={"authorization": f"Bearer {token_of('nobody@example.com')}"}
    )
    let_in = {}
    asked = 0
    for method in implemented():
        answer = client.request(method.verb, address(method), json={} if method.verb != "GET" else None)
        logged = iam.call("GET", "/_local/requests", since=0)["requests"][-1:] if asked == 0 else []
        asked += 1
        assert not logged or logged[0]["principal"] == "nobody@example.com"
        if not OPEN.fullmatch(method.id) and answer.status_code != 403:
            let_in[method.id] = (permission_of(method.id), answer.status_code, answer.text[:200])
    assert asked > 100
    assert not let_in, "\n".join(f"{method}: {what}" for method, what in let_in.items())
