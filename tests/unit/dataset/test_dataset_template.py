"""Templates render strictly, the fast ways equal Jinja2's own, and nothing in them differs from run to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.template import PromptTemplate, TemplateFault

COLUMNS = {
    "text": "string",
    "label": "string",
    "notes": "list[string]",
    "count": "integer",
    "score": "number",
    "flag": "boolean",
    "turns": "messages",
}

turns = st.lists(
    st.builds(
        lambda role, content: {"role": role, "author": role, "content": content},
        st.sampled_from(["user", "assistant"]),
        st.text(),
    ),
    max_size=3,
)
values = st.fixed_dictionaries(
    {
        "text": st.text(),
        "label": st.text(),
        "notes": st.lists(st.text(), max_size=3),
        "count": st.integers(-(2**63), 2**63 - 1),
        "score": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "flag": st.booleans(),
        "turns": turns,
    }
)
plain_parts = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="{}#"))
    | st.sampled_from([f"{{{{ {column} }}}}" for column in COLUMNS])
    | st.sampled_from(["{{label}}", "{# note #}", "\n", "%", "%s", "%(text)s", "%%"])
)


@given(plain_parts.map("".join), values)
def test_a_lowered_template_equals_jinja_s_own_rendering(source: str, row: dict[str, object]) -> None:
    template = PromptTemplate(source, "t.j2", COLUMNS)
    assert template.lowered is not None
    assert template.render(row) == template.render_by_jinja(row)


# As the tokenizers of Hugging Face have them: turns to one text.
CHAT_TEMPLATE = """\
{%- if turns and turns[0]['role'] == 'assistant' %}
    {{- raise_exception('The user must begin') }}
{%- endif %}
{%- for message in turns %}
    {%- if loop.index0 > 5 %}{% break %}{% endif %}
    {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message['role']) + '\n' }}
    {{- message['content'] | trim }}<end_of_turn>
{% endfor %}
{{- '<start_of_turn>model\n' }}
"""


def rendered(render: Callable[[Mapping[str, Any]], str], row: dict[str, Any]) -> str:
    try:
        return render(row)
    except TemplateFault as fault:
        return f"{fault.line}: {fault.message}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ text | upper }} {{ label }}",
        "{% for note in notes %}- {{ note | truncate(5) }}\n{% endfor %}{{ text }}",
        "{% if label == 'a' %}A{% else %}{{ text }}{% endif %}",
        "{% set short = text[:3] %}{{ short }}{{ notes }}",
        "{% for number in range(3) %}{{ number }}{{ loop.last }}{% endfor %}{{ text }}",
        "{% macro quote(it) %}<{{ it }}>{% endmacro %}{{ quote(text) }}",
        "{{ count + 1 }} {{ score }} {{ not flag }} {{ turns | length }}",
        "{% set seen = text if flag else label %}{% if seen %}{% set more = seen %}{{ more }}{% endif %}",
        "{% if flag %}{% set seen = text %}{% endif %}{{ seen }}",
        "{% if flag %}{% macro said() %}{{ text }}{% endmacro %}{% endif %}{{ said() }}",
        "{% if flag %}{% set range = text %}{% endif %}{{ range }}",
        "{% autoescape true %}<{{ text }}>{{ text[0] }}{% endautoescape %}{{ label }}",
        "{% block one %}{{ text }}{{ notes[0] }}{% endblock %}",
        "{% set box = namespace(last='') %}{% for turn in turns %}{% set box.last = turn.content %}{% endfor %}"
        "{{ box.last }}",
        CHAT_TEMPLATE,
    ],
)
@given(rows=st.lists(values, min_size=1, max_size=4))
@settings(max_examples=40)
def test_the_fast_render_function_equals_jinja_s_own_row_after_row(
    source: str, rows: list[dict[str, object]]
) -> None:
    template = PromptTemplate(source, "t.j2", COLUMNS)
    assert template.lowered is None
    for row in rows:  # nothing of a row, good or not, is left for the next one
        assert rendered(template.render, row) == rendered(template.render_by_jinja, row)


def test_a_chat_template_turns_turns_into_one_prompt() -> None:
    template = PromptTemplate(CHAT_TEMPLATE, "t.j2", {"turns": "messages"})
    said = [("user", " Hi. "), ("assistant", "Yes?"), ("user", "Bye.")]
    row = {"turns": [{"role": role, "author": role, "content": content} for role, content in said]}
    assert template.render(row) == (
        "<start_of_turn>user\nHi.<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n"
        "<start_of_turn>user\nBye.<end_of_turn>\n<start_of_turn>model\n"
    )
    with pytest.raises(TemplateFault, match="The user must begin") as refused:
        template.render({"turns": row["turns"][1:]})
    assert refused.value.line == 2


def test_half_a_character_is_refused_in_a_template_and_out_of_one() -> None:
    with pytest.raises(TemplateFault, match="half of a character"):
        PromptTemplate("{{ text }}\ud800", "t.j2", COLUMNS)
    template = PromptTemplate("{{ '%c' | format(count) }}", "t.j2", COLUMNS)
    assert template.render({"count": 65}) == "A"
    with pytest.raises(TemplateFault) as refused:
        template.render({"count": 0xD800})
    assert refused.value.code == "lone-surrogate"


def test_prompts_are_text_and_not_html() -> None:
    assert PromptTemplate("{{ text }}", "t.j2", COLUMNS).render({"text": "<a & 'b'>"}) == "<a & 'b'>"


@pytest.mark.parametrize(
    ("source", "line", "said", "fix"),
    [
        ("a\n{{ txt }}", 2, "`txt` is no column", "write `text`"),
        ("{% for x in %}", 1, "Expected an expression", ""),
        ("a\n\n{{ text", 3, "unexpected end of template", ""),
        (
            "{{ lipsum() }}",
            1,
            "`lipsum` is no column",
            "the columns are text, label, notes, count, score, flag, turns",
        ),
        ("{{ notes | random }}", 1, "No filter named 'random'", ""),
    ],
)
def test_a_faulty_template_is_refused_before_any_row(source: str, line: int, said: str, fix: str) -> None:
    with pytest.raises(TemplateFault) as refused:
        PromptTemplate(source, "t.j2", COLUMNS)
    assert (refused.value.line, refused.value.fix) == (line, fix)
    assert said in refused.value.message


@pytest.mark.parametrize(
    "source",
    [
        "a\n{{ text.nope }}",
        "a\n{{ 1 // (text | length) }}",
        "a\n{{ text.__class__.__mro__ }}",
        "a\n{% include 'other' %}",
        "a\n{{ notes.append('x') }}",
        "a\n{% for n in range(10000000) %}{{ text }}{% endfor %}",
    ],
)
def test_a_row_that_cannot_be_rendered_names_the_template_s_line(source: str) -> None:
    template = PromptTemplate(source, "t.j2", COLUMNS)
    with pytest.raises(TemplateFault) as refused:
        template.render({"text": "", "label": "", "notes": []})
    assert refused.value.line == 2
