"""The rules of every format, each by a line that breaks it: code, column and path of everything that is wrong."""

# ruff: noqa: E501 - a line of the tables is one case

from __future__ import annotations

import pytest

from tunestack.dataset.explain import explain, place
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats import embedding as embeddings

Expected = list[tuple[int, str, str]]

# fmt: off
GOOD = {
    "supervised": ['{"input_text": "q", "output_text": "a"}'],
    "code": ['{"input_text": "q", "output_text": "a"}'],
    "chat": [
        '{"messages": [{"author": "user", "content": "q"}, {"author": "assistant", "content": "a"}]}',
        '{"context": "c", "messages": [{"author": "user", "content": "q"}, {"author": "assistant", "content": "a"},'
        ' {"author": "user", "content": "q"}, {"content": "q", "author": "assistant"}]}',
    ],
    "gemini": [
        '{"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]}',
        '{"systemInstruction": {"role": "system", "parts": [{"text": "s"}, {"text": "t"}]}, "contents": '
        '[{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}, {"text": "b"}]}]}',
    ],
    "rlhf-prompt": [
        '{"input_text": "q"}',
        '{"messages": [{"author": "user", "content": "q"}]}',
        '{"messages": [{"author": "user", "content": "q"}, {"author": "assistant", "content": "a"}, '
        '{"author": "user", "content": "q"}], "context": "c"}',
    ],
    "rlhf-preference": [
        '{"input_text": "q", "candidate_0": "a", "candidate_1": "b", "choice": 0}',
        '{"messages": [{"author": "user", "content": "q"}], "context": "c", "candidate_0": "a", "candidate_1": "b", "choice": 1}',
    ],
    "gemini-preference": [
        '{"contents": [{"role": "user", "parts": [{"text": "q"}]}], "completions": ['
        '{"score": 1.0, "completion": {"role": "model", "parts": [{"text": "a"}]}}, '
        '{"score": 0.0, "completion": {"role": "model", "parts": [{"text": "b"}]}}]}',
        '{"system_instruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [{"text": "q"}]}], '
        '"completions": [{"score": 0, "completion": {"role": "model", "parts": [{"text": "a"}]}}, '
        '{"score": 1, "completion": {"role": "model", "parts": [{"text": "b"}]}}]}',
    ],
    "evaluation": [
        '{"input_text": "q"}',
        '{"input_text": "q", "output_text": "a"}',
        '{"input_text": "q", "output_text": "a", "references": ["a", "b"]}',
        '{"messages": [{"author": "user", "content": "q"}], "context": "c", "output_text": "a"}',
    ],
    "embedding": ['{"_id": "1", "text": "t"}', '{"_id": "1", "text": "t", "title": ""}'],
    "embedding-labels": ['{"query-id": "1", "corpus-id": "2", "score": 3}', '{"query-id": "1", "corpus-id": "2"}'],
}

