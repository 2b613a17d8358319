"""Artifact Registry: the pipeline templates that pipeline jobs name by their address on ``kfp.pkg.dev``."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tunestack.emulator.errors import invalid
from tunestack.emulator.services.artifact_registry_state import (
    FILES,
    PACKAGES,
    REPOSITORIES,
    TAGS,
    VERSIONS,
    content_of,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

_ADDRESS = re.compile(r"https://([\w-]+)-kfp\.pkg\.dev/([^/]+)/([^/]+)/([^/]+)/([^/]+)")


def held_template(state: State, uri: str) -> tuple[str, Json] | None:
    """Version (``sha256:…``) and pipeline spec of a template in a repository here; None where there is no such.

    Raises 400 where the repository is here and the template is not.
    """
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        return None
    location, project, name, package, wanted = found.groups()
    repository = f"projects/{state.projects.number(project)}/locations/{location}/{REPOSITORIES}/{name}"
    if state.rows.find(repository) is None:
        return None
    tag = state.rows.find(f"{repository}/{PACKAGES}/{package}/{TAGS}/{wanted}")
    version = tag["version"].rpartition("/")[2] if tag else wanted
    if state.rows.find(f"{repository}/{PACKAGES}/{package}/{VERSIONS}/{version}") is None:
        raise invalid(f"Failed to fetch template from {uri}: there is no such version or tag.")
    body = yaml.safe_load(content_of(state, f"{repository}/{FILES}/{package}:{version}").read_bytes())
    return version, body.get("pipelineSpec") or body
