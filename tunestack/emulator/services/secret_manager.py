"""Secret Manager: secrets, global and of a location, and their policies (secretmanager.v1).

A row is kept under its name with the project's number, and Google shows that name too. What the prose forbids:
cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets and the pages named below.
"""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, invalid
from tunestack.emulator.services.iam_policy import held_permissions, policy_of, replace_policy
from tunestack.emulator.services.resources import chosen_id, create_row, listed, patched_row
from tunestack.emulator.services.secret_manager_checks import check_encryption, check_topics, problems_of
from tunestack.emulator.services.secret_manager_state import (
    SECRETS,
    check_etag,
    everywhere,
    find_secret,
    get_secret,
    new_etag,
    remove_secret,
    tell,
    topics_of,
)
from tunestack.emulator.services.times import later, seconds
from tunestack.emulator.state import State

Json = dict[str, Any]

_ID = r"[A-Za-z0-9_-]{1,255}"


@implements(*everywhere("create"))
def create(call: Call) -> Json:
    state = call.state
    key = f"{call.parent()}/{SECRETS}/{chosen_id(call, 'secretId', _ID)}"
    if find_secret(state, key) is not None:
        raise already_exists(f"Secret [{key}] already exists.")
    call.body = _completed(state, key, call.body, {})
    secret = create_row(call, SECRETS, key, name=key, etag=new_etag(state))
    _told(state, secret, {}, "SECRET_CREATE")
    return secret


@implements(*everywhere("get"))
def get(call: Call) -> Json:
    return get_secret(call.state, call.parent("name"))


@implements(*everywhere("list"))
def list_secrets(call: Call) -> Json:
    state = call.state
    kept = state.rows.list(SECRETS, call.parent(), newest_first=True)
    rows = [row for row in (find_secret(state, row["name"]) for row in kept) if row is not None]
    return listed(call, rows, SECRETS, counted=not call.query.get("filter"))


@implements(*everywhere("patch"))
def patch(call: Call) -> Json:
    state, key = call.state, call.parent("name")
    before = get_secret(state, key)
    check_etag(before, call.body.get("etag"))
    change = {field: value for field, value in call.body.items() if field != "etag"}
    after = patched_row(call, body=change, immutable=("secretType",))
    if "ttl" in after:  # one of the two, and this one was asked for: it is not kept
        after.pop("expireTime", None)
    after = {**_completed(state, key, after, before), "etag": new_etag(state)}
    state.rows.put(key, after)
    _told(state, after, before, "SECRET_UPDATE")
    return after


@implements(*everywhere("delete"))
def delete(call: Call) -> Json:
    key = call.parent("name")
    secret = get_secret(call.state, key)
    check_etag(secret, call.query.get("etag"))
    remove_secret(call.state, key, secret, "REQUESTED")
    return {}


@implements(*everywhere("getIamPolicy"))
def get_policy(call: Call) -> Json:
    get_secret(call.state, call.parent("resource"))
    return policy_of(call, call.parent("resource"))


@implements(*everywhere("setIamPolicy"))
def set_policy(call: Call) -> Json:
    get_secret(call.state, call.parent("resource"))
    return replace_policy(call, call.parent("resource"))


@implements(*everywhere("testIamPermissions"))
def test_permissions(call: Call) -> Json:
    """Of a secret that is not there nothing is permitted, says the method's description."""
    return held_permissions(call) if find_secret(call.state, call.parent("resource")) else {}


def _completed(state: State, key: str, secret: Json, before: Json) -> Json:
    """The secret as it is to be kept: without what is input only. Raises 400 with all that Google's prose forbids."""
    problems = problems_of(state, key, secret, before)
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    check_encryption(state, key, secret)
    check_topics(state, key, [name for name in topics_of(secret) if name not in topics_of(before)])
    kept = {field: value for field, value in secret.items() if field not in ("ttl", "tags")}
    if "ttl" in secret:
        kept["expireTime"] = later(state.now(), seconds(secret["ttl"]))
    return kept


def _told(state: State, after: Json, before: Json, event: str) -> None:
    """New topics are tried first, as Google does."""
    state.database.after_commit(state.background.wake)  # its times may be others now
    added = [name for name in topics_of(after) if name not in topics_of(before)]
    tell(state, after, "TOPIC_CONFIGURED", after, added)
    tell(state, after, event, after)
