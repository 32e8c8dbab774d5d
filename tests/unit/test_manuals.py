"""The manual pages and the shells' completion say what the programs' --help says: each option, and no other."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.client import options
from tessenger.server import cli, redact, users

TOP = Path(__file__).parents[2]
PROGRAMS = ("tessenger-client", "tessenger-server")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+|(?<![\w-])-[a-z](?![\w-])")


def of_parser(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from of_parser(inner)


def in_help(program: str) -> set[str]:
    """Return every option of a program."""
    if program == "tessenger-client":
        return set(of_parser(options.parser()))
    return {option for parser in (cli._parser(), users._parser(), redact._parser()) for option in of_parser(parser)}


def in_manual(program: str) -> set[str]:
    """Return every option that its manual has a paragraph or a sentence about."""
    text = (TOP / "docs/man" / f"{program}.1").read_text().partition(".SH EXAMPLES")[0].replace("\\-", "-")
    lines = [line for line in text.splitlines() if line.startswith((".B", ".BI", ".BR"))]
    return {option for line in lines for option in OPTION.findall(line.partition(" ")[2])}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_manual_has_every_option_and_no_other(program: str) -> None:
    """Both ways."""
    assert in_manual(program) == in_help(program)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["{}.bash", "_{}"])
def test_completion_has_every_option_and_no_other(program: str, name: str) -> None:
    """For both shells."""
    text = (TOP / "completions" / name.format(program)).read_text()
    body = "\n".join(line for line in text.splitlines() if not line.startswith(("#", "complete ")))
    body = re.sub(r"compgen .*?-[WAfd] |-- \"|_arguments -s|_files -/|local -a|<<.*", "", body)
    body = body.replace("{-h,--help}", " -h --help ")
    assert set(OPTION.findall(body)) == in_help(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_manual_can_be_formatted(program: str) -> None:
    """Without a warning of the formatter, where there is one; every request at a line's beginning is one of man(7)."""
    path = TOP / "docs/man" / f"{program}.1"
    known = {"TH", "SH", "TP", "PP", "B", "BI", "BR", "I", "IR", "RI", "RS", "RE", "nf", "fi", "br", '\\"'}
    requests = {line[1:].split(" ")[0] for line in path.read_text().splitlines() if line.startswith(".")}
    assert requests <= known
    if groff := shutil.which("groff"):
        done = subprocess.run([groff, "-man", "-ww", "-Tutf8", str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "SYNOPSIS" in re.sub(".\x08", "", done.stdout)


@pytest.mark.parametrize("name", [f"_{program}" for program in PROGRAMS])
def test_zsh_can_read_its_completion(name: str) -> None:
    """Where there is one."""
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("there is no zsh here")
    done = subprocess.run([zsh, "-n", str(TOP / "completions" / name)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_installation_has_them_where_they_are_looked_for(program: str) -> None:
    """What the wheel puts below the environment's own folder is what is in this checkout."""
    share = TOP / "prefix/share"
    assert (share / "man/man1" / f"{program}.1").resolve() == TOP / "docs/man" / f"{program}.1"
    bash, zsh = TOP / "completions" / f"{program}.bash", TOP / "completions" / f"_{program}"
    assert (share / "bash-completion/completions" / program).resolve() == bash
    assert (share / "zsh/site-functions" / f"_{program}").resolve() == zsh


def complete(program: str, *words: str) -> set[str]:
    """Return what bash offers for the last of these words."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_${1//-/_}"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    file = TOP / "completions" / f"{program}.bash"
    done = subprocess.run(
        [bash, "-c", script, "bash", str(file), program, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_options() -> None:
    """All of them, or those that begin so."""
    assert complete("tessenger-client", "-") == in_help("tessenger-client")
    assert complete("tessenger-client", "--pro") == {"--profile"}
    assert complete("tessenger-server", "--w") == {"--workers"}
    assert complete("tessenger-server", "users", "add", "--c") == {"--config", "--credentials"}


def test_bash_completes_commands_and_files(tmp_path: Path) -> None:
    """The words of `users`, and paths where an option takes one."""
    assert complete("tessenger-server", "") >= {"users", "redact", "--workers"}
    assert complete("tessenger-server", "users", "p") == {"passwd"}
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert complete("tessenger-client", "--download-dir", f"{tmp_path}/f") == {f"{tmp_path}/folder"}
    assert complete("tessenger-client", "--config", f"{tmp_path}/f") == {f"{tmp_path}/folder", f"{tmp_path}/file"}
    assert complete("tessenger-client", "--user", "x") == set()


def test_bash_completes_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the program itself, whatever its path."""
    program = tmp_path / "tessenger-client"
    program.write_text("#!/bin/sh\necho 'work  anna@chat.example:12000'\necho 'home  127.0.0.1:12000'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert complete("tessenger-client", "--profile", "") == {"work", "home"}
    assert complete("tessenger-client", "--profile", "w") == {"work"}
