"""The client whose standard streams fail: no reader, a full disk, closed from the start. Against a scripted server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.wire.messages import Login, Logout, MsgTo, Request, Resume, Seen
from tests.support.fake_server import FakeServer
from tests.support.piped_client import PATIENCE, SCRIPTED, environment

READER_GONE = 141
FULL = "tessenger-client: Cannot write to standard output: No space left on device.\n"
TIME = "10 November 2023 20:57:10"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


def in_shell(server: FakeServer, home: Path, redirection: str, *options: str, typed: str = "") -> tuple[int, str, str]:
    """Run a client with its streams redirected as a shell does it; return status, output and error output."""
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *SCRIPTED, "--no-tls", "--user", "aaa", *options,
         "127.0.0.1", str(server.port)],
        input=typed, capture_output=True, text=True, env=environment(home, {"TESSENGER_PASSWORD": "123"}), cwd=home,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_is_gone_ends_the_client_quietly(
    server: FakeServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """At once, though more input may come, with the status of an end by SIGPIPE, over the connection that it has.

    What nobody has read does not count as shown.
    """
    with subprocess.Popen(
        [*SCRIPTED, "--no-tls", "--user", "aaa", *options, "127.0.0.1", str(server.port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, cwd=tmp_path,
        env=environment(tmp_path, {"TESSENGER_PASSWORD": "123"}),
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        server.expect(Login)
        server.say("aaa", "read")
        while b"read" not in client.stdout.readline():
            pass
        client.stdout.close()
        server.say("aaa", "for nobody")
        assert client.wait(PATIENCE) == READER_GONE
        assert client.stderr.read() == b""
    shown: list[int] = []
    while not isinstance(request := server.expect(Request), Logout):
        if isinstance(request, Seen):
            shown.append(request.seq)
    assert shown == [1]
    assert not server.has_got(Resume)


@pytest.mark.parametrize("options", [("--exec", "msgto bbb x"), ("--json",), ()])
def test_a_full_disk_is_one_line(server: FakeServer, tmp_path: Path, options: tuple[str, ...]) -> None:
    """And status 1, not that of a connection that failed; what was sent is not sent again."""
    assert in_shell(server, tmp_path, ">/dev/full", *options, typed="msgto bbb x\n") == (1, "", FULL)
    assert len(server.logins) == 1
    assert not server.has_got(Resume)


@pytest.mark.parametrize(
    ("redirection", "expected"),
    [(">&-", ""), ("2>&-", f"message sent at {TIME}\n"), ("<&-", f"message sent at {TIME}\n"),
     ("<&- >&- 2>&-", ""), ("2>/dev/full", f"message sent at {TIME}\n")],
)  # fmt: skip
def test_streams_that_are_closed_at_the_start_work(
    server: FakeServer, tmp_path: Path, redirection: str, expected: str
) -> None:
    """What would go to them goes nowhere; the command is carried out once, and the status says so."""
    assert in_shell(server, tmp_path, redirection, "--exec", "msgto bbb once") == (0, expected, "")
    assert server.expect(MsgTo).text == "once"
    server.expect(Logout)
    assert len(server.logins) == 1


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_input_that_is_closed_at_the_start_has_ended(
    server: FakeServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """No file or socket that the client opens takes its place."""
    status, _, errors = in_shell(server, tmp_path, "<&-", *options)
    assert (status, errors) == (0, "")
    server.expect(Logout)


def test_help_for_nobody(tmp_path: Path) -> None:
    """What argparse prints is told apart from what could not be printed."""
    for words, status, said in ((">/dev/full", 1, FULL), (">&-", 0, "")):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {words}', "sh", *SCRIPTED, "--help"],
            capture_output=True, text=True, env=environment(tmp_path), timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (status, "", said)
