"""The client's command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tessenger import __version__
from tessenger.client import cli
from tessenger.client.app import Settings
from tessenger.client.sign_in import Address
from tessenger.errors import UsageError


def settings(*arguments: str, environ: dict[str, str] | None = None) -> Settings:
    """Return what these arguments come to."""
    return cli._settings(cli._parser().parse_args(arguments), environ or {})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start in a directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("[client]\nhost = 'in.file'\nport = 1\n")


def test_the_positional_arguments_of_the_original_description() -> None:
    """Server, TCP port, UDP port; each wins over the file."""
    client = settings("--config", "config.toml", "10.0.0.1", "12001", "13001").config.client
    assert (client.host, client.port, client.udp_port, client.tls) == ("10.0.0.1", 12001, 13001, True)


def test_what_is_left_out_comes_from_environment_and_file() -> None:
    """In that order."""
    client = settings("--config", "config.toml", environ={"TESSENGER_CLIENT_PORT": "7"}).config.client
    assert (client.host, client.port) == ("in.file", 7)


def test_options(tmp_path: Path) -> None:
    """A directory is relative to where one is; TLS can be switched off."""
    found = settings("--download-dir", "here", "--no-tls", "--advertise", "files.example:40000")
    assert found.config.transfer.download_dir == str(tmp_path / "here")
    assert found.config.client.tls is False
    assert found.advertise == Address("files.example", 40_000)


@pytest.mark.parametrize(("text", "address"), [("host:1", Address("host", 1)), ("[::1]:65535", Address("::1", 65_535))])
def test_addresses(text: str, address: Address) -> None:
    """An IPv6 host stands in brackets."""
    assert cli.parse_address(text) == address


@pytest.mark.parametrize("text", ["host", "host:", ":1", "host:0", "host:65536", "host:x", "host:²"])
def test_addresses_that_are_none(text: str) -> None:
    """Said with what is wanted."""
    with pytest.raises(UsageError, match="HOST:PORT"):
        cli.parse_address(text)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both end with success and start nothing."""
    for option, shown in [("--version", f"tessenger-client {__version__}\n"), ("--help", "usage: tessenger-client")]:
        with pytest.raises(SystemExit) as end:
            cli.main([option])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(shown)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--nonsense"], 2), (["host", "port"], 2), (["host", "70000"], 2), (["--config", "missing.toml"], 2),
     (["--advertise", "host"], 2)],
)  # fmt: skip
def test_mistakes_are_one_line(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the exit status for a wrong command line."""
    with pytest.raises(SystemExit) as end:
        sys.exit(cli.main(arguments))  # argparse exits by itself
    assert end.value.code == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("tessenger-client: ")
    assert "Traceback" not in err
