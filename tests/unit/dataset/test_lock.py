"""A lock says what a dataset was made of, and a stale one says what moved."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset import compile_dataset
from tunestack.dataset.lock import (
    LOCK_FILE,
    Difference,
    differences,
    encoded,
    lock_of,
    read_lock,
    stale,
    write_lock,
)
from tunestack.spec.errors import TunestackError

digests = st.text("0123456789abcdef", min_size=8, max_size=8)
numbers = st.integers(0, 99)
files = st.fixed_dictionaries({"rows": numbers, "bytes": numbers, "blake3": digests, "crc32c": digests})
locks = st.fixed_dictionaries(
    {
        "lock": st.just(1),
        "name": st.just("weather"),
        "format": st.sampled_from(["supervised", "gemini"]),
        "digest": digests,
        "sources": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["records.jsonl", "more.jsonl"]),
                    "bytes": numbers,
                    "blake3": digests,
                },
                optional={"generation": numbers},
            ),
            unique_by=lambda source: source["name"],
        ).map(lambda sources: sorted(sources, key=lambda source: source["name"])),
        "templates": st.dictionaries(st.sampled_from(["template.j2", "allow.yaml"]), digests),
        "spec": digests,
        "files": st.dictionaries(st.sampled_from(["train", "validation", "held-out-plain"]), files),
        "ledger": st.none() | st.fixed_dictionaries({"rows_in": numbers, "dropped": st.just({})}),
        "statistics": st.dictionaries(st.sampled_from(["train"]), st.fixed_dictionaries({"rows": numbers})),
    }
)


@given(locks)
def test_a_lock_does_not_differ_from_itself(lock: dict[str, Any]) -> None:
    assert differences(lock, copy.deepcopy(lock)) == []
    assert differences(lock, json.loads(encoded(lock))) == []
    assert stale(Path("weather"), lock, lock) == []


@given(locks, locks)
def test_every_difference_names_both_values_and_turns_around(
    lock: dict[str, Any], now: dict[str, Any]
) -> None:
    told = differences(lock, now)
    assert bool(told) == (lock != now)
    assert sorted(differences(now, lock)) == sorted(Difference(what, new, old) for what, old, new in told)
    assert all(old != new for _, old, new in told)


def lock(**changes: Any) -> dict[str, Any]:
    train = {"rows": 16, "bytes": 900, "blake3": "aa", "crc32c": "bb=="}
    source = {"name": "records.jsonl", "bytes": 800, "blake3": "cc", "crc32c": "dd=="}
    return {
        "lock": 1,
        "name": "weather",
        "digest": "ee",
        "sources": [source],
        "files": {"train": train},
        "statistics": {"train": {"rows": 16}},
        **changes,
    }


def test_what_only_follows_from_a_difference_is_not_told_beside_it() -> None:
    now = lock(
        sources=[{"name": "records.jsonl", "bytes": 801, "blake3": "c1", "crc32c": "d1=="}],
        statistics={"train": {"rows": 17}},
    )
    assert [str(each) for each in differences(lock(), now)] == ["sources.records.jsonl.blake3: cc → c1"]
    # Alone they are told: then they are all there is.
    alone = lock(statistics={"train": {"rows": 17}})
    assert [str(each) for each in differences(lock(), alone)] == ["statistics.train.rows: 16 → 17"]
    files = lock(files={})
    assert "files.train.rows: 16 → absent" in [str(each) for each in differences(lock(), files)]


def test_a_stale_lock_is_told_with_old_new_and_the_command_that_renews_it() -> None:
    (problem,) = stale(Path("datasets/weather"), lock(), lock(digest="ef"))
    assert problem.where == f"datasets/weather/{LOCK_FILE}"
    assert (problem.have, problem.need) == ("ee in the lock", "ef now")
    assert "tunestack dataset compile datasets/weather" in problem.fix


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_lock(tmp_path) is None
    path = write_lock(tmp_path, lock())
    assert read_lock(tmp_path) == lock()
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == [LOCK_FILE]


def test_a_lock_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    path = write_lock(tmp_path, lock())
    before = path.stat()
    write_lock(tmp_path, lock())
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_lock_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(tmp_path, lock())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TunestackError, match="no space left on device") as refused:
        write_lock(tmp_path, lock(digest="ef"))
    assert refused.value.exit_status == 2
    assert read_lock(tmp_path) == lock()
    assert [each.name for each in tmp_path.iterdir()] == [LOCK_FILE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"[]", "not of version 1"),
        (b'{"lock": 2}', "version 2"),
        (b"\xff", "is not JSON"),
    ],
)
def test_what_is_no_lock_is_told_with_the_command_that_writes_one(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / LOCK_FILE).write_bytes(content)
    with pytest.raises(TunestackError, match=said) as refused:
        read_lock(tmp_path)
    assert refused.value.exit_status == 2
    assert "tunestack dataset compile" in refused.value.problems[0].fix


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "records.jsonl").write_text(
        "".join(f'{{"text": "Remark {n}.", "label": "{"wet" if n % 2 else "dry"}"}}\n' for n in range(12))
    )
    (folder / "plain.jsonl").write_text('{"text": "Is it wet?", "label": "wet"}\n')
    (folder / "template.j2").write_text("Classify: {{ text }}")
    (folder / "dataset.yaml").write_text(
        """\
