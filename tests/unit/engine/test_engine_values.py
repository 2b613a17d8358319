"""Property values survive the wire and the state, and mean what Pulumi means by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi.runtime.rpc as sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.engine import values
from tunestack.engine.errors import EngineRefused, StateError
from tunestack.engine.goals import contains_path, parse_path, reset_paths
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.values import UNKNOWN, Secret, equal

scalars = (
    st.none() | st.booleans() | st.integers(-(2**52), 2**52) | st.floats(-1e9, 1e9) | st.text(max_size=8)
)
keys = st.text(min_size=1, max_size=5)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
anything = st.recursive(
    scalars | st.just(UNKNOWN),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=8,
)


def test_the_signatures_are_the_sdks() -> None:
    assert sdk._special_sig_key == values.SIGNATURE
    assert sdk._special_secret_sig == values.SECRET_SIGNATURE
    assert sdk._special_asset_sig == values.ASSET_SIGNATURE
    assert sdk._special_archive_sig == values.ARCHIVE_SIGNATURE
    assert sdk._special_resource_sig == values.REFERENCE_SIGNATURE
    assert sdk._special_output_value_sig == values.OUTPUT_SIGNATURE
    assert values.UNKNOWN_STRING == sdk.UNKNOWN


@given(st.dictionaries(keys, anything, max_size=4))
def test_values_survive_the_wire(properties: dict[str, Any]) -> None:
    assert equal(values.from_struct(values.to_struct(properties)), properties)


@given(st.dictionaries(keys, anything, max_size=4))
def test_without_secrets_nothing_else_is_lost(properties: dict[str, Any]) -> None:
    sent = values.from_struct(values.to_struct(properties, keep_secrets=False))
    assert equal(sent, values.unwrap(properties))
    assert not values.contains_secrets(sent)


@given(
    st.dictionaries(
        keys, st.recursive(plain, lambda inner: st.builds(Secret, inner), max_leaves=3), max_size=4
    )
)
def test_secrets_survive_state_and_keep_their_ciphertext(properties: dict[str, Any]) -> None:
    secrets = PROVIDER
    written = values.to_json(properties, secrets.encrypt)
    read = values.from_json(written, secrets.decrypt)
    assert equal(read, properties)
    assert values.to_json(read, secrets.encrypt) == written


PROVIDER = PassphraseSecrets("words")


def test_a_wrong_passphrase_is_told_at_once() -> None:
    assert PassphraseSecrets("words", PROVIDER.state).decrypt_text(PROVIDER.encrypt_text("x")) == "x"
    with pytest.raises(StateError, match="incorrect passphrase"):
        PassphraseSecrets("other words", PROVIDER.state)


def test_equality_is_pulumis() -> None:
    assert not equal(True, 1)
    assert equal(1, 1.0)
    asset = {values.SIGNATURE: values.ASSET_SIGNATURE, "hash": "h"}
    assert equal({**asset, "path": "a"}, {**asset, "path": "b"})
    assert not equal(asset, {**asset, "hash": "other"})


def test_output_values_become_plain_and_tell_what_they_depend_on() -> None:
    output = {
        values.SIGNATURE: values.OUTPUT_SIGNATURE,
        "secret": True,
        "dependencies": ["urn:a"],
        "value": [1],
    }
    unknown = {values.SIGNATURE: values.OUTPUT_SIGNATURE, "dependencies": ["urn:b"]}
    found: set[str] = set()
    assert values.lower_outputs({"x": [output, unknown]}, found) == {"x": [Secret([1]), UNKNOWN]}
    assert found == {"urn:a", "urn:b"}
    raised = values.raise_outputs({"x": Secret(1), "y": UNKNOWN, "z": 2}, {"x": ["urn:a"]})
    assert values.lower_outputs(raised, set()) == {"x": Secret(1), "y": UNKNOWN, "z": 2}


def test_archives_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="archives"):
        values.hash_assets({"a": {values.SIGNATURE: values.ARCHIVE_SIGNATURE}}, tmp_path)


@given(plain, plain)
def test_resetting_a_whole_value_gives_the_old_one(old: Any, new: Any) -> None:
    assert reset_paths({"a": new, "b": 1}, {"a": old}, ["a"]) == ({"a": old, "b": 1}, [])


@pytest.mark.parametrize(
    ("paths", "result", "unfit"),
    [
        (["a.x"], {"a": {"x": 1, "y": 2}, "l": [7, 8]}, []),
        (["a.gone"], {"a": {"x": 9, "y": 2, "gone": 3}, "l": [7, 8]}, []),
        (["a.y"], {"a": {"x": 9}, "l": [7, 8]}, []),
        (["l[0]"], {"a": {"x": 9, "y": 2}, "l": [5, 8]}, []),
        (["l[*]"], {"a": {"x": 9, "y": 2}, "l": [5, 6]}, []),
        (["l[4]"], {"a": {"x": 9, "y": 2}, "l": [7, 8]}, ["l[4]"]),
        (['["a"]["x"]', "l"], {"a": {"x": 1, "y": 2}, "l": [5, 6]}, []),
    ],
)
def test_ignored_changes_keep_old_values(paths: list[str], result: Any, unfit: list[str]) -> None:
    olds = {"a": {"x": 1, "gone": 3}, "l": [5, 6]}
    news = {"a": {"x": 9, "y": 2}, "l": [7, 8]}
    assert reset_paths(news, olds, paths) == (result, unfit)
    assert news == {"a": {"x": 9, "y": 2}, "l": [7, 8]}


def test_paths_contain_what_lies_under_them() -> None:
    assert parse_path('a.b[0]["c.d"]') == ("a", "b", 0, "c.d")
    assert contains_path(parse_path("a"), parse_path("a.b[3]"))
    assert contains_path(parse_path("*"), parse_path("size"))
    assert contains_path(parse_path("a[*].b"), parse_path("a[2].b.c"))
    assert not contains_path(parse_path("a.b"), parse_path("a"))
