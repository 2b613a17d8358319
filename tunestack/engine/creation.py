"""Create, where an earlier create of the same resource was cut off and nobody knows what became of it.

Such a create stays in state as pending. The next one mostly finds out by itself (a provider that looks before it
creates, a name that is derived anew), but under a name that the program chose it is answered "exists already".
What then stands under that name and is just what is wanted is what the cut-off create made.
"""

from __future__ import annotations

import re
from typing import Final

import grpc

from tunestack.engine.answers import Outcome, ProviderError
from tunestack.engine.deployment import Deployment
from tunestack.engine.provider import Provider
from tunestack.engine.state import Resource
from tunestack.engine.urns import name_of
from tunestack.engine.values import equal, unwrap

# Providers give their clouds' words: a code of HTTP, or a sentence.
_CONFLICT: Final = re.compile(r"\b409\b|already[ _](exists|own)", re.IGNORECASE)


async def create(deployment: Deployment, provider: Provider, new: Resource) -> Outcome:
    """Create a resource, or take over what a create of it that was cut off had made already.

    Raises:
        ProviderError: it failed; where an earlier create is pending, with how to take over what that one made.
    """
    try:
        return await provider.create(new, deployment.preview, deployment.status_address)
    except ProviderError as error:
        if deployment.preview or not deployment.journal.interrupted(new.urn) or not _exists(error):
            raise
        found = await _made_before(deployment, provider, new)
        if found is None:
            raise ProviderError(
                f"{error}\nAn earlier create of this resource was interrupted and is pending in the state: what "
                f"exists may be what it made. If so, take it over: import {new.type} {name_of(new.urn)} ID",
                error.code,
            ) from error
        deployment.reporter.warning(
            f"{found.id} exists just as it is wanted: an earlier create of it was interrupted; taken over",
            new.urn,
        )
        deployment.journal.settle(new.urn)
        return found


def _exists(error: ProviderError) -> bool:
    return error.code is grpc.StatusCode.ALREADY_EXISTS or _CONFLICT.search(str(error)) is not None


async def _made_before(deployment: Deployment, provider: Provider, new: Resource) -> Outcome | None:
    """What stands under the name that the program chose, if the interrupted create was the same and it is equal."""
    name = unwrap(new.inputs.get("name"))
    same = any(
        equal(unwrap(item.inputs), unwrap(new.inputs)) for item in deployment.journal.interrupted(new.urn)
    )
    if not same or not isinstance(name, str):
        return None
    try:
        found = await provider.read(new, name, None, {}, deployment.status_address)
        if not found.id or found.failed or found.inputs is None:
            return None
        old = new.copy(id=found.id, inputs=found.inputs, outputs=found.outputs)
        diff = await provider.diff(old, found.inputs, found.outputs, new.inputs, new.ignore_changes)
    except ProviderError:
        return None
    return found if diff.changes == "none" else None
