"""Without the extra `bigquery` the emulator runs, and says what is missing where it is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.errors import ApiError


@pytest.mark.parametrize("missing", ["duckdb", "sqlglot"])
def test_what_needs_the_extra_answers_501_and_names_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ApiError, match=r"extra `bigquery` .* pip install 'tunestack\[bigquery\]'") as refused:
        check_installed()
    assert refused.value.code == 501


def test_every_service_is_there_without_it():
    program = """
import sys
sys.modules["duckdb"] = sys.modules["sqlglot"] = None
from tunestack.emulator.services import register_services
register_services()
from tunestack.emulator.call import HANDLERS
print(sum(method.startswith("bigquery.") for method in HANDLERS))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20
