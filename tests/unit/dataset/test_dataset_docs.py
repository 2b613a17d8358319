"""docs/datasets.md shows what works and leaves nothing out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from tunestack.dataset.formats import FORMATS
from tunestack.spec.allow_list import load_allow_list
from tunestack.spec.dataset import DatasetSpec, load_dataset

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(name: .*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split()[1])
def test_every_example_is_a_dataset(example: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(example)
    load_dataset(tmp_path)


def test_the_list_of_what_may_stay_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(allow:.*?)```", PAGE, re.DOTALL)
    (tmp_path / "allow.yaml").write_text(example)
    load_allow_list(tmp_path / "allow.yaml")


def test_every_format_has_an_example() -> None:
    declared = set(re.findall(r"^format: (\S+)", "".join(EXAMPLES), re.MULTILINE))
    allowed = set(DatasetSpec.model_fields["format"].annotation.__args__)  # type: ignore[union-attr]
    assert allowed - declared == {"code", "gemini-preference"}  # which share the section of another
    for name in allowed:
        assert re.search(rf"^### .*`{name}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", re.findall(r"```json\n(\{.*\})\n```", PAGE))
def test_every_line_that_is_shown_is_right(line: str) -> None:
    import msgspec

    fitting = []
    for name, form in FORMATS.items():
        try:
            decoded = msgspec.json.decode(line, type=form.line)
        except msgspec.ValidationError:
            continue
        if not list(form.violations(decoded)):
            fitting.append(name)
    assert fitting


def test_every_key_is_explained() -> None:
    table = PAGE.partition("## Every key")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`([a-z_0-9.]+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE))))
    assert explained == set(_keys(DatasetSpec))


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = [each for each in (field.annotation, *getattr(field.annotation, "__args__", ())) if each]
        models = [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]
        if models:
            yield from _keys(models[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
