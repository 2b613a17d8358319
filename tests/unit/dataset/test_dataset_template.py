"""Templates render strictly, the fast ways equal Jinja2's own, and nothing in them differs from run to run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset.template import PromptTemplate, TemplateFault

COLUMNS = {"text": "string", "label": "string", "notes": "list[string]"}

values = st.fixed_dictionaries(
    {"text": st.text(), "label": st.text(), "notes": st.lists(st.text(), max_size=3)}
)
plain_parts = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="{}#"))
    | st.sampled_from(["{{ text }}", "{{label}}", "{# note #}", "\n"])
)


@given(plain_parts.map("".join), values)
def test_a_lowered_template_equals_jinja_s_own_rendering(source: str, row: dict[str, object]) -> None:
    template = PromptTemplate(source, "t.j2", COLUMNS)
    assert template.lowered is not None
    assert template.render(row) == template.render_by_jinja(row)


@pytest.mark.parametrize(
    "source",
    [
        "{{ text | upper }} {{ label }}",
        "{% for note in notes %}- {{ note | truncate(5) }}\n{% endfor %}{{ text }}",
        "{% if label == 'a' %}A{% else %}{{ text }}{% endif %}",
        "{% set short = text[:3] %}{{ short }}{{ notes }}",
        "{% for number in range(3) %}{{ number }}{{ loop.last }}{% endfor %}{{ text }}",
        "{% macro quote(it) %}<{{ it }}>{% endmacro %}{{ quote(text) }}",
    ],
)
@given(row=values)
def test_the_fast_render_function_equals_jinja_s_own_rendering(source: str, row: dict[str, object]) -> None:
    template = PromptTemplate(source, "t.j2", COLUMNS)
    assert template.lowered is None
    assert template.render(row) == template.render_by_jinja(row)


def test_prompts_are_text_and_not_html() -> None:
    assert PromptTemplate("{{ text }}", "t.j2", COLUMNS).render({"text": "<a & 'b'>"}) == "<a & 'b'>"


@pytest.mark.parametrize(
    ("source", "line", "said", "fix"),
    [
        ("a\n{{ txt }}", 2, "`txt` is no column", "write `text`"),
        ("{% for x in %}", 1, "Expected an expression", ""),
        ("a\n\n{{ text", 3, "unexpected end of template", ""),
        ("{{ lipsum() }}", 1, "`lipsum` is no column", "the columns are text, label, notes"),
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
