"""The emulator's own endpoints: health, request log, faults, settings, and tokens for Google's auth library."""

from __future__ import annotations

import base64
import os
from collections import Counter
from importlib.metadata import version as package_version
from typing import Any
from urllib.parse import parse_qs

import orjson

from tunestack.emulator.call import HANDLERS, Incoming, Reply
from tunestack.emulator.environment import TOKEN_PREFIX
from tunestack.emulator.errors import invalid, not_found
from tunestack.emulator.services import quotas
from tunestack.emulator.state import State
from tunestack.spec.spec_hash import SPEC_HASH_LABEL

Json = dict[str, Any]

SERVICE = "tunestack-emulator"


async def answer(state: State, incoming: Incoming) -> Reply:
    """`GET|POST|DELETE /_local/…`, `POST /token`, `GET /`."""
    path = incoming.raw_path
    verb = incoming.verb
    if path == "/token" and verb == "POST":
        return Reply(_token(await incoming.body()))
    if path in ("/", "/_local/health"):
        return Reply(health(state))
    if path == "/_local/requests":
        since = int(incoming.parameter("since") or 0)
        limit = int(incoming.parameter("limit") or 10_000)
        return Reply({"requests": state.database.requests(since, limit)})
    if path == "/_local/faults":
        if verb == "POST":
            known = {*state.documents.methods, "storage.batch"}
            return Reply(state.faults.add(await _json(incoming), known).to_json())
        if verb == "DELETE":
            state.faults.clear()
        return Reply({"faults": state.faults.to_json()})
    if path == "/_local/outcomes":
        if verb == "POST":
            return Reply(state.runner.script(await _json(incoming)))
        if verb == "DELETE":
            state.runner.outcomes.clear()
        return Reply({"outcomes": state.runner.outcomes.to_json()})
    if path == "/_local/jobs":
        if verb == "POST":
            return Reply({"moved": state.runner.move(await _json(incoming))})
        return Reply({"jobs": state.runner.live()})
    if path == "/_local/submissions":
        return Reply(submissions(state, int(incoming.parameter("since") or 0)))
    if path == "/_local/quotas":
        if verb == "POST":
            return Reply(set_quota(state, await _json(incoming)))
        if verb == "DELETE":
            quotas.Decisions(state).clear()
        return Reply({"decisions": quotas.Decisions(state).all()})
    if path == "/_local/settings":
        if verb == "POST":
            body = await _json(incoming)
            change_settings(state, body)
        return Reply(settings(state))
    if path == "/_local/clock":
        if verb == "POST":
            state.clock.change(await _json(incoming))
        return Reply(state.clock.to_json())
    if path == "/_local/coverage":
        return Reply(coverage(state))
    raise not_found(
        f"{verb} {path}: there is health, requests, faults, outcomes, jobs, submissions, quotas, settings, clock,"
        " coverage"
    )


def settings(state: State) -> Json:
    return {
        "operationPolls": state.operation_polls,
        "defaultQuotas": state.default_quotas,
        "enforceIam": state.access.enforced,
        "anonymousIsLocal": state.access.anonymous_is_local,
    }


def change_settings(state: State, body: Json) -> None:
    """Until the emulator ends; the next start has its options' again. Raises 400 on what is no setting."""
    have = settings(state)
    for key, value in body.items():
        if key not in have:
            raise invalid(f"unknown setting {key}: there is {', '.join(have)}")
        if type(value) is not type(have[key]):
            must = "true or false" if isinstance(have[key], bool) else "a whole number"
            raise invalid(f"{key} is {orjson.dumps(value).decode()}; it must be {must}")
    changed = {**have, **body}
    state.operation_polls = changed["operationPolls"]
    state.default_quotas = changed["defaultQuotas"]
    state.access.enforced = changed["enforceIam"]
    state.access.anonymous_is_local = changed["anonymousIsLocal"]


def health(state: State) -> Json:
    return {
        "service": SERVICE,
        "version": package_version("tunestack"),
        "pid": os.getpid(),
        "data": str(state.options.data),
        "project": state.options.project,
        "startedAt": state.started_at,
        "jobs": state.runner.counts(),
        **({"rpcPort": state.rpc_port} if state.rpc_port else {}),
    }


def submissions(state: State, since: int) -> Json:
    """Every job that was accepted, and how many there were of each spec hash."""
    found = state.database.submissions(since)
    hashes = Counter(entry["labels"].get(SPEC_HASH_LABEL, "") for entry in found)
    hashes.pop("", None)
    return {"submissions": found, "bySpecHash": dict(hashes)}


def set_quota(state: State, body: Json) -> Json:
    """Without ``project`` how coming requests are decided; with it what is in force there now."""
    if "project" not in body:
        return quotas.Decisions(state).add(body)
    values = {"service": quotas.VERTEX, "dimensions": {}, **body}
    quota = quotas.find_quota(values["service"], values.get("quotaId", ""))
    if quota is None or not isinstance(values.get("value"), int):
        raise invalid("a limit has project, service, quotaId, dimensions and a whole value")
    with state.database.transaction():
        project = state.projects.number(values["project"])
        quotas.set_limit(state, project, quota, values["dimensions"], values["value"])
    return values


def coverage(state: State) -> Json:
    """Methods implemented and known, by service."""
    services: dict[str, Json] = {}
    for method_id in sorted(state.documents.methods):
        entry = services.setdefault(method_id.partition(".")[0], {"known": 0, "implemented": []})
        entry["known"] += 1
        if method_id in HANDLERS:
            entry["implemented"].append(method_id)
    return {"services": services, "revisions": state.documents.revisions}


def _token(body: bytes) -> Json:
    """An access token for a service account's assertion. It carries the issuer, the principal of later calls."""
    assertion = parse_qs(body.decode("latin-1")).get("assertion", [""])[0]
    claims = (
        assertion.split(".")[1] if assertion.count(".") == 2 else base64.urlsafe_b64encode(b"{}").decode()
    )
    return {"access_token": TOKEN_PREFIX + claims, "token_type": "Bearer", "expires_in": 3600}


async def _json(incoming: Incoming) -> Json:
    try:
        body = orjson.loads(await incoming.body())
    except orjson.JSONDecodeError as error:
        raise invalid(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("not a JSON object")
    return body
