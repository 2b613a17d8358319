"""A line is accepted if and only if the standard library's parser and a plain restatement of the rules accept it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunestack.dataset.accept import Acceptor
from tunestack.dataset.explain import explain, place
from tunestack.dataset.findings import CODES
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Example, Format, Turn, encode

# --- the rules, said once more without a line of ours -------------------------------------------------------


def says(value: Any) -> bool:
    return isinstance(value, str) and value != "" and not value.isspace()


def has(value: Any, needed: str, optional: str = "") -> bool:
    return isinstance(value, dict) and set(needed.split()) <= value.keys() <= set(needed.split()) | set(
        optional.split()
    )


def in_turn(roles: list[Any], model: str, last: str) -> bool:
    expected = [model if number % 2 else "user" for number in range(len(roles))]
    return bool(roles) and roles == expected and roles[-1] == last


def messages(value: Any, last: str) -> bool:
    return (
        isinstance(value, list)
        and all(has(each, "author content") and says(each["content"]) for each in value)
        and in_turn([each["author"] for each in value], "assistant", last)
    )


def parts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and value != []
        and all(has(each, "text") and says(each["text"]) for each in value)
    )


def contents(value: Any, last: str) -> bool:
    return (
        isinstance(value, list)
        and all(has(each, "role parts") and parts(each["parts"]) for each in value)
        and in_turn([each["role"] for each in value], "model", last)
    )


def instruction(value: Any) -> bool:
    return (
        has(value, "parts", "role")
        and parts(value["parts"])
        and value.get("role", "user") in ("user", "system")
    )


def is_number(value: Any, *allowed: float, whole: bool = False) -> bool:
    kinds = (int,) if whole else (int, float)
    return type(value) in kinds and (not allowed or value in allowed)


def prompt(line: Any) -> bool:
    if "input_text" in line:
        return says(line["input_text"]) and "messages" not in line and "context" not in line
    return messages(line.get("messages"), "user") and says(line.get("context", "none"))


def supervised(line: Any) -> bool:
    return has(line, "input_text output_text") and says(line["input_text"]) and says(line["output_text"])


def chat(line: Any) -> bool:
    return (
        has(line, "messages", "context")
        and messages(line["messages"], "assistant")
        and says(line.get("context", "none"))
    )


def gemini(line: Any) -> bool:
    return (
        has(line, "contents", "systemInstruction")
        and contents(line["contents"], "model")
        and ("systemInstruction" not in line or instruction(line["systemInstruction"]))
    )


def rlhf_prompt(line: Any) -> bool:
    return has(line, "", "input_text messages context") and prompt(line)


def rlhf_preference(line: Any) -> bool:
    return (
        has(line, "candidate_0 candidate_1 choice", "input_text messages context")
        and prompt(line)
        and says(line["candidate_0"])
        and says(line["candidate_1"])
        and line["candidate_0"] != line["candidate_1"]
        and is_number(line["choice"], 0, 1, whole=True)
    )


def gemini_preference(line: Any) -> bool:
    if not (has(line, "contents completions", "system_instruction") and contents(line["contents"], "user")):
        return False
    if "system_instruction" in line and not instruction(line["system_instruction"]):
        return False
    completions = line["completions"]
    if not (isinstance(completions, list) and len(completions) == 2):
        return False
    for each in completions:
        if not (has(each, "score completion") and is_number(each["score"], 0, 1)):
            return False
        reply = each["completion"]
        if not (has(reply, "role parts") and reply["role"] == "model" and parts(reply["parts"])):
            return False
    first, second = ("".join(part["text"] for part in each["completion"]["parts"]) for each in completions)
    return first != second and completions[0]["score"] + completions[1]["score"] == 1


def evaluation(line: Any) -> bool:
    return (
        has(line, "", "input_text messages context output_text references")
        and prompt(line)
        and says(line.get("output_text", "none"))
        and isinstance(references := line.get("references", ["none"]), list)
        and references != []
        and all(says(each) for each in references)
    )


def embedding(line: Any) -> bool:
    return (
        has(line, "_id text", "title")
        and says(line["_id"])
        and says(line["text"])
        and isinstance(line.get("title", ""), str)
    )


def embedding_labels(line: Any) -> bool:
    return (
        has(line, "query-id corpus-id", "score")
        and says(line["query-id"])
        and says(line["corpus-id"])
        and is_number(score := line.get("score", 0), whole=True)
        and 0 <= score < 2**63
    )


RULES: dict[str, Callable[[Any], bool]] = {
    "supervised": supervised,
    "code": supervised,
    "chat": chat,
    "gemini": gemini,
    "rlhf-prompt": rlhf_prompt,
    "rlhf-preference": rlhf_preference,
    "gemini-preference": gemini_preference,
    "evaluation": evaluation,
    "embedding": embedding,
    "embedding-labels": embedding_labels,
}


def reference_accepts(name: str, raw: bytes) -> bool:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def constant(word: str) -> None:
        raise ValueError(word)

    try:
        line = json.loads(raw.decode(), object_pairs_hook=members, parse_constant=constant)
        json.dumps(line, ensure_ascii=False).encode()  # no halves of characters
    except (ValueError, RecursionError):
        return False
    return RULES[name](line)


# --- our own verdict, as a scan comes to it -----------------------------------------------------------------

ACCEPTORS = {
    name: Acceptor(form.line, form.violations, by_shape=form.completion) for name, form in FORMATS.items()
}


def accepts(form: Format, raw: bytes) -> bool:
    lines, suspects, _ = ACCEPTORS[form.name].accept([raw])
    return not suspects or (lines != [None] and not explain(raw, form.line, False, form.violations))


def test_the_rules_are_restated_for_every_format() -> None:
    assert RULES.keys() == FORMATS.keys()


# --- lines: good ones, and good ones that something happened to ---------------------------------------------

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: not text.isspace())


@st.composite
def examples(draw: st.DrawFn, turns: int | None = None) -> Example:
    count = 2 * draw(st.integers(0, 2)) + 1 if turns is None else turns
    conversation = tuple(Turn("assistant" if number % 2 else "user", draw(texts)) for number in range(count))
    first, second = draw(st.lists(texts, min_size=2, max_size=2, unique=True))
    return Example(
        conversation,
        draw(st.none() | texts),
        tuple(draw(st.lists(texts, min_size=1, max_size=3))),
        (first, second),
        draw(st.integers(0, 1)),
    )


BUILT = [name for name in FORMATS if not name.startswith("embedding")]
EMBEDDED: dict[str, st.SearchStrategy[Any]] = {
    "embedding": st.fixed_dictionaries(
        {"_id": texts, "text": texts}, optional={"title": st.text(max_size=5)}
    ),
    "embedding-labels": st.fixed_dictionaries(
        {"query-id": texts, "corpus-id": texts}, optional={"score": st.integers(0, 9)}
    ),
}


def good_lines(name: str) -> st.SearchStrategy[Any]:
    if name in EMBEDDED:
        return EMBEDDED[name]
    return examples().map(lambda example: json.loads(encode(FORMATS[name].build(example))))


SCRAPS = (
    None, "", " ", "\u3000", "x", 0, 1, 2, -1, 0.0, 1.0, 0.5, True, False, [], {}, ["x"], {"text": "x"},
    "user", "assistant", "model", "system", 2**63, 2**70, 10**400, 1e300, '"', "\\",
)  # fmt: skip
KEYS = (
    "input_text", "output_text", "messages", "context", "contents", "author", "content", "role", "parts", "text",
    "candidate_0", "choice", "score", "references", "tools", "fileData", "systemInstruction", "_id", "title", "ü",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, line: Any) -> Any:
    """The line with something added, deleted, replaced, doubled or moved, somewhere."""
    if isinstance(line, dict) and line and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(line)))
        return {**line, key: draw(mutated(line[key]))}
    if isinstance(line, list) and line and draw(st.integers(0, 3)):
        number = draw(st.integers(0, len(line) - 1))
        return [*line[:number], draw(mutated(line[number])), *line[number + 1 :]]
    scrap = draw(st.sampled_from(SCRAPS))
    what = draw(st.integers(0, 3))
    if isinstance(line, dict) and what:
        keys = sorted(line)
        if what == 1 and keys:
            del (line := dict(line))[draw(st.sampled_from(keys))]
            return line
        return {**line, draw(st.sampled_from(KEYS)): scrap}
    if isinstance(line, list) and line and what:
        number = draw(st.integers(0, len(line) - 1))
        if what == 1:
            return [*line[:number], *line[number + 1 :]]
        if what == 2:
            return [*line[: number + 1], *line[number:]]
        return [line[number], *line[:number], *line[number + 1 :]]
    return scrap


BYTES = st.sampled_from(
    [
        *(bytes([each]) for each in b'{}[]",:\\ \t\r\n0u-'),
        b'"input_text":"x",',
        b'"text":"x",',
        b"\\ud83d",
        b"\\u0022",
        b"\xff",
        b"\xef\xbb\xbf",
        b"NaN",
        b"1e999",
        b"null",
    ]
) | st.binary(max_size=2)


@st.composite
def texts_of(draw: st.DrawFn, line: Any) -> bytes:
    """The line as JSON, written one way or another, and perhaps with other bytes in some place."""
    if draw(st.booleans()):
        line = draw(mutated(line))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")]))
    raw = json.dumps(line, ensure_ascii=draw(st.booleans()), separators=separators).encode()
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 4)))
        raw = raw[:start] + draw(BYTES) + raw[end:]
    return raw


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_line_is_accepted_if_and_only_if_the_reference_accepts_it(name: str, data: st.DataObject) -> None:
    form = FORMATS[name]
    raw = data.draw(good_lines(name).flatmap(texts_of))
    good = reference_accepts(name, raw)
    assert accepts(form, raw) == good
    defects = explain(raw, form.line, False, form.violations)
    assert (defects == []) == good  # the slow path by itself comes to the same verdict …
    text = raw.decode("utf-8", "replace")
    for defect in defects:  # … and says why, at a place that is there, for people
        assert defect.code in CODES
        assert 0 <= defect.offset <= len(text)
        line, column = place(raw, defect.offset)
        assert column <= len(text.split("\n")[line - 1]) + 1
        assert f"{defect.message}{defect.fix}{defect.excerpt}".isprintable()
        assert defect.message
        assert defect.fix
        json.dumps(defect.path).encode()


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=60))
@settings(max_examples=300)
def test_no_bytes_whatever_are_more_than_a_defect(name: str, raw: bytes) -> None:
    form = FORMATS[name]
    assert bool(explain(raw, form.line, False, form.violations)) != reference_accepts(name, raw)
    assert explain(raw, form.line)


@pytest.mark.parametrize("name", BUILT)
@given(examples())
@settings(max_examples=60)
def test_an_example_is_the_same_after_it_was_written_and_read(name: str, example: Example) -> None:
    form = FORMATS[name]
    line = form.build(example)
    raw = encode(line)
    assert raw.endswith(b"\n")
    assert raw.count(b"\n") == 1
    assert [encode(each) for each in ACCEPTORS[name].accept([raw]).lines] == [raw]
    assert list(form.violations(line)) == []
    assert explain(raw, form.line, False, form.violations) == []
    assert reference_accepts(name, raw)
    assert encode(ACCEPTORS[name].accept([raw]).lines[0]) == raw


@given(st.lists(examples(), min_size=1, max_size=4))
@settings(max_examples=60)
def test_both_preference_formats_have_the_same_prompt_winner_and_loser(rows: list[Example]) -> None:
    one, other = FORMATS["rlhf-preference"], FORMATS["gemini-preference"]
    lines, others = [one.build(row) for row in rows], [other.build(row) for row in rows]
    assert one.facts(lines) == other.facts(others)
    for row, line in zip(rows, others, strict=True):
        preferred = [each for each in json.loads(encode(line))["completions"] if each["score"] == 1.0]
        assert row.candidates is not None
        assert row.preferred is not None
        assert [each["completion"]["parts"][0]["text"] for each in preferred] == [
            row.candidates[row.preferred]
        ]


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=25)
def test_what_is_measured_is_one_a_line(name: str, data: st.DataObject) -> None:
    form = FORMATS[name]
    raws = [json.dumps(each).encode() for each in data.draw(st.lists(good_lines(name), max_size=3))]
    lines = ACCEPTORS[name].accept(raws).lines
    facts = form.facts(lines)
    assert len(facts.prompts) == len(facts.answers) == len(lines)
    assert len(facts.labels) in (0, len(lines)) or name == "evaluation"
    lengths = form.lengths(lines, form.facts(lines))
    assert set(lengths) == set(form.texts.values())
    assert all(len(each) == len(lines) for each in lengths.values())
    whole = form.facts(lines[:1]).prompts + form.facts(lines[1:]).prompts
    assert whole == facts.prompts  # no matter how lines are batched
