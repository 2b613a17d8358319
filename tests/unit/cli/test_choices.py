"""The Pulumi CLI's options under its own names, for either engine."""

from __future__ import annotations

import argparse

from tunestack.cli.choices import NONE, Choices, add_diff_arguments, add_selection_arguments, choices


def parsed(*words: str) -> Choices:
    parser = argparse.ArgumentParser()
    add_diff_arguments(parser)
    add_selection_arguments(parser, replace=True)
    return choices(parser.parse_args(words))


def test_what_is_asked_for_is_passed_on_in_the_clis_own_words() -> None:
    assert parsed() == NONE
    assert NONE.flags() == []
    asked = parsed("--target", "a", "--target", "**b", "--target-dependents", "--replace", "c", "--diff")
    assert asked.flags() == [
        *("--target", "a", "--target", "**b", "--replace", "c"),
        *("--target-dependents", "--diff"),
    ]
    assert asked.limited
    assert not parsed("--replace", "c", "--expect-no-changes").limited


def test_target_replace_is_both() -> None:
    assert parsed("--target-replace", "a", "--target", "b") == Choices(target=("b", "a"), replace=("a",))
