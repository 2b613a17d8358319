"""What a person reads at the end of `up`."""

from __future__ import annotations

import io

from rich.console import Console

from tunestack.cli.summary import show_summary
from tunestack.provider.values import UNKNOWN_TEXT


def test_a_model_that_a_selection_left_out_is_not_shown_as_built():
    """The Pulumi CLI keeps its outputs as unknown: `up --exclude` used to end in a traceback."""
    left_out = {"state": UNKNOWN_TEXT, "duration_seconds": UNKNOWN_TEXT, "base_model": "text-bison@001"}
    text = io.StringIO()
    outputs = {"models": {"left-out": left_out}, "environments": {"us-central1": {"accelerator": "8 × A100"}}}
    show_summary(outputs, Console(file=text, width=100), seconds=3)
    assert "us-central1" in text.getvalue()
    assert "left-out" not in text.getvalue()
