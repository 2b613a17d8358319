"""Rows to measure the dataset compiler on: prose of many scripts, some 700 bytes a row, always the same.

English sentences come from the standard library's own docstrings, eleven others are in as many languages. Half of the
prompts hold text that is not ASCII, 15 % of the rows are written in escapes, 1 % of the rows repeat an earlier one and
1 % are an earlier one with a word exchanged. Composed at random: good for speed, useless for anything else.
"""

from __future__ import annotations

import ast
import json
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".tunestack" / "bench"
LABELS = ("sarcasm", "no_sarcasm", "unclear")

OTHER_LANGUAGES = (
    "A reunião começou às três horas e ninguém sabia por quê.",
    "Der Zug nach Köln fährt heute über Düsseldorf und hält überall.",
    "L'été dernier, nous avons cueilli des mûres près de la rivière.",
    "昨日の会議は予定より二時間も長くかかりました。",
    "这家餐馆的饺子比我母亲做的还要好吃。",
    "Поезд опоздал на сорок минут, и никто не извинился.",
    "كان الطقس جميلا فخرجنا إلى الحديقة بعد الظهر.",
    "बारिश के बाद आसमान एकदम साफ़ हो गया था।",
    "The launch went fine 🚀, the landing rather less so 😅.",
    "¿Quién dejó la ventana abierta durante la tormenta?",
    "Jag glömde mina nycklar på kontoret igen i går kväll.",
)


def corpus(size: int, shape: str = "supervised") -> Path:
    """Path of a file of about ``size`` bytes, written once; ``shape`` is `supervised`, `ascii` or `gemini`."""
    path = FOLDER / f"{shape}-{size // 1_000_000}mb.jsonl"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        aside, written = path.with_suffix(".aside"), 0
        with aside.open("wb") as file:
            for line in _lines(shape):
                file.write(line)
                written += len(line)
                if written >= size:
                    break
        aside.rename(path)
    return path


def multiplied(path: Path, times: int) -> Path:
    """Path of a file with the rows of this one (of supervised lines) so many times over, the prompts numbered by turn.

    So rows repeat each other within a turn as often as they do there, and never from turn to turn.
    """
    multiple = path.with_name(f"{path.stem}-{times}x.jsonl")
    if not multiple.exists():
        start = b'{"input_text": "'
        aside = multiple.with_suffix(".aside")
        with aside.open("wb") as file:
            for turn in range(times):
                numbered = start + b"%d " % turn
                with path.open("rb") as once:
                    while lines := once.readlines(1 << 24):
                        file.write(b"".join(lines).replace(start, numbered))
        aside.rename(multiple)
    return multiple


def rows(count: int) -> list[tuple[str, str]]:
    """The first ``count`` prompts with their targets."""
    stream = _rows(ascii_only=False)
    return [next(stream) for _ in range(count)]


def _lines(shape: str) -> Iterator[bytes]:
    choose = random.Random(2)
    for prompt, target in _rows(ascii_only=shape == "ascii"):
        record: dict[str, object] = {"input_text": prompt, "output_text": target}
        if shape == "gemini":
            record = {
                "contents": [
                    {"role": "user", "parts": [{"text": prompt}]},
                    {"role": "model", "parts": [{"text": target}]},
                ]
            }
        yield json.dumps(record, ensure_ascii=choose.random() < 0.15).encode() + b"\n"


def _rows(*, ascii_only: bool) -> Iterator[tuple[str, str]]:
    choose, english = random.Random(1), _english()
    earlier: list[tuple[str, str]] = []
    while True:
        kind = choose.random()
        if earlier and kind < 0.01:
            yield choose.choice(earlier)
            continue
        if earlier and kind < 0.02:
            prompt, target = choose.choice(earlier)
            words = prompt.split(" ")
            words[choose.randrange(len(words))] = "otherwise"
            yield " ".join(words), target
            continue
        sentences = choose.choices(english, k=choose.randint(4, 10))
        if not ascii_only and choose.random() < 0.51:
            sentences[choose.randrange(len(sentences))] = choose.choice(OTHER_LANGUAGES)
        row = " ".join(sentences), choose.choice(english)
        if len(earlier) < 5_000:
            earlier.append(row)
        elif kind < 0.05:
            earlier[choose.randrange(5_000)] = row
        yield row


def _english() -> list[str]:
    """Sentences of the standard library's docstrings, in a fixed order."""
    found: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (
                doc := ast.get_docstring(node)
            ):
                for sentence in re.findall(r"[A-Z][^.!?]{40,200}[.!?]", " ".join(doc.split())):
                    if sentence.isascii():
                        found.setdefault(sentence)
    return list(found)
