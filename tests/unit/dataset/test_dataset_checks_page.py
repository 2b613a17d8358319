"""docs/dataset-checks.md has every code, and shows what the check really says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tunestack.dataset.findings import CODES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dataset_checks_page", DOCS / "dataset_checks_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_code_has_an_example(program: ModuleType) -> None:
    assert set(program.EXAMPLES) == set(CODES)


def test_the_page_is_what_its_program_writes(program: ModuleType) -> None:
    written = (DOCS / "dataset-checks.md").read_text()
    assert written == program.page(), "python docs/dataset_checks_page.py > docs/dataset-checks.md"
