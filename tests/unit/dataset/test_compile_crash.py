"""A compilation that is killed at any moment leaves the old result whole, and the next one clears up after it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tunestack.dataset import compile_dataset
from tunestack.dataset.aside import folder_aside, write_aside
from tunestack.dataset.lock import LOCK_FILE, lock_of, write_lock
from tunestack.spec.errors import TunestackError

# Compiles and locks a folder, and is killed as by `kill -9` at the given call of a function.
_PROGRAM = """
import importlib, os, signal, sys
from pathlib import Path

folder, output, function, calls, when = sys.argv[1:]
holder, name = function.rsplit(".", 1)
try:
    owner = importlib.import_module(holder)
except ModuleNotFoundError:
    module, cls = holder.rsplit(".", 1)
    owner = getattr(importlib.import_module(module), cls)
original, left = getattr(owner, name), int(calls)

def killed(*arguments, **named):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*arguments, **named)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

from tunestack.dataset import compile_dataset
from tunestack.dataset.lock import lock_of, write_lock
setattr(owner, name, killed)
write_lock(Path(folder), lock_of(Path(folder), compile_dataset(Path(folder), Path(output))))
"""


def write_rows(folder: Path, word: str) -> None:
    (folder / "records.jsonl").write_text(
        "".join(f'{{"text": "{word} {number} about the rain.", "label": "wet"}}\n' for number in range(40))
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".aside-" not in str(path)
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    write_rows(folder, "Remark")
    (folder / "template.j2").write_text("Classify: {{ text }}")
    (folder / "dataset.yaml").write_text(
        """\
name: weather
description: Remarks on the weather.
format: supervised
records: records.jsonl
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
split: {validation: 4}
"""
    )
    return folder


@pytest.mark.parametrize(
    ("function", "calls", "when"),
    [
        ("tunestack.dataset.digest.DigestedFile.write", 20, "before"),
        ("tunestack.dataset.digest.DigestedFile.finish", 1, "before"),
        ("tunestack.dataset.digest.DigestedFile.finish", 1, "after"),
        ("tunestack.dataset.compile._put", 1, "before"),
        ("pathlib.Path.rename", 1, "before"),
        ("pathlib.Path.rename", 1, "after"),
        ("tunestack.dataset.compile.sync_folder", 1, "before"),
        ("tunestack.dataset.compile.sync_folder", 2, "before"),
        ("pathlib.Path.replace", 1, "before"),
    ],
)
def test_a_killed_compilation_leaves_the_old_result_and_lock_whole(
    folder: Path, tmp_path: Path, function: str, calls: int, when: str
) -> None:
    output = tmp_path / "out"
    first = compile_dataset(folder, output)
    write_lock(folder, lock_of(folder, first))
    good, lock = tree(output), (folder / LOCK_FILE).read_bytes()
    write_rows(folder, "Note")
    killed = subprocess.run(
        [sys.executable, "-c", _PROGRAM, folder, output, function, str(calls), when],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert good.items() <= tree(output).items()
    assert (folder / LOCK_FILE).read_bytes() == lock
    for name in {Path(name).parts[1] for name in tree(output)} - {first.digest}:
        # It was killed after the new one was whole: then it is what a compilation gives.
        assert compile_dataset(folder, tmp_path / "other").digest == name
        assert tree(tmp_path / "other" / "weather" / name) == tree(output / "weather" / name)
    again = compile_dataset(folder, output)
    assert sorted(each.name for each in output.iterdir()) == ["weather"], "nothing is left lying about"
    assert sorted(each.name for each in (output / "weather").iterdir()) == sorted(
        [first.digest, again.digest]
    )


def test_compilations_at_the_same_time_end_with_one_whole_result(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(lambda _: compile_dataset(folder, output), range(12)))
    assert len({each.digest for each in done}) == 1
    assert [each.name for each in output.iterdir()] == ["weather"]
    assert [each.name for each in (output / "weather").iterdir()] == [done[0].digest]
    assert tree(output) == tree(compile_dataset(folder, tmp_path / "other") and tmp_path / "other")


def test_a_file_that_goes_in_the_middle_of_it_is_told_as_what_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(folder / "records.jsonl"))

    monkeypatch.setattr("tunestack.dataset.examine.examine_dataset", gone)
    with pytest.raises(TunestackError, match="file-unreadable: cannot read the dataset: no such file"):
        compile_dataset(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_folder_of_a_living_compilation_is_not_a_leftover(tmp_path: Path) -> None:
    dead = tmp_path / ".aside-dead"
    dead.mkdir()
    with folder_aside(tmp_path) as mine:
        assert not dead.exists()
        with folder_aside(tmp_path) as other:
            assert mine.exists()
            assert other != mine
        assert (mine.exists(), other.exists()) == (True, False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_cleared_away_before_it_was_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, taken = fcntl.flock, []

    def too_late(descriptor: int, operation: int) -> None:
        hold(descriptor, operation)
        if not taken:  # another compilation was between mkdtemp and flock
            (first,) = tmp_path.iterdir()
            first.rmdir()
            taken.append(first)

    monkeypatch.setattr(fcntl, "flock", too_late)
    with folder_aside(tmp_path) as mine:
        assert taken
        assert mine.exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_aside(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_aside(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])