name: weather
description: Remarks on the weather.
format: supervised
records: records.jsonl
held_out: {plain: plain.jsonl}
columns: {text: string, label: string}
template: template.j2
output_text: "{{ label }}"
labels: [wet, dry]
split: {validation: 4, stratify: label}
"""
    )
    return folder


def locked(folder: Path) -> dict[str, Any]:
    return lock_of(folder, compile_dataset(folder, folder.parent / "out"))


def test_a_lock_holds_the_digests_of_everything_that_went_in_and_came_out(weather: Path) -> None:
    compiled = compile_dataset(weather, weather.parent / "out")
    lock = lock_of(weather, compiled)
    assert list(lock) == [
        *("lock", "name", "format", "digest", "sources", "templates", "spec", "files", "ledger", "statistics")
    ]
    assert {source["name"]: source["blake3"] for source in lock["sources"]} == {
        name: blake3((weather / name).read_bytes()).hexdigest() for name in ("plain.jsonl", "records.jsonl")
    }
    assert lock["templates"] == {"template.j2": blake3((weather / "template.j2").read_bytes()).hexdigest()}
    for part, file in compiled.files.items():
        assert file.path is not None
        content = file.path.read_bytes()
        assert lock["files"][part] == {
            "rows": content.count(b"\n"),
            "bytes": len(content),
            "blake3": blake3(content).hexdigest(),
            "crc32c": file.crc32c,
        }
    assert (lock["digest"], lock["format"]) == (compiled.digest, "supervised")
    assert (lock["ledger"]["rows_in"], lock["ledger"]["rows_out"]) == (13, 13)
    assert lock["statistics"]["train"]["labels"] == {"dry": 4, "wet": 4}
    assert lock["statistics"]["validation"]["labels"] == {"dry": 2, "wet": 2}


def test_the_same_dataset_elsewhere_has_the_same_lock(weather: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another place" / "renamed"
    shutil.copytree(weather, elsewhere)
    assert encoded(locked(weather)) == encoded(locked(elsewhere))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("dataset.yaml", "Remarks on the weather.", "Other words.", []),
        ("dataset.yaml", "[wet, dry]", "[dry, wet]", ["spec"]),
        ("dataset.yaml", "validation: 4", "validation: 2", ["digest", "files.train.blake3", "spec"]),
        ("template.j2", "Classify:", "Sort:", ["digest", "templates.template.j2", "files.train.blake3"]),
        ("records.jsonl", "Remark 3.", "Note 3.", ["digest", "sources.records.jsonl.blake3"]),
        ("records.jsonl", '", "label"', '",  "label"', ["sources.records.jsonl.blake3"]),
    ],
)
def test_whatever_decides_the_result_makes_the_lock_stale(
    weather: Path, file: str, old: str, new: str, told: list[str]
) -> None:
    lock = locked(weather)
    source = (weather / file).read_text()
    assert old in source
    (weather / file).write_text(source.replace(old, new))
    found = {each.what for each in differences(lock, locked(weather))}
    assert set(told) <= found
    assert bool(found) == bool(told)


def test_an_allow_list_is_part_of_what_was_decided(weather: Path) -> None:
    with (weather / "records.jsonl").open("a") as records:
        records.write('{"text": "Write to rain@weather.dev.", "label": "wet"}\n')
    allow = weather / "allow.yaml"
    allow.write_text("allow:\n  - {kind: email-address, text: rain@weather.dev, reason: ours}\n")
    lock = locked(weather)
    allow.write_text(allow.read_text().replace("ours", "ours and public"))
    assert [each.what for each in differences(lock, locked(weather))] == ["templates.allow.yaml"]


ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("datasets/*/dataset.yaml")))
def test_every_dataset_here_is_the_one_that_its_lock_was_written_for(name: str, tmp_path: Path) -> None:
    folder = ROOT / "datasets" / name
    lock = read_lock(folder)
    assert lock is not None, f"tunestack dataset compile datasets/{name}"
    now = lock_of(folder, compile_dataset(folder, tmp_path))
    assert differences(lock, now) == [], f"tunestack dataset compile datasets/{name}"
