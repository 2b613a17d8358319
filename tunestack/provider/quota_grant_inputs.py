"""The inputs of a Grant and their rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from tunestack.provider.inputs import Inputs
from tunestack.provider.job_inputs import Project
from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import Properties, plain


def _dimensions(dimensions: dict[str, str] | None) -> dict[str, str] | None:
    for key, value in (dimensions or {}).items():
        if key in ("user", "resource"):
            raise ValueError(f"dimension {key} cannot be chosen (Cloud Quotas)")
        if not value:
            raise ValueError(f"dimension {key} has no value")
    region = (dimensions or {}).get("region")
    if region is not None and not re.fullmatch(r"[a-z]+-[a-z]+[0-9]{1,2}", region):
        raise ValueError(f"{region!r} is no region such as us-central1")
    return dimensions


class GrantInputs(Inputs):
    """A quota that must be granted: at least so much, and where.

    The quota is named by ``quota_id`` or by ``metric`` (some ids are published nowhere). ``at_least``: in the quota's
    own unit; -1 is unlimited. ``request``: ask for it where it is not granted, and wait; otherwise say what is missing.
    """

    project: Project
    service: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.googleapis\.com$")] = "aiplatform.googleapis.com"
    quota_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]+$")] = None
    metric: Annotated[str | None, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_./-]+$")] = None
    dimensions: Annotated[dict[str, str] | None, AfterValidator(_dimensions)] = None
    at_least: Annotated[int, Field(ge=-1, lt=2**63)]
    request: bool = False
    contact_email: Annotated[str | None, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = None
    justification: Annotated[str | None, Field(min_length=1, max_length=2048)] = None


def grant_problems(inputs: Properties) -> list[PropertyProblem]:
    """Rules between properties; ``inputs`` may hold unknown values."""
    given: Mapping[str, object] = plain(inputs)
    problems = []
    if ("quotaId" in given) == ("metric" in given):
        problems.append(
            PropertyProblem("quotaId", "give quotaId or metric, and not both: they name the same quota")
        )
    if given.get("request") is True:
        problems += [
            PropertyProblem(key, f"is required with request: true: Google's people {why}")
            for key, why in (
                ("contactEmail", "write to it when they need to know more"),
                ("justification", "decide by it"),
            )
            if key not in given
        ]
    return problems
