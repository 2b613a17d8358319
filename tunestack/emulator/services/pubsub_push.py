"""Pub/Sub: messages pushed to an endpoint on this machine (cloud.google.com/pubsub/docs/push).

A success (102, 200, 201, 202, 204) acknowledges; anything else, and no answer within the deadline, gives the message
back, to come again after the backoff of its retry policy, or of push (100 ms, doubled until a minute).
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import orjson

from tunestack.emulator.services.pubsub_state import acknowledge, hand_out, message_numbers, postpone
from tunestack.emulator.state import State

Json = dict[str, Any]

_AT_ONCE = 20
_ACCEPTED = frozenset({102, 200, 201, 202, 204})
_LEAST, _MOST = 0.1, 60.0
_ISSUER = "https://accounts.google.com"
_TOKEN_SECONDS = 3600


async def push(state: State, key: str) -> bool:
    """Deliver what is due of a subscription, and return when each message was answered; whether there were any."""
    with state.database.transaction():
        subscription = state.rows.find(key)
        if subscription is None or subscription.get("detached"):
            return False
        received = hand_out(state, subscription, _AT_ONCE)
    async with httpx.AsyncClient(trust_env=False, timeout=subscription["ackDeadlineSeconds"]) as client:
        if subscription.get("enableMessageOrdering"):
            # What follows a message that was refused waits for it.
            refused: set[str] = set()
            for one in received:
                ordering = one["message"].get("orderingKey", "")
                accepted = ordering not in refused and await _sent(state, client, subscription, one)
                refused |= set() if accepted or not ordering else {ordering}
                _settle(state, key, subscription, one, accepted)
        else:

            async def deliver(one: Json) -> None:
                _settle(state, key, subscription, one, await _sent(state, client, subscription, one))

            await asyncio.gather(*map(deliver, received))
    return bool(received)


async def _sent(state: State, client: httpx.AsyncClient, subscription: Json, received: Json) -> bool:
    """Whether the endpoint took a message."""
    config = subscription["pushConfig"]
    content, headers = _request(state, subscription, received)
    try:
        answer = await client.post(config["pushEndpoint"], content=content, headers=headers)
    except (httpx.HTTPError, OSError):
        return False
    return answer.status_code in _ACCEPTED


def _settle(state: State, key: str, subscription: Json, received: Json, accepted: bool) -> None:
    number = message_numbers(key, [received["ackId"]])[0]
    with state.database.transaction():
        if accepted:
            acknowledge(state, key, [number])
            return
        row = state.database.one(
            "SELECT attempts FROM delivery WHERE subscription = ? AND message = ?", *(key, number)
        )
        own = 0.0 if "retryPolicy" in subscription or row is None else _LEAST * 2 ** min(row[0] - 1, 20)
        postpone(state, subscription, key, number, min(own, _MOST))


def _request(state: State, subscription: Json, received: Json) -> tuple[bytes, dict[str, str]]:
    config, message = subscription["pushConfig"], received["message"]
    headers = {"user-agent": "CloudPubSub-Google", "from": "noreply@google.com"}
    if "oidcToken" in config:
        headers["authorization"] = f"Bearer {_token(state, config)}"
    if "noWrapper" in config:
        if config["noWrapper"].get("writeMetadata"):
            headers |= {
                "x-goog-pubsub-subscription-name": subscription["name"],
                "x-goog-pubsub-message-id": message["messageId"],
                "x-goog-pubsub-publish-time": message["publishTime"],
                **(
                    {"x-goog-pubsub-ordering-key": message["orderingKey"]}
                    if message.get("orderingKey")
                    else {}
                ),
                **message.get("attributes", {}),
            }
        return base64.b64decode(message.get("data", "")), headers
    body = {
        # Both spellings, as Google sends them.
        "message": {**message, "message_id": message["messageId"], "publish_time": message["publishTime"]},
        "subscription": subscription["name"],
    }
    if "deliveryAttempt" in received:
        body["deliveryAttempt"] = received["deliveryAttempt"]
    return orjson.dumps(body), {**headers, "content-type": "application/json"}


def _token(state: State, config: Json) -> str:
    """An OpenID Connect token with Google's claims. Nobody signs it: no key of Google's is here."""
    email = config["oidcToken"]["serviceAccountEmail"]
    now = int(state.clock().timestamp())
    claims = {
        "aud": config["oidcToken"].get("audience") or config["pushEndpoint"],
        "azp": email,
        "email": email,
        "email_verified": True,
        "exp": now + _TOKEN_SECONDS,
        "iat": now,
        "iss": _ISSUER,
        "sub": email,
    }
    parts = (orjson.dumps(part) for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])
