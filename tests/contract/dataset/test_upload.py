"""A compiled dataset in a bucket: google-cloud-storage, unchanged, against the emulator."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import httpx
import msgspec
import pytest
from blake3 import blake3
from google.cloud import storage

from tunestack.dataset import CompiledDataset, CompiledFile
from tunestack.dataset.upload import object_name, upload_dataset
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.spec.errors import TunestackError


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = EmulatorOptions(data=tmp_path_factory.mktemp("emulator") / "data", port=0)
    running = process.start(options)
    yield running.url
    process.stop(options.data)


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """Reached as everybody reaches it: by the variable that the client library knows."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    return storage.Client(project="p1").create_bucket(f"b-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def compiled(tmp_path: Path) -> CompiledDataset:
    def file(part: str, content: bytes) -> CompiledFile:
        path = tmp_path / f"{part}.jsonl"
        path.write_bytes(content)
        crc32c = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        return CompiledFile(path, content.count(b"\n"), blake3(content).hexdigest(), crc32c, len(content))

    return CompiledDataset(
        "weather",
        "d" * 64,
        file("train", b'{"input_text":"a","output_text":"b"}\n' * 16),
        file("validation", b'{"input_text":"c","output_text":"d"}\n'),
        {"plain": file("held-out-plain", b'{"input_text":"e"}\n')},
    )


def calls(emulator: str, bucket: storage.Bucket, *methods: str) -> list[dict[str, Any]]:
    entries = httpx.get(f"{emulator}/_local/requests").json()["requests"]
    return [each for each in entries if bucket.name in json.dumps(each) and each["method"] in methods]


def test_every_part_lies_under_its_digest_and_tells_its_generation(
    bucket: storage.Bucket, compiled: CompiledDataset
) -> None:
    uploaded = upload_dataset(compiled, f"gs://{bucket.name}/tuning/sets/")
    assert list(uploaded.files) == ["train", "validation", "held-out-plain"]
    for part, file in uploaded.files.items():
        name = f"tuning/sets/weather/{file.digest[:16]}/{part}.jsonl"
        blob = bucket.get_blob(name)
        assert (file.uri, file.generation) == (f"gs://{bucket.name}/{name}", blob.generation)
        assert file.path is not None
        assert blob.download_as_bytes() == file.path.read_bytes()
        assert (blob.crc32c, blob.content_type) == (file.crc32c, "application/jsonl")
    assert uploaded.digest == compiled.digest


def test_what_is_there_is_not_uploaded_again(
    emulator: str, bucket: storage.Bucket, compiled: CompiledDataset
) -> None:
    first = upload_dataset(compiled, f"gs://{bucket.name}")
    assert len(calls(emulator, bucket, "storage.objects.insert")) == 3
    again = upload_dataset(compiled, f"gs://{bucket.name}")
    assert again == first
    assert len(calls(emulator, bucket, "storage.objects.insert")) == 3


def test_a_changed_part_goes_beside_the_old_one(bucket: storage.Bucket, compiled: CompiledDataset) -> None:
    first = upload_dataset(compiled, f"gs://{bucket.name}")
    assert compiled.validation is not None
    changed = replace(compiled, train=compiled.validation)
    second = upload_dataset(changed, f"gs://{bucket.name}")
    assert second.train.uri != first.train.uri
    assert second.validation == first.validation
    assert len(list(bucket.list_blobs())) == 4


def test_a_large_part_goes_up_in_pieces(
    emulator: str, bucket: storage.Bucket, compiled: CompiledDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunestack.dataset.upload._PIECE_BYTES", 256 << 10)
    monkeypatch.setattr("google.cloud.storage.blob._MAX_MULTIPART_SIZE", 0)
    assert compiled.train.path is not None
    content = compiled.train.path.read_bytes() * 2_000
    compiled.train.path.write_bytes(content)
    crc32c = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
    large = replace(
        compiled,
        train=msgspec.structs.replace(compiled.train, digest=blake3(content).hexdigest(), crc32c=crc32c),
    )
    uploaded = upload_dataset(large, f"gs://{bucket.name}")
    assert uploaded.train.uri is not None
    name = uploaded.train.uri.removeprefix(f"gs://{bucket.name}/")
    assert bucket.get_blob(name).download_as_bytes() == content


def test_another_content_under_the_digest_is_never_overwritten(
    bucket: storage.Bucket, compiled: CompiledDataset
) -> None:
    name = object_name("weather", "train", compiled.train.digest)
    bucket.blob(name).upload_from_string("something else")
    with pytest.raises(TunestackError, match="object-differs") as refused:
        upload_dataset(compiled, f"gs://{bucket.name}")
    assert refused.value.problems[0].where == f"gs://{bucket.name}/{name}"
    assert bucket.get_blob(name).download_as_bytes() == b"something else"


def test_a_file_that_changed_since_it_was_compiled_is_refused_by_the_bucket(
    bucket: storage.Bucket, compiled: CompiledDataset
) -> None:
    assert compiled.train.path is not None
    compiled.train.path.write_bytes(b"{}\n")
    with pytest.raises(TunestackError, match="CRC32C") as refused:
        upload_dataset(compiled, f"gs://{bucket.name}")
    assert refused.value.exit_status == 2
    assert list(bucket.list_blobs()) == []


@pytest.mark.parametrize("to", ["bucket/prefix", "gs://", "gs:///prefix", "/somewhere"])
def test_what_is_no_bucket_is_told_with_what_is_needed(to: str, compiled: CompiledDataset) -> None:
    with pytest.raises(TunestackError, match="gs://bucket/prefix"):
        upload_dataset(compiled, to)


def test_a_bucket_that_is_not_there_is_an_error_for_people(
    bucket: storage.Bucket, compiled: CompiledDataset
) -> None:
    with pytest.raises(TunestackError, match="there is no such bucket"):
        upload_dataset(compiled, "gs://no-such-bucket-here")


def test_what_lies_in_a_bucket_already_stays_there(
    emulator: str, bucket: storage.Bucket, compiled: CompiledDataset
) -> None:
    existing = msgspec.structs.replace(
        compiled.train, path=None, uri="gs://elsewhere/train.jsonl", generation=7
    )
    uploaded = upload_dataset(replace(compiled, train=existing), f"gs://{bucket.name}")
    assert uploaded.train == existing
    assert len(list(bucket.list_blobs())) == 2


def test_the_command_compiles_uploads_and_names_every_generation(
    bucket: storage.Bucket, tmp_path: Path
) -> None:
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "records.jsonl").write_text(
        "".join(f'{{"text": "Remark {n}.", "label": "wet"}}\n' for n in range(12))
    )
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
split: {validation: 2}
"""
    )
    command = [sys.executable, "-m", "tunestack.cli.main", "dataset", "compile", str(folder)]
    options = ["--output", str(tmp_path / "out"), "--upload", f"gs://{bucket.name}/sets", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (dataset,) = json.loads(done.stdout)["datasets"]
    assert list(dataset["files"]) == ["train", "validation"]
    for file in dataset["files"].values():
        blob = bucket.get_blob(file["uri"].removeprefix(f"gs://{bucket.name}/"))
        assert (blob.generation, blob.crc32c) == (file["generation"], file["crc32c"])
    assert subprocess.run([*command, "--check"], capture_output=True, check=False).returncode == 0
    (folder / "template.j2").write_text("Sort: {{ text }}")
    stale = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert stale.returncode == 1
    assert "templates.template.j2" in stale.stdout + stale.stderr
