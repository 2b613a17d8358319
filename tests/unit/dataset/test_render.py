"""Records become examples by the dataset's own templates, in any process, and prompts for serving by the same."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset import render_prompt
from tunestack.dataset.explain import explain, offset_of
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Example, Turn, encode
from tunestack.dataset.records import Records
from tunestack.dataset.render import Recipe, Renderer, TemplateText, load_recipe
from tunestack.dataset.serving import serving_prompt
from tunestack.dataset.template import TemplateFault
from tunestack.spec.dataset import load_dataset
from tunestack.spec.errors import TunestackError

HEAD = "name: one\ndescription: One.\nrecords: records.jsonl\n"


def dataset(folder: Path, body: str, template: str | None = None) -> Path:
    (folder / "dataset.yaml").write_text(HEAD + body)
    if template is not None:
        (folder / "template.j2").write_text(template)
    return folder


def renderer(folder: Path, body: str, template: str | None = None) -> Renderer:
    recipe, findings = load_recipe(folder, load_dataset(dataset(folder, body, template)))
    assert findings == []
    assert recipe is not None
    copy: Recipe = pickle.loads(pickle.dumps(recipe))  # noqa: S301 - as it travels to another process
    assert copy == recipe
    return copy.renderer()


def decoded(made: Renderer, record: Any) -> dict[str, Any]:
    return made.records.values(msgspec.json.decode(json.dumps(record), type=made.records.type))


# --- records ------------------------------------------------------------------------------------------------

TURNS = [{"role": "user", "content": "Hi."}, {"author": "model", "content": "Yes?"}, {"author": "user", "content": "Bye."}]  # noqa: E501  # fmt: skip
COLUMNS = {
    "text": "string", "count": "integer", "score": "number", "flag": "boolean",
    "notes": "list[string]", "turns": "messages",
}  # fmt: skip
RECORD = {"text": "t", "count": 3, "score": 3, "flag": True, "notes": ["a", "b"], "turns": TURNS}


def test_values_are_plain_and_in_the_order_of_the_columns() -> None:
    records = Records(COLUMNS)
    record = msgspec.json.decode(json.dumps(dict(reversed(RECORD.items()))), type=records.type)
    assert list(records.violations(record)) == []
    values = records.values(record)
    assert list(values) == list(COLUMNS)
    assert {**values, "turns": None} == {**RECORD, "turns": None}
    assert type(values["score"]) is int  # 3 is not written as 3.0
    assert values["turns"][1] == {"role": "assistant", "author": "assistant", "content": "Yes?"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"text": " "}, [("empty-text", "$.text")]),
        ({"count": 1.0}, [("wrong-type", "$.count")]),
        ({"count": 2**63}, [("wrong-type", "$.count")]),
        ({"count": True}, [("wrong-type", "$.count")]),
        ({"score": "3"}, [("wrong-type", "$.score")]),
        ({"flag": 1}, [("wrong-type", "$.flag")]),
        ({"notes": ["a", "\t"]}, [("empty-text", "$.notes[1]")]),
        ({"notes": []}, [("empty-text", "$.notes")]),
        ({"turns": []}, [("empty-text", "$.turns")]),
        ({"turns": [{"content": "x"}]}, [("missing-field", "$.turns[0]")]),
        ({"turns": [{"role": "user", "author": "user", "content": " "}]}, [("unknown-field", "$.turns[0].role"), ("empty-text", "$.turns[0].content")]),  # noqa: E501
        ({"turns": [{"role": "system", "content": "x"}]}, [("unknown-role", "$.turns[0].role")]),
        ({"more": 1}, [("unknown-field", "$.more")]),
    ],
)  # fmt: skip
def test_a_record_that_is_not_of_its_columns_is_explained(
    change: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    records = Records(COLUMNS)
    raw = json.dumps({**RECORD, **change}).encode()
    defects = explain(raw, records.type, True, records.violations)
    assert [(defect.code, defect.path) for defect in defects] == expected


@pytest.mark.parametrize("column", ["class", "self", "__init__", "__slots__", "__post_init__", "_", "None"])
def test_a_column_may_have_any_name(column: str) -> None:
    records = Records({column: "string", "text": "string"})
    record = msgspec.json.decode(json.dumps({"text": "b", column: "a"}), type=records.type)
    assert records.values(record) == {column: "a", "text": "b"}
    assert list(records.violations(record)) == []


# --- examples -----------------------------------------------------------------------------------------------


def test_a_prompt_and_a_target_are_rendered(tmp_path: Path) -> None:
    body = 'format: supervised\ncolumns: {text: string, n: integer}\ntemplate: template.j2\noutput_text: "{{ n }}"\n'
    made = renderer(tmp_path, body, "Say:\n{{ text }}\n")
    example = made.render(decoded(made, {"text": "x", "n": 7}))
    assert example == Example((Turn("user", "Say:\nx"),), None, ("7",))
    assert made.origin("$.input_text", example) == "$.text"
    assert made.origin("$.output_text", example) == "$.n"
    assert made.origin("$", example) == "$"


def test_turns_are_kept_with_a_context_and_an_answer(tmp_path: Path) -> None:
    body = """\
