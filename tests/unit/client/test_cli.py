"""The client's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessenger import __version__
from tessenger.client import cli, options, profiles
from tessenger.client.app import Settings
from tessenger.client.sign_in import Address, Credentials
from tessenger.errors import ConfigError, UsageError


def settings(*arguments: str, environ: dict[str, str] | None = None, client_toml: str = "") -> Settings:
    """Return what these arguments come to; a warning is an error here."""
    path = Path("client.toml").absolute()
    path.write_text(client_toml)

    def warn(text: str) -> None:
        raise AssertionError(text)

    return options.settings(options.parser().parse_args(arguments), environ or {}, profiles.read(path), warn)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start in a directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
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
    found = settings("--download-dir", "here", "--no-tls", "--advertise", "files.example:40000", "--rate-limit", "9000")
    assert found.config.transfer.rate_limit == 9000
    assert found.config.transfer.download_dir == str(tmp_path / "here")
    assert found.config.client.tls is False
    assert found.advertise == Address("files.example", 40_000)


@pytest.mark.parametrize(("text", "address"), [("host:1", Address("host", 1)), ("[::1]:65535", Address("::1", 65_535))])
def test_addresses(text: str, address: Address) -> None:
    """An IPv6 host stands in brackets."""
    assert options.parse_address(text) == address


@pytest.mark.parametrize("text", ["host", "host:", ":1", "host:0", "host:65536", "host:x", "host:²"])
def test_addresses_that_are_none(text: str) -> None:
    """Said with what is wanted."""
    with pytest.raises(UsageError, match="HOST:PORT"):
        options.parse_address(text)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both end with success and start nothing."""
    for option, shown in [("--version", f"tessenger-client {__version__}\n"), ("--help", "usage: tessenger-client")]:
        assert cli.main([option]) == 0
        assert capsys.readouterr().out.startswith(shown)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--nonsense"], 2), (["host", "port"], 2), (["host", "70000"], 2), (["--config", "missing.toml"], 2),
     (["--advertise", "host"], 2)],
)  # fmt: skip
def test_mistakes_are_one_line(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the exit status for a wrong command line."""
    assert cli.main(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("tessenger-client: ")
    assert "Traceback" not in err


def test_who_signs_in() -> None:
    """The option, the environment, the profile, the file's common part: the first that says something."""
    toml = "user = 'common'\n[profiles.work]\nuser = 'profile'\n"
    at_work = {"TESSENGER_PROFILE": "work"}
    assert settings(client_toml=toml).credentials == Credentials("common")
    assert settings(client_toml=toml, environ=at_work).credentials == Credentials("profile")
    both = {**at_work, "TESSENGER_CLIENT_USER": "variable"}
    assert settings(client_toml=toml, environ=both).credentials == Credentials("variable")
    assert settings("--user", "option", client_toml=toml, environ=both).credentials == Credentials("option")


def test_the_password_is_never_an_argument(tmp_path: Path) -> None:
    """From the file that the command line names, then the environment, then the file that a profile names."""
    for name in ("here", "there"):
        (tmp_path / name).write_text(f"in {name}\r\nnot this\n")
        (tmp_path / name).chmod(0o600)
    toml = "user = 'aaa'\npassword_file = 'there'\n"
    variable = {"TESSENGER_PASSWORD": "in variable"}
    assert settings(client_toml=toml).credentials == Credentials("aaa", "in there")
    assert settings(client_toml=toml, environ=variable).credentials == Credentials("aaa", "in variable")
    found = settings("--password-file", "here", client_toml=toml, environ=variable)
    assert found.credentials == Credentials("aaa", "in here")


def test_a_password_without_a_name_is_asked_for_with_it() -> None:
    """The seed's filter stays as it is, whatever is in the environment."""
    assert settings(environ={"TESSENGER_PASSWORD": "123"}).credentials == Credentials()


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_password_that_others_can_read_is_warned_about(tmp_path: Path, mode: int, *, warned: bool) -> None:
    """With the command that mends it."""
    path = tmp_path / "secret"
    path.write_text("123\n")
    path.chmod(mode)
    warnings: list[str] = []
    assert options.password_in(path, warnings.append) == "123"
    assert warnings == ([f"Others can read the password in {path}: chmod 600 {path}"] if warned else [])


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"\n123\n", "is empty"), (b"\xff", "not UTF-8")]
)
def test_a_password_file_that_makes_no_sense(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Said with its name, and nothing of what is in it."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        options.password_in(path, print)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--exec", "activeuser"], "--exec needs --user"), (["--password-file", "f"], "--password-file needs --user"),
     (["--user", "aaa", "--exec", "mgsto bbb hi"], "Did you mean /msgto"),
     (["--user", "aaa", "--exec", "msgto bbb"], "needs TEXT"), (["--user", "aaa", "--exec", " "], "empty command"),
     (["--profile", "wrok"], "did you mean work")],
)  # fmt: skip
def test_mistakes_in_scripts_are_usage(
    tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found before anybody connects: status 2, one line."""
    folder = tmp_path / "config" / "tessenger"
    folder.mkdir(parents=True)
    (folder / "client.toml").write_text("[profiles.work]\nhost = 'h'\n")
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


def test_list_profiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line: its name, and who would connect where."""
    folder = tmp_path / "config" / "tessenger"
    folder.mkdir(parents=True)
    (folder / "client.toml").write_text("port = 7\n[profiles.work]\nhost = 'h'\nuser = 'anna'\n[profiles.home]\n")
    assert cli.main(["--list-profiles"]) == 0
    assert capsys.readouterr().out == "work  anna@h:7\nhome  127.0.0.1:7\n"
