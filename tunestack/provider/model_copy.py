"""Copies of a version of a model into another project or location: made once, found again where an answer was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from tunestack.provider.attempt import Attempt, OperationFailed, finish
from tunestack.provider.job_submission import GOOGLE_LOOK_UP, LOCAL_LOOK_UP
from tunestack.provider.model_version_inputs import ModelVersionInputs
from tunestack.provider.resource import Call, Refused, Session
from tunestack.vertex.errors import Conflict, GoogleError, NotFound, NotSent, ResourceExhausted, ServiceFault
from tunestack.vertex.model import ModelName, ModelRegistry, ModelVersion
from tunestack.vertex.timing import backoff

COPYING = "COPYING"
"""State of a version whose copy was asked for and is not known to be there."""

_UNCONFIRMED = "unconfirmed-"
"""In the place of a version's number while a copy has none."""


def is_placeholder(name: str) -> bool:
    """Whether a name is that of a copy whose number is not known."""
    return f"@{_UNCONFIRMED}" in name


class ModelCopies:
    """Makes and finds copies."""

    def __init__(self, session: Session, registry: ModelRegistry) -> None:
        self._session = session
        self._registry = registry

    async def reach(
        self, call: Call, spec: ModelVersionInputs, source: ModelVersion, attempt: Attempt
    ) -> ModelVersion:
        """The copy that ``spec`` asks for: found, waited for, or made."""
        model_id = spec.model_id or _model_id(source.name.id)
        target = ModelName(spec.project, spec.location, model_id)
        unconfirmed = attempt.outputs.get("state") == COPYING
        operation = attempt.outputs.get("operation")
        if unconfirmed and operation:
            attempt.left = True
            try:
                await self._wait(call, {"name": operation}, source)
            except OperationFailed as failure:
                await call.log.warning(f"the copy that was under way failed: {failure}")
        found = await self._copy_of(source.name, target)
        if found is None and unconfirmed:
            found = await self.look_until_sure(call, source, target)
        if found is None and spec.model_id is None:
            found = await self._foreign_copy(spec, source.name)
        if found is not None:
            if not unconfirmed:
                attempt.outputs["adopted"] = True
                await call.log.info(f"adopted {found.name}, a copy of the same version")
            return found
        return await self._copy(call, spec, source, target, attempt)

    async def _copy(
        self, call: Call, spec: ModelVersionInputs, source: ModelVersion, target: ModelName, attempt: Attempt
    ) -> ModelVersion:
        default = await self._registry.default(target.model)
        if (
            default is not None
            and spec.model_id is None
            and not await self._holds_copies(source.name, target)
        ):
            raise Refused(
                "ALREADY_EXISTS",
                f"{target} exists and is no copy of {source.name.model}: say under which modelId the copy is to be",
            )
        request: dict[str, Any] = {
            "sourceModel": str(source.name),
            **({"parentModel": str(target)} if default else {"modelId": target.id}),
            **({"customServiceAccount": spec.service_account} if spec.service_account else {}),
        }
        if spec.encryption_spec is not None:
            request["encryptionSpec"] = {"kmsKeyName": spec.encryption_spec.kms_key_name}
        placeholder = f"{target}@{_UNCONFIRMED}{blake3(str(source.name).encode()).hexdigest(length=4)}"
        known = {
            "name": placeholder,
            "model": target.model,
            "state": COPYING,
            "adopted": False,
            "defaultVersion": default.name.version if default else None,
        }
        await call.log.info(f"copying {source.name} to {target}")
        try:
            with attempt.sending(placeholder, **known):
                # The id of a new model makes a repetition harmless; the next version of a model has none.
                operation = await self._registry.copy(
                    spec.project, spec.location, request, repeatable=default is None
                )
        except (Conflict, ServiceFault) as error:
            if isinstance(error, NotSent):
                raise
            attempt.in_doubt(placeholder, known)
            found = await self.look_until_sure(call, source, target)
            if found is None:
                attempt.left = False
                raise
        else:
            attempt.outputs["operation"] = operation.get("name")
            try:
                await self._wait(call, operation, source)
            except OperationFailed:
                attempt.left = False  # what failed made nothing
                raise
            found = await self.look_until_sure(call, source, target)
            if found is None:
                raise GoogleError(
                    0, "NOT_FOUND", f"the copy of {source.name} is done and {target} does not show it"
                )
        attempt.known_as(str(ModelName(spec.project, spec.location, found.name.id, found.name.version)))
        return found

    async def _wait(self, call: Call, operation: Mapping[str, Any], source: ModelVersion) -> None:
        try:
            await finish(self._session, call, operation, f"copying {source.name.id}@{source.name.version}")
        except NotFound:
            return  # operations are forgotten after a while: the registry says what came of it

    async def _copy_of(self, source: ModelName, target: ModelName) -> ModelVersion | None:
        for version in await self._versions(target):
            if version.original is not None and version.original.means(source):
                return version
        return None

    async def _foreign_copy(self, spec: ModelVersionInputs, source: ModelName) -> ModelVersion | None:
        """A copy that someone else made: Google lists no copies of a model, so all models are looked at."""
        async for version in self._registry.models(spec.project, spec.location):
            if version.original is not None and version.original.means(source):
                return version
        return None

    async def _holds_copies(self, source: ModelName, target: ModelName) -> bool:
        originals = [version.original for version in await self._versions(target)]
        return any(original is not None and original.id == source.id for original in originals)

    async def _versions(self, target: ModelName) -> list[ModelVersion]:
        try:
            return await self._registry.versions(target.model)
        except NotFound:
            return []

    async def look_until_sure(
        self, call: Call, source: ModelVersion, target: ModelName
    ) -> ModelVersion | None:
        """The copy, or None where it surely is not there; times as for a job whose submission was not answered."""
        timing = self._session.timing
        rule = LOCAL_LOOK_UP if self._session.configuration.local else GOOGLE_LOOK_UP
        sure_from = timing.monotonic() + rule.arrival
        clean = attempt = 0
        while clean < rule.clean:
            asked = timing.monotonic()
            try:
                found = await self._copy_of(source.name, target)
            except (ServiceFault, ResourceExhausted):
                clean = 0
                if asked >= sure_from + 2 * rule.arrival:
                    raise
            else:
                if found is not None:
                    return found
                clean += asked >= sure_from
            await call.log.status(f"looking for the copy of {source.name.id}@{source.name.version}")
            await self._session.pause(
                backoff(attempt, timing, first=rule.first, ceiling=rule.ceiling), call.cancelled
            )
            attempt += 1
        return None

    async def confirmed(self, call: Call, declared: Mapping[str, Any], name: str) -> ModelName | None:
        """The version behind a copy whose number never came to us."""
        try:
            source = await self._registry.get(str(declared.get("source") or declared.get("sourceModel")))
        except NotFound:
            return None
        if declared.get("operation"):
            await self._wait(call, {"name": declared["operation"]}, source)
        found = await self.look_until_sure(call, source, ModelName.parse(name.partition("@")[0]))
        return found.name if found is not None else None


def _model_id(source: str) -> str:
    """An id for the copy of a model: the source's own where it may be chosen (no digit and no hyphen in front)."""
    return source if source[0].isalpha() or source[0] == "_" else f"model-{source}"[:63]
