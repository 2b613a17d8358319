"""The prompt that travels with a tuned model renders what the rows were rendered by, whatever becomes of the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset import compile_dataset
from tunestack.dataset.render import Recipe, TemplateText
from tunestack.dataset.serving import ServingPrompt, serving_prompt
from tunestack.spec.errors import TunestackError

DATASETS = Path(__file__).parents[3] / "datasets"

texts = st.text(st.characters(codec="utf-8"))


@given(texts, texts, texts)
def test_a_prompt_read_back_renders_the_same(before: str, after: str, value: str) -> None:
    plain = (
        before.replace("{", "(").replace("#", "+") + "{{ text }}" + after.replace("}", ")").replace("{", "(")
    )
    recipe = Recipe(
        {"text": "string", "label": "string"},
        TemplateText(plain, "/somewhere/template.j2"),
        output_text=TemplateText("{{ label }}", "dataset.yaml"),
    )
    prompt = ServingPrompt.of(recipe, "here")
    read_back = ServingPrompt.from_json(prompt.as_json(), "there")
    assert read_back.render(value) == prompt.render(value) == prompt.render({"text": value})
    assert read_back.as_json() == prompt.as_json()


@pytest.mark.parametrize("name", ["sarcasm-classification", "sarcasm-generation"])
def test_the_prompt_beside_the_compiled_rows_renders_them(name: str, tmp_path: Path) -> None:
    compiled = compile_dataset(DATASETS / name, tmp_path)
    assert compiled.prompt is not None
    assert compiled.prompt.path is not None
    assert compiled.train.path is not None
    prompt = ServingPrompt.from_json(compiled.prompt.path.read_bytes(), "prompt.json")
    records = [json.loads(line) for line in (DATASETS / name / "records.jsonl").read_text().splitlines()]
    rendered = {prompt.text(record["text"]) for record in records}
    trained = [json.loads(line)["input_text"] for line in compiled.train.path.read_text().splitlines()]
    assert trained
    assert set(trained) <= rendered


def test_the_prompt_says_nothing_of_where_the_dataset_lay(tmp_path: Path) -> None:
    document = serving_prompt(DATASETS / "sarcasm-classification").as_json().decode()
    assert str(DATASETS) not in document
    assert json.loads(document)["columns"] == {"text": "string"}


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "columns": {}}'])
def test_a_document_that_is_no_prompt_is_refused(document: bytes) -> None:
    with pytest.raises(TunestackError, match="cannot be read"):
        ServingPrompt.from_json(document, "gs://bucket/prompt.json")
