"""The changes of an endpoint that a Deployment is made of, each safe to repeat and none lost to another writer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection

from tunestack.provider.attempt import Attempt, finish
from tunestack.provider.deployment_inputs import REPLICAS, DeploymentInputs
from tunestack.provider.resource import Call, Session
from tunestack.vertex.endpoint import Deployed, Endpoint, Endpoints, shared_out
from tunestack.vertex.errors import Conflict, GoogleError, InvalidArgument, NotFound, ServiceFault
from tunestack.vertex.timing import backoff

_TRAFFIC_ATTEMPTS = 6
_VISIBLE = 1800.0
"""Seconds after which what was made must be seen, where the call has no deadline of its own."""


class EndpointChanges:
    """Waits for endpoints, moves requests, resizes and undeploys. All methods raise ``GoogleError``."""

    def __init__(self, session: Session, endpoints: Endpoints) -> None:
        self._session = session
        self._endpoints = endpoints
        # Two deployments of one endpoint read and write one split: one after the other.
        self._traffic: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def until(self, call: Call, name: str, ready: Callable[[Endpoint], bool]) -> Endpoint:
        """The endpoint, once it is as expected."""
        timing, attempt = self._session.timing, 0
        end = timing.monotonic() + (call.deadline or _VISIBLE)
        while True:
            try:
                endpoint = await self._endpoints.get(name)
                if ready(endpoint):
                    return endpoint
            except (NotFound, ServiceFault):
                pass
            if timing.monotonic() >= end:
                raise GoogleError(0, "DEADLINE_EXCEEDED", f"{name} does not show what was asked for")
            await self._session.pause(backoff(attempt, timing, first=0.2, ceiling=10.0), call.cancelled)
            attempt += 1

    async def resize(
        self, call: Call, spec: DeploymentInputs, attempt: Attempt, name: str, there: Deployed
    ) -> None:
        """Changes the number of replicas where another is declared."""
        kind, wanted = next(iter(spec.resources().items()))
        if not isinstance(wanted, dict):
            return
        current = there.resources.get(kind) or {}
        changed = [key for key in REPLICAS if key in wanted and wanted[key] != current.get(key)]
        if not changed:
            return
        mask = ",".join(f"{kind}.{key}" for key in changed)
        with attempt.sending():
            operation = await self._endpoints.resize(name, {"id": there.id, kind: wanted}, mask)
        await finish(self._session, call, operation, "changing the number of replicas")

    async def share(
        self, call: Call, attempt: Attempt, name: str, id_: str, share: int, *, without: Collection[str] = ()
    ) -> dict[str, int]:
        """Gives a deployment its share, and ``without`` none; the split afterwards."""
        async with self._traffic[name]:
            for tried in range(_TRAFFIC_ATTEMPTS):
                endpoint = await self._endpoints.get(name)
                others = {other: part for other, part in endpoint.traffic.items() if other not in without}
                split = shared_out(others, id_, share)
                if split == endpoint.traffic:
                    return split
                try:
                    with attempt.sending():
                        await self._endpoints.patch(name, {"trafficSplit": split}, etag=endpoint.etag)
                    return split
                except (Conflict, ServiceFault):
                    # Someone else changed the endpoint meanwhile, or no answer came: look again.
                    if tried == _TRAFFIC_ATTEMPTS - 1:
                        raise
                    await self._session.pause(backoff(tried, self._session.timing), call.cancelled)
        raise AssertionError("unreachable")

    async def undeploy(self, call: Call, name: str, id_: str) -> None:
        """Takes a deployment off, which gets no requests any more; what is gone is fine."""
        if (await self._endpoints.get(name)).find(id_) is None:
            return
        try:
            operation = await self._endpoints.undeploy(name, id_)
            await finish(self._session, call, operation, "undeploying")
        except NotFound:
            return
        except InvalidArgument:
            if (await self._endpoints.get(name)).find(id_) is not None:
                raise
