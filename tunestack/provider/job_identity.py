"""The identity of a run, and what a change of a job's inputs means. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunestack.provider.resource import Change, Differences
from tunestack.provider.values import Properties, has_unknown, is_unknown, plain
from tunestack.spec.spec_hash import canonical_json, spec_hash
from tunestack.vertex.job_state import Outcome, retry_allowed, state_rule

FORCE_NEW = "forceNew"
REPLACING = frozenset({"project", "location"})


@dataclass(frozen=True)
class JobIdentity:
    """What makes two declarations of one kind of job the same run.

    ``derive``: property path → value of everything that decides the result, where no ``identity`` is given; unknown
    values stay unknown.
    """

    derive: Callable[[Properties], dict[str, Any]]

    def of(self, inputs: Properties) -> dict[str, Any]:
        """Everything that decides the result: what ``identity`` says, else what is derived; and ``forceNew``."""
        given = plain(inputs.get("identity"))
        if given is None:
            identity = self.derive(inputs)
        elif is_unknown(given):
            identity = {"identity": given}
        else:
            identity = dict(given)
        nonce = plain(inputs.get(FORCE_NEW))
        return identity if nonce is None else {**identity, FORCE_NEW: nonce}

    def hash_of(self, inputs: Properties) -> str | None:
        """The spec hash, or None while a part of the identity is unknown."""
        identity = self.of(inputs)
        if has_unknown(identity):
            return None
        return spec_hash({key: str(value) for key, value in identity.items()})

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """What a change means: another identity, project or location is another run; the rest is bookkeeping.

        Where the identity reads the same, nothing is trained again even if an older version of us hashed it
        differently; where it reads differently and the hash is the same (after an import), neither.
        """
        changes: dict[str, Change] = {}
        for key in sorted((old_inputs.keys() | news.keys()) - {"state"}):
            before, after = plain(old_inputs.get(key)), plain(news.get(key))
            if key in REPLACING:
                changes |= _change(key, before, after, replace=True)
            else:
                changes |= _leaves_changed(key, before, after)
        another = self._another_run(olds, old_inputs, news, given=news.get("identity") is not None)
        # Where a whole value means another run, what changed inside it needs no line of its own.
        # Nor does the list that it is in, where that is told as one value.
        around = {path for path in changes if any(_inside(other, (path,)) for other in another)}
        changes = {
            path: kind for path, kind in changes.items() if path not in around and not _inside(path, another)
        } | another

        in_state = set()
        rule = state_rule(str(plain(olds.get("state")) or ""))
        if rule.outcome is Outcome.RED and retry_allowed(
            rule.state, error_code_of(olds), plain(news.get("retryFailed"))
        ):
            changes["state"] = Change.UPDATE_REPLACE
            in_state.add("state")
        elif rule.outcome is not Outcome.SUCCESS:
            changes["state"] = Change.UPDATE
            in_state.add("state")
        return Differences(changes, frozenset(in_state))

    def _another_run(
        self, olds: Properties, old_inputs: Properties, news: Properties, *, given: bool
    ) -> dict[str, Change]:
        before, after = self.of(old_inputs), self.of(news)
        new_hash = self.hash_of(news)
        if before == after and new_hash is not None:
            return {}
        if new_hash is not None and new_hash == plain(olds.get("specHash")):
            return {}
        changes: dict[str, Change] = {}
        for key in sorted(before.keys() | after.keys()):
            whole = not given or key in ("identity", FORCE_NEW)
            path = key if whole else _path("identity", key)
            changes |= _change(path, before.get(key), after.get(key), replace=True)
        return changes


def error_code_of(outputs: Properties) -> int | None:
    """``google.rpc.Code`` of the job's error in the state; None where it says none."""
    error = plain(outputs.get("error"))
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) else None


def leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Property path → value of everything inside; a list is one value, and so is an empty mapping."""
    if isinstance(value, Mapping) and value:
        for key in value:
            yield from leaves(_path(path, str(key)), value[key])
    elif value is not None:
        yield path, value


def decided_by(inputs: Properties, *names: str) -> dict[str, Any]:
    """Property path → canonical JSON of the inputs ``names`` and all that is in them; unknown values stay."""
    return {
        path: value if has_unknown(value) else canonical_json(value)
        for name in names
        for path, value in leaves(name, plain(inputs.get(name)))
    }


def _leaves_changed(name: str, old: Any, new: Any) -> dict[str, Change]:
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        items = [
            _leaves_changed(f"{name}[{index}]", *pair)
            for index, pair in enumerate(zip(old, new, strict=True))
        ]
        return {path: change for changes in items for path, change in changes.items()}
    if not all(value is None or isinstance(value, Mapping) for value in (old, new)):
        return _change(name, old, new, replace=False)
    before, after = old or {}, new or {}
    changes: dict[str, Change] = {}
    for key in sorted(before.keys() | after.keys()):
        changes |= _leaves_changed(_path(name, key), before.get(key), after.get(key))
    return changes


def _inside(path: str, others: Collection[str]) -> bool:
    return any(path.startswith((f"{other}.", f"{other}[")) for other in others)


def _change(path: str, before: Any, after: Any, *, replace: bool) -> dict[str, Change]:
    if before == after and not has_unknown(after):
        return {}
    kind = "ADD" if before is None else "DELETE" if after is None else "UPDATE"
    return {path: Change(f"{kind}_REPLACE" if replace else kind)}


def _path(name: str, key: str) -> str:
    return f"{name}.{key}" if key.isidentifier() else f'{name}["{key}"]'
