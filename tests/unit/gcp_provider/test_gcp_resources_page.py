"""docs/gcp-resources.md says which types are served now."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_what_its_program_writes():
    spec = importlib.util.spec_from_file_location("gcp_resources_page", DOCS / "gcp_resources_page.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    if (DOCS / "gcp-resources.md").read_text() != program.page():
        raise AssertionError("the page is old: python docs/gcp_resources_page.py > docs/gcp-resources.md")
