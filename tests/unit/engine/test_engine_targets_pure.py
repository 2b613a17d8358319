"""What a selection means for a state, whatever the state: the pure half of ``--target`` and ``--exclude``."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunestack.engine.options import Selection
from tunestack.engine.state import Resource
from tunestack.engine.targets import Scope, Urns


def urn(index: int) -> str:
    return f"urn:pulumi:s::p::t:m:T::r{index}"


@st.composite
def states(draw: st.DrawFn) -> list[Resource]:
    """Resources in the order of a state: each needs only what comes before it."""
    resources: list[Resource] = []
    for index in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        resource = Resource(
            urn(index), "t:m:T", custom=True, dependencies=[urn(other) for other in sorted(needs)]
        )
        if needs and draw(st.booleans()):
            resource.parent = resource.dependencies.pop()
        resources.append(resource)
    return resources


chosen = st.sets(st.integers(0, 11), min_size=1, max_size=4).map(
    lambda some: tuple(urn(index) for index in some)
)


@given(states(), chosen, st.booleans())
def test_no_delete_leaves_anything_without_what_it_needs(
    state: list[Resource], names: tuple[str, ...], dependents: bool
) -> None:
    for selection in (
        Selection(targets=names, target_dependents=dependents),
        Selection(excludes=names, exclude_dependents=dependents),
    ):
        going, unasked = Scope(selection).to_delete(state, state)
        gone = {resource.urn for resource in going}
        assert all(gone.isdisjoint(resource.needs()) for resource in state if resource.urn not in gone)
        assert set(unasked) == (gone - set(names) if selection.targets and not dependents else set())
        if selection.excludes:
            assert gone.isdisjoint(names)
        else:
            assert gone >= {resource.urn for resource in state} & set(names)


@given(states(), chosen)
def test_targets_and_excludes_are_each_others_complement(
    state: list[Resource], names: tuple[str, ...]
) -> None:
    for dependents in (False, True):
        targeted = Scope(Selection(targets=names, target_dependents=dependents)).to_refresh(state)
        others = Scope(Selection(excludes=names, exclude_dependents=dependents)).to_refresh(state)
        assert sorted([*targeted, *others], key=state.index) == state
        scope = Scope(Selection(targets=names, target_dependents=dependents))
        assert [resource for resource in state if scope.includes(resource)] == targeted


def test_one_star_stays_within_a_part_of_a_urn_and_two_do_not() -> None:
    name = "urn:pulumi:dev::p::a:b:Group$toy:index:Thing::g-inner"
    for pattern in ("**", "urn:pulumi:dev::p::**::g-*", "**Thing::*inner", "**$toy:*:Thing::g-inner", name):
        assert name in Urns([pattern]), pattern
    for pattern in ("*", "urn:pulumi:dev::*::g-inner", "**Thing", "**thing::*", "g-inner"):
        assert name not in Urns([pattern]), pattern
    assert Urns(["a", "b*"]).missing({"c"}) == ["a"]
