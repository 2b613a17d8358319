"""The identity of a run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.spec.spec_hash import canonical_json, spec_hash

IDENTITIES = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5)


@given(IDENTITIES)
def test_the_order_of_keys_decides_nothing(identity: dict[str, str]) -> None:
    backwards = dict(reversed(identity.items()))
    assert spec_hash(identity) == spec_hash(backwards)


@given(IDENTITIES, IDENTITIES)
def test_different_identities_have_different_hashes(one: dict[str, str], other: dict[str, str]) -> None:
    assert (spec_hash(one) == spec_hash(other)) == (one == other)


@given(IDENTITIES)
def test_a_hash_fits_a_google_label(identity: dict[str, str]) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", spec_hash(identity))


def test_hashes_stay_the_same_for_ever() -> None:
    # A change here trains every model of every user again.
    assert spec_hash({}) == "6e46dd10defc9b56c29a6ec56b508c21"
    assert spec_hash({"dataset": "d1", "train_steps": "90"}) == "0a876590235d84c83076d3e610710714"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": value})
