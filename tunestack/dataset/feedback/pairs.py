"""Votes → preference pairs: the rules, and the account of every vote.

Pure, and independent of the order of the votes: everything is decided by counts, exact means and keyed hashes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from tunestack.dataset.feedback.votes import Prompt, Vote

# Part of the definition of a collected dataset: another key puts the answers of every pair in other places.
POSITION_KEY = 0x74756E65_73696465  # "tuneside"

# Why a vote is behind no pair. The names are part of the interface.
REASONS: Mapping[str, str] = {
    "no-prompt": "the record has no prompt",
    "no-response": "an answer is missing or empty",
    "no-vote": "nobody voted on it",
    "equal-responses": "both answers are the same text",
    "repeated": "the same vote again, by its id or its user",
    "superseded": "the same id or user voted otherwise later",
    "ambiguous": "one id or user votes in two ways, and no time says which is the later",
    "single-response": "the prompt has no second answer to hold it against",
    "tie": "no other answer of the prompt is rated better or worse by the margin, or neither was preferred",
    "contradiction": "as many voters prefer the one answer as the other",
    "outranked": "its answers were compared directly, which outranks ratings",
    "over-limit": "the prompt has its most pairs without it",
}


class LeftOutVote(NamedTuple):
    """A vote that is behind no pair. ``line`` is the record's in ``log``."""

    reason: str
    log: str
    line: int
    reference: str


class Pair(msgspec.Struct, frozen=True):
    """Two answers to one prompt, and which is preferred.

    ``scores`` belong to the candidates: their mean ratings, or how many voters preferred each.
    """

    prompt: Prompt
    candidates: tuple[str, str]
    choice: int
    evidence: str  # ratings or comparisons
    scores: tuple[float, float]
    votes: tuple[str, ...]
    models: tuple[tuple[str, ...], tuple[str, ...]]
    order: int  # a hash of the content: the order of the records

    @property
    def contested(self) -> bool:
        """Whether somebody preferred the other answer: the majority decided."""
        return self.evidence == "comparisons" and min(self.scores) > 0


class Pairing(msgspec.Struct):
    """What came of all votes. ``pairs_over_limit``: pairs of ratings and comparisons that were not taken."""

    pairs: list[Pair] = msgspec.field(default_factory=list)
    left_out: list[LeftOutVote] = msgspec.field(default_factory=list)
    used: int = 0
    pairs_over_limit: int = 0
    prompts: int = 0

    def leave_out(self, reason: str, votes: Iterable[Vote]) -> None:
        self.left_out += [LeftOutVote(reason, vote.log, vote.line, vote.reference) for vote in votes]


def pair_votes(votes: Iterable[Vote], *, minimum_margin: Fraction, pairs_per_prompt: int) -> Pairing:
    """Every pair that the votes speak for, at most ``pairs_per_prompt`` of one prompt.

    ``minimum_margin``: by how much the mean ratings of two answers must differ, in the unit of the ratings; they
    must differ in any case.
    """
    pairing = Pairing()
    # Some logs give the id of what was voted on: then several people's votes have it.
    standing = _standing(votes, lambda vote: vote.id and (vote.id, vote.user), pairing)
    standing = _standing(
        standing, lambda vote: vote.user and (vote.user, vote.prompt, frozenset(vote.answers)), pairing
    )
    by_prompt: defaultdict[Prompt, list[Vote]] = defaultdict(list)
    for vote in standing:
        by_prompt[vote.prompt].append(vote)
    pairing.prompts = len(by_prompt)
    for prompt, cast in by_prompt.items():
        _pair_prompt(prompt, cast, minimum_margin, pairs_per_prompt, pairing)
    pairing.pairs.sort(key=lambda pair: (pair.order, pair.prompt.turns, pair.candidates))
    pairing.left_out.sort(key=lambda vote: (list(REASONS).index(vote.reason), vote.log, vote.line))
    return pairing