format: chat
columns: {turns: messages, reply: string, mood: string}
context: "Be {{ mood }}."
messages: turns
output_text: "{{ reply }}"
"""
    made = renderer(tmp_path, body)
    example = made.render(decoded(made, {"turns": TURNS, "reply": "So long.", "mood": "terse"}))
    assert example.context == "Be terse."
    assert [turn.role for turn in example.turns] == ["user", "assistant", "user"]
    assert example.targets == ("So long.",)
    origins = {
        "$.context": "$.mood",
        "$.messages[1].content": "$.turns[1].content",
        "$.messages[2].author": "$.turns[2]",
        "$.messages[3].content": "$.reply",
    }
    assert {path: made.origin(path, example) for path in origins} == origins


def test_without_an_output_text_the_last_turn_is_the_answer(tmp_path: Path) -> None:
    made = renderer(tmp_path, "format: gemini\ncolumns: {turns: messages}\nmessages: turns\n")
    example = made.render(decoded(made, {"turns": TURNS[:2]}))
    assert example == Example((Turn("user", "Hi."),), None, ("Yes?",))
    assert made.origin("$.contents[1].parts[0].text", example) == "$.turns[1].content"
    line = FORMATS["gemini"].build(made.render(decoded(made, {"turns": TURNS})))
    [violation] = FORMATS["gemini"].violations(line)  # the user has the last word: there is no answer
    assert (violation.code, violation.path) == ("roles-out-of-turn", "$.contents[2].role")


PREFERENCE = """\
columns: {text: string, good: string, bad: string, better: integer}
template: template.j2
candidate_0: "{{ good }}"
candidate_1: "{{ bad }}"
choice: "{{ better }}"
"""
texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: not text.isspace())


@given(texts, st.lists(texts, min_size=2, max_size=2, unique=True), st.integers(0, 1))
@settings(max_examples=30)
def test_one_preference_source_becomes_both_formats(text: str, pair: list[str], better: int) -> None:
    recipe = Recipe(
        {"text": "string", "good": "string", "bad": "string", "better": "integer"},
        TemplateText("Q: {{ text }}", "t.j2"),
        candidate_0=TemplateText("{{ good }}", "dataset.yaml"),
        candidate_1=TemplateText("{{ bad }}", "dataset.yaml"),
        choice=TemplateText("{{ better }}", "dataset.yaml"),
    )
    made = recipe.renderer()
    example = made.render({"text": text, "good": pair[0], "bad": pair[1], "better": better})
    rlhf, gemini = (
        json.loads(encode(FORMATS[name].build(example))) for name in ("rlhf-preference", "gemini-preference")
    )
    assert rlhf[f"candidate_{rlhf['choice']}"] == pair[better]
    ranked = {each["score"]: each["completion"]["parts"][0]["text"] for each in gemini["completions"]}
    assert ranked == {1.0: pair[better], 0.0: pair[1 - better]}
    assert made.origin("$.candidate_1", example) == "$.bad"
    columns = ("$.good", "$.bad")
    assert made.origin("$.completions[0].completion", example) == columns[better]
    assert made.origin("$.completions[1].completion.parts[0].text", example) == columns[1 - better]
    assert made.origin("$.completions[1].score", example) == "$.better"


@pytest.mark.parametrize("name", ["rlhf-preference", "gemini-preference"])
def test_a_choice_of_neither_is_told_at_its_column(tmp_path: Path, name: str) -> None:
    made = renderer(tmp_path, f"format: {name}\n{PREFERENCE}", "Q: {{ text }}")
    record = {"text": "x", "good": "a", "bad": "b", "better": 2}
    with pytest.raises(TemplateFault) as refused:
        made.render(decoded(made, record))
    violation = refused.value.violation
    assert (violation.path, violation.code) == ("$.better", "choice-out-of-range")
    assert '"2", not 0 or 1 (template: dataset.yaml:9)' in violation.message
    assert offset_of(json.dumps(record).encode(), violation.path)[0] == 49


def test_equal_candidates_are_found_in_the_record(tmp_path: Path) -> None:
    made = renderer(tmp_path, f"format: rlhf-preference\n{PREFERENCE}", "Q: {{ text }}")
    example = made.render(decoded(made, {"text": "x", "good": "a", "bad": "a", "better": 0}))
    [violation] = FORMATS["rlhf-preference"].violations(FORMATS["rlhf-preference"].build(example))
    assert (violation.code, made.origin(violation.path, example)) == ("equal-candidates", "$.bad")


def test_held_out_rows_have_the_prompt_s_columns_and_their_references(tmp_path: Path) -> None:
    body = """\
