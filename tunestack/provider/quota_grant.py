"""``quota:Grant``: a quota that is granted, verified before anything that needs it is submitted, or asked for.

Asking is never repeated: there is one preference for a quota and its dimensions, and it is looked at before it is
filed or raised. Nothing is ever withdrawn, because Cloud Quotas deletes no preference: what is granted stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode

from blake3 import blake3

from tunestack.provider.attempt import RESUME, Attempt
from tunestack.provider.following import HEARTBEAT
from tunestack.provider.inputs import check_inputs, parse_inputs
from tunestack.provider.quota_grant_inputs import GrantInputs, grant_problems
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
    compare,
)
from tunestack.provider.values import UNKNOWN, Properties, has_unknown, plain
from tunestack.spec.spec_hash import canonical_json
from tunestack.vertex.errors import Conflict, NotFound, ResourceExhausted, ServiceFault
from tunestack.vertex.quota import QuotaInfo, QuotaPreference, enough
from tunestack.vertex.timing import backoff

DEFAULT_WAIT = 600.0
"""Seconds that a request is waited for: small ones are decided in minutes, others by people in days."""


class GrantResource(Resource):
    """Check, diff, create, read, update and delete of a grant."""

    token: ClassVar[str] = "tunestack:quota:Grant"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = ("granted", "preference", "reconciling", "stateDetail")

    # Pure

    def check(self, inputs: Properties) -> Checked:
        """Every rule as a problem of its property."""
        given = dict(inputs)
        if given.get("project") is None and self.session.configuration.project is not None:
            given["project"] = self.session.configuration.project
        checked, problems = check_inputs(GrantInputs, given)
        return Checked(checked, problems or grant_problems(checked))

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """Another quota or other dimensions are another grant; what is not granted (any more) is looked at again."""
        replaces = frozenset({"project", "service", "quotaId", "metric", "dimensions"})
        changes = compare(old_inputs, news, replaces=replaces)
        need, have = plain(news.get("atLeast")), plain(olds.get("granted"))
        if not has_unknown(need) and not (isinstance(have, int) and enough(have, int(need))):
            return Differences({**changes, "granted": Change.UPDATE}, frozenset({"granted"}))
        return Differences(changes)

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """What is granted is asked when it counts."""
        return {**inputs, **dict.fromkeys(self.computed, UNKNOWN)}

    # Create and update

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Verifies, or asks and waits; nothing is kept in the state unless something was asked for."""
        attempt = Attempt("", inputs, {})
        outputs = await self._carry_out(call, attempt)
        return Created(attempt.id, outputs)

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """The same again; asks for more only where more is needed than was asked for."""
        return await self._carry_out(call, Attempt(id_, news, {}))

    async def _carry_out(self, call: Call, attempt: Attempt) -> Properties:
        if has_unknown(attempt.inputs):
            raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be verified")
        spec = parse_inputs(GrantInputs, attempt.inputs)
        return await attempt.carry_out(call, self._reach(call, spec, attempt))

    async def _reach(self, call: Call, spec: GrantInputs, attempt: Attempt) -> None:
        info = await self._info(spec)
        have = self._granted(spec, info)
        attempt.known_as(_id(spec.project, spec.service, info.id, spec.dimensions or {}))
        attempt.outputs |= {"granted": have, "reconciling": False}
        if enough(have, spec.at_least):
            await call.log.info(f"{info.id}: {have} granted, need {spec.at_least}")
            return
        if not spec.request:
            raise Refused("FAILED_PRECONDITION", _missing(spec, info.id, have))
        if info.why_fixed:
            raise Refused(
                "FAILED_PRECONDITION",
                f"{_missing(spec, info.id, have)}. Google takes no request: {info.why_fixed}",
            )
        preference = await self._asked(call, spec, info.id, attempt)
        await self._decided(call, spec, info, preference, attempt)

    async def _info(self, spec: GrantInputs) -> QuotaInfo:
        if spec.quota_id is not None:
            try:
                return await self.session.quotas.info(spec.project, spec.service, spec.quota_id)
            except NotFound:
                raise Refused(
                    "NOT_FOUND",
                    f"quotaId: {spec.service} has no quota {spec.quota_id}; name it by its metric, or look: "
                    f"gcloud beta quotas info list --service={spec.service} --project={spec.project}",
                ) from None
        infos = await self.session.quotas.infos(spec.project, spec.service)
        found = [info for info in infos if info.metric == spec.metric]
        fitting = [info for info in found if info.granted(spec.dimensions or {}) is not None] or found
        if not fitting:
            raise Refused("NOT_FOUND", f"metric: no quota of {spec.service} has the metric {spec.metric}")
        return fitting[0]

    def _granted(self, spec: GrantInputs, info: QuotaInfo) -> int:
        have = info.granted(spec.dimensions or {})
        if have is None:
            raise Refused(
                "NOT_FOUND",
                f"dimensions: {info.id} has no value for {_where(spec.dimensions)}; "
                f"its dimensions are {', '.join(info.json.get('dimensions') or []) or 'none'}",
            )
        return have

    async def _asked(self, call: Call, spec: GrantInputs, quota_id: str, attempt: Attempt) -> QuotaPreference:
        """The preference that asks for enough: the one that is there, raised where it asks for less, or a new one."""
        quotas, dimensions = self.session.quotas, spec.dimensions or {}
        body = {
            "service": spec.service,
            "quotaId": quota_id,
            "dimensions": dimensions,
            "quotaConfig": {"preferredValue": str(spec.at_least)},
            "contactEmail": spec.contact_email,
            "justification": spec.justification,
        }
        identity = canonical_json([spec.service, quota_id, dimensions])
        preference_id = f"tunestack-{blake3(identity.encode()).hexdigest(length=8)}"
        for last in (False, True):
            found = [
                preference
                for preference in await quotas.preferences(spec.project)
                if preference.is_of(spec.service, quota_id, dimensions)
            ]
            if found and enough(found[0].preferred, spec.at_least):
                attempt.left = True
                return found[0]
            await call.log.info(f"asking for {spec.at_least} of {quota_id}")
            try:
                with attempt.sending():
                    if found:
                        etag = {"etag": found[0].etag} if found[0].etag else {}
                        return await quotas.ask_again(found[0].name, {**body, "name": found[0].name, **etag})
                    return await quotas.ask(spec.project, preference_id, body)
            except Conflict:  # an answer of ours was lost, or someone else asked meanwhile: look again
                if last:
                    raise
        raise AssertionError("unreachable")

    async def _decided(
        self, call: Call, spec: GrantInputs, info: QuotaInfo, preference: QuotaPreference, attempt: Attempt
    ) -> None:
        """Waits until enough is in force. A request that is refused, or not decided in time, is red."""
        timing = self.session.timing
        begun = spoke = timing.monotonic()
        wait = call.deadline or DEFAULT_WAIT
        tried = 0
        while True:
            attempt.outputs |= {
                "preference": preference.name,
                "reconciling": preference.reconciling,
                "stateDetail": preference.detail or None,
                "granted": max(preference.granted, attempt.outputs["granted"]),
            }
            have = attempt.outputs["granted"]
            said = f" ({preference.detail})" if preference.detail else ""
            if enough(preference.granted, spec.at_least):
                attempt.outputs["granted"] = preference.granted
                await call.log.info(f"{info.id}: {preference.granted} granted")
                return
            if not preference.reconciling:
                decided = f"Google granted {preference.granted} of the {preference.preferred} asked for{said}"
                raise Refused("RESOURCE_EXHAUSTED", f"{_missing(spec, info.id, have)}. {decided}")
            now = timing.monotonic()
            waited = f"{preference.preferred} of {info.id} is under review · {now - begun:.0f} s"
            if now - begun >= wait:
                raise Refused(
                    "DEADLINE_EXCEEDED",
                    f"{waited}: have {have}, need {spec.at_least}{said}; the request stands, nothing is asked twice",
                )
            if now - spoke >= HEARTBEAT:
                spoke = now
                await call.log.info(waited)
            else:
                await call.log.status(waited)
            await self.session.pause(backoff(tried, timing, first=1.0, ceiling=30.0), call.cancelled)
            tried += 1
            try:
                preference = await self.session.quotas.preference(preference.name)
            except (ServiceFault, ResourceExhausted) as error:
                await call.log.status(f"no answer, still trying · {error.status}")

    # Read and delete

    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """What is granted now; where that is too little the next up verifies it, and is red."""
        project, service, quota_id, dimensions = _parts(id_)
        try:
            info = await self.session.quotas.info(project, service, quota_id)
        except NotFound:
            return None
        have = info.granted(dimensions)
        if have is None:
            return None
        if inputs:
            state = {**outputs, "granted": have}
            need = plain(inputs.get("atLeast"))
            if isinstance(need, int) and not enough(have, need):
                raise InitFailed(id_, state, [f"{quota_id}: have {have}, need {need}; {RESUME}"], inputs)
            return Found(id_, state, inputs)
        given = {
            "project": project,
            "service": service,
            "quotaId": quota_id,
            "dimensions": dimensions or None,
            "atLeast": have,
        }
        known, _ = check_inputs(
            GrantInputs, {key: value for key, value in given.items() if value is not None}
        )
        return Found(id_, {**known, "granted": have, "reconciling": False}, known)

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Nothing is withdrawn, and it says so."""
        granted = plain(outputs.get("granted"))
        await call.log.info(f"the quota stays granted ({granted}): Cloud Quotas withdraws nothing")


def _id(project: str, service: str, quota_id: str, dimensions: Mapping[str, str]) -> str:
    name = f"projects/{project}/locations/global/services/{service}/quotaInfos/{quota_id}"
    return f"{name}?{urlencode(sorted(dimensions.items()))}" if dimensions else name


def _parts(id_: str) -> tuple[str, str, str, dict[str, str]]:
    """Project, service, quota id and dimensions. Raises ValueError with the form that an id has."""
    name, _, query = id_.partition("?")
    parts = name.split("/")
    if len(parts) != 8 or parts[::2] != ["projects", "locations", "services", "quotaInfos"]:
        raise ValueError(
            f"{id_!r} is no grant: projects/P/locations/global/services/SERVICE/quotaInfos/QUOTA?region=REGION"
        )
    return parts[1], parts[5], parts[7], dict(parse_qsl(query))


def _where(dimensions: Mapping[str, str] | None) -> str:
    return (
        ", ".join(f"{key}={value}" for key, value in sorted((dimensions or {}).items()))
        or "the whole project"
    )


def _missing(spec: GrantInputs, quota_id: str, have: int) -> str:
    """What is missing, and how it is asked for."""
    dimensions = _where(spec.dimensions).replace(", ", ",") if spec.dimensions else ""
    command = (
        f"gcloud beta quotas preferences create --service={spec.service} --project={spec.project} "
        f"--quota-id={quota_id} --preferred-value={spec.at_least}"
        + (f" --dimensions={dimensions}" if dimensions else "")
        + " --email=YOUR_ADDRESS --justification=WHY"
    )
    console = f"https://console.cloud.google.com/iam-admin/quotas?project={spec.project}"
    return (
        f"quota {quota_id} of {spec.service} in {spec.project}, {_where(spec.dimensions)}: have {have}, "
        f"need {spec.at_least}. Ask for it with `request: true`, at {console}, or by: {command}"
    )