BAD: dict[str, list[tuple[str, Expected]]] = {
    "supervised": [
        ('{"input_text": "q"}', [(1, "missing-field", "$.output_text")]),
        ('{"input_text": "q", "output_text": ""}', [(36, "empty-text", "$.output_text")]),
        ('{"input_text": "\\n", "output_text": "\\u3000"}', [(16, "empty-text", "$.input_text"), (37, "empty-text", "$.output_text")]),
        ('{"input_text": "q", "output_text": ["a"]}', [(36, "wrong-type", "$.output_text")]),
        ('{"input_text": "q", "outputtext": "a"}', [(21, "unknown-field", "$.outputtext")]),
        ('{"input_text": "q", "output_text": "a", "output_text": "a"}', [(41, "duplicate-key", "$.output_text")]),
        ('{"input_text": " ", "output_text": "a", "label": 1}', [(16, "empty-text", "$.input_text"), (41, "unknown-field", "$.label")]),
        ('"q"', [(1, "not-an-object", "$")]),
    ],
    "code": [('{"input_text": null, "output_text": "a"}', [(16, "wrong-type", "$.input_text")])],
    "chat": [
        ('{"messages": []}', [(14, "empty-text", "$.messages")]),
        ('{"messages": "q"}', [(14, "wrong-type", "$.messages")]),
        ('{"messages": ["q"]}', [(15, "wrong-type", "$.messages[0]")]),
        ('{"context": null, "messages": [{"author": "user", "content": "q"}, {"author": "assistant", "content": "a"}]}', [(13, "wrong-type", "$.context")]),
        ('{"context": " ", "messages": [{"author": "user", "content": "q"}, {"author": "assistant", "content": "a"}]}', [(13, "empty-text", "$.context")]),
        ('{"messages": [{"author": "user", "content": "q"}]}', [(26, "roles-out-of-turn", "$.messages[0].author")]),
        ('{"messages": [{"author": "assistant", "content": "q"}]}', [(26, "roles-out-of-turn", "$.messages[0].author")]),
        ('{"messages": [{"author": "user", "content": "q"}, {"author": "user", "content": "q"}, {"author": "assistant", "content": ""}]}', [(62, "roles-out-of-turn", "$.messages[1].author"), (122, "empty-text", "$.messages[2].content")]),
        ('{"messages": [{"author": "user", "content": "q"}, {"author": "bot", "content": "a"}]}', [(62, "unknown-role", "$.messages[1].author")]),
        ('{"messages": [{"role": "user", "content": "q"}]}', [(16, "unknown-field", "$.messages[0].role"), (15, "missing-field", "$.messages[0].author")]),
        ('{"messages": [{"author": 1, "content": 2, "name": 3}]}', [(26, "wrong-type", "$.messages[0].author"), (40, "wrong-type", "$.messages[0].content"), (43, "unknown-field", "$.messages[0].name")]),
    ],
    "gemini": [
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}]}', [(24, "roles-out-of-turn", "$.contents[0].role")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "assistant", "parts": [{"text": "a"}]}]}', [(68, "unknown-role", "$.contents[1].role")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}, {"text": " "}]}, {"role": "model", "parts": []}]}', [(66, "empty-text", "$.contents[0].parts[1].text"), (101, "empty-text", "$.contents[1].parts")]),
        ('{"contents": [{"role": "user", "parts": [{"fileData": {}}]}, {"role": "model", "parts": [{"text": "a"}]}]}', [(42, "missing-field", "$.contents[0].parts[0].text"), (43, "unknown-field", "$.contents[0].parts[0].fileData")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}], "tools": []}', [(105, "unknown-field", "$.tools")]),
        ('{"system_instruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]}', [(2, "unknown-field", "$.system_instruction")]),
        ('{"systemInstruction": {"parts": [{"text": "\\t"}]}, "contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]}', [(43, "empty-text", "$.systemInstruction.parts[0].text")]),
    ],
    "rlhf-prompt": [
        ("{}", [(1, "missing-field", "$")]),
        ('{"input_text": "q", "messages": [{"author": "user", "content": "q"}]}', [(21, "unknown-field", "$.messages")]),
        ('{"input_text": "q", "context": "c"}', [(21, "unknown-field", "$.context")]),
        ('{"messages": [{"author": "user", "content": "q"}, {"author": "assistant", "content": "a"}]}', [(62, "roles-out-of-turn", "$.messages[1].author")]),
        ('{"input_text": "q", "output_text": "a"}', [(21, "unknown-field", "$.output_text")]),
    ],
    "rlhf-preference": [
        ('{"input_text": "q", "candidate_0": "a", "candidate_1": "a", "choice": 0}', [(56, "equal-candidates", "$.candidate_1")]),
        ('{"input_text": "q", "candidate_0": "a", "candidate_1": "b", "choice": 2}', [(71, "choice-out-of-range", "$.choice")]),
        ('{"input_text": "q", "candidate_0": "a", "candidate_1": "b", "choice": 1.0}', [(71, "choice-out-of-range", "$.choice")]),
        ('{"input_text": "q", "candidate_0": "a", "candidate_1": "b", "choice": "1"}', [(71, "wrong-type", "$.choice")]),
        ('{"input_text": "q", "candidate_0": "a", "candidate_1": "b", "choice": true}', [(71, "wrong-type", "$.choice")]),
        ('{"input_text": "q", "candidate_0": "a", "choice": 0}', [(1, "missing-field", "$.candidate_1")]),
        ('{"candidate_0": " ", "candidate_1": "b", "choice": 0}', [(1, "missing-field", "$"), (17, "empty-text", "$.candidate_0")]),
    ],
    "gemini-preference": [
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}], "completions": [{"score": 1, "completion": {"role": "model", "parts": [{"text": "a"}]}}]}', [(75, "scores", "$.completions")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}], "completions": [{"score": 1, "completion": {"role": "model", "parts": [{"text": "a"}]}}, {"score": 1, "completion": {"role": "model", "parts": [{"text": "b"}]}}]}', [(159, "scores", "$.completions[1].score")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}], "completions": [{"score": 1, "completion": {"role": "model", "parts": [{"text": "a"}]}}, {"score": 0.5, "completion": {"role": "model", "parts": [{"text": "a"}]}}]}', [(159, "scores", "$.completions[1].score"), (178, "equal-candidates", "$.completions[1].completion")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}], "completions": [{"score": "1", "completion": {"role": "user", "parts": [{"text": "a"}]}}]}', [(86, "wrong-type", "$.completions[0].score"), (114, "unknown-role", "$.completions[0].completion.role")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "q"}]}], "completions": [{"score": 1, "completion": {"role": "model", "parts": [{"text": "a"}]}}, {"score": 0, "completion": {"role": "model", "parts": [{"text": "b"}]}}]}', [(68, "roles-out-of-turn", "$.contents[1].role")]),
        ('{"contents": [{"role": "user", "parts": [{"text": "q"}]}], "systemInstruction": {"parts": [{"text": "s"}]}, "completions": [{"score": 1, "completion": {"role": "model", "parts": [{"text": "a"}]}}, {"score": 0, "completion": {"role": "model", "parts": [{"text": "b"}]}}]}', [(60, "unknown-field", "$.systemInstruction")]),
    ],
    "evaluation": [
        ('{"output_text": "a"}', [(1, "missing-field", "$")]),
        ('{"input_text": "q", "references": []}', [(35, "empty-text", "$.references")]),
        ('{"input_text": "q", "output_text": "a", "references": ["a", " ", 3]}', [(61, "empty-text", "$.references[1]"), (66, "wrong-type", "$.references[2]")]),
    ],
    "embedding": [
        ('{"_id": 7, "text": "t"}', [(9, "wrong-type", "$._id")]),
        ('{"id": "7", "text": " "}', [(2, "unknown-field", "$.id"), (21, "empty-text", "$.text")]),
    ],
    "embedding-labels": [
        ('{"query-id": "1", "corpus-id": "2", "score": -1}', [(46, "wrong-type", "$.score")]),
        ('{"query-id": "1", "corpus-id": "2", "score": 0.5}', [(46, "wrong-type", "$.score")]),
        ('{"query-id": " ", "score": 1}', [(1, "missing-field", '$["corpus-id"]'), (14, "empty-text", '$["query-id"]')]),
    ],
}
# fmt: on


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in GOOD.items() for line in lines])
def test_a_line_as_the_service_has_it_is_good(name: str, line: str) -> None:
    form = FORMATS[name]
    assert explain(line.encode(), form.line, False, form.violations) == []


