"""How the requests of an endpoint are shared out, and which granted value is in force."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunestack.vertex.endpoint import shared_out
from tunestack.vertex.model import ModelName
from tunestack.vertex.quota import QuotaInfo, enough


@st.composite
def splits(draw: st.DrawFn) -> dict[str, int]:
    """What Vertex AI allows: nothing, or parts whose sum is 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=6)))
    parts = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
    return {str(number): part for number, part in enumerate(parts) if part} if draw(st.booleans()) else {}


@given(splits(), st.sampled_from(["0", "1", "new"]), st.integers(0, 100))
def test_a_split_is_empty_or_adds_up_to_100_and_gives_what_was_asked(
    before: dict[str, int], id_: str, share: int
) -> None:
    after = shared_out(before, id_, share)
    others = {other: part for other, part in before.items() if other != id_}
    assert sum(after.values()) == (100 if share or others else 0)
    assert after.get(id_, 0) == (share if others else 100 if share else 0)
    assert after.keys() <= others.keys() | {id_}
    assert all(part > 0 for part in after.values())


@given(splits(), st.integers(0, 100))
def test_a_split_that_is_as_declared_stays_as_it_is(before: dict[str, int], share: int) -> None:
    after = shared_out(before, "new", share)
    assert shared_out(after, "new", share) == after


@given(splits(), st.integers(1, 99))
def test_the_others_keep_their_order(before: dict[str, int], share: int) -> None:
    after = shared_out(before, "new", share)
    for one in before:
        for other in before:
            if before[one] > before[other]:
                assert after.get(one, 0) >= after.get(other, 0)


@given(st.integers(-1, 10**6), st.integers(-1, 10**6))
def test_unlimited_covers_everything_and_is_covered_by_nothing_else(have: int, need: int) -> None:
    assert enough(have, need) == (have == -1 or (need != -1 and have >= need))


def test_the_more_specific_value_of_a_quota_counts() -> None:
    info = QuotaInfo(
        {
            "dimensionsInfos": [
                {
                    "dimensions": {"region": "europe-west4"},
                    "details": {"value": "64"},
                    "applicableLocations": ["europe-west4"],
                },
                {"details": {"value": "8"}, "applicableLocations": ["us-central1", "us-east1"]},
            ]
        }
    )
    assert info.granted({"region": "europe-west4"}) == 64
    assert info.granted({"region": "us-central1"}) == 8
    assert info.granted({"region": "asia-east1"}) is None
    assert QuotaInfo({"dimensionsInfos": [{"details": {}}]}).granted({}) == 0


def test_the_number_of_a_project_is_its_id_spelled_by_google() -> None:
    ours, google = "projects/acme/locations/l/models/m@2", "projects/123/locations/l/models/m@2"
    assert ModelName.parse(ours).means(ModelName.parse(google))
    assert not ModelName.parse(ours).means(ModelName.parse(ours.replace("acme", "other")))
    assert not ModelName.parse(ours).means(ModelName.parse(ours.replace("@2", "@1")))
