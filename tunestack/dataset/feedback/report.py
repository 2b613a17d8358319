"""What became of the votes, for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tunestack.dataset.feedback.collection import Collected
from tunestack.dataset.feedback.pairs import REASONS

# Votes of one reason on a screen; `left-out.jsonl` has all of them.
_MOST_LISTED = 5


def terminal_collection(collected: Collected) -> str:
    """The columns as they were understood, the pairs, the ledger, and the first votes left out for each reason."""
    return "\n".join(_lines(collected))


def json_collection(collected: Collected) -> dict[str, Any]:
    """`{"output", "pairs", "prompts", "contested", "pairs_over_limit", "choices", "ledger", "left_out", "columns"}`;
    `left_out` has every vote that is behind no pair."""
    ones = sum(pair.choice for pair in collected.pairs)
    return {
        "output": str(collected.output),
        "prompts": collected.prompts,
        "pairs": len(collected.pairs),
        "choices": {"0": len(collected.pairs) - ones, "1": ones},
        "contested": sum(pair.contested for pair in collected.pairs),
        "pairs_over_limit": collected.pairs_over_limit,
        "ledger": {
            "votes_in": collected.ledger.votes_in,
            "votes_used": collected.ledger.votes_used,
            "left_out": dict(collected.ledger.left_out),
        },
        "left_out": [vote._asdict() for vote in collected.listing],
        "columns": {
            log: {
                "kind": columns.kind,
                "fields": dict(columns.fields),
                "passed_over": {word: list(names) for word, names in columns.passed_over.items()},
            }
            for log, columns in collected.columns.items()
        },
    }


def _lines(collected: Collected) -> Iterator[str]:
    for log, columns in collected.columns.items():
        said = ", ".join(
            word if word == name else f"{word} from {name}" for word, name in columns.fields.items()
        )
        yield f"{log}: {columns.kind}; {said}"
        for word, names in columns.passed_over.items():
            yield f"  not taken for the {word}: {', '.join(names)} (--columns {word}={names[0]} takes it)"
    ledger = collected.ledger
    ones = sum(pair.choice for pair in collected.pairs)
    contested = sum(pair.contested for pair in collected.pairs)
    prompts = len({pair.prompt for pair in collected.pairs})
    yield (
        f"{collected.output}: {_count(len(collected.pairs), 'pair')} "
        f"from {prompts:,} of {_count(collected.prompts, 'prompt')}"
    )
    yield f"  choice 0: {len(collected.pairs) - ones:,}, 1: {ones:,}"
    if contested:
        yield f"  {contested:,} decided by a majority against other votes"
    if collected.pairs_over_limit:
        yield f"  {_count(collected.pairs_over_limit, 'pair')} more over the limit of one prompt, not taken"
    yield (
        f"{_count(ledger.votes_in, 'vote')} in = {ledger.votes_used:,} used + "
        f"{sum(ledger.left_out.values()):,} left out"
    )
    for reason, group in groupby(collected.listing, key=lambda vote: vote.reason):
        votes = list(group)
        shown = ", ".join(f"{vote.log}:{vote.line}" for vote in votes[:_MOST_LISTED])
        more = f" and {len(votes) - _MOST_LISTED:,} more" if len(votes) > _MOST_LISTED else ""
        yield f"  {len(votes):>6,} {reason}: {REASONS[reason]}"
        yield f"         {shown}{more}"
    if collected.listing:
        yield f"  all of them: {collected.output / 'left-out.jsonl'}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
