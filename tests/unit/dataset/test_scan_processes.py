"""Work is pulled by processes that hold nothing back, in order, and none of them outlives its caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunestack.dataset.processes import in_order
from tunestack.spec.errors import TunestackError


def square(number: int) -> int:
    return number * number


def refuse_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number


def process_id(_: int) -> int:
    return os.getpid()


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def large(number: int) -> bytes:
    return bytes([number % 256]) * (1 << 20)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("processes", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_results_come_in_the_order_of_the_pieces(processes: int, count: int) -> None:
    assert list(in_order(square, range(count), processes)) == [n * n for n in range(count)]


def test_large_pieces_and_large_results_do_not_wait_for_each_other() -> None:
    results = in_order(len, (large(n) for n in range(20)), 2)
    assert list(results) == [1 << 20] * 20
    assert [each[0] for each in in_order(large, range(20), 2)] == list(range(20))


def test_pieces_are_taken_no_faster_than_results_are() -> None:
    taken = 0

    def pieces() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000):
            taken = number + 1
            yield number

    for number, _ in enumerate(in_order(square, pieces(), 2)):
        assert taken <= number + 10


def test_one_or_no_process_is_this_one() -> None:
    assert set(in_order(process_id, range(5), 1)) == {os.getpid()}
    assert os.getpid() not in set(in_order(process_id, range(5), 2))


def test_copies_of_this_process_do_the_same_and_leave_what_it_has_alone() -> None:
    program = (
        "import sys; from tunestack.dataset.processes import Crew\n"
        "from test_scan_processes import refuse_seven, square\n"
        "sys.stdout.write('once ')\n"
        "with Crew(3, fork=True) as crew: print(list(crew(square, range(6))))\n"
        "try:\n"
        "    with Crew(2, fork=True) as crew: list(crew(refuse_seven, range(9)))\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert (done.stdout, done.stderr) == ("once [0, 1, 4, 9, 16, 25]\nseven\n", "")


@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_function_raises_is_raised_here(processes: int) -> None:
    with pytest.raises(ValueError, match="seven"):
        list(in_order(refuse_seven, range(20), processes))


def test_a_process_that_is_killed_is_told_of_in_words() -> None:
    with pytest.raises(TunestackError, match="a process that was reading rows ended") as refused:
        list(in_order(die, range(20), 2))
    assert refused.value.exit_status == 2


def test_no_process_is_left_when_the_results_are_not_wanted_any_more() -> None:
    results = in_order(process_id, range(1_000), 2)
    workers = {next(results) for _ in range(10)}
    results.close()  # type: ignore[attr-defined]
    assert not any(map(alive, workers))


@pytest.mark.parametrize("fork", [False, True])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_caller(sent: signal.Signals, fork: bool) -> None:
    program = (
        "import os, time; from tunestack.dataset.processes import Crew\n"
        "from test_scan_processes import process_id\n"
        f"results = Crew(2, fork={fork})(process_id, iter(int, 1))\n"
        "print(*{next(results) for _ in range(20)}, flush=True)\n"
        "for _ in results: pass\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        start_new_session=True,
    )
    assert caller.stdout is not None
    workers = {int(each) for each in caller.stdout.readline().split()}
    assert workers
    os.killpg(caller.pid, sent) if sent is signal.SIGINT else caller.kill()
    caller.stdout.close()
    assert caller.wait(20) != 0
    deadline = time.monotonic() + 20
    while any(map(alive, workers)):
        assert time.monotonic() < deadline


def test_a_caller_needs_no_main_guard(tmp_path: Path) -> None:
    """As multiprocessing's own ways to start a process do: a script of three lines would start itself again."""
    (tmp_path / "rows.jsonl").write_text('{"input_text": "a", "output_text": "b"}\n' * 3)
    script = tmp_path / "script.py"
    script.write_text(
        "from tunestack.dataset import check_files\n"
        f"print(check_files([{str(tmp_path / 'rows.jsonl')!r}], processes=2, block_bytes=40).total)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
