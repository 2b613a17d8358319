"""Which resources an operation is limited to: ``--target``, ``--exclude`` and ``--replace``.

Meaning, order of decisions and words are the CLI's (``pkg/resource/deploy``: ``UrnTargets`` in deployment.go,
``isIncludedInOperation`` and ``GenerateDeletes`` in step_generator.go).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from tunestack.engine.options import Selection
from tunestack.engine.state import Resource
from tunestack.engine.urns import ROOT_STACK_TYPE, is_provider_type


class Urns:
    """Resources by name or by pattern: ``*`` stands for anything within a part of a URN, ``**`` across parts."""

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = list(patterns)
        self.literals = [pattern for pattern in patterns if "*" not in pattern]
        self._names = set(self.literals)
        self._patterns = [re.compile(_expression(pattern)) for pattern in patterns if "*" in pattern]

    def __bool__(self) -> bool:
        return bool(self._names or self._patterns)

    def __contains__(self, urn: str) -> bool:
        return urn in self._names or any(pattern.fullmatch(urn) for pattern in self._patterns)

    def add(self, urn: str) -> None:
        self._names.add(urn)

    def missing(self, known: Collection[str]) -> list[str]:
        """Names (not patterns) that no resource has."""
        return [urn for urn in self.literals if urn not in known]


def _expression(pattern: str) -> str:
    return ".*".join(
        "[^:]*".join(re.escape(text) for text in part.split("*")) for part in pattern.split("**")
    )


class Scope:
    """What one operation may touch, and what it left out so far."""

    def __init__(self, selection: Selection) -> None:
        self.targets = Urns(selection.targets)
        self.excludes = Urns(selection.excludes)
        self.replaces = Urns(selection.replaces)
        self._target_dependents = selection.target_dependents
        self._exclude_dependents = selection.exclude_dependents
        # With what follows from dependents: in the order of registration a resource comes after all it needs.
        self._targeted = Urns(selection.targets)
        self._excluded = Urns(selection.excludes)
        self.skipped: set[str] = set()  # what the program asked for and is not there, being left out

    def includes(self, resource: Resource) -> bool:
        """Whether a resource may be touched; to be asked in the order of the dependencies.

        Providers and the root stack always are: others cannot be without them.
        """
        implicit = is_provider_type(resource.type) or resource.type == ROOT_STACK_TYPE
        if self.targets:
            return self._reaches(resource, self._targeted, self._target_dependents) or implicit
        if self.excludes:
            return implicit or not self._reaches(resource, self._excluded, self._exclude_dependents)
        return True

    def lacks(self, resource: Resource) -> list[str]:
        """What a resource needs and was left out, so that it is not there.

        Under ``--exclude`` the CLI does not look: it creates with inputs missing, and writes a state that it then
        calls corrupt.
        """
        return [urn for urn in dict.fromkeys(resource.needs()) if urn in self.skipped]

    def to_refresh(self, resources: Iterable[Resource]) -> list[Resource]:
        """Those of a state's resources (in its order) that a refresh may look at."""
        if self.targets:
            return [
                resource
                for resource in resources
                if self._reaches(resource, self._targeted, self._target_dependents)
            ]
        if self.excludes:
            return [
                resource
                for resource in resources
                if not self._reaches(resource, self._excluded, self._exclude_dependents)
            ]
        return list(resources)

    def _reaches(self, resource: Resource, urns: Urns, dependents: bool) -> bool:
        reached = resource.urn in urns or (dependents and any(urn in urns for urn in resource.needs()))
        if reached:
            urns.add(resource.urn)
        return reached

    def to_delete(self, unwanted: list[Resource], state: list[Resource]) -> tuple[list[Resource], list[str]]:
        """Those of `unwanted` that may go, and the URNs among them that were not asked for by name.

        A target takes with it all that depends on it, for it cannot stay without; that is refused unless
        dependents are targeted too. What is excluded keeps all that it depends on.
        """
        if self.targets:
            going = _with_dependents(state, self.targets)
            chosen = [resource for resource in unwanted if resource.urn in going]
            if self._target_dependents:
                return chosen, []
            return chosen, [resource.urn for resource in chosen if resource.urn not in self.targets]
        if self.excludes:
            staying = self._staying(state)
            return [resource for resource in unwanted if resource.urn not in staying], []
        return unwanted, []

    def _staying(self, state: list[Resource]) -> set[str]:
        staying = {resource.urn for resource in state if resource.urn in self.excludes}
        while True:
            more = {urn for resource in state if resource.urn in staying for urn in resource.needs()}
            if self._exclude_dependents:
                more |= set(_dependents(state, staying))
            if more <= staying:
                return staying
            staying |= more


def _with_dependents(state: list[Resource], urns: Collection[str] | Urns) -> set[str]:
    reached = {resource.urn for resource in state if resource.urn in urns}
    return reached | set(_dependents(state, reached))


def _dependents(state: list[Resource], urns: set[str]) -> Iterator[str]:
    """What depends on `urns`, directly or not; children depend on their parents here."""
    reached = set(urns)
    for resource in state:  # in topological order
        if any(urn in reached for urn in resource.needs()):
            reached.add(resource.urn)
            yield resource.urn
