"""IAM credentials: short-lived tokens for a service account, for who may create them (iamcredentials.v1)."""

from __future__ import annotations

import re
from datetime import UTC, timedelta
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.environment import token_of
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.services.iam import find_account

Json = dict[str, Any]

_SECONDS_AT_MOST = 43200  # cloud.google.com/iam/docs/create-short-lived-credentials-direct


@implements("iamcredentials.projects.serviceAccounts.generateAccessToken")
def generate_access_token(call: Call) -> Json:
    name, body = call.path["name"], call.body
    if body.get("delegates"):
        raise ApiError("UNIMPLEMENTED", "delegates are not played by the tunestack emulator")
    if not body.get("scope"):
        raise invalid("scope is required", [("scope", "required")])
    lifetime = re.fullmatch(r"(\d+(?:\.\d+)?)s", body.get("lifetime", "3600s"))
    seconds = float(lifetime.group(1)) if lifetime else 0
    if not 0 < seconds <= _SECONDS_AT_MOST:
        raise invalid(f"lifetime is {body['lifetime']!r}; it is more than 0s and at most {_SECONDS_AT_MOST}s")
    account = find_account(call.state, name)
    if account is None:
        raise not_found(f"Not found; Gaia id not found for email {name.rpartition('/')[2]}")
    ends = (call.state.clock() + timedelta(seconds=seconds)).astimezone(UTC)
    return {"accessToken": token_of(account["email"]), "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