format: supervised
columns: {text: string, reply: string, tone: string}
template: template.j2
output_text: "{{ reply }}"
"""
    recipe = renderer(tmp_path, body, "{{ tone }}: {{ text }}").recipe
    assert recipe.for_held_out(None) == recipe
    held_out = recipe.for_held_out("references").renderer()
    assert held_out.records.columns == {"text": "string", "tone": "string", "references": "list[string]"}
    example = held_out.render(decoded(held_out, {"text": "x", "tone": "y", "references": ["a", "b"]}))
    assert example == Example((Turn("user", "y: x"),), None, ("a", "b"))
    line = FORMATS["evaluation"].build(example)
    assert encode(line) == b'{"input_text":"y: x","output_text":"a","references":["a","b"]}\n'
    assert held_out.origin("$.references[1]", example) == "$.references[1]"
    assert held_out.origin("$.output_text", example) == "$.references[0]"


def test_held_out_rows_of_preferences_are_prompts_alone(tmp_path: Path) -> None:
    recipe = renderer(tmp_path, f"format: rlhf-preference\n{PREFERENCE}", "Q: {{ text }}").recipe
    held_out = recipe.for_held_out(None).renderer()
    assert held_out.records.columns == {"text": "string"}
    assert encode(FORMATS["evaluation"].build(held_out.render({"text": "x"}))) == b'{"input_text":"Q: x"}\n'


def test_a_record_that_a_template_cannot_render_names_the_template_s_line(tmp_path: Path) -> None:
    body = (
        'format: supervised\ncolumns: {text: string}\ntemplate: template.j2\noutput_text: "{{ text[9] }}"\n'
    )
    made = renderer(tmp_path, body, "{{ text }}")
    with pytest.raises(TemplateFault) as refused:
        made.render({"text": "short"})
    violation = refused.value.violation
    assert violation.code == "template-error"
    assert "(template: dataset.yaml:7)" in violation.message
    assert violation.fix


def test_every_fault_of_every_template_is_a_finding_at_its_place(tmp_path: Path) -> None:
    body = """\
