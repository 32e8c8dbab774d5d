"""The configuration: where values come from, what is refused and in which words."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import msgspec
import platformdirs
import pytest

from tessenger import config
from tessenger.config import Config
from tessenger.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A config file in a folder of its own, empty at first."""
    path = tmp_path / "conf" / "config.toml"
    path.parent.mkdir()
    path.touch()
    return path


def every_key() -> list[tuple[str, str]]:
    """Return table and key of everything that can be configured, in the program's order."""
    return [
        (section.name, key.name)
        for section in msgspec.structs.fields(Config)
        for key in msgspec.structs.fields(section.type)
    ]


class TestShippedFile:
    """config.toml of the checkout."""

    def test_it_says_the_defaults(self) -> None:
        """Every value in it is the program's default, so leaving the file out changes nothing but the places."""
        assert msgspec.convert(tomllib.loads(SHIPPED.read_text()), Config) == Config()

    def test_it_has_every_key(self) -> None:
        """Every key of every table is there, and no other."""
        tables = tomllib.loads(SHIPPED.read_text())

        assert [(section, key) for section, table in tables.items() for key in table] == every_key()

    def test_every_key_has_a_comment(self) -> None:
        """Right above each key stands a comment that is a sentence."""
        lines = SHIPPED.read_text().splitlines()
        above = {line.split(" = ")[0]: lines[n - 1] for n, line in enumerate(lines) if re.match(r"\w+ = ", line)}

        assert above.keys() == {key for _, key in every_key()}
        assert [key for key, comment in above.items() if not re.fullmatch(r"# .{8,}\.", comment)] == []

    def test_it_is_found_without_being_named(self) -> None:
        """Run from a checkout, the programs read its file, and its paths start at the checkout."""
        assert config.find(None, {}) == SHIPPED
        assert config.load(None, {}, {}).server.credentials == str(SHIPPED.parent / "credentials.txt")


class TestPrecedence:
    """Command line over environment over file over default."""

    def test_each_source_overrides_the_next(self, file: Path) -> None:
        """A key has the value of the strongest source that names it."""
        file.write_text("[server]\nport = 1\nworkers = 2\n[auth]\nmax_attempts = 5\n")
        environ = {"TESSENGER_SERVER_PORT": "3", "TESSENGER_SERVER_WORKERS": "4"}

        loaded = config.load(file, environ, {"server": {"port": 6}})

        assert (loaded.server.port, loaded.server.workers, loaded.auth.max_attempts) == (6, 4, 5)
        assert loaded.limits == Config().limits

    def test_environment_spells_every_type(self, file: Path) -> None:
        """Numbers and truth values are spelt as text in the environment."""
        environ = {
            "TESSENGER_SERVER_TLS": "false",
            "TESSENGER_AUTH_BLOCK_SECONDS": "2.5",
            "TESSENGER_CONSOLE_LEVEL": "off",
            "TESSENGER_CLIENT_HOST": "127.0.0.2",
        }

        loaded = config.load(file, environ, {})

        assert loaded.server.tls is False
        assert loaded.auth.block_seconds == 2.5
        assert loaded.console.level == "off"
        assert loaded.client.host == "127.0.0.2"

    def test_file_named_on_the_command_line_wins(self, file: Path, tmp_path: Path) -> None:
        """--config goes over TESSENGER_CONFIG, which goes over the checkout's own file."""
        other = tmp_path / "other.toml"

        assert config.find(None, {"TESSENGER_CONFIG": str(file)}) == file
        assert config.find(other, {"TESSENGER_CONFIG": str(file)}) == other


