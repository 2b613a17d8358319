"""``tunestack:vertex:ModelVersion``: a version of a tuned model under its aliases, copied to where it is needed.

Promotion is by reference: the version of another stack is named, copied and given an alias, and nothing is trained.
An alias has one version; giving it to another takes it away from the first. The default version is what everyone
gets who names none, so it moves only where ``default`` asks for it: it is read back, and put back where it moved.
"""

from __future__ import annotations

from typing import ClassVar

from tunestack.provider.attempt import RESUME, Attempt
from tunestack.provider.inputs import check_inputs, parse_inputs
from tunestack.provider.keepers import Keepers
from tunestack.provider.model_copy import COPYING, ModelCopies, is_placeholder
from tunestack.provider.model_version_inputs import ModelVersionInputs, model_version_problems
from tunestack.provider.resource import (
    Call,
    Change,
    Checked,
    Created,
    Differences,
    Found,
    InitFailed,
    Refused,
    Resource,
    Session,
    compare,
)
from tunestack.provider.values import UNKNOWN, Properties, has_unknown, plain
from tunestack.spec.spec_hash import SPEC_HASH_LABEL
from tunestack.vertex.errors import NotFound
from tunestack.vertex.model import DEFAULT_ALIAS, DefaultVersion, ModelName, ModelRegistry, ModelVersion

READY = "READY"

_ONCE = ("name", "model", "versionId", "source", "copied", "adopted", "createTime")
"""Outputs that an update does not change."""


