"""The real language model, in few steps: what a user sees change, changes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import LocalProject

STEPS = 10


def test_ten_steps_teach_the_real_model_to_answer_with_a_label(real_project: LocalProject) -> None:
    job = real_project.root / "jobs" / "sarcasm-classification.yaml"
    head = re.sub(r"train_steps: \d+", f"train_steps: {STEPS}", job.read_text().partition("gate:")[0])
    job.write_text(head + "gate:\n  - {set: plain, metric: answered, at_least: 0.8}\n")
    shown = real_project.run("up", "--yes")
    model = real_project.outputs()["models"]["sarcasm-classification"]
    plain = model["scores"]["plain"]
    assert plain["base"]["answered"] == 0.0
    assert plain["tuned"]["answered"] >= 0.8
    assert model["simulated_by"].startswith("SmolLM2")
    # What a local figure means is said where it is shown.
    assert "SmolLM2-135M-Instruct" in shown
    (answer,) = json.loads(
        real_project.run("predict", "sarcasm-classification", "Lovely, rain again.", "--json")
    )
    assert answer["tuned"] in ("sarcasm", "no_sarcasm")
