"""What a command says to machines is JSON as everybody writes it, whatever is in it."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.cli.documents import say

TEXTS = st.text(st.characters())  # halves of characters too
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(document=DOCUMENTS)
def test_any_document_can_be_read_back(document: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", said.append)
        say(argparse.Namespace(json=True), lambda: document, str)
    assert json.loads(said[0]) == document


def test_a_document_is_indented_as_the_standard_library_does_it(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"rows": 2, "empty": [], "none": {}, "findings": [{"code": "é", "line": None, "good": True}]}
    say(argparse.Namespace(json=True), lambda: document, str)
    assert capsys.readouterr().out == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
