"""Which rows are longer than the model takes, and how many tokens a dataset has.

Exact counting takes some fifty times as long as reading, so it is done where it decides something. A tokenizer with
byte fallback, as PaLM's and Gemini's are (arXiv:2204.02311 §2: what is not in the vocabulary is split into its
UTF-8 bytes), makes at most one token of a byte: a row with fewer bytes than its limit needs no counting. Totals come
from a sample that is the same for any order of the rows and any cut into blocks.
"""

from __future__ import annotations

import math
import sys
from bisect import insort
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from xxhash import xxh3_128_intdigest

from tunestack.dataset.findings import counted
from tunestack.dataset.formats.format import Violation

if TYPE_CHECKING:
    from tunestack.catalog.limits import Limits
    from tunestack.dataset.statistics import Statistics
    from tunestack.dataset.tokenizer import TokenizerFile

# Tokens that a service puts around a text. Gemma: <start_of_turn>, role, line feed, <end_of_turn>, line feed, and
# <bos> before all. In the canonical form of a conversation the JSON around each turn is longer than that.
CONTROL_TOKENS = 6
# Where no tokenizer is given. Measured against o200k: +14 % over a corpus, single rows off by up to 57 %.
CHARACTERS_PER_TOKEN = 4
# Distinct rows whose tokens are counted for a total. Measured with SmolLM2's tokenizer on prose in seven scripts, rows
# of 60 to 2,500 characters: within 0.9 % of the exact total in 95 of 100 draws.
SAMPLE = 1_000
_KEY_SEED = 0x746F6B656E73
_EVERY_KEY = 1 << 128
_95_PERCENT = 1.96  # of the normal distribution, both sides


class RowTexts(NamedTuple):
    """The texts of one line that become tokens: what comes before the answer, and each answer with its JSON path."""

    before: list[str]
    before_path: str
    answers: list[tuple[str, str]]

    @property
    def every(self) -> tuple[str, ...]:
        """All texts of the line."""
        return (*self.before, *(text for _, text in self.answers))


class Examined(NamedTuple):
    """What is known of the length of one row. ``not_proved``: its bytes do not rule out that it is too long."""

    violations: list[Violation]
    not_proved: bool


