"""Which rows are too long, what whole files break, and how many tokens a dataset has."""

from __future__ import annotations

import io
import json
import pickle
import random
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tunestack.catalog.limits import LIMITS, Limits
from tunestack.dataset import tokenizer as tokenizer_module
from tunestack.dataset import tokens as tokens_module
from tunestack.dataset.formats import FORMATS
from tunestack.dataset.formats.format import Example, Turn, encode
from tunestack.dataset.limits import file_findings, label_findings, limits_for
from tunestack.dataset.statistics import Statistics
from tunestack.dataset.tokenizer import TokenizerFile, open_tokenizer
from tunestack.dataset.tokens import (
    CONTROL_TOKENS,
    TokenCheck,
    TokenTally,
    counted_total,
    estimated_total,
    row_texts,
    sampled_total,
)
from tunestack.spec.errors import TunestackError

ROOT = Path(__file__).parents[3]
PALM = limits_for("text-bison@001", "supervised")
GEMINI = limits_for("gemini-2.5-flash", "gemini")
SIGNS = st.characters(exclude_categories=("Cs",))


class Line(msgspec.Struct):
    """A supervised line."""

    input_text: str
    output_text: str


def prose() -> list[str]:
    files = sorted((ROOT / "datasets").glob("*/records.jsonl"))
    texts = [json.loads(line)["text"] for file in files for line in file.read_text("utf-8").splitlines()]
    return [*texts, "今日は本当に良い天気ですね。", "Хорошая погода сегодня.", "¡Qué día tan bonito! 🙂"]


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> TokenizerFile:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1_000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(prose(), trainer)
    path = tmp_path_factory.mktemp("hf") / "tokenizer.json"
    tokenizer.save(str(path))
    return open_tokenizer(path)


@pytest.fixture(scope="module")
def sentence_piece(tmp_path_factory: pytest.TempPathFactory) -> TokenizerFile:
    return open_tokenizer(trained(tmp_path_factory.mktemp("sp") / "tokenizer.model", "identity"))


def trained(path: Path, normalization: str) -> Path:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(prose()),
        model_writer=model,
        vocab_size=800,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name=normalization,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="module", params=["hugging_face", "sentence_piece"])
def tokenizer(request: pytest.FixtureRequest) -> TokenizerFile:
    opened: TokenizerFile = request.getfixturevalue(request.param)
    return opened


# The proof


def too_long(limits: Limits, prompt: str, answer: str) -> bool:
    """By the definition: more bytes, with the control tokens, than any limit."""
    before, after = (len(text.encode()) + CONTROL_TOKENS for text in (prompt, answer))
    return (
        before > (limits.tokens_in or sys.maxsize)
        or after > (limits.tokens_out or sys.maxsize)
        or before + after > (limits.tokens_together or sys.maxsize)
    )


@given(
    texts=st.lists(st.tuples(st.text(SIGNS, max_size=30), st.text(SIGNS, max_size=30))),
    tokens_in=st.none() | st.integers(1, 80),
    tokens_out=st.none() | st.integers(1, 80),
    together=st.none() | st.integers(1, 160),
)
def test_exactly_the_rows_whose_bytes_could_be_too_many_are_looked_at(
    texts: list[tuple[str, str]], tokens_in: int | None, tokens_out: int | None, together: int | None
) -> None:
    limits = replace(PALM, tokens_in=tokens_in, tokens_out=tokens_out, tokens_together=together)
    suspects = TokenCheck(limits).suspects([prompt for prompt, _ in texts], [answer for _, answer in texts])
    assert suspects == [number for number, pair in enumerate(texts) if too_long(limits, *pair)]


@given(
    texts=st.lists(st.tuples(st.text(SIGNS, max_size=30), st.text(SIGNS, max_size=30))),
    limits=st.tuples(*[st.none() | st.integers(1, 600)] * 3),
)
def test_a_batch_that_is_proved_as_a_whole_has_no_suspects(
    texts: list[tuple[str, str]], limits: tuple[int | None, int | None, int | None]
) -> None:
    check = TokenCheck(replace(PALM, tokens_in=limits[0], tokens_out=limits[1], tokens_together=limits[2]))
    size = len(msgspec.json.encode([Line(*pair) for pair in texts]))
    if check.proved(size):
        assert check.suspects([prompt for prompt, _ in texts], [answer for _, answer in texts]) == []


