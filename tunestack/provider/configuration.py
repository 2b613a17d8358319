"""The provider's own configuration: project, endpoints, credentials."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from tunestack.provider.inputs import Inputs, check_inputs, parse_inputs
from tunestack.provider.resource import Checked, Differences, compare
from tunestack.provider.values import Properties, Secret
from tunestack.vertex.loopback import is_loopback


def _service_url(value: str) -> str:
    if value.startswith("https://") or (value.startswith("http://") and is_loopback(value)):
        return value
    raise ValueError("must be an https:// address; http:// only on loopback (http://127.0.0.1:PORT)")


ServiceUrl = Annotated[str, AfterValidator(_service_url)]


class Configuration(Inputs):
    """``endpoint`` stands in for every regional Vertex AI host, ``storage_endpoint`` for Cloud Storage."""

    project: Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9:.-]*$")] = None
    endpoint: ServiceUrl | None = None
    storage_endpoint: ServiceUrl | None = None
    access_token: str | None = None

    def project_of(self, id_: str) -> str:
        """The project that a person means by the id of an import: ``projects/P/…``.

        Google's names carry the project's number: that is ours, if any is. An id of a project is the one it says.
        """
        project = id_.split("/")[1]
        return self.project if project.isdigit() and self.project is not None else project

    @property
    def local(self) -> bool:
        """Whether Vertex AI is played by something on this machine."""
        return self.endpoint is not None and is_loopback(self.endpoint)

    @property
    def storage(self) -> str | None:
        """Where Cloud Storage is; a local stand-in serves both."""
        return self.storage_endpoint or (self.endpoint if self.local else None)

    @property
    def quotas(self) -> str | None:
        """Where Cloud Quotas is: Google's, unless a local stand-in plays everything."""
        return self.endpoint if self.local else None


_ENGINE_OWN = frozenset({"version", "pluginDownloadURL"})


def check_configuration(inputs: Properties) -> Checked:
    """Every problem of the configuration; the token becomes a secret whatever the program called it."""
    ours = {key: value for key, value in inputs.items() if key not in _ENGINE_OWN}
    checked, problems = check_inputs(Configuration, ours)
    token = checked.get("accessToken")
    if token is not None and not isinstance(token, Secret):
        checked["accessToken"] = Secret(token)
    return Checked({**{key: inputs[key] for key in _ENGINE_OWN & inputs.keys()}, **checked}, problems)


def configuration_differences(olds: Properties, news: Properties) -> Differences:
    """Never a replacement: a resource that depends on the project carries it as its own input and says so itself."""
    old = {key: value for key, value in olds.items() if key not in _ENGINE_OWN}
    new = {key: value for key, value in news.items() if key not in _ENGINE_OWN}
    return Differences(compare(old, new))


def parse_configuration(inputs: Properties) -> Configuration:
    """The typed configuration. Raises pydantic.ValidationError."""
    return parse_inputs(Configuration, inputs)