class TokenCheck:
    """Holds rows against the limits of a model; picklable. Without ``tokenizer`` rows are proved or estimated."""

    def __init__(self, limits: Limits, tokenizer: TokenizerFile | None = None) -> None:
        self.limits, self.tokenizer = limits, tokenizer
        self._prompt = self._most_bytes(limits.tokens_in, CONTROL_TOKENS)
        self._answer = self._most_bytes(limits.tokens_out, CONTROL_TOKENS)
        self._row = self._most_bytes(limits.tokens_together, 2 * CONTROL_TOKENS)
        self._batch = min(self._prompt, self._answer, self._row - CONTROL_TOKENS)

    def _most_bytes(self, limit: int | None, control: int) -> int:
        """The bytes that cannot be more tokens than the limit."""
        growth = 1 if self.tokenizer is None else self.tokenizer.tokens_per_byte
        return sys.maxsize if limit is None else (limit - control) // growth

    @property
    def proved_bytes(self) -> tuple[int, int, int]:
        """Prompts, answers and rows of at most so many bytes are none of the `suspects`."""
        return self._prompt, self._answer, self._row

    def proved(self, size: int) -> bool:
        """Whether compiled lines of ``size`` bytes together cannot hold one that is too long."""
        return size <= self._batch

    def suspects(self, prompts: Sequence[str], answers: Sequence[str]) -> list[int]:
        """Which lines of a batch could be too long, in order; cheap where few are near.

        ``prompts`` and ``answers`` are the batch's facts (see formats.format), which hold at least the texts.
        """
        # A character has at most 4 bytes: texts of fewer than a quarter of the bytes are not even looked at.
        prompt, answer, row = self._prompt // 4, self._answer // 4, self._row // 4
        longest_prompt, longest_answer = max(map(len, prompts), default=0), max(map(len, answers), default=0)
        found: set[int] = set()
        if longest_prompt > prompt:
            found.update(_longer(prompts, self._prompt))
        if longest_answer > answer:
            found.update(_longer(answers, self._answer))
        if longest_prompt + longest_answer > row:
            found.update(
                number
                for number, (before, after) in enumerate(zip(prompts, answers, strict=True))
                if len(before) + len(after) > row and utf8_length(before) + utf8_length(after) > self._row
            )
        return sorted(found)

    def examine(self, line: Any) -> Examined:
        """Count or estimate one line, one of the `suspects` (a struct of its format)."""
        texts, limits = row_texts(line), self.limits
        before = self._tokens(texts.before)
        each = [self._tokens([text]) for _, text in texts.answers]
        total = before + sum(each)
        violations = []
        if limits.tokens_in is not None and before > limits.tokens_in:
            where = "before the answer" if texts.answers else "in the prompt"
            violations.append(self._violation(texts.before_path, where, before, limits.tokens_in))
        for (path, _), tokens in zip(texts.answers, each, strict=True):
            if limits.tokens_out is not None and tokens > limits.tokens_out:
                violations.append(self._violation(path, "in the answer", tokens, limits.tokens_out))
        if limits.tokens_together is not None and total > limits.tokens_together:
            violations.append(self._violation("$", "in the row", total, limits.tokens_together))
        if violations or self.tokenizer is not None:
            return Examined(violations, False)
        prompt = sum(utf8_length(text) + CONTROL_TOKENS for text in texts.before)
        sizes = [utf8_length(text) + CONTROL_TOKENS for _, text in texts.answers]
        possible = (
            (limits.tokens_in is not None and prompt > limits.tokens_in)
            or (limits.tokens_out is not None and max(sizes, default=0) > limits.tokens_out)
            or (limits.tokens_together is not None and prompt + sum(sizes) > limits.tokens_together)
        )
        return Examined([], possible)

    def _tokens(self, texts: Sequence[str]) -> int:
        if self.tokenizer is not None:
            return sum(self.tokenizer.counts(texts))
        return -(-sum(map(len, texts)) // CHARACTERS_PER_TOKEN)

    def _violation(self, path: str, where: str, tokens: int, limit: int) -> Violation:
        taken = f"{self.limits.family} takes at most {limit:,}"
        if self.tokenizer is not None:
            return Violation(
                path, "token-limit", f"{counted(tokens, 'token')} {where}; {taken}", "shorten the text"
            )
        message = (
            f"about {counted(tokens, 'token')} {where}; {taken} (an estimate, characters / {CHARACTERS_PER_TOKEN}: "
            "a row may be off by 50 %)"
        )
        fix = "shorten the text, or name a tokenizer (`checks.tokenizer`) to count exactly"
        return Violation(path, "token-limit", message, fix)


def _longer(texts: Sequence[str], most: int) -> list[int]:
    """Which texts have more than so many bytes."""
    quarter = most // 4
    return [
        number
        for number, text in enumerate(texts)
        if len(text) > quarter and (len(text) > most or (not text.isascii() and utf8_length(text) > most))
    ]


def row_texts(line: Any) -> RowTexts:
    """The texts of a line of any format (a struct or its plain dict), by the shapes of docs/contracts.md §2."""
    fields: dict[str, Any] = msgspec.to_builtins(line)
    before, path, answers = [], "$", []
    for name in ("systemInstruction", "system_instruction"):
        if name in fields:
            before.append(_said(fields[name]))
    for name in ("context", "title", "text", "input_text"):
        if name in fields:
            before.append(fields[name])
            path = f"$.{name}"
    for name, author, model in (("messages", "author", "assistant"), ("contents", "role", "model")):
        turns = fields.get(name, [])
        path = f"$.{name}" if turns else path
        for number, turn in enumerate(turns):
            said = turn["content"] if name == "messages" else _said(turn)
            if number == len(turns) - 1 and turn[author] == model:
                answers.append((f"$.{name}[{number}]", said))
            else:
                before.append(said)
    for name in ("output_text", "candidate_0", "candidate_1"):
        if name in fields:
            answers.append((f"$.{name}", fields[name]))
    for number, completion in enumerate(fields.get("completions", [])):
        answers.append((f"$.completions[{number}]", _said(completion["completion"])))
    return RowTexts(before, path, answers)


def _said(content: dict[str, Any]) -> str:
    """The text of one of Gemini's contents."""
    return "".join(part["text"] for part in content["parts"])


def utf8_length(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class Sampled(NamedTuple):
    """A row of the sample: how many rows say the same, the characters and bytes of one, its line."""

    rows: int
    characters: int
    bytes: int
    line: Any


class TokenTally(msgspec.Struct):
    """What token totals are made of; merging is associative and commutative, and any cut into blocks gives the same.

    ``characters``, ``bytes``: of the prompts and answers of all rows, as the facts have them. ``exact``: tokens,
    where all rows are counted. ``sample``: the SAMPLE distinct rows with the smallest keyed hashes, by hash. Their
    tokens are counted at the end, so that only SAMPLE rows ever are.
    """

    rows: int = 0
    characters: int = 0
    bytes: int = 0
    exact: int = 0
    not_proved: int = 0
    sample: dict[int, Sampled] = msgspec.field(default_factory=dict)
    _keys: list[int] = msgspec.field(default_factory=list)  # those of the sample, sorted

    def add(self, prompts: Sequence[str], answers: Sequence[str], lines: Sequence[Any]) -> None:
        """Add a batch: its facts, and the lines that they are of."""
        bar = self._bar
        for prompt, answer, line in zip(prompts, answers, lines, strict=True):
            content = f"{prompt}\0{answer}".encode("utf-8", "surrogatepass")
            self.bytes += len(content) - 1
            key = xxh3_128_intdigest(content, _KEY_SEED)
            if key <= bar:
                self._take(key, Sampled(1, len(prompt) + len(answer), len(content) - 1, line))
                bar = self._bar
        self.rows += len(prompts)
        self.characters += sum(map(len, prompts)) + sum(map(len, answers))

    def count(self, tokenizer: TokenizerFile, lines: Iterable[Any]) -> None:
        """Count every token of these lines (`--exact-tokens`)."""
        self.exact += sum(tokenizer.counts([text for line in lines for text in row_texts(line).every]))

    def merge(self, other: TokenTally) -> None:
        """Add another block's tally to this one."""
        self.rows += other.rows
        self.characters += other.characters
        self.bytes += other.bytes
        self.exact += other.exact
        self.not_proved += other.not_proved
        for key, sampled in other.sample.items():
            if key <= self._bar:
                self._take(key, sampled)

    @property
    def _bar(self) -> int:
        """The hash that none in the sample exceeds once it is full.

        It only ever falls: no row that is in the sample in the end was ever passed over, so its count is whole.
        """
        return self._keys[-1] if len(self._keys) == SAMPLE else _EVERY_KEY

    def _take(self, key: int, sampled: Sampled) -> None:
        if (known := self.sample.get(key)) is not None:
            self.sample[key] = known._replace(rows=known.rows + sampled.rows)
            return
        self.sample[key] = sampled
        insort(self._keys, key)
        if len(self._keys) > SAMPLE:
            del self.sample[self._keys.pop()]


class TokenTotal(msgspec.Struct, frozen=True):
    """Tokens of a dataset, once through.

    ``low`` and ``high``: the 95 % interval of a sample (normal approximation), or for an estimate nothing and the
    bytes, which no tokenizer exceeds.
    """

    tokens: int
    low: int
    high: int
    how: Literal["counted", "sampled", "estimated"]
    sampled_rows: int = 0

    def __str__(self) -> str:
        if self.how == "counted":
            return f"{counted(self.tokens, 'token')}, counted"
        if self.how == "sampled":
            return f"{self.tokens:,} tokens, from {self.sampled_rows:,} rows; 95 %: {self.low:,} to {self.high:,}"
        return (
            f"about {counted(self.tokens, 'token')} (an estimate, characters / {CHARACTERS_PER_TOKEN}: no tokenizer "
            f"is given; no more than {self.high:,})"
        )


def counted_total(tally: TokenTally) -> TokenTotal:
    """The total of a tally that counted all of its rows."""
    return TokenTotal(tally.exact, tally.exact, tally.exact, "counted")


def sampled_total(tally: TokenTally, tokenizer: TokenizerFile) -> TokenTotal:
    """The total by the sample; counted where every row is in the sample.

    A generalised regression estimate (Särndal, Swensson and Wretman, Model Assisted Survey Sampling, chapter 6):
    tokens a character and tokens a further byte of it, fitted to the sample, times the characters and further bytes
    of all rows. Two figures and not one, tokens / bytes, because scripts differ in both. Sums are `math.fsum`'s,
    which no order changes.
    """
    entries = [tally.sample[key] for key in sorted(tally.sample)]
    texts = [row_texts(entry.line).every for entry in entries]
    counts = iter(tokenizer.counts([text for each in texts for text in each]))
    tokens = [entry.rows * sum(islice(counts, len(each))) for entry, each in zip(entries, texts, strict=True)]
    sizes = [entry.rows * entry.bytes for entry in entries]
    counted, size = sum(tokens), sum(sizes)
    if size == tally.bytes:
        return TokenTotal(counted, counted, counted, "counted")
    characters = [entry.rows * entry.characters for entry in entries]
    further = [all_bytes - one_each for all_bytes, one_each in zip(sizes, characters, strict=True)]
    by_character, by_further = _fitted(characters, further, tokens)
    total = by_character * tally.characters + by_further * (tally.bytes - tally.characters)
    squares = math.fsum(
        (y - by_character * x - by_further * z) ** 2
        for x, z, y in zip(characters, further, tokens, strict=True)
    )
    count = len(entries)
    unsampled = 1 - size / tally.bytes
    half = _95_PERCENT * tally.bytes / size * math.sqrt(squares * count / (count - 1) * unsampled)
    low, high = math.floor(total - half), math.ceil(total + half)
    return TokenTotal(round(total), low, high, "sampled", sum(entry.rows for entry in entries))


def _fitted(first: Sequence[int], second: Sequence[int], values: Sequence[int]) -> tuple[float, float]:
    """Weighted least squares of values ≈ a · first + b · second, the variance growing with first + second."""
    rows = [row for row in zip(first, second, values, strict=True) if row[0] + row[1]]
    xx = math.fsum(x * x / (x + z) for x, z, _ in rows)
    xz = math.fsum(x * z / (x + z) for x, z, _ in rows)
    zz = math.fsum(z * z / (x + z) for x, z, _ in rows)
    xy = math.fsum(x * y / (x + z) for x, z, y in rows)
    zy = math.fsum(z * y / (x + z) for x, z, y in rows)
    determinant = xx * zz - xz * xz
    if determinant <= 1e-9 * xx * zz:  # all of one script, as far as this can tell: tokens / bytes
        ratio = sum(values) / (sum(first) + sum(second))
        return ratio, ratio
    return (xy * zz - zy * xz) / determinant, (zy * xx - xy * xz) / determinant


def estimated_total(statistics: Statistics) -> TokenTotal:
    """The total where no tokenizer is given, by the characters of all texts."""
    characters = sum(
        length * rows for histogram in statistics.lengths.values() for length, rows in histogram.items()
    )
    return TokenTotal(-(-characters // CHARACTERS_PER_TOKEN), 0, statistics.bytes, "estimated")
