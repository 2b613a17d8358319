"""The structure that a line's type tells of has exactly the quotes that its JSON has, the texts' own left out."""

from __future__ import annotations

import json
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset.accept import Acceptor, quotes_of
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Example, Turn
from tunestack.dataset.records import Records

LINES = [
    ("supervised", '{"input_text":"a","output_text":"b"}'),
    (
        "chat",
        '{"messages":[{"author":"user","content":"a"},{"author":"assistant","content":"b"}],"context":"c"}',
    ),
    ("chat", '{"messages":[{"author":"user","content":"a"},{"author":"assistant","content":"b"}]}'),
    (
        "gemini",
        '{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"c"}]}]}',
    ),
    (
        "gemini",
        '{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a"}]}]}',
    ),
    ("rlhf-prompt", '{"input_text":"a"}'),
    ("rlhf-preference", '{"input_text":"a","candidate_0":"b","candidate_1":"c","choice":0}'),
    (
        "gemini-preference",
        '{"contents":[{"role":"user","parts":[{"text":"a"}]}],"completions":['
        '{"score":1.0,"completion":{"role":"model","parts":[{"text":"a"}]}},'
        '{"score":0.0,"completion":{"role":"model","parts":[{"text":"b"}]}}]}',
    ),
    ("embedding", '{"_id":"q1","text":"a","title":"t"}'),
    ("evaluation", '{"input_text":"a","output_text":"b","references":["b","c"]}'),
]


@pytest.mark.parametrize(("name", "text"), LINES)
def test_the_quotes_of_a_structure_are_counted_without_its_texts(name: str, text: str) -> None:
    type_ = FORMATS[name].line
    others = [other for other_name, other in LINES if other_name == name]
    lines = [msgspec.json.decode(each, type=type_) for each in (text, *others)]
    assert quotes_of(type_)(lines) == [each.count('"') for each in (text, *others)]


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize(("name", "text"), LINES)
def test_a_key_that_stands_twice_is_in_doubt_wherever_it_is_and_however_it_is_written(
    name: str, text: str, spaced: bool
) -> None:
    form = FORMATS[name]
    acceptor = Acceptor(form.line, form.violations, by_shape=form.completion)
    written = msgspec.json.format(text, indent=0) if spaced else text
    doubled = [
        written[: at + 1] + member + "," + written[at + 1 :]
        for at, character in enumerate(written)
        if character == "{"
        for member in members(written[at:], ": " if spaced else ":")
    ]
    assert len(doubled) >= text.count("{")
    # Beside none, beside one of its shape, beside all other shapes: all the ways of looking.
    of_other_shapes = [other.encode() for other_name, other in LINES if other_name == name]
    for each in doubled:
        hidden = each.replace('"a"', '"\\u0022\\u0022\\u0022\\u0022\\u0022\\u0022"')
        for raw in (each.encode(), hidden.encode()):
            for others in ([], [written.encode()], of_other_shapes):
                lines, suspects, _ = acceptor.accept([*others, raw])
                assert None not in lines
                assert len(others) in suspects
    if not list(form.violations(msgspec.json.decode(text, type=form.line))):
        assert not acceptor.accept([written.encode(), text.encode()]).suspects


SAYINGS = st.text(st.sampled_from('a"\\\\ \nu0\u00e9\u2028\U0001f600'), min_size=1, max_size=12).map(
    lambda text: text + "."
)


@given(
    name=st.sampled_from(["supervised", "gemini", "rlhf-prompt"]),
    texts=st.lists(
        st.tuples(SAYINGS, SAYINGS, st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6
    ),
)
def test_exactly_the_lines_with_a_key_twice_are_in_doubt_whatever_their_texts_hold(
    name: str, texts: list[tuple[str, str, bool, bool, bool]]
) -> None:
    form = FORMATS[name]
    raws, doubled = [], set()
    for number, (prompt, answer, ascii_, spaced, double) in enumerate(texts):
        line = form.build(Example((Turn("user", prompt),), None, (answer,)))
        document = msgspec.to_builtins(line)
        raw = json.dumps(document, ensure_ascii=ascii_, separators=(", ", ": ") if spaced else (",", ":"))
        if double:
            key, value = next(iter(document.items()))
            raw = "{" + f"{json.dumps(key)}:{json.dumps(value)}," + raw[1:]
            doubled.add(number)
        raws.append(raw.encode())
    acceptor = Acceptor(form.line, form.violations, by_shape=form.completion)
    assert acceptor.accept(raws).suspects == doubled
    assert acceptor.accept(raws[::-1]).suspects == {len(raws) - 1 - number for number in doubled}


@pytest.mark.parametrize(
    "columns", [("question", "answer"), ("質問文" * 4, "回答文" * 4), ("class", "größe")]
)
def test_a_column_that_stands_twice_is_in_doubt_whatever_the_columns_are_called(
    columns: tuple[str, str],
) -> None:
    acceptor = Records(dict.fromkeys(columns, "string")).acceptor
    one, other = columns
    good = f'{{"{one}":"a","{other}":"b"}}'.encode()
    doubled = f'{{"{one}":"a","{other}":"b","{other}":"b"}}'.encode()
    assert acceptor.accept([good, doubled, good]).suspects == {1}


def members(text: str, colon: str) -> list[str]:
    """The first member of the object that the text begins with, plain and with an escape in its key."""
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    depths = accumulate((character == "{") - (character == "}") for character in text)
    end = next(end for end, depth in enumerate(depths, 1) if not depth)
    key, value = next(iter(decoder.decode(text[:end].encode()).items()))
    written = bytes(value).decode()
    return [f'"{key}"{colon}{written}', f'"\\u{ord(key[0]):04x}{key[1:]}"{colon}{written}']
