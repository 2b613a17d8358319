"""Blocks done by a Beam pipeline give the report that processes give, and a pipeline that hangs ends in an error."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from tunestack.cli.main import main
from tunestack.dataset.beam import BeamMap, check_files_with_beam
from tunestack.dataset.check import check_files
from tunestack.dataset.report import json_report
from tunestack.spec.errors import Problem, TunestackError

pytest.importorskip("apache_beam")

begun: list[int] = []
let_go = threading.Event()


def blocks(piece: int) -> int:
    begun.append(piece)
    let_go.wait()
    return piece


def fails(piece: int) -> int:
    raise TunestackError(
        Problem("file-unreadable", "gone", f"piece {piece}", fix="bring it back"), exit_status=2
    )


def seen_from_within(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).glob("*/*"))


def refuses_to_be_pickled(piece: int) -> object:
    return threading.Lock()


def lines(count: int, first: int = 0) -> list[bytes]:
    return [
        json.dumps({"input_text": f"Question {n}? ü", "output_text": f"answer {n % 7}"}).encode() + b"\n"
        for n in range(first, first + count)
    ]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files with planted errors, duplicates and conflicts, within blocks and across them; one is compressed."""
    import gzip

    first = lines(300)
    first[17] = b'{"input_text": 5, "output_text": "x"}\n'
    first[150] = b"\n"
    first[151] = b'{"input_text": "cut'
    first[151] += b"\n"
    first[250] = first[3]
    first[251] = b'{"input_text": "Write to jane.doe@gmail.com", "output_text": "x"}\n'
    first[299] = b'{"input_text": "Question 4? \\u00fc", "output_text": "another"}'
    second = [*lines(90, 1000), b'{"input_text": "a", "output_text": "  "}\n', *lines(30, 1000)]
    paths = [tmp_path / "first.jsonl", tmp_path / "second.jsonl.gz", tmp_path / "empty.jsonl"]
    paths[0].write_bytes(b"".join(first))
    paths[1].write_bytes(gzip.compress(b"".join(second)))
    paths[2].write_bytes(b"")
    return paths


def test_the_report_of_a_pipeline_is_the_report_of_processes_to_the_byte(files: list[Path]) -> None:
    checks = {"model": "text-bison@001", "personal_data": True}
    mine = check_files_with_beam(files, block_bytes=2_000, **checks)
    known = check_files(files, processes=1, **checks)
    assert json.dumps(json_report(mine)) == json.dumps(json_report(known))
    assert mine.counts["duplicate-row"] == 31
    assert {"wrong-type", "blank-line", "conflicting-rows", "no-rows", "personal-data"} <= set(mine.counts)


def test_a_pipeline_that_is_not_done_by_the_deadline_is_cancelled_and_says_so() -> None:
    begun.clear()
    let_go.clear()
    try:
        with pytest.raises(TunestackError, match=r"not done after 0\.5 s and was cancelled") as told:
            list(BeamMap(deadline=0.5)(blocks, range(50)))
        assert told.value.exit_status == 2
        assert told.value.problems[0].code == "beam-deadline"
    finally:
        let_go.set()
    for thread in threading.enumerate():
        if thread.name == "tunestack-beam":
            thread.join()
    assert len(begun) <= 1  # what had not begun by then is passed over


def test_what_a_worker_raises_is_raised_here_as_it_was() -> None:
    with pytest.raises(TunestackError) as told:
        list(BeamMap()(fails, range(3)))
    assert told.value.exit_status == 2
    assert told.value.problems == (Problem("file-unreadable", "gone", "piece 0", fix="bring it back"),)


def test_a_pipeline_that_fails_is_one_error_for_people() -> None:
    with pytest.raises(TunestackError, match="beam-failed: the pipeline failed: "):
        list(BeamMap()(refuses_to_be_pickled, range(3)))


def test_a_runner_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(TunestackError, match=r"(?s)Unexpected pipeline runner: Fooo.*DataflowRunner"):
        list(BeamMap("Fooo")(str, range(3)))


def test_what_follows_two_dashes_is_for_beam(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "dataset",
        "beam",
        str(files[0]),
        "--format",
        "code",
        "--json",
        "--",
        "--direct_num_workers",
        "1",
    ]
    assert main(command) == 1
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(json.dumps(json_report(check_files(files[:1], format="code"))))


def test_results_come_in_the_order_of_the_pieces() -> None:
    assert list(BeamMap()(str, range(40))) == list(map(str, range(40)))


def test_the_folder_where_workers_and_caller_meet_is_gone_afterwards(tmp_path: Path) -> None:
    meeting = BeamMap(options=["--temp_location", str(tmp_path)])
    assert list(meeting(seen_from_within, [str(tmp_path)])) == [["pieces", "running"]]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_told_as_by_any_check(tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match=r"none\.jsonl does not exist"):
        check_files_with_beam([tmp_path / "none.jsonl"])


def test_dataflow_is_refused_files_that_its_workers_cannot_read(files: list[Path]) -> None:
    with pytest.raises(TunestackError, match="Dataflow's workers cannot read a local file"):
        check_files_with_beam(files, runner="DataflowRunner")


def test_dataflow_is_refused_without_a_bucket_to_meet_in() -> None:
    with pytest.raises(TunestackError, match="--temp_location"):
        list(BeamMap("DataflowRunner", ["--project", "p", "--region", "r"])(str, range(3)))


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, files: list[Path]) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(TunestackError, match=r"pip install 'tunestack\[beam\]'"):
        check_files_with_beam(files)