@pytest.mark.parametrize(
    ("name", "line", "expected"), [(name, *each) for name, cases in BAD.items() for each in cases]
)
def test_a_broken_rule_is_told_with_code_column_and_path(name: str, line: str, expected: Expected) -> None:
    form = FORMATS[name]
    defects = explain(line.encode(), form.line, True, form.violations)
    assert [(each.offset + 1, each.code, each.path) for each in defects] == sorted(expected)


def test_every_format_has_its_goldens() -> None:
    assert GOOD.keys() == BAD.keys() == FORMATS.keys()


@pytest.mark.parametrize(
    ("name", "line", "message", "fix"),
    [
        ("gemini", '{"contents": [], "tools": []}', "`tools` is not supported: rows have", "delete it"),
        ("gemini", '{"contents": [{"role": "user", "parts": [{"fileData": 1}]}]}', "`fileData` is not", "delete it"),
        ("gemini", '{"system_instruction": {}, "contents": []}', "unknown field", "write `systemInstruction`"),
        ("chat", '{"messages": [{"author": "usr", "content": "q"}]}', "is \"usr\", not one of", "write `user`"),
        ("chat", '{"context": null, "messages": []}', "`context` is null, not text", "leave the field out"),
        ("rlhf-preference", '{"choice": "1"}', "`choice` is text, not a number", "write 1, without quotes"),
        ("rlhf-preference", '{"choice": 7}', "`choice` is 7, not one of 0, 1", "write one of 0, 1"),
        ("embedding-labels", '{"score": -1}', "`score` is out of range", "of at least 0"),
        ("supervised", '{"a": 1, "a": 2}', "the key \"a\" stands twice; the first is 8 characters before", "delete"),
    ],
)  # fmt: skip
def test_what_is_said_names_the_value_and_the_way_out(name: str, line: str, message: str, fix: str) -> None:
    form = FORMATS[name]
    said = [(each.message, each.fix) for each in explain(line.encode(), form.line, True, form.violations)]
    assert any(message in one and fix in other for one, other in said), said


def test_a_record_over_several_lines_is_placed_in_the_line_of_the_defect() -> None:
    raw = b'{\n  "input_text": "q",\r\n  "output_text": 3}'
    [defect] = explain(raw, FORMATS["supervised"].line)
    assert place(raw, defect.offset, line=7, column=4) == (9, 18)
    assert place(raw, 0, line=7, column=4) == (7, 4)
    assert place(b"{}", 1, line=7, column=4) == (7, 5)


def test_ids_stand_once_and_labels_name_only_them() -> None:
    doubled = list(embeddings.doubled_ids(["a", "b", "a", "a"], [1, 2, 4, 5]))
    assert [(each.row, each.violation.code, each.violation.path) for each in doubled] == [
        (2, "duplicate-id", "$._id"),
        (3, "duplicate-id", "$._id"),
    ]
    assert "line 1" in doubled[1].violation.message
    labels = [
        embeddings.Label(query_id=query, corpus_id=text)
        for query, text in (("query-1", "text-1"), ("query-2", "text-1"), ("query-1", "text-2"))
    ]
    unknown = list(embeddings.unknown_ids(labels, {"query-1"}, {"text-1"}))
    assert [(each.row, each.violation.path, each.violation.fix) for each in unknown] == [
        (1, '$["query-id"]', "write `query-1`"),
        (2, '$["corpus-id"]', "write `text-1`"),
    ]
    assert {each.violation.code for each in unknown} == {"unknown-id"}
