"""The model-based test's parts lie in a package beside it; `SOAK_SEED` and `SOAK_RUNS` decide which runs are made."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