class ModelVersionResource(Resource):
    """Check, diff, create, read, update and delete of aliases, labels and copies."""

    token: ClassVar[str] = "tunestack:vertex:ModelVersion"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = (*_ONCE, "versionAliases", "defaultVersion", "state", "operation")

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._registry = ModelRegistry(session.vertex)
        self._copies = ModelCopies(session, self._registry)
        self._keepers = Keepers(session.marks, self.token)
        self._declared: frozenset[str] = frozenset()

    # Pure

    def check(self, inputs: Properties) -> Checked:
        """Every rule as a problem of its property."""
        given = dict(inputs)
        if given.get("project") is None and self.session.configuration.project is not None:
            given["project"] = self.session.configuration.project
        checked, problems = check_inputs(ModelVersionInputs, given)
        return Checked(checked, problems or model_version_problems(checked))

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """Another source or place is another version; everything else is changed on the one that is there."""
        # A Diff is followed by ``seen``, which is not told of the inputs.
        self._declared = frozenset(plain(news.get("aliases")) or ()) if not has_unknown(news) else frozenset()
        replaces = frozenset({"project", "location", "sourceModel", "modelId", "encryptionSpec"})
        changes = compare(old_inputs, news, replaces=replaces)
        before, after = plain(old_inputs.get("sourceModel")), plain(news.get("sourceModel"))
        pinned = plain(olds.get("source")) or before
        if "sourceModel" in changes and not has_unknown(after) and _same_source(pinned, after):
            changes["sourceModel"] = Change.UPDATE
        if "modelId" in changes and not has_unknown(news.get("modelId")):
            wanted, model = plain(news.get("modelId")), str(plain(olds.get("model")) or "")
            if wanted is None or model.endswith(f"/models/{wanted}"):
                changes["modelId"] = Change.UPDATE
        if "aliases" in changes and not has_unknown(news.get("aliases")):
            lists = [plain(of.get("aliases")) or [] for of in (old_inputs, news)]
            if sorted(lists[0]) == sorted(lists[1]):
                del changes["aliases"]
        if plain(olds.get("state")) != READY:
            return Differences({**changes, "state": Change.UPDATE}, frozenset({"state"}))
        return Differences(changes)

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Of a version that is there, all but the aliases is known."""
        unknown = dict.fromkeys(self.computed, UNKNOWN)
        if olds is None or plain(olds.get("state")) != READY:
            return {**inputs, **unknown}
        return {**inputs, **unknown, **{key: olds[key] for key in (*_ONCE, "state") if key in olds}}

    def seen(self, id_: str, urn: str, *, kept: bool) -> None:
        """Remembers which aliases this update keeps on which version."""
        self._keepers.seen(id_, urn, self._declared if kept else None)

    # Create and update

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Finds the version, copies it where it is not in place, and gives it aliases, labels and description."""
        attempt = Attempt("", inputs, {})
        outputs = await self._carry_out(call, attempt, {})
        return Created(attempt.id, outputs)

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """The same again: what is as declared is left alone, what is half done is finished."""
        kept = {key: plain(olds[key]) for key in self.computed if key in olds}
        return await self._carry_out(call, Attempt(id_, news, kept), olds)

    async def _carry_out(self, call: Call, attempt: Attempt, olds: Properties) -> Properties:
        if has_unknown(attempt.inputs):
            raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be done")
        spec = parse_inputs(ModelVersionInputs, attempt.inputs)
        return await attempt.carry_out(call, self._reach(call, spec, attempt, plain(olds)))

    async def _reach(self, call: Call, spec: ModelVersionInputs, attempt: Attempt, olds: Properties) -> None:
        if olds.get("state") == READY:
            source = version = await self._there(str(olds["name"]))
            _refuse_other_run(spec, source, str(olds["name"]))
            in_place = None if olds.get("copied") else version
        else:
            source = await self._source(spec)
            in_place = await self._in_place(spec, source)
            version = in_place or await self._copies.reach(call, spec, source, attempt)
        name = ModelName(spec.project, spec.location, version.name.id, version.name.version)
        attempt.known_as(str(name))
        attempt.outputs |= {
            "name": str(name),
            "model": name.model,
            "versionId": name.version,
            "source": olds.get("source")
            or f"{ModelName.parse(spec.source_model).model}@{source.name.version}",
            "copied": in_place is None,
            "adopted": bool(attempt.outputs.get("adopted", in_place is not None)),
            "createTime": version.created or None,
            "operation": None,
        }
        self._declared = frozenset(spec.aliases or ())
        self.seen(attempt.id, call.urn, kept=True)
        await self._dress(call, spec, attempt, name, version, source, olds)
        attempt.outputs["state"] = READY

    async def _there(self, name: str) -> ModelVersion:
        try:
            return await self._registry.get(name)
        except NotFound:
            raise Refused(
                "NOT_FOUND",
                f"{name} no longer exists; `tunestack refresh` forgets it, and the next up makes it again",
            ) from None

    async def _source(self, spec: ModelVersionInputs) -> ModelVersion:
        try:
            source = await self._registry.get(spec.source_model)
        except NotFound:
            raise Refused(
                "NOT_FOUND",
                f"sourceModel: there is no {spec.source_model}; `gcloud ai models list-version` shows what there is",
            ) from None
        _refuse_other_run(spec, source, spec.source_model)
        return source

    async def _in_place(self, spec: ModelVersionInputs, source: ModelVersion) -> ModelVersion | None:
        """The source, where it is in the project and location that are asked for."""
        given = ModelName.parse(spec.source_model)
        if given.location != spec.location:
            return None
        if given.project == spec.project:
            return source
        if given.project.isdigit() == spec.project.isdigit():
            return None
        # One is the number of a project and the other the id of perhaps the same: Google says which it is.
        here = ModelName(spec.project, spec.location, given.id, source.name.version)
        try:
            return source if (await self._registry.get(str(here))).name == source.name else None
        except NotFound:
            return None

    # Aliases, labels, description

    async def _dress(
        self,
        call: Call,
        spec: ModelVersionInputs,
        attempt: Attempt,
        name: ModelName,
        version: ModelVersion,
        source: ModelVersion,
        olds: Properties,
    ) -> None:
        was_copying = attempt.outputs.get("state") == COPYING
        default = str(attempt.outputs.get("defaultVersion") or "") if was_copying else ""
        if not default and (current := await self._registry.default(name.model)) is not None:
            default = current.name.version
        wanted = {*(spec.aliases or ()), *((DEFAULT_ALIAS,) if spec.default else ())}
        add = sorted(wanted - set(version.aliases))
        remove = sorted((set(olds.get("aliases") or ()) - wanted) & set(version.aliases))
        if add or remove:
            with attempt.sending():
                await self._registry.merge_aliases(name, add, remove)
        labels = {
            key: value for key, value in version.labels.items() if key not in (olds.get("labels") or {})
        }
        if attempt.outputs.get("copied") and SPEC_HASH_LABEL in source.labels:
            labels[SPEC_HASH_LABEL] = source.labels[SPEC_HASH_LABEL]
        labels |= spec.labels or {}
        fields: Properties = {}
        if labels != version.labels:
            fields["labels"] = labels
        if (spec.description is not None or olds.get("description") is not None) and (
            version.description != (spec.description or "")
        ):
            fields["versionDescription"] = spec.description or ""
        if fields:
            with attempt.sending():
                await self._registry.patch(name, fields)
        after = await self._registry.get(str(name))
        missing = sorted(wanted - set(after.aliases))
        if missing:
            raise Refused(
                "FAILED_PRECONDITION", f"{name} has no alias {', '.join(missing)} though it was set"
            )
        if after.is_default and not spec.default and default and default != name.version:
            before = ModelName(name.project, name.location, name.id, default)
            await call.log.warning(
                f"the default version moved to @{name.version} unasked: back to @{default}"
            )
            with attempt.sending():
                await self._registry.merge_aliases(before, [DEFAULT_ALIAS])
            after = await self._registry.get(str(name))
        attempt.outputs |= {
            "versionAliases": list(after.aliases),
            "defaultVersion": name.version if after.is_default else default or None,
        }
        if add:
            await call.log.info(f"{', '.join(add)} → {name.id}@{name.version}")

    # Read and delete

    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """The version as it is; an alias that was taken away is missing from the inputs: the next up sets it."""
        name = _name(id_, outputs)
        if is_placeholder(name):
            if not outputs:
                return None
            raise InitFailed(id_, outputs, [f"{name} is being copied; {RESUME}"], inputs)
        try:
            version = await self._registry.get(name)
            default = await self._registry.default(ModelName.parse(name).model)
        except NotFound:
            return None
        if not inputs:
            return self._imported(id_, version, default)
        there = {**inputs}
        if not has_unknown(inputs):
            aliases = plain(inputs.get("aliases")) or []
            if not set(aliases) <= set(version.aliases):
                there["aliases"] = [alias for alias in aliases if alias in version.aliases] or None
            if plain(inputs.get("default")) and not version.is_default:
                there["default"] = False
            labels = plain(inputs.get("labels"))
            if labels is not None:
                actual = {key: version.labels[key] for key in labels if key in version.labels}
                there["labels"] = inputs["labels"] if actual == labels else actual
            if plain(inputs.get("description")) is not None and version.description != plain(
                inputs["description"]
            ):
                there["description"] = version.description or None
        there = {key: value for key, value in there.items() if value is not None}
        found = {
            "versionAliases": list(version.aliases),
            "defaultVersion": default.name.version if default is not None else None,
        }
        return Found(id_, {**outputs, **there, **found}, there)

    def _imported(self, id_: str, version: ModelVersion, default: ModelVersion | None) -> Found:
        """What the program would say."""
        project = self.session.configuration.project_of(id_)
        name = ModelName(project, version.name.location, version.name.id, version.name.version)
        original = version.original
        source = str(original) if original is not None else str(name)
        labels = {key: value for key, value in version.labels.items() if not key.startswith("tunestack-")}
        given = {
            "project": project,
            "location": name.location,
            "sourceModel": source,
            "aliases": [alias for alias in version.aliases if alias != DEFAULT_ALIAS] or None,
            "default": version.is_default and len(version.aliases) > 0,
            "labels": labels or None,
            "description": version.description or None,
        }
        inputs, _ = check_inputs(
            ModelVersionInputs, {key: value for key, value in given.items() if value is not None}
        )
        outputs = {
            "name": str(name),
            "model": name.model,
            "versionId": name.version,
            "source": source,
            "copied": original is not None,
            "adopted": True,
            "createTime": version.created or None,
            "versionAliases": list(version.aliases),
            "defaultVersion": default.name.version if default is not None else None,
            "state": READY,
        }
        known = {key: value for key, value in outputs.items() if value is not None}
        return Found(str(name), {**inputs, **known}, inputs)

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Takes its aliases off the version; deletes it with ``deletionPolicy: DELETE``, if it is a copy."""
        declared = plain({**outputs, **inputs})
        name = _name(id_, outputs)
        if is_placeholder(name):
            found = await self._copies.confirmed(call, declared, name)
            if found is None:
                return
            name = str(found)
        try:
            version = await self._registry.get(name)
        except NotFound:
            return
        mine = set(declared.get("aliases") or ()) & set(version.aliases)
        mine -= self._keepers.parts_kept(id_, mine)
        target = ModelName.parse(name)
        if mine:
            await self._registry.merge_aliases(target, [], sorted(mine))
            await call.log.info(f"took {', '.join(sorted(mine))} off {target.id}@{target.version}")
        if self._keepers.kept(id_):
            await call.log.info(f"{name} is kept: another resource of this update has it")
        elif not declared.get("copied") or declared.get("deletionPolicy") != "DELETE":
            why = (
                "deletionPolicy ABANDON" if declared.get("copied") else "it belongs to the job that tuned it"
            )
            await call.log.info(f"kept {name} ({why})")
        else:
            await call.log.status(f"deleting {target.id}@{target.version}")
            try:
                await self._registry.delete_version(target)
            except DefaultVersion as error:
                # To make another one the default is a decision that is not ours.
                raise Refused(
                    "FAILED_PRECONDITION",
                    f"{error}: declare `default: true` on the version that is to be it, and run again, "
                    "or keep this one with deletionPolicy ABANDON",
                ) from error
            except NotFound:
                return


def _name(id_: str, outputs: Properties) -> str:
    return str(plain(outputs.get("name")) or id_)


def _refuse_other_run(spec: ModelVersionInputs, version: ModelVersion, name: str) -> None:
    found = version.labels.get(SPEC_HASH_LABEL)
    if spec.spec_hash is not None and found != spec.spec_hash:
        raise Refused(
            "FAILED_PRECONDITION",
            f"sourceModel: {name} was tuned by run {found or 'of unknown spec'}, need {spec.spec_hash} (specHash): "
            "name the version that passed",
        )


def _same_source(one: object, other: object) -> bool:
    """Whether two names mean one version; without a number it is the one that was pinned."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    before, after = ModelName.parse(one), ModelName.parse(other)
    if not after.version:
        after = ModelName(after.project, after.location, after.id, before.version)
    return before.means(after)
