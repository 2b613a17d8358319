"""A Beam pipeline over objects in a bucket: each worker reads its range, the report is that of any check."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from google.cloud import storage

from tunestack.dataset.beam import check_files_with_beam
from tunestack.dataset.check import check_files
from tunestack.dataset.report import json_report
from tunestack.emulator import process
from tunestack.emulator.options import EmulatorOptions

pytest.importorskip("apache_beam")


@pytest.fixture
def bucket(
    tmp_path: object, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[storage.Bucket]:
    options = EmulatorOptions(data=tmp_path_factory.mktemp("emulator") / "data", port=0)
    running = process.start(options)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
    yield storage.Client(project="p1").create_bucket(f"b-{uuid.uuid4().hex[:12]}")
    process.stop(options.data)


def test_an_object_read_in_ranges_gives_the_report_of_one_that_is_read_in_order(
    bucket: storage.Bucket,
) -> None:
    rows = [b'{"input_text": "question %d", "output_text": "a"}\n' % (number % 900) for number in range(1000)]
    rows[500] = b'{"input_text": "question", "output_text": 3}\n'
    blob = bucket.blob("train.jsonl")
    blob.upload_from_string(b"".join(rows))
    address = f"gs://{bucket.name}/train.jsonl#{blob.generation}"
    mine, known = check_files_with_beam([address], block_bytes=5_000), check_files([address])
    assert json.dumps(json_report(mine)) == json.dumps(json_report(known))
    assert mine.counts == {"wrong-type": 1, "duplicate-row": 100}