format: gemini-preference
columns: {text: string}
template: template.j2
context: |
  One
  {{ txt }}
candidate_0: "{{ text"
candidate_1: "{{ texts }}"
choice: "0"
"""
    folder = dataset(tmp_path, body, "a\nb {{ nope }}")
    recipe, findings = load_recipe(folder, load_dataset(folder))
    assert recipe is None
    places = [(Path(found.file).name, found.line, found.column, found.code) for found in findings]
    assert places == [
        ("template.j2", 2, 0, "template-error"),
        ("dataset.yaml", 9, 0, "template-error"),
        ("dataset.yaml", 10, 14, "template-error"),
        ("dataset.yaml", 11, 14, "template-error"),
    ]
    assert findings[1].fix == "write `text`"


def test_a_template_that_is_not_there_is_a_finding_at_its_name(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "format: rlhf-prompt\ncolumns: {text: string}\ntemplate: template.j2\n")
    _, [found] = load_recipe(folder, load_dataset(folder))
    assert (found.code, found.line, found.column) == ("file-unreadable", 6, 11)
    assert found.message == "template.j2 does not exist"


# --- serving ------------------------------------------------------------------------------------------------


def test_the_served_prompt_is_the_trained_one(tmp_path: Path) -> None:
    body = 'format: supervised\ncolumns: {text: string, label: string}\ntemplate: template.j2\noutput_text: "{{ label }}"\n'  # noqa: E501
    made = renderer(tmp_path, body, "Classify.\n{{ text }}")
    trained = made.render({"text": "x", "label": "y"}).turns[0].text
    assert render_prompt(tmp_path, "x") == render_prompt(tmp_path, {"text": "x"}) == trained
    with pytest.raises(TunestackError, match="the prompt needs text"):
        render_prompt(tmp_path, {"label": "y"})


def test_a_conversation_is_served_with_its_turns_and_its_context(tmp_path: Path) -> None:
    body = (
        'format: chat\ncolumns: {turns: messages, mood: string}\ncontext: "Be {{ mood }}."\nmessages: turns\n'
    )
    dataset(tmp_path, body)
    example = serving_prompt(tmp_path).render({"mood": "kind", "turns": [{"role": "user", "content": "Hi."}]})
    assert example == Example((Turn("user", "Hi."),), "Be kind.")
    with pytest.raises(TunestackError, match="one text is not enough"):
        serving_prompt(tmp_path).render("Hi.")
    with pytest.raises(TunestackError, match="a conversation, not one text"):
        render_prompt(tmp_path, {"mood": "kind", "turns": [{"role": "user", "content": "Hi."}]})


def test_a_bare_text_is_the_user_s_turn(tmp_path: Path) -> None:
    dataset(tmp_path, "format: chat\ncolumns: {turns: messages}\nmessages: turns\n")
    assert serving_prompt(tmp_path).render("Hi.") == Example((Turn("user", "Hi."),))
    assert render_prompt(tmp_path, "Hi.") == "Hi."


def test_faults_of_templates_and_finished_datasets_refuse_to_serve(tmp_path: Path) -> None:
    dataset(tmp_path, "format: rlhf-prompt\ncolumns: {text: string}\ntemplate: template.j2\n", "{{ txt }}")
    with pytest.raises(TunestackError, match="template-error: `txt` is no column"):
        render_prompt(tmp_path, "x")
    source = "name: one\ndescription: One.\nformat: chat\nexisting: {train: 'gs://b/o#1'}\n"
    (tmp_path / "dataset.yaml").write_text(source)
    with pytest.raises(TunestackError, match="its lines are finished"):
        render_prompt(tmp_path, "x")
