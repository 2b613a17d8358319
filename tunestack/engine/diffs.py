"""What the engine makes of a provider's diff."""

from __future__ import annotations

from dataclasses import replace

from tunestack.engine.answers import Diff, PropertyDiff
from tunestack.engine.goals import changes_between, contains_path, parse_path
from tunestack.engine.values import Properties


def known_diff(diff: Diff, olds: Properties, news: Properties) -> Diff:
    """The provider's diff, or where it cannot tell, the difference of the inputs."""
    if diff.changes != "unknown":
        return diff
    detailed = {path: PropertyDiff(kind, True) for path, kind in changes_between(olds, news)}
    changed = dict.fromkeys(str(parse_path(path)[0]) for path in detailed)
    return Diff("some", changed_keys=tuple(changed), detailed=detailed) if changed else Diff("none")


def apply_replace_on_changes(diff: Diff, paths: list[str], init_errors: bool) -> Diff:
    """Turn changes under the given paths into replacements; ``*`` or ``#initerror`` include failed inits."""
    if diff.changes != "some" and not init_errors:
        return diff
    patterns = [parse_path(path) for path in paths]

    def asked(key: str) -> bool:
        return any(contains_path(pattern, parse_path(key)) for pattern in patterns)

    detailed = diff.detailed
    if detailed is not None:
        detailed = {key: item.to_replace() if asked(key) else item for key, item in detailed.items()}
    keys = [
        *diff.replace_keys,
        *(key for key in diff.changed_keys if asked(key) and key not in diff.replace_keys),
    ]
    changes = diff.changes
    if init_errors and asked("#initerror"):
        keys.append("#initerror")
        changes = "some"
    return replace(diff, changes=changes, replace_keys=tuple(keys), detailed=detailed)


def invert(diff: Diff) -> Diff:
    """The same differences seen from the other side: what a refresh found, not what `up` would do about it."""
    if diff.detailed is None:
        return diff
    return replace(diff, detailed={path: difference.inverted() for path, difference in diff.detailed.items()})
