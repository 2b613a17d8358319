"""Votes on served answers become preferences: by stated rules, all of them accounted for, none of them in halves."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import random
import re
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.dataset.digest import CompiledFile, DigestedFile
from tunestack.dataset.feedback import (
    Collected,
    CollectOptions,
    collect,
    json_collection,
    terminal_collection,
)
from tunestack.dataset.feedback.pairs import REASONS, Pairing, pair_votes
from tunestack.dataset.feedback.votes import Prompt, Vote
from tunestack.dataset.findings import DatasetRefused
from tunestack.dataset.formats.format import Turn
from tunestack.spec.errors import TunestackError

Rows = list[dict[str, Any]]


def write_log(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rated(prompt: str, response: str, rating: object, **more: object) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, "rating": rating, **more}


def compared(first: str, second: str, choice: object, **more: object) -> dict[str, Any]:
    return {"prompt": "Say hi.", "candidate_0": first, "candidate_1": second, "choice": choice, **more}


def collected(tmp_path: Path, rows: Rows, **options: Any) -> tuple[Collected, Rows]:
    output = tmp_path / "preferences"
    done = collect([write_log(tmp_path / "log.jsonl", rows)], output, CollectOptions(**options))
    return done, read_lines(output / "records.jsonl")


def preferred(records: Rows) -> set[tuple[str, str]]:
    """(winner, loser) of every record."""
    return {
        (each[f"candidate_{each['choice']}"], each[f"candidate_{1 - each['choice']}"]) for each in records
    }


def refusal(log: Path, output: Path, **options: Any) -> list[tuple[str, int, int, str]]:
    with pytest.raises(DatasetRefused) as refused:
        collect([log], output, CollectOptions(**options))
    assert not output.exists()
    return [(each.code, each.line, each.column, each.path) for each in refused.value.findings]


# --- the rules, on votes alone ------------------------------------------------------------------------------

TEXTS = st.sampled_from("abcde")
PROMPTS = st.sampled_from([Prompt((Turn("user", text),)) for text in "pqr"])
MAYBE = st.none() | st.sampled_from("xyz")


@st.composite
def some_votes(draw: st.DrawFn) -> list[Vote]:
    votes = []
    for line in range(1, draw(st.integers(0, 16)) + 1):
        common: dict[str, Any] = {
            "log": "log.jsonl",
            "line": line,
            "prompt": draw(PROMPTS),
            "id": draw(st.just(f"id{line}") | st.sampled_from(["same", "again"])),
            "time": draw(st.none() | st.integers(0, 3)),
            "user": draw(MAYBE),
        }
        if draw(st.booleans()):
            rating = Fraction(draw(st.integers(1, 5)))
            votes.append(Vote(answers=(draw(TEXTS),), rating=rating, models=(draw(MAYBE),), **common))
        else:
            answers = tuple(draw(st.lists(TEXTS, min_size=2, max_size=2, unique=True)))
            choice = draw(st.sampled_from([0, 1, None]))
            votes.append(Vote(answers=answers, preferred=choice, models=(draw(MAYBE), None), **common))
    return votes


def paired(votes: list[Vote], margin: int = 0, most: int = 8) -> Pairing:
    return pair_votes(votes, minimum_margin=Fraction(margin), pairs_per_prompt=most)


LIMITS = {"margin": st.integers(0, 3), "most": st.integers(1, 12)}


@given(some_votes(), LIMITS["margin"], LIMITS["most"])
def test_every_vote_is_used_or_left_out_once_and_for_a_reason(
    votes: list[Vote], margin: int, most: int
) -> None:
    pairing = paired(votes, margin, most)
    assert pairing.used + len(pairing.left_out) == len(votes)
    assert {vote.reason for vote in pairing.left_out} <= set(REASONS)
    left_out = [vote.line for vote in pairing.left_out]
    assert len(set(left_out)) == len(left_out)
    behind = {reference for pair in pairing.pairs for reference in pair.votes}
    used = {vote.reference for vote in votes if vote.line not in left_out}
    assert behind == used


@given(some_votes(), LIMITS["margin"], LIMITS["most"], st.randoms(use_true_random=False))
def test_the_order_of_the_votes_changes_nothing(
    votes: list[Vote], margin: int, most: int, shuffler: random.Random
) -> None:
    shuffled = votes.copy()
    shuffler.shuffle(shuffled)
    one, other = paired(votes, margin, most), paired(shuffled, margin, most)
    assert one.pairs == other.pairs
    assert one.left_out == other.left_out
    assert one.pairs_over_limit == other.pairs_over_limit


@given(some_votes(), LIMITS["margin"])
def test_a_limit_takes_some_of_the_pairs_that_there_are_without_it(votes: list[Vote], margin: int) -> None:
    everything, few = paired(votes, margin, 10_000), paired(votes, margin, 2)
    assert everything.pairs_over_limit == 0
    assert set(few.pairs) <= set(everything.pairs)
    assert len(few.pairs) + few.pairs_over_limit == len(everything.pairs)
    assert max(Counter(pair.prompt for pair in few.pairs).values(), default=0) <= 2


@given(
    st.dictionaries(TEXTS, st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=2), st.integers(0, 3)
)
def test_pairs_of_ratings_are_all_answers_whose_means_differ_by_the_margin(
    ratings: dict[str, list[int]], margin: int
) -> None:
    prompt = Prompt((Turn("user", "p"),))
    cast = [(answer, each) for answer, many in ratings.items() for each in many]
    votes = [
        Vote("log.jsonl", line, prompt, (answer,), Fraction(each))
        for line, (answer, each) in enumerate(cast, 1)
    ]
    means = {answer: Fraction(sum(many), len(many)) for answer, many in ratings.items()}
    expected = set()
    for pair in combinations(means, 2):
        worse, better = sorted(pair, key=means.__getitem__)
        if means[better] > means[worse] and means[better] - means[worse] >= margin:
            expected.add((better, worse))
    pairs = paired(votes, margin, 10_000).pairs
    assert {(pair.candidates[pair.choice], pair.candidates[1 - pair.choice]) for pair in pairs} == expected
    assert all(pair.scores[pair.choice] > pair.scores[1 - pair.choice] for pair in pairs)


def test_where_the_preferred_answer_stands_tells_nothing() -> None:
    votes = [
        Vote("log.jsonl", line, Prompt((Turn("user", f"Prompt {line // 2}"),)), (text,), Fraction(line % 2))
        for line in range(4_000)
        for text in [("An answer", "Better, and always later in the alphabet")[line % 2]]
    ]
    choices = Counter(pair.choice for pair in paired(votes).pairs)
    assert choices.total() == 2_000
    assert 900 < choices[0] < 1_100  # 4.5 standard deviations


def test_the_limit_takes_the_clearest_pairs_and_as_many_answers_as_can_be() -> None:
    prompt = Prompt((Turn("user", "p"),))
    votes = [Vote("log.jsonl", rating, prompt, (f"rated {rating}",), Fraction(rating)) for rating in range(6)]
    pairing = paired(votes, most=3)
    assert {frozenset(pair.scores) for pair in pairing.pairs} == {
        frozenset((0.0, 5.0)),
        frozenset((1.0, 4.0)),
        frozenset((2.0, 3.0)),
    }
    assert pairing.pairs_over_limit == 12
    assert pairing.used == 6


def test_a_prompt_of_many_thousand_answers_is_no_matter() -> None:
    prompt = Prompt((Turn("user", "hello"),))
    votes = [Vote("log.jsonl", n, prompt, (f"Answer {n}",), Fraction(n % 2)) for n in range(10_000)]
    pairing = paired(votes)
    assert len(pairing.pairs) == 8
    assert pairing.pairs_over_limit == 5_000 * 5_000 - 8
    assert Counter(vote.reason for vote in pairing.left_out) == {"over-limit": 10_000 - 16}


# --- a log ---------------------------------------------------------------------------------------------------


def test_ratings_of_one_prompt_become_pairs_with_their_votes_and_models(tmp_path: Path) -> None:
    done, records = collected(
        tmp_path,
        [
            rated("Say hi.", "Hi!", 5, id="v1", model="tuned@2"),
            rated("Say hi.", "Hi!", 4, id="v2", model="tuned@3"),
            rated("Say hi.", "Go away.", 1, id="v3", model="base@1"),
            rated("Say bye.", "Bye.", 5, id="v4"),
        ],
    )
    (record,) = records
    winner = record["choice"]
    assert (record["prompt"], record["evidence"]) == ([{"role": "user", "content": "Say hi."}], "ratings")
    assert (record[f"candidate_{winner}"], record[f"candidate_{1 - winner}"]) == ("Hi!", "Go away.")
    assert (record[f"score_{winner}"], record[f"score_{1 - winner}"]) == (4.5, 1.0)
    assert (record[f"models_{winner}"], record[f"models_{1 - winner}"]) == (
        ["tuned@2", "tuned@3"],
        ["base@1"],
    )
    assert record["votes"] == ["v1", "v2", "v3"]
    assert (done.ledger.votes_in, done.ledger.votes_used) == (4, 3)
    assert done.ledger.left_out == {"single-response": 1}


def test_a_vote_without_an_id_is_found_again_by_its_line(tmp_path: Path) -> None:
    _, (record,) = collected(tmp_path, [rated("Say hi.", "Hi!", "up"), rated("Say hi.", "What?", "down")])
    assert record["votes"] == ["log.jsonl:1", "log.jsonl:2"]


def test_of_two_answers_the_majority_decides_and_an_even_vote_is_left_out(tmp_path: Path) -> None:
    done, records = collected(
        tmp_path,
        [
            compared("Hi!", "What?", 0),
            compared("What?", "Hi!", 1),
            compared("Hi!", "What?", "What?"),
            compared("Hello.", "What?", "candidate_0"),
            compared("Hello.", "What?", "b"),
            compared("Hello.", "Hi!", "tie"),
            compared("Hi!", "Hi!", 0),
        ],
    )
    assert preferred(records) == {("Hi!", "What?")}
    assert sorted((records[0]["score_0"], records[0]["score_1"])) == [1, 2]
    assert done.ledger.left_out == {"contradiction": 2, "tie": 1, "equal-responses": 1}
    assert [(vote.reason, vote.line) for vote in done.listing] == [
        ("equal-responses", 7),
        ("tie", 6),
        ("contradiction", 4),
        ("contradiction", 5),
    ]
    assert "1 decided by a majority" in terminal_collection(done)


def test_a_chosen_and_a_rejected_answer_are_a_comparison(tmp_path: Path) -> None:
    done, records = collected(tmp_path, [{"prompt": "Say hi.", "chosen": "Hi!", "rejected": "What?"}])
    assert preferred(records) == {("Hi!", "What?")}
    assert done.columns["log.jsonl"].kind == "chosen"


def test_a_direct_comparison_outranks_ratings(tmp_path: Path) -> None:
    logs = [
        write_log(tmp_path / "a.jsonl", [rated("Say hi.", "Hi!", 1), rated("Say hi.", "What?", 5)]),
        write_log(tmp_path / "b.jsonl", [compared("Hi!", "What?", 0)]),
    ]
    done = collect(logs, tmp_path / "out")
    assert preferred(read_lines(tmp_path / "out" / "records.jsonl")) == {("Hi!", "What?")}
    assert done.ledger.left_out == {"outranked": 2}


def test_a_user_has_one_vote_and_the_latest_counts(tmp_path: Path) -> None:
    done, records = collected(
        tmp_path,
        [
            rated("Say hi.", "Hi!", "down", user="ann", time="2026-01-01 10:00:00 UTC"),
            rated("Say hi.", "Hi!", "up", user="ann", time="2026-01-02T10:00:00Z"),
            rated("Say hi.", "What?", "down", user="ann", time=1767348000),
            rated("Say hi.", "What?", "down", user="bob", time="1767348000000"),
            rated("Say hi.", "What?", "down", user="bob", time="1767348000000"),
            rated("Say hi.", "Hello.", "up", user="bob"),
            rated("Say hi.", "Hello.", "down", user="bob"),
        ],
    )
    assert preferred(records) == {("Hi!", "What?")}
    assert records[0]["votes"] == ["log.jsonl:2", "log.jsonl:3", "log.jsonl:4"]
    assert done.ledger.left_out == {"repeated": 1, "superseded": 1, "ambiguous": 2}


def test_nobody_who_voted_is_named_in_what_comes_out(tmp_path: Path) -> None:
    rows = [rated("Say hi.", "Hi!", 5, user="ann-4711"), rated("Say hi.", "What?", 1, user="bob-4712")]
    done, _ = collected(tmp_path, [*rows, rated("Say bye.", "Bye.", 1, user="cem-4713")])
    everything = (
        b"".join(tree(tmp_path / "preferences").values()) + json.dumps(json_collection(done)).encode()
    )
    assert not any(user in everything for user in (b"ann-4711", b"bob-4712", b"cem-4713"))


def test_an_export_that_overlaps_another_counts_once(tmp_path: Path) -> None:
    rows = [rated("Say hi.", "Hi!", 5, id="1"), rated("Say hi.", "What?", 1, id="2")]
    logs = [write_log(tmp_path / "monday.jsonl", rows), write_log(tmp_path / "tuesday.jsonl", rows)]
    assert collect(logs, tmp_path / "out").ledger.left_out == {"repeated": 2}


def test_several_people_vote_on_what_has_one_id(tmp_path: Path) -> None:
    answers = [("Hi!", "p1", "up"), ("Hi!", "p1", "down"), ("Hi!", "p1", "up"), ("What?", "p2", "down")]
    rows = [rated("Say hi.", text, thumb, id=of, user=f"u{n}") for n, (text, of, thumb) in enumerate(answers)]
    _, (record,) = collected(tmp_path, rows)
    assert sorted([record["score_0"], record["score_1"]]) == [0, 2 / 3]
    assert record["votes"] == ["p1", "p1", "p1", "p2"]


def test_what_says_too_little_is_left_out_and_counted(tmp_path: Path) -> None:
    done, _ = collected(
        tmp_path,
        [
            rated("Say hi.", "Hi!", True),
            rated("Say hi.", "What?", False),
            rated("", "Hi!", True),
            {"response": "Hi!", "rating": True},
            rated("Say hi.", " ", True),
            rated("Say hi.", "Hi!", None),
        ],
    )
    assert done.ledger.left_out == {"no-prompt": 2, "no-response": 1, "no-vote": 1}
    assert sum(done.ledger.left_out.values()) + done.ledger.votes_used == done.ledger.votes_in == 6


def test_a_table_exported_by_bigquery_is_a_log(tmp_path: Path) -> None:
    rows = [
        {
            "input_text": "Say hi.",
            "prediction": "Hi!",
            "stars": "5",
            "created_at": "2026-01-02 03:04:05.678 UTC",
        },
        {
            "input_text": "Say hi.",
            "prediction": "What?",
            "stars": "1",
            "created_at": "2026-01-02 03:04:06 UTC",
        },
    ]
    log = tmp_path / "export-000000000000.json.gz"
    log.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    done = collect([log], tmp_path / "out")
    assert preferred(read_lines(tmp_path / "out" / "records.jsonl")) == {("Hi!", "What?")}
    assert done.columns[log.name].fields == {
        "prompt": "input_text",
        "response": "prediction",
        "rating": "stars",
        "time": "created_at",
    }
    assert "prompt from input_text" in terminal_collection(done)


def test_a_table_of_cells_is_a_log(tmp_path: Path) -> None:
    log = tmp_path / "votes.csv"
    log.write_text('prompt,response,rating\n"Say ""hi"".",Hi!,5\n"Say ""hi"".","What,\nwhat?",1.5\n')
    collect([log], tmp_path / "out")
    (record,) = read_lines(tmp_path / "out" / "records.jsonl")
    assert record["prompt"][0]["content"] == 'Say "hi".'
    assert preferred([record]) == {("Hi!", "What,\nwhat?")}


def test_a_conversation_stays_one(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "Hi."},
        {"role": "model", "parts": [{"text": "Hel"}, {"text": "lo."}]},
        {"role": "human", "content": "Bye."},
    ]
    rows = [
        {"messages": turns, "response": "Bye!", "rating": 1},
        {"messages": turns, "response": "?", "rating": 0},
    ]
    _, (record,) = collected(tmp_path, rows)
    assert record["context"] == "Be terse."
    assert record["prompt"] == [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye."},
    ]


def test_columns_are_named_where_their_names_do_not_tell(tmp_path: Path) -> None:
    rows = [
        {"request": {"q": "Say hi."}, "said": "Hi!", "liked": True, "score": 0.1},
        {"request": {"q": "Say hi."}, "said": "What?", "liked": False, "score": 0.9},
    ]
    _, records = collected(
        tmp_path, rows, columns={"prompt": "request.q", "response": "said", "rating": "liked"}
    )
    assert preferred(records) == {("Hi!", "What?")}


def test_what_could_also_have_been_meant_is_told(tmp_path: Path) -> None:
    done, _ = collected(tmp_path, [rated("a", "b", 1, score=3), rated("a", "c", 2, score=1)])
    assert "not taken for the rating: score (--columns rating=score takes it)" in terminal_collection(done)


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"question": "a", "text": "b"}, {}, "it cannot be told what the prompts and the votes are"),
        ({"response": "a", "rating": 1}, {}, "it cannot be told what the prompts are"),
        ({**rated("a", "b", 1), "chosen": "b", "rejected": "c"}, {}, "a log of ratings or of chosen"),
        (rated("a", "b", 1), {"prompt": "promt"}, 'no record has the field "promt"'),
        (rated("a", "b", 1), {"promt": "prompt"}, "write prompt=prompt"),
    ],
)
def test_fields_that_cannot_be_told_apart_are_asked_for(
    tmp_path: Path, row: dict[str, Any], columns: dict[str, str], message: str
) -> None:
    log = write_log(tmp_path / "log.jsonl", [row])
    with pytest.raises(TunestackError, match=message) as refused:
        collect([log], tmp_path / "out", CollectOptions(columns=columns))
    assert refused.value.exit_status == 2
    assert not (tmp_path / "out").exists()


def test_the_same_log_in_another_order_gives_the_same_records(tmp_path: Path) -> None:
    rows = [rated(f"Prompt {n % 7}", f"Answer {n % 5}", n % 4, id=f"v{n}") for n in range(60)]
    for name in ("one", "other"):
        collect([write_log(tmp_path / f"{name}.jsonl", rows)], tmp_path / name)
        random.Random(4).shuffle(rows)
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    assert one["records.jsonl"] == other["records.jsonl"]
    assert one["records.jsonl"].count(b"\n") > 7


# --- what is wrong with a log --------------------------------------------------------------------------------


def test_everything_wrong_is_found_at_its_place_and_nothing_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(
        b'{"prompt": "a", "response": "b", "rating": "meh", "time": "soon"}\n'
        b'{"prompt": 3, "response": ["b"], "rating": 1}\n'
        b'{"prompt": "a", "response": "b", "rating": 1, "rating": 2}\n'
        b"\n"
        b'{"prompt": "a\\ud800", "response": "b", "rating": 1}\n'
        b'{"prompt": "\xff"}\n'
        b"[]\n"
        b'{"prompt": [{"role": "user", "content": "a"}, {"role": "judge", "content": "b"}], "rating": 1}\n'
        b'{"prompt": "a", "response": "b", "rating": NaN}\n'
        b'{"prompt": "a"'
    )
    assert refusal(log, tmp_path / "out") == [
        ("wrong-type", 1, 44, "$.rating"),
        ("wrong-type", 1, 59, "$.time"),
        ("wrong-type", 2, 12, "$.prompt"),
        ("wrong-type", 2, 27, "$.response"),
        ("duplicate-key", 3, 47, "$.rating"),
        ("blank-line", 4, 1, ""),
        ("lone-surrogate", 5, 14, "$.prompt"),
        ("encoding", 6, 13, ""),
        ("not-an-object", 7, 1, "$"),
        ("unknown-role", 8, 56, "$.prompt[1].role"),
        ("json-syntax", 9, 44, "$.rating"),
        ("truncated-line", 10, 15, "$"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_choice_of_neither_answer_is_found(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [compared("a", "b", 0), compared("a", "b", 2)])
    assert [found[:2] for found in refusal(log, tmp_path / "out")] == [("choice-out-of-range", 2)]


def test_thumbs_and_numbers_have_no_mean(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log.jsonl",
        [rated("a", text, rating) for text, rating in zip("bcd", (1, 5, "up"), strict=True)],
    )
    assert [found[:2] for found in refusal(log, tmp_path / "out")] == [("wrong-type", 3)]


def test_a_context_for_some_prompts_only_is_found(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [rated("a", "b", 1, context="Be terse."), rated("a", "c", 2)])
    assert [found[:2] for found in refusal(log, tmp_path / "out")] == [("missing-field", 2)]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_bytes_in_a_log_give_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    good = b"".join(
        json.dumps(rated("Say hi.", text, rating, time=1)).encode() + b"\n"
        for text, rating in (("a", 1), ("b", 2))
    )
    (folder / "log.jsonl").write_bytes(good[:at] + noise + good[at:])
    try:
        collect([folder / "log.jsonl"], folder / "out")
    except TunestackError:
        assert not (folder / "out").exists()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("9" * 400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "parts", "text"]), inner, max_size=3)
    ),
    max_leaves=6,
)
WORDS = (
    "prompt",
    "context",
    "response",
    "rating",
    "candidate_0",
    "candidate_1",
    "choice",
    "id",
    "time",
    "user",
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([rated("p", "a", 1), rated("p", "b", 2), compared("a", "b", 1)]),
    st.dictionaries(st.sampled_from(WORDS), ANYTHING, max_size=4),
)
def test_no_values_in_a_log_give_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any], values: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("values")
    log = folder / "log.jsonl"
    log.write_text(json.dumps(row) + "\n" + json.dumps({**row, **values}) + "\n")
    with contextlib.suppress(TunestackError):
        done = collect([log], folder / "out")
        assert done.ledger.votes_in == done.ledger.votes_used + sum(done.ledger.left_out.values())


# --- the folder ----------------------------------------------------------------------------------------------

HI = [rated("Say hi.", "Hi!", 5), rated("Say hi.", "What?", 1)]


def test_collecting_again_replaces_what_was_collected(tmp_path: Path) -> None:
    collected(tmp_path, HI)
    _, records = collected(tmp_path, [*HI, rated("Say hi.", "Hello.", 3)])
    assert len(records) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "preferences"]


@pytest.mark.parametrize("name", ["dataset.lock.json", "allow.yaml"])
def test_the_lock_and_the_allow_list_stay_when_collecting_again(tmp_path: Path, name: str) -> None:
    output = collected(tmp_path, HI)[0].output
    (output / name).write_text("{}\n")
    collected(tmp_path, [*HI, rated("Say hi.", "Hello.", 3)])
    assert (output / name).read_text() == "{}\n"


def test_a_disk_that_fills_up_leaves_what_was_collected_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = collected(tmp_path, HI)[0].output
    before = tree(output)

    def full(_: DigestedFile) -> CompiledFile:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DigestedFile, "finish", full)
    with pytest.raises(TunestackError, match=r"output-unwritable: .*no space left") as refused:
        collected(tmp_path, [*HI, rated("Say hi.", "Hello.", 3)])
    assert refused.value.exit_status == 2
    assert tree(output) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "preferences"]


def test_a_rename_that_fails_puts_back_what_was_collected_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = collected(tmp_path, HI)[0].output
    before = tree(output)
    rename = Path.rename

    def refused_for_the_new(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused_for_the_new)
    with pytest.raises(TunestackError, match="output-unwritable"):
        collected(tmp_path, [*HI, rated("Say hi.", "Hello.", 3)])
    assert tree(output) == before


@pytest.mark.parametrize("change", ["add", "edit", "unknown", "file"])
def test_a_folder_that_is_not_as_it_was_collected_is_left_alone(tmp_path: Path, change: str) -> None:
    output = tmp_path / "preferences"
    if change in ("add", "edit"):
        collected(tmp_path, HI)
        (output / ("notes.txt" if change == "add" else "dataset.yaml")).write_text("mine\n")
    elif change == "unknown":
        output.mkdir()
        (output / "records.jsonl").write_text("{}\n")
    else:
        output.write_text("mine\n")
    before = tree(output) if output.is_dir() else output.read_bytes()
    with pytest.raises(TunestackError, match="output-not-ours") as refused:
        collected(tmp_path, HI)
    assert refused.value.exit_status == 2
    assert before == (tree(output) if output.is_dir() else output.read_bytes())


def test_a_log_of_which_no_pair_comes_is_refused_with_the_account_of_its_votes(tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match=r"2 records: 2 single-response"):
        collected(tmp_path, [rated("a", "b", 1), rated("c", "d", 2)])
    assert not (tmp_path / "preferences").exists()


def test_provenance_tells_the_logs_the_rules_and_the_ledger(tmp_path: Path) -> None:
    from blake3 import blake3

    done, _ = collected(tmp_path, [*HI, rated("Say bye.", "Bye.", 5)], minimum_margin=0.5)
    provenance = json.loads((done.output / "provenance.json").read_bytes())
    assert provenance["logs"][0]["blake3"] == blake3((tmp_path / "log.jsonl").read_bytes()).hexdigest()
    assert provenance["rules"]["minimum_margin"] == 0.5
    assert provenance["ledger"] == {"votes_in": 3, "votes_used": 2, "left_out": {"single-response": 1}}
    assert read_lines(done.output / "left-out.jsonl") == [
        {"reason": "single-response", "vote": "log.jsonl:3", "log": "log.jsonl", "line": 3}
    ]
    for name, digest in provenance["files"].items():
        assert blake3((done.output / name).read_bytes()).hexdigest() == digest


def test_the_json_report_has_every_vote_that_was_left_out(tmp_path: Path) -> None:
    done, records = collected(tmp_path, [*HI, *(rated(f"Prompt {n}", "b", 1) for n in range(20))])
    report = json_collection(done)
    assert (report["pairs"], sum(report["choices"].values())) == (1, 1)
    assert len(report["left_out"]) == 20
    assert json.loads(json.dumps(report)) == report
    assert len(records) == 1


def test_the_documented_votes_give_the_documented_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = Path(__file__).parents[3] / "docs" / "feedback.md"
    log, output, records = re.findall(r"```\w+\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("votes.jsonl").write_text(log, encoding="utf-8")
    done = collect(["votes.jsonl"], Path("preferences"))
    assert terminal_collection(done) + "\n" == output
    assert Path("preferences/records.jsonl").read_text(encoding="utf-8") == records
