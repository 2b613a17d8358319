"""The Pulumi CLI's options under its own names, for either engine."""

from __future__ import annotations

import argparse

from tunestack.cli import stack
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
    pair = Choices(import_pending_creates=(("urn", "id"),))
    assert pair.flags() == ["--import-pending-creates", "urn", "--import-pending-creates", "id"]
    assert Choices(parallel=500).flags() == ["--parallel", "500"]
    assert not parsed("--replace", "c", "--expect-no-changes").limited


def test_a_stack_is_named_before_or_after_what_is_done_with_it() -> None:
    parser = argparse.ArgumentParser()
    stack.add_arguments(parser)
    where = ["--cwd", "/somewhere", "--stack", "dev", "--engine", "embedded"]
    for words in ([*where[:4], "output"], ["output", *where], [*where[:2], "export", *where[2:]]):
        given = parser.parse_args(words)
        assert (str(given.cwd), given.stack) == ("/somewhere", "dev")
    assert (parser.parse_args(["output"]).stack, parser.parse_args(["output"]).engine) == ("local", "auto")


def test_target_replace_is_both() -> None:
    assert parsed("--target-replace", "a", "--target", "b") == Choices(target=("b", "a"), replace=("a",))