def _standing(votes: Iterable[Vote], key: Callable[[Vote], object], pairing: Pairing) -> list[Vote]:
    """The votes without those that another one of equal key repeats or replaces."""
    standing: list[Vote] = []
    alike: defaultdict[object, list[Vote]] = defaultdict(list)
    for vote in votes:
        if (group := key(vote)) is None:
            standing.append(vote)
        else:
            alike[group].append(vote)
    for group in alike.values():
        if len(group) == 1:
            standing += group
            continue
        latest = max(_when(vote) for vote in group)
        last = [vote for vote in group if _when(vote) == latest]
        if len({vote.says[:2] for vote in group}) > 1:
            pairing.leave_out("ambiguous", group)  # an id that stands for several things is worth nothing
            continue
        if len({vote.says for vote in last}) > 1:
            pairing.leave_out("ambiguous", last)
            pairing.leave_out("superseded", (vote for vote in group if _when(vote) < latest))
            continue
        kept = min(last, key=lambda vote: (vote.id or "", str(vote.models), vote.log, vote.line))
        standing.append(kept)
        for vote in group:
            if vote is not kept:
                pairing.leave_out("repeated" if vote.says == kept.says else "superseded", [vote])
    return standing


def _when(vote: Vote) -> float:
    return float("-inf") if vote.time is None else vote.time


def _pair_prompt(
    prompt: Prompt, votes: Sequence[Vote], margin: Fraction, most: int, pairing: Pairing
) -> None:
    compared: defaultdict[tuple[str, str], list[Vote]] = defaultdict(list)
    rated: defaultdict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        if vote.rating is not None:
            rated[vote.answers[0]].append(vote)
        elif vote.preferred is None:
            pairing.leave_out("tie", [vote])
        else:
            first, second = sorted(vote.answers)
            compared[first, second].append(vote)
    room = most - _pair_compared(prompt, compared, most, pairing)
    _pair_rated(prompt, rated, compared, margin, room, pairing)


def _pair_compared(
    prompt: Prompt, compared: Mapping[tuple[str, str], list[Vote]], most: int, pairing: Pairing
) -> int:
    """Pairs of direct comparisons, the clearest first. How many there are."""
    decided: list[tuple[int, Pair, list[Vote]]] = []
    for answers, votes in compared.items():
        counts = Counter(vote.answers[vote.preferred] for vote in votes if vote.preferred is not None)
        scores = counts[answers[0]], counts[answers[1]]
        if scores[0] == scores[1]:
            pairing.leave_out("contradiction", votes)
            continue
        models = {answer: _models(votes, answer) for answer in answers}
        preferred = answers[scores[1] > scores[0]]
        pair = _pair(prompt, answers, preferred, "comparisons", scores, votes, models)
        decided.append((-abs(scores[0] - scores[1]), pair, votes))
    decided.sort(key=lambda each: (each[0], each[1].order, each[1].candidates))
    for number, (_, pair, votes) in enumerate(decided):
        if number < most:
            pairing.pairs.append(pair)
            pairing.used += len(votes)
        else:
            pairing.leave_out("over-limit", votes)
            pairing.pairs_over_limit += 1
    return min(most, len(decided))


def _pair_rated(
    prompt: Prompt,
    rated: Mapping[str, list[Vote]],
    compared: Mapping[tuple[str, str], list[Vote]],
    margin: Fraction,
    room: int,
    pairing: Pairing,
) -> None:
    means = {
        answer: sum((vote.rating or Fraction(0) for vote in votes), Fraction(0)) / len(votes)
        for answer, votes in rated.items()
    }
    ranked = sorted(means, key=lambda answer: (means[answer], _hash(prompt, answer), answer))
    behind: set[str] = set()
    pairs = over = 0
    for low, high in _clearest_first([means[answer] for answer in ranked], margin):
        answers = ranked[low], ranked[high]
        if (min(answers), max(answers)) in compared:
            continue
        if pairs == room:
            over = 1
            break
        votes = rated[answers[0]] + rated[answers[1]]
        models = {answer: _models(rated[answer], answer) for answer in answers}
        scores = float(means[answers[0]]), float(means[answers[1]])
        pairing.pairs.append(_pair(prompt, answers, answers[1], "ratings", scores, votes, models))
        behind.update(answers)
        pairs += 1
    if over:
        pairing.pairs_over_limit += _clear_pairs(ranked, means, margin, compared) - pairs
    for answer, votes in rated.items():
        if answer in behind:
            pairing.used += len(votes)
        else:
            pairing.leave_out(_why_not(answer, ranked, means, margin, compared), votes)


