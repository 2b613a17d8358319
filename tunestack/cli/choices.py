"""What a command asks of an engine beside the operation: the Pulumi CLI's own options, under its own names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Choices:
    """Options of one operation; the defaults are the Pulumi CLI's."""

    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    target_dependents: bool = False
    exclude_dependents: bool = False
    preview_only: bool = False
    expect_no_changes: bool = False
    clear_pending_creates: bool = False
    import_pending_creates: tuple[tuple[str, str], ...] = ()
    diff: bool = False
    parallel: int | None = None

    @property
    def limited(self) -> bool:
        """Whether the operation leaves parts of the stack alone."""
        return bool(self.target or self.exclude)

    def flags(self) -> list[str]:
        """These choices as options of the Pulumi CLI."""
        return list(self._flags())

    def _flags(self) -> Iterator[str]:
        for name, value in vars(self).items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                yield flag
            elif isinstance(value, int) and value is not False:
                yield from (flag, str(value))
            elif isinstance(value, tuple):
                for given in value:  # the CLI takes a pair as two options
                    for word in (given,) if isinstance(given, str) else given:
                        yield from (flag, word)


NONE = Choices()


def add_selection_arguments(parser: argparse.ArgumentParser, *, replace: bool = False) -> None:
    """Add the options that limit an operation to some resources; with ``replace`` those of `up` too."""
    group = parser.add_argument_group(
        "only some resources", "URNs as `tunestack stack export` shows them; * and ** are wildcards"
    )
    group.add_argument("--target", action="append", default=[], metavar="URN", help="touch only this")
    group.add_argument("--target-dependents", action="store_true", help="and what depends on the targets")
    group.add_argument("--exclude", action="append", default=[], metavar="URN", help="leave this alone")
    group.add_argument("--exclude-dependents", action="store_true", help="and what depends on it")
    if replace:
        group.add_argument(
            "--replace",
            action="append",
            default=[],
            metavar="URN",
            help="replace this though nothing changed",
        )
        group.add_argument(
            "--target-replace",
            action="append",
            default=[],
            metavar="URN",
            help="--target and --replace in one",
        )


def add_diff_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command takes which shows or makes changes."""
    parser.add_argument("--diff", action="store_true", help="show every change property by property")
    parser.add_argument(
        "--expect-no-changes", action="store_true", help="exit status 7 when there are changes"
    )


def choices(arguments: argparse.Namespace) -> Choices:
    """The choices in parsed ``arguments``; options that the command does not have stay at their defaults."""
    both = getattr(arguments, "target_replace", [])
    given = {name: getattr(arguments, name, default) for name, default in vars(NONE).items()}
    given["target"] = (*given["target"], *both)
    given["replace"] = (*given["replace"], *both)
    given["exclude"] = tuple(given["exclude"])
    given["import_pending_creates"] = tuple(map(tuple, given["import_pending_creates"]))
    return Choices(**given)
