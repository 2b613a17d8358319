"""The model-based test's parts lie in a package beside it; `SOAK_SEED` and `SOAK_RUNS` decide which runs are made."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def pytest_report_header() -> str:
    seed, runs = os.environ.get("SOAK_SEED") or 0, os.environ.get("SOAK_RUNS") or "some"
    return f"soak: SOAK_SEED={seed} SOAK_RUNS={runs} make soak"
