"""The provider's configuration: where to send requests, as whom, and for which project.

Names and meaning are pulumi-gcp 10.2's. Nested values arrive as JSON strings. What makes this the stand-in:
every endpoint must be on loopback.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from tunestack.emulator.gcp_provider.values import UNKNOWN, Value

#: service -> (configuration key, path from its base address). The second key of iam is the product whose base has no
#: version; for what it does with Google's Go client of Service Usage, the provider puts that one's version in.
ENDPOINTS: dict[str, tuple[tuple[str, str], ...]] = {
    "artifactRegistry": (("artifactRegistryCustomEndpoint", ""),),
    "bigQuery": (("bigQueryCustomEndpoint", ""),),
    "billing": (("billingBudgetsCustomEndpoint", ""),),
    "cloudQuotas": (("cloudQuotasCustomEndpoint", ""),),
    "iam": (("iamBetaCustomEndpoint", ""), ("iamCustomEndpoint", "v1/")),
    "kms": (("kmsCustomEndpoint", ""),),
    "logging": (("loggingCustomEndpoint", ""),),
    "monitoring": (("monitoringCustomEndpoint", ""),),
    "pubsub": (("pubsubCustomEndpoint", ""),),
    "resourceManager": (("resourceManagerCustomEndpoint", ""),),
    "secretManager": (("secretManagerCustomEndpoint", ""),),
    "serviceUsage": (("serviceUsageCustomEndpoint", "../v1/"),),
    "serviceUsageBeta": (("serviceUsageCustomEndpoint", ""),),
    "storage": (("storageCustomEndpoint", ""),),
    "vertexAi": (("vertexAiCustomEndpoint", ""),),
}
#: Environment variables that the real provider reads too (terraform-provider-google): GOOGLE_KMS_CUSTOM_ENDPOINT.
ENVIRONMENT = {
    "accessToken": "GOOGLE_OAUTH_ACCESS_TYPE",
    "project": "GOOGLE_PROJECT",
    "region": "GOOGLE_REGION",
    **{
        key: "GOOGLE_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper()
        for sources in ENDPOINTS.values()
        for key, _ in sources
    },
}
ATTRIBUTION = "goog-pulumi-provisioned"

T = TypeVar("T")


def plugin_version() -> str:
    """The version that this plugin plays: that of the pulumi-gcp package in the environment."""
    return version("pulumi-gcp")


def stand_in() -> str:
    """What a person must know when this plugin refuses: what it is, and how to have the real one."""
    return (
        "This is tunestack's local stand-in for the gcp provider: it serves only stacks whose endpoints are on "
        "loopback (http://127.0.0.1:PORT/…). For real Google use a PULUMI_HOME without it: "
        f"`unset PULUMI_HOME && pulumi plugin install resource gcp {plugin_version()}`"
    )


@dataclass(frozen=True)
class Configuration:
    """A configured provider; ``endpoints`` maps a service to its base address with a slash at the end."""

    endpoints: Mapping[str, str] = field(default_factory=dict)
    project: str | None = None
    region: str | None = None
    access_token: str | None = None
    default_labels: Mapping[str, str] = field(default_factory=dict)
    attribution_label: bool = True
    #: Whether resources that exist already get the attribution label as well.
    attribution_proactive: bool = False

    @property
    def defaults(self) -> dict[str, Value]:
        """What a resource takes from the provider when it says nothing itself."""
        return {"project": self.project, "region": self.region}

    def labels_to_add(self, *, creating: bool) -> dict[str, str]:
        """Labels that the provider puts on every resource that has labels."""
        attribution = self.attribution_label and (creating or self.attribution_proactive)
        return {**({ATTRIBUTION: "true"} if attribution else {}), **self.default_labels}


def configure(settings: Mapping[str, Value], environment: Mapping[str, str]) -> Configuration:
    """The configuration that ``settings`` (the provider's inputs) and ``environment`` make together."""

    def text(key: str) -> str | None:
        value = settings.get(key) or environment.get(ENVIRONMENT.get(key, ""))
        return str(value) if value not in (None, "", UNKNOWN) else None

    endpoints: dict[str, str] = {}
    for service, sources in ENDPOINTS.items():
        for key, suffix in sources:
            if (base := text(key)) is not None:
                endpoints.setdefault(service, urljoin(base.rstrip("/") + "/", suffix))
    labels: dict[str, Value] = _nested(settings.get("defaultLabels"), {})
    return Configuration(
        endpoints=endpoints,
        project=text("project"),
        region=text("region"),
        access_token=text("accessToken"),
        default_labels={str(key): str(value) for key, value in labels.items()},
        attribution_label=_nested(settings.get("addPulumiAttributionLabel"), True) is not False,
        attribution_proactive=settings.get("pulumiAttributionLabelAdditionStrategy") == "PROACTIVE",
    )


def failures(settings: Mapping[str, Value], environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """(property, reason) for every setting that this stand-in must refuse."""
    found: list[tuple[str, str]] = []
    named = {key: settings.get(key) for key in settings if key.endswith("CustomEndpoint")}
    for key, variable in ENVIRONMENT.items():
        if key.endswith("CustomEndpoint") and not named.get(key) and environment.get(variable):
            named[key] = environment[variable]
    known = {key for sources in ENDPOINTS.values() for key, _ in sources}
    for key, value in sorted(named.items()):
        if value in (None, "", UNKNOWN):
            continue
        if not is_loopback(str(value)):
            # Said once: the explanation is longer than the finding.
            found.append((key, f"{value} is not on loopback" + ("" if found else f". {stand_in()}")))
        elif key in known and not str(value).endswith("/"):
            found.append((key, f"{value} must end with a slash, as the real provider asks: {value}/"))
    if not any(named.values()):
        found.append(("storageCustomEndpoint", f"no endpoint is configured. {stand_in()}"))
    return found


def is_loopback(address: str) -> bool:
    """Whether an address leads to this machine and no further."""
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _nested(value: Value, default: T) -> T:
    if not isinstance(value, str) or value == UNKNOWN:
        return default if value in (None, UNKNOWN) else value
    try:
        return type(default)(json.loads(value))  # type: ignore[call-arg]
    except (ValueError, TypeError):
        return default
