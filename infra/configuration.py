"""Reads and checks the stack's configuration, once."""

from __future__ import annotations

from pathlib import Path

import pulumi

from tunestack.spec.stack import StackSpec, stack_file_places, stack_from_configuration


def read_stack(root: Path) -> StackSpec:
    """Return this stack's configuration; TunestackError with every problem in it."""
    places = stack_file_places(root / f"Pulumi.{pulumi.get_stack()}.yaml")
    config = pulumi.Config("tunestack")
    values: dict[str, object] = {}
    for key, read in (
        ("project", config.get),
        ("endpoint", config.get),
        ("regions", config.get_object),
        ("jobs", config.get_object),
        ("labels", config.get_object),
        ("retry_failed", config.get_object),
        ("enforce_iam", config.get_bool),
        ("keep_models", config.get_bool),
        ("keep_data", config.get_bool),
        ("protect", config.get_bool),
    ):
        value = read(key)
        if value is not None:
            values[key] = value
    return stack_from_configuration(pulumi.get_stack(), values, places)
