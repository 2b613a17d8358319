"""The dataset compiler's parts against what they replace, and how exact they are.

Speeds are ratios of runs that take turns in one process (near duplicates: in two processes that take turns).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.dataset_corpus import corpus, rows  # noqa: E402
from bench.dataset_speed import peers  # noqa: E402
from bench.measured import median  # noqa: E402
from tunestack.dataset.check import check_files  # noqa: E402
from tunestack.dataset.formats.supervised import Line  # noqa: E402
from tunestack.dataset.near_duplicates import near_pairs, shingles, similarity  # noqa: E402
from tunestack.dataset.report import json_report  # noqa: E402
from tunestack.dataset.template import PromptTemplate  # noqa: E402
from tunestack.dataset.tokens import TokenTally, sampled_total  # noqa: E402

SIMPLE = "Classify the text as sarcasm or no_sarcasm.\n\nSubject: {{ subject }}\nText: {{ text }}\nAnswer:"
LOOP = "{% for word in text.split()[:20] %}{{ loop.index }}. {{ word | upper }}\n{% endfor %}About: {{ subject }}"
ROUNDS = 7


def main() -> None:
    parts: dict[str, Callable[[], bool]] = {
        "render": render,
        "compile": compile_,
        "near": near,
        "tokens": tokens,
        "escapes": escapes,
        "planted": planted,
    }
    parser = argparse.ArgumentParser(prog="python -m bench dataset_parts", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(parts)}")
    chosen = parser.parse_args().parts or list(parts)
    missed = [name for name in chosen if not parts[name]()]
    raise SystemExit(f"missed: {', '.join(missed)}" if missed else 0)


def taking_turns(ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each way in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(base: Sequence[float], other: Sequence[float]) -> float:
    """How many times faster the other is: the median of the rounds' ratios."""
    return median([one / two for one, two in zip(base, other, strict=True)])


def render() -> bool:
    """Rows rendered by Jinja2's `Template.render`, by our way through Jinja2, and lowered."""
    values = [{"text": text, "subject": target[:40]} for text, target in rows(10_000)]
    columns = {"text": "string", "subject": "string"}
    print("\n#### Render: 10,000 rows, against `Template.render` of the same sandboxed, strict template\n")
    print("| template | Template.render µs a row | ours µs | × | lowered µs | × |\n|---|---|---|---|---|---|")
    good = True
    for name, source in (("two variables", SIMPLE), ("loop, filter, slice", LOOP)):
        template, lowered = PromptTemplate(source, "x.j2", columns), PromptTemplate(source, "x.j2", columns)
        template.lowered = None
        by_jinja = template._template.render
        ways: dict[str, Callable[[], object]] = {
            "jinja": lambda by_jinja=by_jinja: [by_jinja(row) for row in values],
            "ours": lambda way=template.rendering: [way(row) for row in values],
        }
        if lowered.lowered is not None:
            ways["lowered"] = lambda way=lowered.rendering: [way(row) for row in values]
        outcomes = {way: run() for way, run in ways.items()}
        good &= all(each == outcomes["jinja"] for each in outcomes.values())
        seconds = taking_turns(ways)
        per_row = {way: f"{median(each) * 1e6 / len(values):.2f}" for way, each in seconds.items()}
        times = {way: ratio(seconds["jinja"], each) for way, each in seconds.items()}
        fast = (
            f"{per_row['lowered']} | {times['lowered']:.1f}"
            if "lowered" in times
            else "not text and names | "
        )
        print(
            f"| {name} | {per_row['jinja']} | {per_row['ours']} | {times['ours']:.1f} | {fast} |", flush=True
        )
        if name == "two variables":
            good &= times["ours"] >= 2 and times["lowered"] >= 8
    print("\nGoals with two variables: ≥ 2 × and ≥ 8 ×; all give the same texts.")
    return good


