"""docs/emulator-coverage.md says what is implemented now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tunestack.emulator.call import HANDLERS
from tunestack.emulator.documents import load

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_what_its_program_writes():
    spec = importlib.util.spec_from_file_location(
        "emulator_coverage_page", DOCS / "emulator_coverage_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    program = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    page = program.page()
    assert sum(int(line.split("|")[2]) for line in page.splitlines() if line.startswith("| [")) == sum(
        not program.is_operation(method_id) for method_id in HANDLERS
    )
    assert set(HANDLERS) <= set(load().methods)
    if (DOCS / "emulator-coverage.md").read_text() != page:
        raise AssertionError(
            "the page is old: python docs/emulator_coverage_page.py > docs/emulator-coverage.md"
        )
