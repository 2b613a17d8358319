"""Property values on the wire and off it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from tunestack.provider.values import (
    ARCHIVE,
    ASSET,
    OUTPUT_VALUE,
    RESOURCE,
    SIGNATURE_KEY,
    UNKNOWN,
    UNKNOWN_TEXT,
    Secret,
    decode,
    encode,
    has_secret,
    has_unknown,
    plain,
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**52), 2**52)
    | st.floats(allow_nan=False)
    | st.text(max_size=10).filter(lambda text: text != UNKNOWN_TEXT)
    | st.just(UNKNOWN)
)
KEYS = st.text(max_size=6).filter(lambda key: key != SIGNATURE_KEY)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(KEYS, VALUES.filter(lambda value: value is not None), max_size=4)


@given(PROPERTIES)
def test_what_goes_out_comes_back(properties: dict[str, Any]) -> None:
    wire = encode(properties)
    assert decode(Struct.FromString(wire.SerializeToString())) == properties


@given(PROPERTIES)
def test_the_plain_form_has_no_secret_and_every_unknown(properties: dict[str, Any]) -> None:
    assert not has_secret(plain(properties))
    assert has_unknown(plain(properties)) == has_unknown(properties)


def test_a_secret_is_not_printed() -> None:
    assert "hush" not in repr({"token": Secret("hush")})


def test_whole_numbers_are_integers_again() -> None:
    decoded = decode(ParseDict({"steps": 90.0, "rate": 0.5, "huge": 1e300}, Struct()))
    assert decoded == {"steps": 90, "rate": 0.5, "huge": 1e300}
    assert isinstance(decoded["steps"], int)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({SIGNATURE_KEY: OUTPUT_VALUE, "value": "x"}, "x"),
        ({SIGNATURE_KEY: OUTPUT_VALUE}, UNKNOWN),
        ({SIGNATURE_KEY: OUTPUT_VALUE, "value": "x", "secret": True}, Secret("x")),
        ({SIGNATURE_KEY: RESOURCE, "urn": "urn:x", "id": "i"}, "i"),
        ({SIGNATURE_KEY: RESOURCE, "urn": "urn:x"}, "urn:x"),
    ],
)
def test_outputs_and_references_become_their_values(wire: dict[str, Any], value: Any) -> None:
    assert decode(ParseDict({"p": wire}, Struct())) == {"p": value}


@pytest.mark.parametrize("signature", [ASSET, ARCHIVE])
def test_assets_are_refused_with_what_to_give_instead(signature: str) -> None:
    with pytest.raises(ValueError, match="gs://"):
        decode(ParseDict({"p": {SIGNATURE_KEY: signature, "path": "x"}}, Struct()))


def test_what_has_no_wire_form_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="no wire form for set"):
        encode({"p": {1}})
