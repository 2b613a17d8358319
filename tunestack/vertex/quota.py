"""Cloud Quotas: what is granted, and preferences, which ask for more (cloudquotas.googleapis.com, v1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunestack.vertex.client import Json
from tunestack.vertex.errors import ServiceFault
from tunestack.vertex.transport import Transport

GOOGLE = "https://cloudquotas.googleapis.com"
UNLIMITED = -1
"""A granted or preferred value without a bound."""


def enough(have: int, need: int) -> bool:
    """Whether a granted value covers a need, either of which may be ``UNLIMITED``."""
    return have == UNLIMITED or (need != UNLIMITED and have >= need)


@dataclass(frozen=True)
class QuotaInfo:
    """A reading view of ``projects.locations.services.quotaInfos``: one quota and its values by dimensions."""

    json: Mapping[str, Any]

    @property
    def id(self) -> str:
        """``CustomModelTrainingA10080GBGPUsPerProjectPerRegion``."""
        return str(self.json.get("quotaId") or "")

    @property
    def metric(self) -> str:
        """``aiplatform.googleapis.com/custom_model_training_nvidia_a100_80gb_gpus``."""
        return str(self.json.get("metric") or "")

    @property
    def why_fixed(self) -> str:
        """Why more cannot be asked for; empty where it can."""
        if self.json.get("isFixed"):
            return "its value is fixed"
        eligibility = self.json.get("quotaIncreaseEligibility") or {}
        if eligibility.get("isEligible") is False:
            return str(eligibility.get("ineligibilityReason") or "not eligible").lower().replace("_", " ")
        return ""

    def granted(self, dimensions: Mapping[str, str]) -> int | None:
        """The value in force for dimensions such as ``{"region": "us-central1"}``; None where Google names none.

        Google lists the more specific before the less specific; a value applies where each of its dimensions is ours.
        """
        for info in self.json.get("dimensionsInfos") or []:
            theirs = info.get("dimensions") or {}
            if any(dimensions.get(key) != value for key, value in theirs.items()):
                continue
            places = info.get("applicableLocations") or ["global"]
            place = dimensions.get("zone") or dimensions.get("region")
            if place is not None and place not in places and "global" not in places:
                continue
            value = (info.get("details") or {}).get("value")
            return 0 if value is None else int(value)
        return None


@dataclass(frozen=True)
class QuotaPreference:
    """A reading view of ``projects.locations.quotaPreferences``: what was asked for, and what came of it."""

    json: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Full resource name."""
        return str(self.json.get("name") or "")

    @property
    def etag(self) -> str:
        """For a change that must not overwrite another's."""
        return str(self.json.get("etag") or "")

    @property
    def preferred(self) -> int:
        """What was asked for."""
        return int((self.json.get("quotaConfig") or {}).get("preferredValue") or 0)

    @property
    def granted(self) -> int:
        """What was granted."""
        return int((self.json.get("quotaConfig") or {}).get("grantedValue") or 0)

    @property
    def detail(self) -> str:
        """What Google says of how it stands."""
        return str((self.json.get("quotaConfig") or {}).get("stateDetail") or "")

    @property
    def reconciling(self) -> bool:
        """Whether it is not decided yet."""
        return bool(self.json.get("reconciling"))

    def is_of(self, service: str, quota_id: str, dimensions: Mapping[str, str]) -> bool:
        """Whether it asks for this quota with exactly these dimensions, of which there is one preference at most."""
        mine = (self.json.get("service"), self.json.get("quotaId"), dict(self.json.get("dimensions") or {}))
        return mine == (service, quota_id, dict(dimensions))


class QuotaClient:
    """Asks one host for all regions. All methods raise ``GoogleError``. ``endpoint`` stands in for Google's."""

    def __init__(self, transport: Transport, *, endpoint: str | None = None) -> None:
        self._transport = transport
        self._base = (endpoint or GOOGLE).rstrip("/")

    async def info(self, project: str, service: str, quota_id: str) -> QuotaInfo:
        """A quota by its id."""
        path = f"projects/{project}/locations/global/services/{service}/quotaInfos/{quota_id}"
        return QuotaInfo(await self._call("GET", path))

    async def infos(self, project: str, service: str) -> list[QuotaInfo]:
        """All quotas of a service."""
        path = f"projects/{project}/locations/global/services/{service}/quotaInfos"
        return [QuotaInfo(item) for item in await self._list(path, "quotaInfos")]

    async def preferences(self, project: str) -> list[QuotaPreference]:
        """Everything that was asked for."""
        path = f"projects/{project}/locations/global/quotaPreferences"
        return [QuotaPreference(item) for item in await self._list(path, "quotaPreferences")]

    async def preference(self, name: str) -> QuotaPreference:
        """A preference as it stands."""
        return QuotaPreference(await self._call("GET", name))

    async def ask(self, project: str, preference_id: str, body: Mapping[str, Any]) -> QuotaPreference:
        """Files a preference. Its id is of our choice, and there is one for a quota: never a second (``Conflict``)."""
        path = f"projects/{project}/locations/global/quotaPreferences"
        params = {"quotaPreferenceId": preference_id}
        return QuotaPreference(await self._call("POST", path, params=params, body=dict(body)))

    async def ask_again(self, name: str, body: Mapping[str, Any]) -> QuotaPreference:
        """Asks for another value by the preference that is there."""
        params = {"updateMask": "quotaConfig.preferredValue,contactEmail,justification"}
        return QuotaPreference(await self._call("PATCH", name, params=params, body=dict(body)))

    async def _list(self, path: str, key: str) -> list[Json]:
        found: list[Json] = []
        params = {"pageSize": "500"}
        while True:
            page = await self._call("GET", path, params=params)
            found += page.get(key) or []
            if not page.get("nextPageToken"):
                return found
            params["pageToken"] = str(page["nextPageToken"])

    async def _call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: object = None
    ) -> Json:
        url = f"{self._base}/v1/{path}"
        response = await self._transport.request(method, url, repeatable=True, params=params, json=body)
        try:
            answer = response.json() if response.content else {}
        except ValueError as error:
            message = f"an answer that is no JSON: {response.text[:200]!r}"
            raise ServiceFault(
                response.status_code, "UNAVAILABLE", message, request=f"{method} {path}"
            ) from error
        return answer if isinstance(answer, dict) else {}