def _why_not(
    answer: str,
    ranked: Sequence[str],
    means: Mapping[str, Fraction],
    margin: Fraction,
    compared: Mapping[tuple[str, str], list[Vote]],
) -> str:
    if len(ranked) == 1:
        return "outranked" if any(answer in pair for pair in compared) else "single-response"
    outranked = False
    # The furthest first: one of the two ends is clear, or none is.
    for other in sorted((ranked[0], ranked[-1]), key=lambda end: -abs(means[end] - means[answer])):
        if _clear(means[other] - means[answer], margin):
            if (min(answer, other), max(answer, other)) not in compared:
                return "over-limit"
            outranked = True
    if not outranked:
        return "tie"
    partners = (
        other
        for other in ranked
        if _clear(means[other] - means[answer], margin)
        and (min(answer, other), max(answer, other)) not in compared
    )
    return "over-limit" if next(partners, None) is not None else "outranked"


def _clear(difference: Fraction, margin: Fraction) -> bool:
    return difference != 0 and abs(difference) >= margin


def _clearest_first(means: Sequence[Fraction], margin: Fraction) -> Iterator[tuple[int, int]]:
    """Indexes (low, high) into ascending means that differ clearly: the best with the worst, the second best with
    the second worst, and so on; then the neighbours of those. So that a limit leaves pairs that are clear and that
    use as many of the answers as can be, and no prompt of a thousand answers makes half a million pairs."""
    last = len(means) - 1
    for shift in range(last):
        for total in (last - shift, last + shift) if shift else (last,):
            low = max(0, total - last)
            while low < total - low and _clear(means[total - low] - means[low], margin):
                yield low, total - low
                low += 1


def _clear_pairs(
    ranked: Sequence[str],
    means: Mapping[str, Fraction],
    margin: Fraction,
    compared: Mapping[tuple[str, str], list[Vote]],
) -> int:
    """How many pairs of ratings there would be without a limit; in one walk over the ascending means."""
    pairs = high = 0
    for low in range(len(ranked)):
        while high < len(ranked) and not (
            means[ranked[high]] > means[ranked[low]] and means[ranked[high]] - means[ranked[low]] >= margin
        ):
            high += 1
        pairs += len(ranked) - high
    return pairs - sum(
        first in means and second in means and _clear(means[first] - means[second], margin)
        for first, second in compared
    )


def _pair(
    prompt: Prompt,
    answers: tuple[str, str],
    preferred: str,
    evidence: str,
    scores: tuple[float, float],
    votes: Iterable[Vote],
    models: Mapping[str, tuple[str, ...]],
) -> Pair:
    first, second = sorted(answers)
    order = _hash(prompt, first, second)
    # The side is drawn by the content of the pair, whichever of the two is preferred: it tells nothing.
    sides = (first, second) if order & 1 else (second, first)
    score = dict(zip(answers, scores, strict=True))
    return Pair(
        prompt,
        sides,
        sides.index(preferred),
        evidence,
        (score[sides[0]], score[sides[1]]),
        tuple(sorted(vote.reference for vote in votes)),
        (models[sides[0]], models[sides[1]]),
        order,
    )


def _models(votes: Iterable[Vote], answer: str) -> tuple[str, ...]:
    found = {
        model for vote in votes for model in [vote.models[vote.answers.index(answer)]] if model is not None
    }
    return tuple(sorted(found)) or ("unknown",)


def _hash(prompt: Prompt, *answers: str) -> int:
    import msgspec
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(msgspec.json.encode((prompt, answers)), seed=POSITION_KEY)
