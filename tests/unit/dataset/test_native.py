"""Where `tunestack-native` is installed, a check says exactly what it says without it."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from tunestack.dataset import native
from tunestack.dataset.check import check_files
from tunestack.dataset.report import json_report

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench import dataset_mutations

pytest.importorskip("tunestack_native", reason="tunestack-native is not installed (make native)")


def reports(file: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[str, str]:
    """With the package and without."""
    told = []
    for missing in (False, True):
        with monkeypatch.context() as patch:
            if missing:
                patch.setattr(native, "_module", lambda: None)
            report = check_files([file], processes=1, **options)
            told.append(json.dumps([json_report(report), *map(lengths, report.statistics.values())]))
    return told[0], told[1]


def lengths(statistics: Any) -> Any:
    return {name: sorted(counts.items()) for name, counts in sorted(statistics.lengths.items())}


@pytest.mark.parametrize("block_bytes", [1 << 24, 70_001, 1_009])
@pytest.mark.parametrize(
    "options", [{}, {"quick": True}, {"format": "code"}, {"model": "text-bison@001"}], ids=str
)
def test_broken_lines_among_good_ones_give_the_same_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, options: dict[str, Any]
) -> None:
    choose = random.Random(5)
    rows = [dataset_mutations.supervised(choose) for _ in range(1_500)]
    for number, line in enumerate(dataset_mutations.lines(6, 100)):
        rows[number * 13] = line
    rows[700] = json.dumps({"input_text": "x" * 400_000, "output_text": "y"}).encode()
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(rows) + choose.choice((b"", b"\n")))
    with_native, without = reports(file, monkeypatch, block_bytes=block_bytes, **options)
    assert with_native == without


def test_every_mutated_line_has_the_same_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mutated.jsonl"
    file.write_bytes(b"\n".join(dataset_mutations.lines(random.Random().randrange(1 << 30), 4_000)))
    with_native, without = reports(file, monkeypatch)
    assert with_native == without, f"{file} has the lines"


def test_labels_are_counted_up_to_the_same_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for different in (99, 100, 101):
        file = tmp_path / f"{different}.jsonl"
        rows = [{"input_text": f"q{n}", "output_text": f"label {n % different}"} for n in range(500)]
        file.write_text("\n".join(map(json.dumps, rows)))
        with_native, without = reports(file, monkeypatch, block_bytes=9_000)
        assert with_native == without


def test_texts_of_every_kind_of_space_say_nothing_to_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    characters = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    spaces = [character for character in characters if character.isspace()]
    others = random.Random(1).sample(characters, 2_000)
    rows = [{"input_text": character * 2, "output_text": "a"} for character in [*spaces, *others]]
    file = tmp_path / "spaces.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    with_native, without = reports(file, monkeypatch)
    assert with_native == without
    assert check_files([file]).counts["empty-text"] >= len(spaces)