def compile_() -> bool:
    """A folder compiled and locked, with everything that is checked, against a loop that checks nothing."""
    import orjson
    from blake3 import blake3

    from tunestack.dataset import compile_dataset

    count = 60_000
    records = [
        {"id": number, "text": f"{number} {text}", "subject": target[:40]}
        for number, (text, target) in enumerate(rows(count))
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bench"
        folder.mkdir()
        (folder / "records.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in records))
        (folder / "template.j2").write_text(SIMPLE)
        (folder / "dataset.yaml").write_text(
            "name: bench\ndescription: Measured.\nformat: gemini\nrecords: records.jsonl\n"
            "columns: {id: integer, text: string, subject: string}\ntemplate: template.j2\n"
            'output_text: "{{ subject }}"\nsplit: {validation: 200}\n'
            "checks: {personal_data: false, secrets: false}\n"
        )
        by_jinja = PromptTemplate(SIMPLE, "x.j2", {"text": "string", "subject": "string"})._template.render

        def loop() -> None:
            digest = blake3()
            with (folder / "records.jsonl").open("rb") as lines, (Path(name) / "out").open("wb") as out:
                for line in lines:
                    row = orjson.loads(line)
                    turns = [("user", by_jinja(row)), ("model", row["subject"])]
                    contents = [{"role": role, "parts": [{"text": text}]} for role, text in turns]
                    made = orjson.dumps({"contents": contents}) + b"\n"
                    digest.update(made)
                    out.write(made)

        def ours() -> None:
            compile_dataset(folder, Path(name) / "compiled")

        seconds = taking_turns({"loop": loop, "ours": ours}, 3)
    print(f"\n#### Compile: {count:,} records to finished files, whole\n")
    print(f"`Template.render` in a loop that checks nothing: {count / median(seconds['loop']):,.0f} rows/s.")
    print(
        f"`compile_dataset` (columns, format, limits, duplicates, split, digests of everything): "
        f"{count / median(seconds['ours']):,.0f} rows/s, {ratio(seconds['loop'], seconds['ours']):.2f} ×."
    )
    return True


_NEAR = """
import json, sys, time
from pathlib import Path
texts = json.loads(Path(sys.argv[1]).read_text())
"""
_OURS = (
    _NEAR
    + """
sys.path.insert(0, sys.argv[2])
from tunestack.dataset.near_duplicates import near_pairs
import rensa
started = time.perf_counter()
pairs = list(near_pairs(enumerate(texts), 0.8))
print(time.perf_counter() - started, len(pairs))
"""
)
_DATASKETCH = (
    _NEAR
    + """
import re
from datasketch import MinHash, MinHashLSH
started = time.perf_counter()
sets = []
for text in texts:
    words = re.findall(r"\\w+", text.casefold())
    sets.append({" ".join(words[at : at + 5]).encode() for at in range(max(1, len(words) - 4))})
index = MinHashLSH(threshold=0.8, num_perm=128)
pairs = 0
for number, sketch in enumerate(MinHash.bulk(sets, num_perm=128)):
    for other in index.query(sketch):
        one, two = sets[number], sets[other]
        pairs += len(one & two) / len(one | two) >= 0.8
    index.insert(number, sketch)
print(time.perf_counter() - started, pairs)
"""
)


def near() -> bool:
    """Near duplicates against datasketch's fastest way, and against brute force."""
    texts = list(dict.fromkeys(text for text, _ in rows(20_000)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts))
        commands = {
            "datasketch": [str(peers() / "python"), "-c", _DATASKETCH, str(file)],
            "ours": [sys.executable, "-c", _OURS, str(file), str(ROOT)],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        pairs = {}
        for _ in range(3):
            for name, command in commands.items():
                took, found = subprocess.run(
                    command, check=True, capture_output=True, text=True
                ).stdout.split()
                seconds[name].append(float(took))
                pairs[name] = int(found)
    times = ratio(seconds["datasketch"], seconds["ours"])
    sample = edited(1_200)
    sets = [shingles(text) for text in sample]
    truth = {
        (later, earlier)
        for earlier, later in combinations(range(len(sample)), 2)
        if similarity(sets[earlier], sets[later]) >= 0.8
    }
    found_pairs = {(pair.line, pair.earlier_line) for pair in near_pairs(enumerate(sample), 0.8)}
    recall = len(found_pairs & truth) / len(truth)
    print(
        f"\n#### Near duplicates: {len(texts):,} different prompts, word 5-grams, Jaccard ≥ 0.8, verified\n"
    )
    print("| | seconds | rows/s | pairs |\n|---|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {median(each):.2f} | {len(texts) / median(each):,.0f} | {pairs[name]:,} |")
    print(f"\n{times:.1f} × datasketch 2.0.0 (`MinHash.bulk` + `MinHashLSH`, 128 permutations); goal ≥ 4 ×.")
    print(
        f"Against brute force over {len(sample):,} prompts, half of them the other half with 1 to 6 words exchanged: "
        f"{len(truth):,} near pairs, recall {recall:.4f} (goal ≥ 0.99), {len(found_pairs - truth)} that are not near."
    )
    return times >= 4 and recall >= 0.99 and found_pairs <= truth


def edited(count: int) -> list[str]:
    """Prompts and each with some words exchanged, all different."""
    choose, kept = random.Random(4), []
    for text, _ in rows(count):
        words = text.split(" ")
        for _ in range(choose.randint(1, 6)):
            words[choose.randrange(len(words))] = f"word{choose.randrange(1_000)}"
        kept += [text, " ".join(words)]
    return list(dict.fromkeys(kept))


def tokens() -> bool:
    """Token totals from a sample of 1,000 rows against counting all, over many data sets."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    class Counted:
        """A tokenizer that counts each text once, however often it is asked."""

        def __init__(self) -> None:
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            trainer = trainers.BpeTrainer(
                vocab_size=16_000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
            )
            tokenizer.train_from_iterator((text for text, _ in rows(4_000)), trainer)
            self._one = cache(lambda text: len(tokenizer.encode(text).ids))

        def counts(self, texts: Sequence[str]) -> list[int]:
            return list(map(self._one, texts))

    tokenizer: Any = Counted()
    every = list(dict.fromkeys(rows(24_000)))
    exact = {row: sum(tokenizer.counts(row)) for row in every}
    choose, errors, within = random.Random(3), [], 0
    draws = 200
    for _ in range(draws):
        drawn = choose.sample(every, 8_000)
        tally = TokenTally()
        prompts, answers = [row[0] for row in drawn], [row[1] for row in drawn]
        tally.add(prompts, answers, [Line(*row) for row in drawn])
        total, truth = sampled_total(tally, tokenizer), sum(exact[row] for row in drawn)
        assert total.how == "sampled"
        errors.append(abs(total.tokens - truth) / truth)
        within += total.low <= truth <= total.high
    errors.sort()
    p95 = errors[int(0.95 * len(errors))]
    print(f"\n#### Token totals: 1,000 sampled rows against counting all, {draws} data sets of 8,000 rows\n")
    print(
        f"Error at p95 {p95:.2%} (goal ≤ 1 %), at most {errors[-1]:.2%}; the exact total within the 95 % interval in "
        f"{within / draws:.0%}. (A byte-level BPE of 16,000 tokens trained on the corpus.)"
    )
    return p95 <= 0.01


def escapes() -> bool:
    """Duplicates that are written otherwise: other escapes, another order of fields, other spaces."""
    choose, lines, copies = random.Random(8), [], {}
    fresh = list(dict.fromkeys(text for text, _ in rows(30_000)))
    for number, text in enumerate(fresh):
        if number > 10 and choose.random() < 0.1:
            earlier = choose.randrange(number - 1)
            copies[len(lines) + 1] = earlier
            lines.append(
                otherwise(choose, {"input_text": fresh[earlier], "output_text": f"answer {earlier}"})
            )
        lines.append(json.dumps({"input_text": text, "output_text": f"answer {number}"}, ensure_ascii=False))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "copies.jsonl"
        file.write_text("\n".join(lines))
        report = check_files([file])
    shown = {found.line for found in report.findings if found.code == "duplicate-row"}
    right = shown == set(sorted(copies)[: len(shown)]) and len(shown) == min(1_000, len(copies))
    print(f"\n#### Duplicates under other escapes: {len(copies):,} among {len(lines):,} rows\n")
    print(
        f"Found {report.counts['duplicate-row']:,}, all else {report.total - report.counts['duplicate-row']}; "
        f"the first {len(shown):,} at their lines: {'yes' if right else 'NO'}."
    )
    return dict(report.counts) == {"duplicate-row": len(copies)} and right


def otherwise(choose: random.Random, record: dict[str, str]) -> str:
    """The same record, written another way."""

    def text(value: str) -> str:
        return "".join(
            "".join(f"\\u{unit:04x}" for unit in memoryview(character.encode("utf-16-le")).cast("H"))
            if choose.random() < 0.3
            else json.dumps(character, ensure_ascii=choose.random() < 0.5)[1:-1].replace("/", "\\/")
            for character in value
        )

    members = [f'"{text(key)}"{choose.choice((":", " : "))}"{text(value)}"' for key, value in record.items()]
    choose.shuffle(members)
    return "{" + choose.choice((",", " , ")).join(members) + "}"


PLANTED: dict[str, tuple[bytes, int, str]] = {
    "a number for a text": (b'{"input_text": 5, "output_text": "a"}', 16, "wrong-type"),
    "null": (b'{"input_text": "q %d", "output_text": null}', 0, "wrong-type"),
    "a field missing": (b'{"input_text": "q %d"}', 1, "missing-field"),
    "an unknown field": (b'{"note": 1, "input_text": "q %d", "output_text": "a"}', 2, "unknown-field"),
    "a key twice": (b'{"output_text": "b", "output_text": "a", "input_text": "q %d"}', 22, "duplicate-key"),
    "half a surrogate pair": (b'{"input_text": "q \\ud800 %d", "output_text": "a"}', 19, "lone-surrogate"),
    "a trailing comma": (b'{"input_text": "q", "output_text": "a",}', 40, "json-syntax"),
    "NaN": (b'{"output_text": NaN, "input_text": "q %d"}', 17, "json-syntax"),
    "two records": (b'{"input_text": "q", "output_text": "a"} {}', 41, "json-syntax"),
    "a blank line": (b"", 1, "blank-line"),
    "a line cut off": (b'{"input_text": "q", "output_te', 31, "json-syntax"),
    "a byte that is not UTF-8": (b'{"input_text": "q \xff %d", "output_text": "a"}', 19, "encoding"),
    "an empty text": (b'{"input_text": "", "output_text": "a %d"}', 16, "empty-text"),
    "nothing but spaces": (b'{"output_text": "\\u00a0 ", "input_text": "q %d"}', 17, "empty-text"),
}


def planted() -> bool:
    """Twenty defects of each of fourteen kinds in 120,000 rows, at every cut."""
    choose = random.Random(9)
    with corpus(200_000_000).open("rb") as file:
        lines = [file.readline().rstrip(b"\n") for _ in range(120_000)]
    # Planted at random, but not over the first of an equal pair: what the corpus repeats is counted apart.
    places = choose.sample(range(len(lines)), 20 * len(PLANTED))
    expected = set()
    for place, kind in zip(places, [kind for kind in PLANTED for _ in range(20)], strict=True):
        line, column, code = PLANTED[kind]
        lines[place] = line.replace(b"%d", str(place).encode())
        expected.add((place + 1, column or lines[place].index(b"null") + 1, code))
    known = {code for _, _, code in PLANTED.values()}
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "planted.jsonl"
        file.write_bytes(b"\n".join(lines) + b"\n")
        for processes, block_bytes in ((1, 16 << 20), (2, 4_000_037), (2, 1_000_003), (1, 65_537)):
            report = check_files([file], processes=processes, block_bytes=block_bytes)
            reports.append(json.dumps(json_report(report)))
    found = {(each.line, each.column, each.code) for each in report.findings if each.code in known}
    others = set(report.counts) - known - {"duplicate-row", "conflicting-rows", "token-limit"}
    print(f"\n#### Planted: {len(expected)} defects of {len(PLANTED)} kinds in {len(lines):,} rows\n")
    print(
        f"Found at the exact line and column: {len(found & expected)}; missed {len(expected - found)}; "
        f"extra {len(found - expected)}; other kinds: {', '.join(sorted(others)) or 'none'} (the corpus' own "
        f"duplicates apart). Reports over {len(reports)} cuts into blocks and processes: "
        f"{'equal' if len(set(reports)) == 1 else 'DIFFERENT'}."
    )
    return found == expected and not others and len(set(reports)) == 1


if __name__ == "__main__":
    main()
