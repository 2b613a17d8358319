"""The inputs of a PipelineJob: their rules, the identity of the run, what a change of them means. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tunestack.provider.inputs import Inputs
from tunestack.provider.resource import Change, Differences
from tunestack.provider.values import Properties, has_unknown, is_unknown, plain
from tunestack.spec.spec_hash import SPEC_HASH_LABEL, canonical_json, spec_hash
from tunestack.vertex.job_state import Outcome, state_rule

BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"
"""Set by the service on every run; a value of ours would be overridden."""

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def _labels(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > 62:
        raise ValueError("at most 62 labels: Google allows 64, and two are set for you")
    for key, value in labels.items():
        if key in (SPEC_HASH_LABEL, BILLING_LABEL):
            raise ValueError(f"label {key} is set for you: remove it")
        if not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"label key {key!r}: a lowercase letter, then up to 62 of a-z 0-9 _ -")
        if not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"label {key}={value!r}: a value has up to 63 of a-z 0-9 _ -")
    return labels


def _gcs_directory(uri: str) -> str:
    if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?", uri):
        raise ValueError(f"{uri!r} is no folder in Cloud Storage: gs://bucket/folder")
    return uri


def _template(uri: str) -> str:
    if not re.fullmatch(r"https://[a-z0-9-]+\.pkg\.dev/[^/\s]+/[^/\s]+/[^/\s]+/[^/\s]+", uri):
        raise ValueError(
            f"{uri!r}: Vertex AI takes a template from Artifact Registry only: "
            "https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY/TEMPLATE/VERSION"
        )
    return uri


Project = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9:.-]*$", max_length=64)]
Location = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]{1,2}$")]
GcsDirectory = Annotated[str, AfterValidator(_gcs_directory)]
DeletionPolicy = Literal["ABANDON", "DELETE"]


class PipelineJobInputs(Inputs):
    """A run of a compiled pipeline template; the names are those of Vertex AI's ``PipelineJob`` where it has them."""

    project: Project
    location: Location
    display_name: Annotated[str, Field(min_length=1, max_length=128)]
    template_uri: Annotated[str, AfterValidator(_template)]
    parameter_values: dict[str, Any]
    gcs_output_directory: GcsDirectory
    service_account: Annotated[str | None, Field(pattern=r"^[^@\s]+@[^@\s]+$")] = None
    labels: Annotated[dict[str, str] | None, AfterValidator(lambda labels: labels and _labels(labels))] = None
    identity: Annotated[dict[str, str] | None, Field(min_length=1)] = None
    progress: bool = True
    wait: bool = True
    on_cancel: Literal["detach", "cancel"] = "detach"
    retry_failed: bool = False
    deletion_policy: DeletionPolicy = "ABANDON"


REPLACING = frozenset({"project", "location"})
_BY_KEY = frozenset({"identity", "labels", "parameterValues"})


def identity_of(inputs: Properties) -> dict[str, Any]:
    """Everything that decides the result: what ``identity`` says, else template, location and parameters.

    Names to show decide nothing. Unknown values stay unknown.
    """
    given = plain(inputs.get("identity"))
    if given is not None and not is_unknown(given):
        return dict(given)
    if is_unknown(given):
        return {"identity": given}
    parameters = plain(inputs.get("parameterValues"))
    derived: dict[str, Any] = {key: plain(inputs.get(key)) for key in ("templateUri", "location")}
    if not isinstance(parameters, Mapping):
        return {**derived, "parameterValues": parameters}
    for key, value in parameters.items():
        if not key.endswith("display_name"):
            derived[f"parameterValues.{key}"] = value if has_unknown(value) else canonical_json(value)
    return derived


def hash_of(inputs: Properties) -> str | None:
    """The spec hash, or None while a part of the identity is unknown."""
    identity = identity_of(inputs)
    return None if has_unknown(identity) else spec_hash({key: str(value) for key, value in identity.items()})


def job_differences(olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
    """What a change means: another identity, project or location is another run; the rest is bookkeeping.

    Where the identity reads the same, nothing is trained again even if an older version of us hashed it
    differently; where it reads differently and the hash is the same (after an import), neither.
    """
    changes: dict[str, Change] = {}
    for key in sorted((old_inputs.keys() | news.keys()) - {"state"}):
        if key in _BY_KEY:
            changes |= _by_key(key, old_inputs.get(key), news.get(key))
        else:
            changes |= _change(key, old_inputs.get(key), news.get(key), replace=key in REPLACING)
    changes |= _another_run(olds, old_inputs, news, given=news.get("identity") is not None)

    in_state = set()
    rule = state_rule(str(plain(olds.get("state")) or ""))
    if rule.outcome is Outcome.RED and plain(news.get("retryFailed")) is True:
        changes["state"] = Change.UPDATE_REPLACE
        in_state.add("state")
    elif rule.outcome is not Outcome.SUCCESS:
        changes["state"] = Change.UPDATE
        in_state.add("state")
    return Differences(changes, frozenset(in_state))


def _another_run(
    olds: Properties, old_inputs: Properties, news: Properties, *, given: bool
) -> dict[str, Change]:
    before, after = identity_of(old_inputs), identity_of(news)
    new_hash = hash_of(news)
    if before == after and new_hash is not None:
        return {}
    if new_hash is not None and new_hash == plain(olds.get("specHash")):
        return {}
    changes: dict[str, Change] = {}
    for key in sorted(before.keys() | after.keys()):
        path = key if not given or key == "identity" else _path("identity", key)
        changes |= _change(path, before.get(key), after.get(key), replace=True)
    return changes


def _by_key(name: str, old: Any, new: Any) -> dict[str, Change]:
    before, after = plain(old) or {}, plain(new) or {}
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return _change(name, old, new, replace=False)
    changes: dict[str, Change] = {}
    for key in sorted(before.keys() | after.keys()):
        changes |= _change(_path(name, key), before.get(key), after.get(key), replace=False)
    return changes


def _change(path: str, old: Any, new: Any, *, replace: bool) -> dict[str, Change]:
    before, after = plain(old), plain(new)
    if before == after and not has_unknown(after):
        return {}
    kind = "ADD" if before is None else "DELETE" if after is None else "UPDATE"
    return {path: Change(f"{kind}_REPLACE" if replace else kind)}


def _path(name: str, key: str) -> str:
    return f"{name}.{key}" if key.isidentifier() else f'{name}["{key}"]'