class TestPaths:
    """Where relative paths start."""

    def test_those_of_the_file_start_at_its_folder(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So do the defaults. The current folder does not matter."""
        monkeypatch.chdir(tmp_path)
        file.write_text('[server]\ndata_dir = "../elsewhere"\n[transfer]\ndownload_dir = "/abs"\n')

        loaded = config.load(Path("conf/config.toml"), {}, {})

        assert loaded.server.data_dir == str(tmp_path / "elsewhere")
        assert loaded.server.credentials == str(file.parent / "credentials.txt")
        assert loaded.client.state_dir == str(file.parent / "client-state")
        assert loaded.transfer.download_dir == "/abs"

    def test_those_given_by_hand_start_at_the_current_folder(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A path on the command line or in the environment means what it means to the shell."""
        monkeypatch.chdir(tmp_path)

        loaded = config.load(file, {"TESSENGER_SERVER_DATA_DIR": "d"}, {"transfer": {"download_dir": "e"}})

        assert loaded.server.data_dir == str(tmp_path / "d")
        assert loaded.transfer.download_dir == str(tmp_path / "e")

    def test_a_tilde_is_the_home_folder(self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`~` is expanded wherever it comes from."""
        monkeypatch.setenv("HOME", str(tmp_path))
        file.write_text('[server]\ndata_dir = "~/chat"\n')

        assert config.load(file, {}, {}).server.data_dir == str(tmp_path / "chat")

    @pytest.mark.parametrize("has_config", [False, True])
    def test_installed_they_lie_in_the_users_folders(
        self, has_config: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Outside of a checkout everything is in XDG's places; a config file there that names no path changes none."""
        monkeypatch.setattr(config, "__file__", str(tmp_path / "site-packages" / "tessenger" / "config.py"))
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in [name for name in os.environ if name.startswith("XDG_")]:
            monkeypatch.delenv(name)
        places = platformdirs.PlatformDirs("tessenger")
        if has_config:
            places.user_config_path.mkdir(parents=True)
            (places.user_config_path / "config.toml").write_text("[server]\nport = 7\n")

        loaded = config.load(None, {}, {})

        assert loaded.server.port == (7 if has_config else 12_000)
        assert loaded.server.data_dir == places.user_data_dir
        assert loaded.server.credentials == str(places.user_config_path / "credentials.txt")
        assert loaded.client.state_dir == places.user_state_dir
        assert loaded.transfer.download_dir == str(tmp_path / "Downloads")


class TestMistakes:
    """What is refused says where it stands, what it is and what is allowed."""

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("[server]\nprot = 1", "unknown key server.prot: did you mean port?"),
            ("[auth]\nxyz = 1", "unknown key auth.xyz: [auth] has max_attempts, block_seconds"),
            ("[sever]\nport = 1", "unknown table [sever]: did you mean [server]?"),
            ("port = 1", "unknown key port outside of any table: it belongs under [server] or [client]"),
            ("server = 1", "server = 1: must be a table: write [server], then its keys"),
            ("[server]\nport = 65_536", "server.port = 65536: must be a whole number from 0 to 65535"),
            ("[server]\nport = -1", "server.port = -1: must be a whole number from 0 to 65535"),
            ("[server]\nport = '80'", "server.port = '80': must be a whole number from 0 to 65535"),
            ("[server]\nport = true", "server.port = true: must be a whole number from 0 to 65535"),
            ("[server]\nport = 80.5", "server.port = 80.5: must be a whole number from 0 to 65535"),
            (
                "[server]\nhost = ''",
                "server.host = '': must be a text that is not empty, or a list with a text that is not empty",
            ),
            ("[server]\ntls = 'no'", "server.tls = 'no': must be true or false"),
            ("[limits]\nburst = 0", "limits.burst = 0: must be a whole number of at least 1"),
            ("[auth]\nblock_seconds = nan", "auth.block_seconds = nan: must be a number from 0.1 to 31536000"),
            ("[sessions]\ngrace_seconds = inf", "sessions.grace_seconds = inf: must be a number of at least 0"),
            ("[console]\nlevel = 'loud'", 'console.level = \'loud\': must be "events" or "full" or "off"'),
            ("[server\n", "is not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
            ("[server]\nport = 1\nport = 2\n", "is not valid TOML: Cannot overwrite a value (at line 3, column 9)"),
        ],
    )
    def test_in_the_file(self, text: str, complaint: str, file: Path) -> None:
        """The file is named, then the key, the value and what is allowed; for a misspelt key the nearest one."""
        file.write_text(text)

        with pytest.raises(ConfigError) as caught:
            config.load(file, {}, {})

        assert str(caught.value) == f"{file}: {complaint}"

    def test_in_the_environment(self, file: Path) -> None:
        """The variable is named, and a misspelt one is not passed over in silence."""
        with pytest.raises(ConfigError, match=r"variable TESSENGER_SERVER_PORT: server\.port = 'x': must be a whole"):
            config.load(file, {"TESSENGER_SERVER_PORT": "x"}, {})
        with pytest.raises(ConfigError, match=r"TESSENGER_SERVER_PROT: did you mean TESSENGER_SERVER_PORT\?"):
            config.load(file, {"TESSENGER_SERVER_PROT": "1"}, {})

    def test_others_variables_are_let_be(self, file: Path) -> None:
        """A variable of another program that only begins like ours is no mistake."""
        assert config.load(file, {"TESSENGER_BOT_NICKNAME": "x"}, {}).server == config.load(file, {}, {}).server

    def test_on_the_command_line(self, file: Path) -> None:
        """The command line is held to the same bounds."""
        with pytest.raises(
            ConfigError, match=r"^command line: server\.workers = 0: must be a whole number from 1 to 64"
        ):
            config.load(file, {}, {"server": {"workers": 0}})

    def test_file_that_is_not_there(self, tmp_path: Path) -> None:
        """A file that was named must be there and be text."""
        with pytest.raises(ConfigError, match="no such config file"):
            config.load(tmp_path / "none.toml", {}, {})
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            config.load(tmp_path, {}, {})
        (tmp_path / "binary.toml").write_bytes(b"# \xff")
        with pytest.raises(ConfigError, match="is not UTF-8 text: invalid start byte at byte 2"):
            config.load(tmp_path / "binary.toml", {}, {})

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a = " + "[" * 5_000, "is not valid TOML: it is nested too deeply"),
            ("a = " + "{b=" * 5_000, "is not valid TOML: it is nested too deeply"),
            ("a = " + "9" * 5_000, "is not valid TOML: Exceeds the limit"),
            ("[server]\nport." + ".".join("a" * 5_000) + " = 1", "server.port = .* must be a whole number"),
            ("[server]\nport = 0x" + "f" * 5_000, "server.port = .* must be a whole number"),
        ],
    )
    def test_what_no_reader_can_take(self, tmp_path: Path, text: str, problem: str) -> None:
        """Depth and size are mistakes like others: named with the file, whatever the reader makes of them."""
        path = tmp_path / "odd.toml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=f"odd.toml: {problem}"):
            config.load(path, {}, {})

    @pytest.mark.parametrize(
        ("host", "hosts"),
        [
            ("'::'", ["::"]), ("'*'", ["*"]), ("'127.0.0.1, ::1'", ["127.0.0.1", "::1"]),
            ("['127.0.0.1', '::1']", ["127.0.0.1", "::1"]),
        ],
    )  # fmt: skip
    def test_several_addresses(self, host: str, hosts: list[str], file: Path) -> None:
        """A list, or a text with commas, as on the command line and in the environment."""
        file.write_text(f"[server]\nhost = {host}\n")
        assert config.load(file, {}, {}).server.hosts == hosts

    @pytest.mark.parametrize("host", ["'127.0.0.1,'", "','", "[]", "['']", "''", "5", "[5]"])
    def test_addresses_that_are_none(self, host: str, file: Path) -> None:
        """Said with the key."""
        file.write_text(f"[server]\nhost = {host}\n")
        with pytest.raises(ConfigError, match=r"server\.host"):
            config.load(file, {}, {})

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "chat.example"])
    def test_no_tls_beyond_loopback(self, host: str, file: Path) -> None:
        """Plain TCP is refused where passwords would cross a network."""
        with pytest.raises(ConfigError, match=r"without TLS .* must be on loopback"):
            config.load(file, {}, {"server": {"host": host, "tls": False}})
        with pytest.raises(ConfigError, match=r"without TLS .* must be on loopback"):
            config.load(file, {}, {"client": {"host": host, "tls": False}})

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_no_tls_on_loopback(self, host: str, file: Path) -> None:
        """On loopback plain TCP is fine."""
        assert config.load(file, {}, {"server": {"host": host, "tls": False}}).server.host == host

    def test_text_must_fit_into_a_line(self, file: Path) -> None:
        """The longest message must be shorter than the longest line."""
        with pytest.raises(
            ConfigError, match=r"limits\.text_bytes = 2048: must be less than limits\.line_bytes = 2048"
        ):
            config.load(file, {}, {"limits": {"text_bytes": 2048, "line_bytes": 2048}})
