"""Tuning files of Gemini and of open models, as rows of the trainer's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.conversation import prompt_of, tuning_rows

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)


@given(
    system=st.none() | TEXT,
    texts=st.lists(TEXT, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0),
)
def test_both_formats_of_one_conversation_are_the_same_row(system, texts):
    roles = [("user", "user"), ("model", "assistant")] * (len(texts) // 2)
    contents = [
        {"role": role, "parts": [{"text": text}]} for (role, _), text in zip(roles, texts, strict=True)
    ]
    messages = [{"role": role, "content": text} for (_, role), text in zip(roles, texts, strict=True)]
    gemini = {"contents": contents}
    if system is not None:
        gemini["systemInstruction"] = {"parts": [{"text": system}]}
        messages.insert(0, {"role": "system", "content": system})
    lines = "\n".join(json.dumps(row) for row in (gemini, {"messages": messages})) + "\n"
    rows, problems = tuning_rows("gs://b/x", lines.encode())
    assert problems == []
    assert rows[0] == rows[1]
    assert rows[0]["output_text"] == texts[-1]
    assert texts[-2] in rows[0]["input_text"]
    assert (system or "") in rows[0]["input_text"]


@given(
    lines=st.lists(
        st.binary(max_size=30).filter(lambda line: b"\n" not in line) | st.just(b"{}"), min_size=1, max_size=8
    )
)
def test_every_line_that_is_no_row_is_a_problem_with_its_number(lines):
    rows, problems = tuning_rows("gs://b/x", b"\n".join(lines) + b"\n")
    assert rows == []
    assert [int(problem.split(":")[2]) for problem in problems] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}, "the last two turns"),
        ({"contents": [{"role": "system", "parts": [{"text": "a"}]}]}, "contents[0].role is 'system'"),
        ({"contents": [{"role": "user", "parts": [{"inlineData": {}}]}]}, "the emulator plays text alone"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents[0].parts is missing"),
        ({"contents": [{"role": "user", "parts": [{"text": " "}]}]}, "contents[0] has no text"),
        ({"contents": ["a"]}, "contents[0].role is None"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content is not a string"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role is 'tool'"),
        ({"messages": []}, "messages is missing"),
        ([], "not a JSON object"),
    ],
)
def test_a_row_that_is_not_played_is_named(row, words):
    rows, [problem] = tuning_rows("gs://b/x", json.dumps(row).encode())
    assert rows == []
    assert problem.startswith("gs://b/x:1: ")
    assert words in problem


def test_an_empty_file_is_a_problem():
    assert tuning_rows("gs://b/x", b"") == ([], ["gs://b/x: the file has no rows"])


def test_one_turn_stands_as_it_is():
    assert prompt_of("", [("user", "hello")]) == "hello"
    assert prompt_of("Be terse.", [("user", "a"), ("model", "b"), ("user", "c")]) == (
        "Be terse.\n\nUser: a\n\nModel: b\n\nUser: c"
    )
