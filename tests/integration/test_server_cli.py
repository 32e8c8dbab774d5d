"""`tessenger-server` as a command: its mistakes, and `users`, through pipes and in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tessenger.state.credentials import Credentials

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A credentials file with one user."""
    path = tmp_path / "credentials.txt"
    path.write_text("# team\neve old\n")
    return path


def command(*args: str | Path) -> list[str]:
    """Return the command line that runs the server program with these arguments."""
    return [sys.executable, "-m", "tessenger", "server", *map(str, args)]


def run(*args: str | Path, stdin: bytes = b"", **environ: str) -> tuple[int, str, str]:
    """Run the program with this on its standard input; returns status, output and error output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run(command(*args), input=stdin, env=environment, capture_output=True, timeout=50, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class TestMistakes:
    """Each ends with its own status and one line that says what is wrong."""

    @pytest.mark.parametrize(
        ("args", "status", "complaint"),
        [
            (["--wrong"], 2, "unrecognized arguments: --wrong (`tessenger-server --help` explains)"),
            (["127.0.0.1", "http"], 2, "argument tcp_port: invalid int value: 'http'"),
            (["127.0.0.1", "70000"], 2, "command line: server.port = 70000: must be a whole number from 0 to 65535"),
            (["127.0.0.1", "0", "0"], 2, "command line: auth.max_attempts = 0: must be a whole number from 1 to 1000"),
            (["--workers", "0"], 2, "command line: server.workers = 0: must be a whole number from 1 to 64"),
            (["--config", "nowhere.toml"], 2, "nowhere.toml: no such config file"),
            (["0.0.0.0", "--no-tls"], 2, "without TLS (--no-tls) the host must be on loopback"),
            (["--credentials", "nowhere.txt"], 4, "nowhere.txt: no such file"),
            (["0.0.0.0"], 2, "demonstration users"),
            (["users"], 2, "the following arguments are required: COMMAND"),
            (["users", "list", "--credentials", "nowhere.txt"], 4, "nowhere.txt: no such file"),
        ],
    )
    def test_is_told_on_one_line(self, args: list[str], status: int, complaint: str, tmp_path: Path) -> None:
        """No traceback, no usage text, nothing on standard output."""
        data = f"{tmp_path}/data"
        ended, out, err = run(*args, TESSENGER_SERVER_PORT="0", TESSENGER_SERVER_DATA_DIR=data)

        assert (ended, out) == (status, "")
        assert err.startswith("tessenger-server: ")
        assert complaint in err
        assert err.count("\n") == 1

    def test_help_ends_with_the_exit_statuses(self) -> None:
        """--help is for people: usage first, exit statuses last."""
        status, out, err = run("--help")

        assert (status, err) == (0, "")
        assert out.startswith("usage: tessenger-server [server_ip] [tcp_port] [max_attempts] [OPTION...]\n")
        assert [line.split()[0] for line in out.partition("exit status:\n")[2].splitlines()] == [
            "0", "1", "2", "3", "4", "69", "130",
        ]  # fmt: skip
        assert max(map(len, out.splitlines())) <= 110


class TestUsersThroughPipes:
    """The first line of standard input is the password."""

    def test_a_users_life(self, file: Path) -> None:
        """Added, listed, given another password, removed; what is there besides stays."""
        options = ("--credentials", file)

        status, out, err = run("users", "add", "Bob", *options, stdin="pä ss\nignored".encode())
        assert (status, out, err) == (0, f"Bob was added to {file}\n", "")
        assert Credentials.load(file).verify("bob", "pä ss") == "Bob"

        assert run("users", "list", *options) == (0, "eve\nBob\n", "")

        status, out, _ = run("users", "passwd", "bob", *options, stdin=b"new\r\n")
        assert (status, out) == (0, f"bob has a new password in {file}\n")
        assert Credentials.load(file).verify("bob", "new") == "Bob"

        assert run("users", "remove", "BOB", *options)[0] == 0
        assert file.read_text() == "# team\neve old\n"

    def test_the_configured_file_is_kept(self, file: Path) -> None:
        """Without --credentials it is the file that the configuration names."""
        assert run("users", "remove", "eve", TESSENGER_SERVER_CREDENTIALS=str(file))[0] == 0
        assert file.read_text() == "# team\n"

    def test_hash_prints_what_a_line_takes(self, file: Path) -> None:
        """The output of `hash`, written behind a name, lets that user sign in."""
        status, out, _ = run("users", "hash", stdin=b"secret\n")
        file.write_text(f"zoe {out}")

        assert status == 0
        assert Credentials.load(file).verify("zoe", "secret") == "zoe"

    @pytest.mark.parametrize(
        ("args", "stdin", "status", "complaint"),
        [
            (["add", "Eve"], b"x\n", 4, "the user eve is there already"),
            (["add", "a b"], b"x\n", 2, "The user name has characters that are not allowed"),
            (["add", "bob"], b"", 2, "the password must not be empty"),
            (["add", "bob"], b"\n", 2, "the password must not be empty"),
            (["add", "bob"], b"\xff\n", 2, "the password is not UTF-8 text"),
            (["passwd", "bob"], b"x\n", 4, "there is no user 'bob'"),
            (["remove", "bob"], b"", 4, "there is no user 'bob'"),
        ],
    )
    def test_refusals(self, args: list[str], stdin: bytes, status: int, complaint: str, file: Path) -> None:
        """What cannot be done is said, and changes nothing."""
        ended, out, err = run("users", *args, "--credentials", file, stdin=stdin)

        assert (ended, out) == (status, "")
        assert err.startswith("tessenger-server: ")
        assert complaint in err
        assert file.read_text() == "# team\neve old\n"


class TestUsersInATerminal:
    """The password is asked for twice and never shown."""

    def start(self, file: Path) -> pexpect.spawn[str]:
        """Begin to give eve another password."""
        program, *args = command("users", "passwd", "eve", "--credentials", file)
        return pexpect.spawn(program, args, encoding="utf-8", timeout=50, cwd=str(ROOT))

    def test_asked_twice_without_echo(self, file: Path) -> None:
        """What is typed does not appear on the screen."""
        terminal = self.start(file)
        terminal.expect("Password: ")
        terminal.sendline("hunter2")
        terminal.expect("Password again: ")
        terminal.sendline("hunter2")
        terminal.expect("eve has a new password in ")
        shown = f"{terminal.before}{terminal.read()}"
        terminal.close()

        assert "hunter2" not in shown
        assert terminal.exitstatus == 0
        assert Credentials.load(file).verify("eve", "hunter2") == "eve"

    def test_two_that_differ(self, file: Path) -> None:
        """A slip of the finger changes nothing."""
        terminal = self.start(file)
        terminal.expect("Password: ")
        terminal.sendline("hunter2")
        terminal.expect("Password again: ")
        terminal.sendline("hunter3")
        terminal.expect("tessenger-server: the two passwords differ; nothing was changed")
        terminal.expect(pexpect.EOF)
        terminal.close()

        assert terminal.exitstatus == 2
        assert Credentials.load(file).verify("eve", "old") == "eve"

    def test_interrupted(self, file: Path) -> None:
        """Ctrl-C at the question ends it without a traceback."""
        terminal = self.start(file)
        terminal.expect("Password: ")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        shown = str(terminal.before)
        terminal.close()

        assert "Traceback" not in shown
        assert terminal.exitstatus == 130
        assert file.read_text() == "# team\neve old\n"


def test_what_cannot_be_written_is_said(file: Path) -> None:
    """A full disk is one line and status 1; an output that is closed has no reader, and that is fine."""
    full = "tessenger-server: Cannot write to standard output: No space left on device.\n"
    for words, status, errors in ((">/dev/full", 1, full), (">&-", 0, "")):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {words}', "sh", *command("users", "list", "--credentials", file)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (status, "", errors)
