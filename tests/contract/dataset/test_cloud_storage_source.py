"""Objects in a bucket as sources: google-cloud-storage, unchanged, against the emulator."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.cloud import storage

from tunestack.dataset.check import check_files
from tunestack.dataset.sources import open_existing, open_source
from tunestack.dataset.sources.source import Source, SourceFault
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions
from tunestack.spec.errors import TunestackError

LINES = b"".join(b'{"text": "%d", "label": "a"}\n' % number for number in range(1000))


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


def put(bucket: storage.Bucket, name: str, content: bytes, **properties: Any) -> storage.Blob:
    blob = bucket.blob(name)
    for key, value in properties.items():
        setattr(blob, key, value)
    blob.upload_from_string(content)
    return blob


def texts(source: Source) -> list[bytes]:
    return [text for block in source.blocks(4096) for chunk in source.chunks(block) for text in chunk.texts]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "a folder/rows #1.jsonl"])
def test_an_object_is_read_as_a_file_is(bucket: storage.Bucket, tmp_path: Path, name: str) -> None:
    content = gzip.compress(LINES) if name.endswith(".gz") else LINES
    blob = put(bucket, name, content)
    (tmp_path / "here").write_bytes(content)
    here, there = open_source(tmp_path / "here"), open_source(f"gs://{bucket.name}/{name}")
    assert there.name == f"gs://{bucket.name}/{name}"
    assert texts(there) == texts(here) == LINES.splitlines(keepends=True)
    of_here, of_there = here.digests(), there.digests()
    assert (of_there.blake3, of_there.crc32c, of_there.bytes) == (
        of_here.blake3,
        of_here.crc32c,
        len(content),
    )
    assert (of_there.crc32c, of_there.generation) == (blob.crc32c, blob.generation)


def test_a_table_in_a_bucket_is_told_by_the_name_of_the_object(bucket: storage.Bucket) -> None:
    generation = put(bucket, "rows #1.csv", b"text,label\na,b\n").generation
    for address in (f"gs://{bucket.name}/rows #1.csv", f"gs://{bucket.name}/rows #1.csv#{generation}"):
        source = open_source(address)
        assert texts(source) == [b'{"text":"a","label":"b"}']
        assert source.cell(2, "$.label") == 3


def requests(emulator: str, name: str) -> list[dict[str, Any]]:
    entries = httpx.get(f"{emulator}/_local/requests").json()["requests"]
    return [entry for entry in entries if name in json.dumps(entry)]


def fault(emulator: str, **body: Any) -> None:
    httpx.post(f"{emulator}/_local/faults", json={"method": "storage.objects.get"} | body).raise_for_status()


@pytest.fixture(autouse=True)
def no_faults(emulator: str) -> Iterator[None]:
    yield
    httpx.delete(f"{emulator}/_local/faults").raise_for_status()


LARGE = LINES * 40  # several ranges


def test_an_object_is_read_in_ranges_of_one_generation_and_digested_on_the_way(
    emulator: str, bucket: storage.Bucket
) -> None:
    blob = put(bucket, "large.jsonl", LARGE)
    source = open_source(f"gs://{bucket.name}/large.jsonl")
    assert b"".join(texts(source)) == LARGE
    asked = len(requests(emulator, bucket.name))
    assert source.digests().crc32c == blob.crc32c
    assert len(requests(emulator, bucket.name)) == asked  # no second download for the digests


def test_an_object_that_nobody_read_is_digested_all_the_same(bucket: storage.Bucket) -> None:
    blob = put(bucket, "large.jsonl", LARGE)
    digests = open_source(f"gs://{bucket.name}/large.jsonl").digests()
    assert (digests.crc32c, digests.bytes) == (blob.crc32c, len(LARGE))


@pytest.mark.parametrize("broken", [{"truncateAfter": 100_000}, {"status": 503}])
def test_a_connection_that_breaks_is_taken_up_again(
    emulator: str, bucket: storage.Bucket, broken: dict[str, Any]
) -> None:
    blob = put(bucket, "large.jsonl", LARGE)
    source = open_source(f"gs://{bucket.name}/large.jsonl")
    fault(emulator, **broken)
    assert b"".join(texts(source)) == LARGE
    assert source.digests().crc32c == blob.crc32c
    assert httpx.get(f"{emulator}/_local/faults").json()["faults"][0]["fired"] == 1


def test_the_generation_that_was_named_is_read_and_no_other(bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    old = put(bucket, "rows.jsonl", LINES).generation
    new = put(bucket, "rows.jsonl", b"{}\n").generation
    address = f"gs://{bucket.name}/rows.jsonl"
    assert b"".join(texts(open_source(f"{address}#{old}"))) == LINES
    assert b"".join(texts(open_source(f"{address}#{new}"))) == b"{}\n"
    assert open_source(address).digests().generation == new


def test_a_generation_that_is_gone_is_told_with_the_one_that_is_there(bucket: storage.Bucket) -> None:
    old = put(bucket, "rows.jsonl", LINES).generation
    new = put(bucket, "rows.jsonl", b"{}\n").generation
    source = open_source(f"gs://{bucket.name}/rows.jsonl#{old}")
    with pytest.raises(SourceFault) as raised:
        list(source.blocks())
    assert raised.value.code == "generation"
    assert raised.value.message == f"generation {old} is gone; the object is generation {new} now"


def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed_with_the_new_one(
    bucket: storage.Bucket,
) -> None:
    old = put(bucket, "large.jsonl", LARGE).generation
    blocks = open_source(f"gs://{bucket.name}/large.jsonl").blocks(4096)
    first = next(blocks).chunk
    put(bucket, "large.jsonl", b"{}\n" * 1_000_000)
    read = list(first.texts) if first else []

    def read_on() -> None:
        for block in blocks:
            read.extend(block.chunk.texts if block.chunk else [])

    with pytest.raises(SourceFault, match="is gone") as raised:
        read_on()
    assert (raised.value.code, raised.value.line) == ("generation", len(read) + 1)
    assert str(old) in raised.value.message
    assert LARGE.startswith(b"".join(read))
    assert all(text.endswith(b"\n") for text in read)


def test_an_object_that_is_stored_packed_is_unpacked_here(bucket: storage.Bucket) -> None:
    blob = put(bucket, "rows.jsonl", gzip.compress(LINES), content_encoding="gzip")
    source = open_source(f"gs://{bucket.name}/rows.jsonl")
    assert b"".join(texts(source)) == LINES
    assert source.digests().crc32c == blob.crc32c


def test_a_parquet_object_is_read_from_its_end(bucket: storage.Bucket) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": [str(number) for number in range(100_000)]}), file)
    blob = put(bucket, "rows.parquet", file.getvalue())
    source = open_source(f"gs://{bucket.name}/rows.parquet")
    assert [json.loads(text)["text"] for text in texts(source)] == [str(n) for n in range(100_000)]
    assert source.cell(7, "$.text") == 1
    assert source.digests().crc32c == blob.crc32c


def test_what_cannot_be_read_is_told_to_people(emulator: str, bucket: storage.Bucket) -> None:
    address = f"gs://{bucket.name}/rows.jsonl"
    for missing in (address, f"{address}#17", "gs://no-such-bucket-anywhere/rows.jsonl"):
        with pytest.raises(TunestackError, match="there is no such object") as raised:
            open_source(missing)
        assert raised.value.exit_status == 2
        assert raised.value.problems[0].where == missing
    fault(emulator, status=403)
    with pytest.raises(TunestackError, match=r"grant roles/storage\.objectViewer"):
        open_source(address)
    for bad in ("gs://bucket", "gs://bucket/", "gs:///object", "s3://bucket/object"):
        with pytest.raises(TunestackError, match=bad):
            open_source(bad)


def test_an_existing_file_is_checked_where_it_lies(bucket: storage.Bucket) -> None:
    generation = put(bucket, "train.jsonl", LINES).generation
    address = f"gs://{bucket.name}/train.jsonl"
    source = open_existing(f"{address}#{generation}")
    assert b"".join(texts(source)) == LINES
    assert source.digests().generation == generation
    with pytest.raises(TunestackError, match="named with its generation"):
        open_existing(address)
    packed = put(bucket, "train.jsonl.gz", gzip.compress(LINES)).generation
    with pytest.raises(SourceFault, match="no plain JSON Lines"):
        list(open_existing(f"gs://{bucket.name}/train.jsonl.gz#{packed}").blocks())


def test_an_object_may_be_empty(bucket: storage.Bucket) -> None:
    put(bucket, "empty.jsonl", b"")
    source = open_source(f"gs://{bucket.name}/empty.jsonl")
    assert list(source.blocks()) == []
    assert source.digests().bytes == 0


def test_a_source_goes_to_another_process_without_its_connection(bucket: storage.Bucket) -> None:
    put(bucket, "rows.jsonl", LINES)
    client = storage.Client(project="p1")
    source = open_source(f"gs://{bucket.name}/rows.jsonl", storage=client)
    sent = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert texts(sent) == texts(source)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_check_finds_in_a_bucket_what_it_finds_here(
    bucket: storage.Bucket, tmp_path: Path, processes: int
) -> None:
    good = [b'{"input_text": "%d", "output_text": "a"}\n' % number for number in range(20_000)]
    content = b"".join([*good[:15_000], b'{"input_text": 1, "output_text": "a"}\n', *good[15_000:], good[0]])
    generation = put(bucket, "rows.jsonl", content).generation
    (tmp_path / "rows.jsonl").write_bytes(content)
    address = f"gs://{bucket.name}/rows.jsonl#{generation}"
    there = check_files([address], processes=processes, block_bytes=100_000)
    here = check_files([tmp_path / "rows.jsonl"], processes=1)
    assert there.counts == here.counts == {"wrong-type": 1, "duplicate-row": 1}
    places = [(found.code, found.line, found.column, found.message) for found in sorted(there.findings)]
    assert places == [
        (found.code, found.line, found.column, found.message) for found in sorted(here.findings)
    ]
    assert {found.file for found in there.findings} == {address}
    assert there.sources[0].generation == generation
    assert there.sources[0].blake3 == here.sources[0].blake3
