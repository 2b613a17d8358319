"""Jobs, models, endpoints and predictions of Vertex AI, by REST."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from tunestack.vertex.errors import GoogleError, NotFound, ServiceFault
from tunestack.vertex.job import JobCollection
from tunestack.vertex.timing import Timing, backoff
from tunestack.vertex.transport import Transport

Json = dict[str, Any]

_LOCATION = re.compile(r"(?:^|/)locations/([^/]+)")
LONGEST_OPERATION = 1800.0


def location_of(name: str) -> str:
    """The location in a full resource name. Raises ValueError where there is none."""
    found = _LOCATION.search(name)
    if found is None:
        raise ValueError(f"{name!r} is no full resource name: projects/P/locations/L/…")
    return found[1]


def resource_id(name: str) -> str:
    """The last part of a resource name: the job's, model's or endpoint's own id."""
    return name.rsplit("/", 1)[-1]


class VertexClient:
    """Asks one host per location, or one endpoint for all of them.

    ``endpoint``: base URL that stands in for ``https://{location}-aiplatform.googleapis.com``.
    All methods raise ``GoogleError``. Names are full resource names.
    """

    def __init__(
        self, transport: Transport, *, endpoint: str | None = None, timing: Timing | None = None
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._timing = timing or Timing()

    def _url(self, location: str, path: str, version: str) -> str:
        base = self._endpoint or f"https://{location}-aiplatform.googleapis.com"
        return f"{base}/{version}/{path}"

    async def call(
        self,
        method: str,
        location: str,
        path: str,
        *,
        repeatable: bool,
        params: Mapping[str, str] | None = None,
        body: object = None,
        timeout: float | None = None,
        version: str = "v1",
        attempts: int | None = None,
        stopped: asyncio.Event | None = None,
    ) -> Json:
        """One request; ``path`` without the version. ``repeatable`` … ``stopped``: see ``Transport.request``."""
        response = await self._transport.request(
            method,
            self._url(location, path, version),
            repeatable=repeatable,
            params=params,
            json=body,
            timeout=timeout,
            attempts=attempts,
            stopped=stopped,
        )
        try:
            answer = response.json() if response.content else {}
        except ValueError as error:
            # Something between us and Google answered: whether the request was carried out is not known.
            message = f"an answer that is no JSON: {response.text[:200]!r}"
            raise ServiceFault(
                response.status_code, "UNAVAILABLE", message, request=f"{method} {path}"
            ) from error
        return answer if isinstance(answer, dict) else {}

    # Jobs of every kind

    async def create_job(
        self,
        collection: JobCollection,
        project: str,
        location: str,
        job: Mapping[str, Any],
        *,
        job_id: str | None = None,
        version: str | None = None,
        stopped: asyncio.Event | None = None,
    ) -> Json:
        """Submits a job; sent once: what a broken answer means is the caller's question.

        ``job_id``: an id of our choice, where the collection takes one; ``version`` of the API that knows the fields
        in ``job``, where it is not the collection's own; ``stopped``: not to be sent any more where it waits for its
        turn. Raises ``Conflict`` where the id is taken, ``ServiceFault``
        where the outcome is not known: also for an answer that names no job.
        """
        path = f"{collection.parent(project, location)}/{collection.segment}"
        params = {collection.id_parameter: job_id} if collection.id_parameter and job_id else None
        answer = await self.call(
            "POST",
            location,
            path,
            repeatable=False,
            params=params,
            body=dict(job),
            version=version or collection.version,
            stopped=stopped,
        )
        if not answer.get("name"):
            raise ServiceFault(200, "UNAVAILABLE", "the answer names no job", request=f"POST {path}")
        return answer

    async def get_job(self, collection: JobCollection, name: str, *, attempts: int | None = None) -> Json:
        """The job as it is now."""
        return await self._get(name, version=collection.version, attempts=attempts)

    async def list_jobs(
        self,
        collection: JobCollection,
        project: str,
        location: str,
        filter_: str,
        *,
        page_size: int = 100,
        attempts: int | None = None,
        fields: str | None = None,
    ) -> AsyncGenerator[Json, None]:
        """Jobs that match an AIP-160 filter, page after page; ``attempts`` at each; with no more than ``fields``."""
        path = f"{collection.parent(project, location)}/{collection.segment}"
        params = {"filter": filter_, "pageSize": str(page_size)}
        if fields is not None:
            params["fields"] = fields
        while True:
            page = await self.call(
                "GET",
                location,
                path,
                repeatable=True,
                params=params,
                version=collection.version,
                attempts=attempts,
            )
            for job in page.get(collection.segment) or []:
                yield job
            token = page.get("nextPageToken")
            if not token:
                return
            params["pageToken"] = str(token)

    async def cancel_job(self, collection: JobCollection, name: str) -> None:
        """Asks for the end of a job; best effort, it ends later."""
        path = f"{name}:cancel"
        await self.call("POST", location_of(name), path, repeatable=True, body={}, version=collection.version)

    async def delete_job(self, collection: JobCollection, name: str) -> None:
        """Deletes the record of an ended job and waits for it."""
        await self._delete(name, version=collection.version)

    # Models and endpoints

    async def get_model(self, name: str) -> Json:
        """A model, or one of its versions (``…/models/M@V``)."""
        return await self._get(name)

    async def delete_model(self, name: str) -> None:
        """Deletes a model with all its versions and waits for it; it must not be deployed."""
        await self._delete(name.partition("@")[0])

    async def list_model_versions(self, name: str) -> list[Json]:
        """Every version of a model, each as a model."""
        name, path = name.partition("@")[0], f"{name.partition('@')[0]}:listVersions"
        versions: list[Json] = []
        params: dict[str, str] = {}
        while True:
            page = await self.call("GET", location_of(name), path, repeatable=True, params=params or None)
            versions += page.get("models") or []
            token = page.get("nextPageToken")
            if not token:
                return versions
            params["pageToken"] = str(token)

    async def delete_model_version(self, name: str) -> None:
        """Deletes one version (``…/models/M@V``) of a model that has others, and waits for it. Not the default one."""
        try:
            operation = await self.call("DELETE", location_of(name), f"{name}:deleteVersion", repeatable=True)
            await self.wait(operation)
        except NotFound:
            return

    async def get_endpoint(self, name: str) -> Json:
        """An endpoint with its ``deployedModels``."""
        return await self._get(name)

    async def undeploy_model(self, endpoint: str, deployed_model_id: str) -> None:
        """Takes a deployed model off an endpoint and waits for it."""
        operation = await self.call(
            "POST",
            location_of(endpoint),
            f"{endpoint}:undeployModel",
            repeatable=True,
            body={"deployedModelId": deployed_model_id},
        )
        await self.wait(operation)

    async def delete_endpoint(self, name: str) -> None:
        """Deletes an endpoint and waits for it; nothing may be deployed on it."""
        await self._delete(name)

    async def predict(
        self,
        name: str,
        prompts: Sequence[str],
        *,
        max_output_tokens: int,
        temperature: float = 0.0,
        timeout: float = 600.0,
    ) -> list[str]:
        """The replies of an endpoint, or of a publisher model (``projects/P/locations/L/publishers/G/models/M``).

        One request: at most 250 prompts. ``timeout`` in seconds. Raises ``GoogleError`` also for an answer that
        has not one text per prompt.
        """
        body = {
            "instances": [{"content": prompt} for prompt in prompts],
            "parameters": {"maxOutputTokens": max_output_tokens, "temperature": temperature},
        }
        answer = await self.call(
            "POST", location_of(name), f"{name}:predict", repeatable=True, body=body, timeout=timeout
        )
        predictions = answer.get("predictions") or []
        contents = [prediction.get("content") for prediction in predictions if isinstance(prediction, dict)]
        texts = [content for content in contents if isinstance(content, str)]
        if len(texts) != len(prompts):
            message = f"{name} gave {len(texts)} texts to {len(prompts)} prompts: {str(predictions)[:200]}"
            raise GoogleError(200, "FAILED_PRECONDITION", message)
        return texts

    # Operations

    async def wait(self, operation: Mapping[str, Any], *, longest: float = LONGEST_OPERATION) -> Json:
        """The response of a long-running operation. Raises ``GoogleError`` where it failed or took too long."""
        name = str(operation.get("name") or "")
        current: Mapping[str, Any] = operation
        end = self._timing.monotonic() + longest
        attempt = 0
        while not current.get("done"):
            if not name:
                return dict(current)
            if self._timing.monotonic() >= end:
                raise GoogleError(
                    0, "DEADLINE_EXCEEDED", f"operation {name} is still running after {longest:.0f} s"
                )
            await self._timing.sleep(backoff(attempt, self._timing, first=0.2, ceiling=10.0))
            attempt += 1
            current = await self._get(name)
        error = current.get("error")
        if isinstance(error, Mapping) and error:
            raise GoogleError(
                200, str(error.get("code")), str(error.get("message")), error.get("details") or ()
            )
        response = current.get("response")
        return dict(response) if isinstance(response, Mapping) else {}

    async def _get(self, name: str, *, version: str = "v1", attempts: int | None = None) -> Json:
        return await self.call(
            "GET", location_of(name), name, repeatable=True, version=version, attempts=attempts
        )

    async def _delete(self, name: str, *, version: str = "v1") -> None:
        try:
            operation = await self.call("DELETE", location_of(name), name, repeatable=True, version=version)
            await self.wait(operation)
        except NotFound:
            return  # gone is what was asked for
