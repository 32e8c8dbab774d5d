"""client.toml: common keys, profiles, and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from tessenger.client import profiles
from tessenger.config import KEYS, load
from tessenger.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A client.toml in a folder of its own."""
    path = tmp_path / "tessenger" / "client.toml"
    path.parent.mkdir()
    return path


def test_it_lies_where_configuration_does() -> None:
    """In the user's config folder, by each system's convention."""
    assert profiles.usual_path() == platformdirs.user_config_path("tessenger") / "client.toml"


def test_there_need_not_be_one(file: Path) -> None:
    """Then it says nothing; a profile of it is a mistake."""
    found = profiles.read(file)
    assert found.values("") == {}
    with pytest.raises(ConfigError, match=r"no profile 'work': there are none"):
        found.values("work")


def test_a_profile_lies_over_the_common_keys(file: Path) -> None:
    """And both over config.toml, below the environment and the command line. Paths start at the file's folder."""
    file.write_text(
        "port = 1\nhost = 'common'\ndownload_dir = 'files'\n"
        "[profiles.work]\nhost = 'work'\nuser = 'anna'\nrate_limit = 5\nstate_dir = '~/w'\n"
    )
    config_toml = file.with_name("config.toml")
    config_toml.write_text("[client]\nhost = 'in.config'\nport = 9\nhistory_lines = 3\n[transfer]\nrate_limit = 9\n")
    found = profiles.read(file)

    common = load(config_toml, {}, {}, found.values(""))
    assert (common.client.host, common.client.port, common.client.history_lines) == ("common", 1, 3)
    assert (common.transfer.rate_limit, common.transfer.download_dir) == (9, str(file.parent / "files"))

    work = load(config_toml, {"TESSENGER_CLIENT_PORT": "2"}, {"client": {"user": "bob"}}, found.values("work"))
    assert (work.client.host, work.client.port, work.client.user) == ("work", 2, "bob")
    assert (work.transfer.rate_limit, work.client.state_dir) == (5, str(Path("~/w").expanduser()))


def test_every_key_has_one_home() -> None:
    """No key of [client] is also one of [transfer], so that none is ambiguous here."""
    assert len(profiles.HOMES) == len(KEYS["client"]) + len(KEYS["transfer"])
    assert profiles.TABLE not in profiles.HOMES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hots = 'x'", "unknown key hots: did you mean host?"),
        ("[profiles.work]\nprot = 1", "unknown key profiles.work.prot: did you mean port?"),
        ("port = 'x'", "port = 'x': must be a whole number from 0 to 65535"),
        ("[profiles.work]\ntls = 1", "profiles.work.tls = 1: must be true or false"),
        ("[client]\nhost = 'x'", "unknown key client: "),
        ("profiles = 3", r"profiles = 3: must be tables: write \[profiles.NAME\]"),
        ("profiles.work = 3", "profiles.work = 3: must be a table"),
        ("[profiles.'a b']", "a profile's name has"),
        ("host = ", "is not valid TOML"),
    ],
)
def test_mistakes_are_named(file: Path, text: str, words: str) -> None:
    """With the file, key and value, in one line; those in profiles that are not used as well."""
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as mistake:
        profiles.read(file)
    assert str(mistake.value).startswith(str(file))
    assert "\n" not in str(mistake.value)


def test_lines_are_harmless(file: Path) -> None:
    """A host with an escape sequence in it does nothing to the terminal."""
    file.write_text('[profiles.x]\nhost = "h\\u001b[2J"\n')
    assert list(profiles.read(file).lines()) == ["x  h␛[2J:12000"]