TEXTS = st.text(SIGNS, min_size=1, max_size=20)


@given(
    name=st.sampled_from(
        [name for name in FORMATS if name != "evaluation" and not name.startswith("embedding")]
    ),
    texts=st.lists(TEXTS, min_size=1, max_size=5).filter(lambda texts: len(texts) % 2),  # the user's is last
    context=st.none() | TEXTS,
    answers=st.tuples(TEXTS, TEXTS),
    limits=st.tuples(*[st.none() | st.integers(1, 300)] * 3),
)
def test_what_the_facts_of_any_format_prove_holds_for_its_texts(
    name: str,
    texts: list[str],
    context: str | None,
    answers: tuple[str, str],
    limits: tuple[int | None, int | None, int | None],
) -> None:
    turns = tuple(Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts))
    format_ = FORMATS[name]
    line = format_.build(Example(turns, context, (answers[0],), answers, 0))
    facts = format_.facts([line])
    check = TokenCheck(replace(PALM, tokens_in=limits[0], tokens_out=limits[1], tokens_together=limits[2]))
    if check.proved(len(encode(line))):
        assert check.suspects(facts.prompts, facts.answers) == []
    if not check.suspects(facts.prompts, facts.answers):
        assert check.examine(line) == ([], False)
    found = row_texts(line)
    assert len(found.answers) == (0 if name == "rlhf-prompt" else 2 if "preference" in name else 1)
    assert {texts[-1]} < {*found.every, ""}


@given(text=st.text(SIGNS, max_size=60))
def test_no_text_has_more_tokens_than_bytes(tokenizer: TokenizerFile, text: str) -> None:
    assert tokenizer.tokens_per_byte == 1
    assert tokenizer.counts([text])[0] <= len(text.encode()) + CONTROL_TOKENS


def test_a_tokenizer_that_rewrites_texts_proves_less(tmp_path: Path) -> None:
    opened = open_tokenizer(trained(tmp_path / "nfkc.model", "nfkc"))
    grown = "\ufdfa" * 20  # 60 bytes, of which NFKC makes 33 for every 3
    tokens = opened.counts([grown])[0]
    assert tokens > len(grown.encode())
    assert tokens <= len(grown.encode()) * opened.tokens_per_byte + CONTROL_TOKENS
    limits = replace(PALM, tokens_in=tokens - 1)
    assert TokenCheck(limits, opened).suspects([grown], ["yes"]) == [0]
    assert TokenCheck(limits).suspects([grown], ["yes"]) == []


def test_only_normalisations_that_keep_the_length_keep_the_proof(
    tmp_path: Path, hugging_face: TokenizerFile
) -> None:
    from tokenizers import Tokenizer, normalizers

    def growth(*steps: Any) -> int:
        tokenizer = Tokenizer.from_file(hugging_face.path)
        tokenizer.normalizer = normalizers.Sequence(list(steps)) if len(steps) > 1 else steps[0]
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        tokenizer.save(str(path))
        return open_tokenizer(path).tokens_per_byte

    space = normalizers.Replace(" ", "▁")
    assert growth(space) == 1
    assert growth(normalizers.Prepend("▁"), space) == 1
    assert growth(normalizers.Replace(" ", "space")) > 1
    assert growth(space, normalizers.NFC()) > 1


# Rows


def test_an_estimate_over_the_limit_is_a_finding_that_says_so() -> None:
    check = TokenCheck(PALM)
    (found,), not_proved = check.examine(Line("x" * (4 * 8_192 + 1), "short"))
    assert (found.path, found.code, not_proved) == ("$.input_text", "token-limit", False)
    assert found.message == (
        "about 8,193 tokens before the answer; PaLM 2 for Text takes at most 8,192 (an estimate, characters / 4: "
        "a row may be off by 50 %)"
    )
    assert "checks.tokenizer" in found.fix


def test_what_bytes_do_not_prove_and_the_estimate_does_not_refute_is_only_counted() -> None:
    check = TokenCheck(PALM)
    line = Line("x" * 9_000, "short")
    assert check.suspects([line.input_text], [line.output_text]) == [0]
    assert check.examine(line) == ([], True)
    assert check.suspects(["x" * (8_192 - CONTROL_TOKENS)], ["short"]) == []


