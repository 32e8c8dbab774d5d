"""The log of unexpected failures: one traceback for each kind, a count for the rest, and never more than its bound."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger import error_log
from tessenger.error_log import MOST_KINDS, MOST_RECORD_BYTES, QUIET_SECONDS, ErrorLog

PROCESSES = 4
FAILURES = 400


class Logged:
    """An error log with a clock of its own, and what is in its file."""

    def __init__(self, path: Path, most_bytes: int = error_log.MOST_BYTES) -> None:
        self.path = path
        self.time = 1_000.0
        self.handler = ErrorLog(path, most_bytes, lambda: self.time)
        self.log = logging.Logger("test")  # noqa: LOG001 - one of this test's own, which passes nothing on
        self.log.addHandler(self.handler)

    def fail(self, text: str = "odd", times: int = 1) -> None:
        """Let an exception be logged, always of one line."""
        for _ in range(times):
            try:
                raise ValueError(text)  # noqa: TRY301 - it is what is logged
            except ValueError:
                self.log.exception("a client's request failed")

    @property
    def text(self) -> str:
        """What the file has."""
        return self.path.read_text()


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    """One."""
    one = Logged(tmp_path / "error.log")
    yield one
    one.handler.close()


def test_a_failure_that_happens_again_is_counted(logged: Logged) -> None:
    """Ten thousand times: one traceback, and a line each time that the count has a digit more."""
    for number in range(10_001):
        logged.fail(f"text {number}")
    assert logged.text.count("Traceback") == 1
    told = [line.partition("again, ")[2] for line in logged.text.splitlines() if "the same again" in line]
    failure = "by now: a client's request failed (ValueError)"
    assert told == [f"{count} {failure}" for count in ("once", "10 times", "100 times", "1000 times", "10000 times")]


def test_what_was_not_told_yet_is_told_in_the_end(logged: Logged) -> None:
    """So that the last count is right, though no failure follows."""
    logged.fail(times=8)
    logged.handler.close()
    assert logged.text.splitlines()[-1].endswith(
        "the same again, 7 times by now: a client's request failed (ValueError)"
    )


def test_other_failures_are_written_out(logged: Logged) -> None:
    """Another line, another exception, another word."""
    logged.fail()
    try:
        "".index("x")
    except ValueError:
        logged.log.exception("a client's request failed")
    logged.log.warning("worker 1 did not stop and was killed")
    logged.log.warning("the supervisor is gone")
    assert logged.text.count("Traceback") == 2
    assert logged.text.count("\n") > 10
    assert "the same again" not in logged.text


def test_after_a_long_silence_it_is_written_out_again(logged: Logged) -> None:
    """The first traceback may have gone with the file by then."""
    logged.fail(times=2)
    logged.time += QUIET_SECONDS
    logged.fail()
    assert logged.text.count("Traceback") == 1
    logged.time += QUIET_SECONDS + 1
    logged.fail()
    assert logged.text.count("Traceback") == 2


def test_kinds_that_are_remembered_are_bounded(logged: Logged) -> None:
    """The one that has been silent for the longest time makes room, its count told."""
    logged.log.warning("the first")
    logged.log.warning("the first")
    logged.log.warning("the first")
    for number in range(MOST_KINDS):
        logged.log.warning("kind %s" % number)  # noqa: UP031, G002 - messages of other libraries come formatted
    assert logged.text.count("the same again, 2 times by now: the first\n") == 1
    logged.log.warning("the first")
    assert logged.text.count(": the first\n") == 4  # twice itself


def test_a_failure_is_cut(logged: Logged) -> None:
    """What somebody sent may stand in its message."""
    logged.fail("x" * 1_000_000)
    assert len(logged.text) < MOST_RECORD_BYTES + 100
    assert logged.text.endswith(" … (cut)\n")


def test_the_file_is_bounded(tmp_path: Path) -> None:
    """At its size it becomes NAME.1, in the place of the one before."""
    logged = Logged(tmp_path / "error.log", 2_000)
    for number in range(300):
        logged.log.warning("kind %s: %s" % (number, "x" * 100))  # noqa: UP031, G002
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"error.log", "error.log.1"}
    assert max(sizes.values()) <= 2_000
    assert "kind 299:" in logged.text
    logged.handler.close()


def test_without_a_limit_there_is_one_file(tmp_path: Path) -> None:
    """0 switches it off, as everywhere."""
    logged = Logged(tmp_path / "error.log", 0)
    for number in range(300):
        logged.log.warning("kind %s" % number)  # noqa: UP031, G002
    assert [path.name for path in tmp_path.iterdir()] == ["error.log"]
    logged.handler.close()


def test_a_file_that_was_taken_away_begins_anew(logged: Logged) -> None:
    """Without a signal: administrators move such files."""
    logged.fail()
    logged.path.rename(logged.path.with_name("elsewhere"))
    logged.log.warning("something else")
    assert logged.text.endswith("something else\n")


def test_without_failures_there_is_no_file(logged: Logged) -> None:
    """Its being there says that something is wrong."""
    logged.handler.close()
    assert not logged.path.exists()


def test_a_folder_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    """Nor does a full disk: the failure is lost."""
    logged = Logged(tmp_path / "gone" / "error.log")
    logged.fail()
    logged.handler.close()
    assert not (tmp_path / "gone").exists()


def _fail_often(path: Path, number: int) -> None:
    handler = ErrorLog(path, 3_000)
    log = logging.Logger("test")  # noqa: LOG001
    log.addHandler(handler)
    for turn in range(FAILURES):
        log.warning("process %s, kind %s" % (number, turn))  # noqa: UP031, G002
    handler.close()


def test_processes_share_the_file(tmp_path: Path) -> None:
    """Each line is whole, none is beyond the bound, and all end in the file that has the name."""
    path = tmp_path / "error.log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fail_often, args=(path, number)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert {each.name for each in tmp_path.iterdir()} == {"error.log", "error.log.1"}
    for each in tmp_path.iterdir():
        assert each.stat().st_size < 3_000 + PROCESSES * 100
        assert all(" kind " in line for line in each.read_text().splitlines())


def test_a_thread_that_fails_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And prints nothing."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a new process
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    error_log.keep(tmp_path / "error.log")
    thread = threading.Thread(target=int, args=("odd",))
    thread.start()
    thread.join()
    (handler,) = logging.getLogger().handlers
    handler.close()
    assert "a thread failed\nTraceback" in (tmp_path / "error.log").read_text()
    assert capfd.readouterr() == ("", "")


def test_what_a_process_prints_goes_to_a_bounded_file(tmp_path: Path) -> None:
    """One that is large already is put aside."""
    path = tmp_path / "udp-process.log"
    path.write_bytes(b"x" * 101)
    descriptor = error_log.opened_for_output(path, 100)
    with open(descriptor, "wb") as output:  # noqa: PTH123 - a descriptor
        output.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.with_name("udp-process.log.1").stat().st_size == 101
