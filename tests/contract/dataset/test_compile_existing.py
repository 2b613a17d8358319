"""Finished data in a bucket: checked where it lies, pinned by its generation, declared without a copy."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from google.cloud import storage

from tunestack.dataset import DatasetRefused, compile_dataset
from tunestack.dataset.difference import compare
from tunestack.dataset.lock import lock_of, stale
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions

TRAIN = b"".join(b'{"input_text":"Remark %d","output_text":"wet"}\n' % number for number in range(16))
VALIDATION = b'{"input_text":"Is it wet?","output_text":"wet"}\n'


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = EmulatorOptions(data=tmp_path_factory.mktemp("emulator") / "data", port=0)
    running = process.start(options)
    yield running.url
    process.stop(options.data)


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    return storage.Client(project="p1").create_bucket(f"b-{uuid.uuid4().hex[:12]}")


def put(bucket: storage.Bucket, name: str, content: bytes) -> storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(content)
    return blob


def declared(
    folder: Path, train: storage.Blob, validation: storage.Blob | None = None, more: str = ""
) -> Path:
    folder.mkdir(exist_ok=True)
    beside = (
        f', validation: "gs://{validation.bucket.name}/{validation.name}#{validation.generation}"'
        if validation
        else ""
    )
    (folder / "dataset.yaml").write_text(
        f"""\
name: weather
description: Finished elsewhere.
format: supervised
existing: {{train: "gs://{train.bucket.name}/{train.name}#{train.generation}"{beside}}}
{more}"""
    )
    return folder


def test_finished_data_is_declared_by_its_content_without_a_copy(
    bucket: storage.Bucket, tmp_path: Path
) -> None:
    train, validation = put(bucket, "train.jsonl", TRAIN), put(bucket, "validation.jsonl", VALIDATION)
    folder = declared(tmp_path / "weather", train, validation)
    compiled = compile_dataset(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert compiled.train.path is None
    assert (compiled.train.uri, compiled.train.generation) == (
        f"gs://{bucket.name}/train.jsonl",
        train.generation,
    )
    assert (compiled.train.rows, compiled.train.bytes) == (16, len(TRAIN))
    assert (compiled.train.digest, compiled.train.crc32c) == (blake3(TRAIN).hexdigest(), train.crc32c)
    assert compiled.validation is not None
    assert (compiled.validation.rows, compiled.validation.digest) == (1, blake3(VALIDATION).hexdigest())

    # The same content elsewhere is the same dataset: its digest decides, not its address.
    moved = declared(tmp_path / "moved", put(bucket, "elsewhere/train.jsonl", TRAIN), validation)
    assert compile_dataset(moved, tmp_path / "out").digest == compiled.digest

    lock = lock_of(folder, compiled)
    assert {each["name"].partition("#")[0]: each["generation"] for each in lock["sources"]} == {
        f"gs://{bucket.name}/train.jsonl": train.generation,
        f"gs://{bucket.name}/validation.jsonl": validation.generation,
    }
    assert stale(folder, lock, lock_of(folder, compile_dataset(folder, tmp_path / "out"))) == []


def test_finished_data_is_checked_as_any_other(bucket: storage.Bucket, tmp_path: Path) -> None:
    train = put(bucket, "train.jsonl", TRAIN + b'{"input_text":"","output_text":"wet"}\n')
    validation = put(bucket, "validation.jsonl", TRAIN[: TRAIN.index(b"\n") + 1])
    with pytest.raises(DatasetRefused) as refused:
        compile_dataset(declared(tmp_path / "weather", train, validation), tmp_path / "out")
    assert {(found.code, found.line) for found in refused.value.findings} == {
        ("empty-text", 17),
        ("leakage", 1),
    }
    assert all(found.file.startswith(f"gs://{bucket.name}/") for found in refused.value.findings)


def test_an_object_that_was_replaced_is_another_one(bucket: storage.Bucket, tmp_path: Path) -> None:
    folder = declared(tmp_path / "weather", put(bucket, "train.jsonl", TRAIN))
    put(bucket, "train.jsonl", TRAIN + TRAIN.replace(b"Remark", b"Note"))
    with pytest.raises(DatasetRefused, match="generation"):
        compile_dataset(folder, tmp_path / "out")


def test_held_out_rows_beside_finished_data_are_compiled(bucket: storage.Bucket, tmp_path: Path) -> None:
    folder = declared(
        tmp_path / "weather", put(bucket, "train.jsonl", TRAIN), more="held_out: {plain: plain.jsonl}\n"
    )
    (folder / "plain.jsonl").write_bytes(VALIDATION)
    compiled = compile_dataset(folder, tmp_path / "out")
    held_out = compiled.held_out["plain"]
    assert held_out.path is not None
    assert (held_out.rows, held_out.path.read_bytes()) == (1, VALIDATION)
    assert list(compiled.files) == ["train", "held-out-plain"]


def test_finished_data_is_compared_where_it_lies(bucket: storage.Bucket, tmp_path: Path) -> None:
    old = declared(tmp_path / "old", put(bucket, "train.jsonl", TRAIN))
    new = declared(tmp_path / "new", put(bucket, "more.jsonl", TRAIN + VALIDATION))
    found = compare(old, new)
    assert (found.counts["added"], found.counts.total()) == (1, 1)
    assert [row.prompt for row in found.examples["added"]] == ["Is it wet?"]
    assert compare(old, old).same


def test_a_file_here_is_compared_with_an_object(bucket: storage.Bucket, tmp_path: Path) -> None:
    here = tmp_path / "train.jsonl"
    here.write_bytes(TRAIN + VALIDATION)
    there = put(bucket, "train.jsonl", TRAIN)
    found = compare(f"gs://{bucket.name}/train.jsonl#{there.generation}", here)
    assert (found.counts["added"], found.counts.total()) == (1, 1)
    put(bucket, "train.jsonl", TRAIN + VALIDATION)
    assert compare(f"gs://{bucket.name}/train.jsonl", here).same