def test_a_tokenizer_decides_every_row(tokenizer: TokenizerFile) -> None:
    text = " ".join(prose())
    count = tokenizer.counts([text])[0]
    line = Line(text, "short")
    fits, exceeds = (replace(PALM, tokens_in=limit) for limit in (count, count - 1))
    assert TokenCheck(fits, tokenizer).suspects([text], ["short"]) == [0]
    assert TokenCheck(fits, tokenizer).examine(line) == ([], False)
    (found,), _ = TokenCheck(exceeds, tokenizer).examine(line)
    assert found.message == f"{count:,} tokens before the answer; PaLM 2 for Text takes at most {count - 1:,}"


def test_each_answer_and_the_whole_row_have_their_limits() -> None:
    line = {"input_text": "which", "candidate_0": "x" * 80, "candidate_1": "y" * 40, "choice": 0}
    limits = replace(PALM, tokens_out=15, tokens_together=30)
    found = TokenCheck(limits).examine(line).violations
    assert [(each.path, each.message.split(" (")[0]) for each in found] == [
        ("$.candidate_0", "about 20 tokens in the answer; PaLM 2 for Text takes at most 15"),
        ("$", "about 32 tokens in the row; PaLM 2 for Text takes at most 30"),
    ]


TURNS = [("user", "one"), ("model", "two"), ("user", "three"), ("model", "four")]
SHAPES: list[tuple[dict[str, Any], list[str], str, list[tuple[str, str]]]] = [
    ({"input_text": "one", "output_text": "two"}, ["one"], "$.input_text", [("$.output_text", "two")]),
    (
        {
            "context": "zero",
            "messages": [
                {"author": role.replace("model", "assistant"), "content": text} for role, text in TURNS
            ],
        },
        ["zero", "one", "two", "three"],
        "$.messages",
        [("$.messages[3]", "four")],
    ),
    ({"messages": [{"author": "user", "content": "one"}]}, ["one"], "$.messages", []),
    (
        {
            "systemInstruction": {"parts": [{"text": "zero"}]},
            "contents": [{"role": role, "parts": [{"text": text}]} for role, text in TURNS],
        },
        ["zero", "one", "two", "three"],
        "$.contents",
        [("$.contents[3]", "four")],
    ),
    (
        {
            "system_instruction": {"parts": [{"text": "zero"}]},
            "contents": [{"role": "user", "parts": [{"text": "one"}]}],
            "completions": [
                {"score": score, "completion": {"role": "model", "parts": [{"text": text}]}}
                for score, text in ((1.0, "good"), (0.0, "bad"))
            ],
        },
        ["zero", "one"],
        "$.contents",
        [("$.completions[0]", "good"), ("$.completions[1]", "bad")],
    ),
    ({"_id": "d1", "title": "one", "text": "two"}, ["one", "two"], "$.text", []),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_texts_of_every_format_are_found(
    shape: tuple[dict[str, Any], list[str], str, list[tuple[str, str]]],
) -> None:
    assert row_texts(shape[0]) == shape[1:]


# Totals


@pytest.fixture(scope="module")
def corpus() -> list[Line]:
    """8,000 rows of very different lengths and scripts, one in ten repeated."""
    chance = random.Random(0)
    texts = prose()
    made = []
    for _ in range(7_200):
        words = [chance.choice(texts) for _ in range(chance.choice((1, 1, 2, 8)))]
        made.append(Line(" ".join(words) + str(chance.random()), chance.choice(texts)))
    made += chance.choices(made, k=800)
    chance.shuffle(made)
    return made


def tally_of(lines: list[Line], batch: int = 128) -> TokenTally:
    tally = TokenTally()
    for start in range(0, len(lines), batch):
        part = lines[start : start + batch]
        tally.add([line.input_text for line in part], [line.output_text for line in part], part)
    return tally


def test_a_thousand_rows_tell_the_tokens_of_all_within_one_percent(
    corpus: list[Line], tokenizer: TokenizerFile
) -> None:
    total = sampled_total(tally_of(corpus), tokenizer)
    counted = TokenTally()
    counted.count(tokenizer, corpus)
    exact = counted_total(counted)
    assert abs(total.tokens - exact.tokens) <= 0.01 * exact.tokens
    assert total.low <= exact.tokens <= total.high
    assert total.high - total.low <= 0.02 * exact.tokens
    assert total.how == "sampled"
    assert total.sampled_rows >= tokens_module.SAMPLE


def test_the_interval_covers_nineteen_of_twenty_samples(
    corpus: list[Line], hugging_face: TokenizerFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = corpus[:3_000]
    monkeypatch.setattr(tokens_module, "SAMPLE", 150)
    exact = sum(hugging_face.counts([text for line in lines for text in row_texts(line).every]))
    covered = 0
    for seed in range(40):
        monkeypatch.setattr(tokens_module, "_KEY_SEED", seed)
        total = sampled_total(tally_of(lines), hugging_face)
        covered += total.low <= exact <= total.high
    assert covered >= 35  # 38 expected; these seeds never change


def test_a_sample_of_everything_is_a_count(corpus: list[Line], tokenizer: TokenizerFile) -> None:
    lines = [*corpus[:500], *corpus[:100]]
    total = sampled_total(tally_of(lines), tokenizer)
    exact = sum(tokenizer.counts([text for line in lines for text in row_texts(line).every]))
    assert (total.tokens, total.low, total.high, total.how) == (exact, exact, exact, "counted")
    assert sampled_total(TokenTally(), tokenizer).tokens == 0


@given(
    rows=st.lists(st.tuples(st.text(SIGNS, max_size=3), st.text(SIGNS, max_size=2)), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_any_cut_into_blocks_gives_the_same_tally(
    rows: list[tuple[str, str]], cuts: list[int], order: random.Random
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "SAMPLE", 5)
        lines = [Line(prompt, answer) for prompt, answer in rows]
        whole = tally_of(lines)
        assert len(whole.sample) == min(5, len(set(rows)))
        assert all(
            kept.rows == Counter(rows)[kept.line.input_text, kept.line.output_text]
            for kept in whole.sample.values()
        )
        edges = [0, *sorted(cut for cut in cuts if cut <= len(lines)), len(lines)]
        blocks = [tally_of(lines[start:end], 3) for start, end in pairwise(edges)]
        order.shuffle(blocks)
        merged = TokenTally()
        for block in blocks:
            merged.merge(pickle.loads(pickle.dumps(block)))  # noqa: S301
        assert merged == whole


def test_without_a_tokenizer_the_total_is_an_estimate_with_a_hard_bound() -> None:
    statistics = Statistics(
        rows=2, bytes=500, lengths={"prompt": Counter({10: 1, 91: 1}), "answer": Counter({0: 2})}
    )
    total = estimated_total(statistics)
    assert (total.tokens, total.low, total.high, total.how) == (26, 0, 500, "estimated")
    assert "estimate" in str(total)
    assert "no more than 500" in str(total)


# Tokenizer files


def test_processes_count_alike(tokenizer: TokenizerFile) -> None:
    sent = pickle.dumps(TokenCheck(PALM, tokenizer))
    tokenizer_module._loaded.cache_clear()
    received = pickle.loads(sent)  # noqa: S301
    assert received.tokenizer == tokenizer
    assert received.tokenizer.counts(["what a day", ""]) == tokenizer.counts(["what a day", ""])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"", "tokenizer.json is no tokenizer"),
        ("tokenizer.json", b"{}", "tokenizer.json is no tokenizer"),
        ("tokenizer.model", b"", "tokenizer.model is no tokenizer"),
        ("tokenizer.model", b"garbage", "tokenizer.model is no tokenizer"),
        ("tokenizer.txt", b"", "ends neither in .json nor in .model"),
        ("missing.json", None, "cannot be read: no such file"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TunestackError, match=message) as refused:
        open_tokenizer(path, "dataset.yaml:9:14")
    assert refused.value.problems[0].where == "dataset.yaml:9:14"


@pytest.mark.parametrize(
    ("name", "package"), [("tokenizer.json", "tokenizers"), ("tokenizer.model", "sentencepiece")]
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    (tmp_path / name).write_bytes(b"{}")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TunestackError, match=r"pip install 'tunestack\[tokens\]'"):
        open_tokenizer(tmp_path / name)


def test_nothing_heavy_is_imported_for_the_proof() -> None:
    import subprocess

    script = (
        "import sys, tunestack.dataset.tokens, tunestack.dataset.limits; "
        "print([m for m in ('tokenizers', 'sentencepiece', 'blake3', 'fractions') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Models and whole files


def test_a_model_that_is_not_known_is_told_with_the_nearest() -> None:
    with pytest.raises(TunestackError) as refused:
        limits_for("text-bison@01", "supervised", "dataset.yaml:3:10")
    (problem,) = refused.value.problems
    assert (problem.code, problem.where, problem.fix) == (
        "model",
        "dataset.yaml:3:10",
        "write `text-bison@001`",
    )


def test_a_model_of_another_format_is_told_with_its_formats() -> None:
    with pytest.raises(TunestackError, match=r"gemini-2\.5-pro is not tuned on `supervised`"):
        limits_for("gemini-2.5-pro", "supervised")
    with pytest.raises(TunestackError, match="write `gemini`"):
        limits_for(None, "gemni")


@pytest.mark.parametrize(
    ("limits", "part", "numbers", "found"),
    [
        (PALM, "train", {"rows": 10_000, "size": 10**12}, []),
        (PALM, "train", {"rows": 10_001, "size": 1}, ["too-many-rows"]),
        (PALM, "validation", {"rows": 10_001, "size": 1, "trained": 1}, []),
        (GEMINI, "train", {"rows": 10_000_001, "size": 10**9 + 1}, ["too-many-rows", "file-too-large"]),
        (GEMINI, "train", {"rows": 1, "size": 10**9}, []),
        (GEMINI, "validation", {"rows": 1_000, "size": 1, "trained": 10}, []),
        (GEMINI, "validation", {"rows": 1_001, "size": 1, "trained": 3_336}, ["too-many-rows"]),
        (GEMINI, "validation", {"rows": 5_001, "size": 1, "trained": 10**6}, ["too-many-rows"]),
        (GEMINI, "validation", {"rows": 5_001, "size": 1}, ["too-many-rows"]),
        (GEMINI, "held-out-plain", {"rows": 10**9, "size": 10**10}, []),
        (limits_for(None, "embedding"), "queries", {"rows": 8, "size": 1}, ["too-few-rows"]),
        (limits_for(None, "embedding"), "corpus", {"rows": 500_001, "size": 1}, ["too-many-rows"]),
        (limits_for(None, "embedding"), "labels", {"rows": 500_000, "size": 1}, ["too-many-rows"]),
    ],
)
def test_whole_files_are_held_against_the_limits(
    limits: Limits, part: str, numbers: dict[str, int], found: list[str]
) -> None:
    findings = list(file_findings(limits, "train.jsonl", part, **numbers))
    assert [each.code for each in findings] == found
    assert all(each.fix and limits.family in each.message for each in findings)


def test_a_finding_by_a_secondary_source_says_so() -> None:
    (found,) = file_findings(PALM, "train.jsonl", "train", rows=10_002, size=1)
    assert found.message == (
        "10,002 rows; PaLM 2 for Text takes at most 10,000 (checked 2026-11-22, secondary source)"
    )
    assert found.fix == "leave out 2 or more"


def test_labels_name_enough_queries() -> None:
    limits = limits_for(None, "embedding")
    assert list(label_findings(limits, {"train.tsv": 6, "test.tsv": 3})) == []
    assert [found.file for found in label_findings(limits, {"train.tsv": 8, "test.tsv": 2})] == ["test.tsv"]
    (found,) = label_findings(limits, {"train.tsv": 5, "test.tsv": 3})
    assert "labels for 8 queries in all" in found.message
    assert list(label_findings(GEMINI, {"train.tsv": 1})) == []


def every_limit() -> Iterator[int]:
    for row in LIMITS:
        yield from (limit for limit in (row.tokens_in, row.tokens_out, row.tokens_together) if limit)


def test_the_control_tokens_are_small_beside_every_limit() -> None:
    assert min(every_limit()) > 100 * CONTROL_TOKENS
