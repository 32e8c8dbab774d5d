"""credentials.txt: reading, checking passwords, telling what changed, editing."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import argon2
import pytest

from tessenger.errors import CredentialsError
from tessenger.state import credentials
from tessenger.state.credentials import Credentials

SHIPPED = Path(__file__).parents[2] / "credentials.txt"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""A hash that costs nearly nothing: the cost stands in the line, so it is a valid one."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a file that is not there yet."""
    return tmp_path / "credentials.txt"


def reading(file: Path, text: str) -> Credentials:
    """Return what is read from a file with this text."""
    file.write_bytes(text.encode())
    return Credentials.load(file)


class TestReading:
    """What lines mean, and which make no sense."""

    def test_shipped_file_has_the_demonstration_users(self) -> None:
        """The checkout's own file has the users of the original description, and is known to have them."""
        shipped = Credentials.load(SHIPPED)

        assert list(shipped.names.values()) == ["aaa", "bbb", "ccc", "ddd"]
        assert shipped.verify("aaa", "123") == "aaa"
        assert shipped.has_demonstration_users()

    def test_comments_blanks_and_line_ends(self, file: Path) -> None:
        """Comments, empty lines, a byte order mark, CRLF and a missing last line end are all fine."""
        users = reading(file, "\ufeff# users\r\n\r\nAnna  with a space\r\n  # more\nBo\tpw  \nCy pä#s\u2028s")

        assert dict(users.names) == {"anna": "Anna", "bo": "Bo", "cy": "Cy"}
        assert users.verify("Anna", "with a space") == "Anna"
        assert users.verify("Bo", "pw") == "Bo"
        assert users.verify("Cy", "pä#s\u2028s") == "Cy"

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("aaa SECRET\nbbb\n", 'line 2: must be "user password", the password is missing'),
            ("aaa SECRET\n\nAAA SECRET\n", "line 3: the user AAA stands in line 1 already"),
            ("a/b SECRET\n", "line 1: The user name has characters that are not allowed"),
            (f"{'a' * 33} SECRET\n", "line 1: The user name is too long"),
            ("aaa $argon2id$SECRET\n", "line 1: the password of aaa is no valid argon2id hash"),
            ("aaa $argon2id$v=19$m=7,t=1,p=1$SECRETSALTAA$SECRETHASHAAAAAAAAAA\n", "no valid argon2id hash"),
            (
                "aaa $2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgB\n",
                "line 1: the password of aaa looks like a hash of another program",
            ),
            ("x 1\naaa $6$salt$abc\n", "line 2: the password of aaa looks like a hash"),
            ("aaa {SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", "hash of another program"),
            ("aaa pbkdf2_sha256$260000$salt$abc=\n", "hash of another program"),
            (
                f"aaa $argon2id$v=19$m=9999999,t=2,p=1$SECRETSALTAA${'A' * 43}\n",
                "line 1: the password of aaa costs too much",
            ),
            (f"aaa $argon2id$v=19$m=1048576,t=5,p=1$SECRETSALTAA${'A' * 43}\n", "costs too much to check"),
            ("aaa $argon2i$v=19$m=8,t=1,p=1$SECRETSALTAA$SECRETHASHAAAAAAAAAA\n", "no valid argon2id hash"),
        ],
    )
    def test_line_that_makes_no_sense(self, text: str, complaint: str, file: Path) -> None:
        """File and line are named; no password ever is."""
        with pytest.raises(CredentialsError) as caught:
            reading(file, text)

        assert str(caught.value).startswith(f"{file}, ")
        assert complaint in str(caught.value)
        assert "SECRET" not in str(caught.value)

    def test_file_that_cannot_be_read(self, file: Path, tmp_path: Path) -> None:
        """A file that is missing or no text says so, and how to make one."""
        with pytest.raises(CredentialsError, match="no such file; `tessenger-server users add NAME` makes it"):
            Credentials.load(file)
        with pytest.raises(CredentialsError, match="cannot be read: Is a directory"):
            Credentials.load(tmp_path)
        file.write_bytes(b"aaa \xff\n")
        with pytest.raises(CredentialsError, match="is not UTF-8 text"):
            Credentials.load(file)


class TestVerifying:
    """Whether a password is right."""

    def test_plain_and_hashed(self, file: Path) -> None:
        """Both kinds of line work in one file, names compare without case, and the file's spelling is returned."""
        users = reading(file, f"Plain 123\nHashed {CHEAP.hash('pä ss')}\n")

        assert users.verify("pLAIN", "123") == "Plain"
        assert users.verify("HASHED", "pä ss") == "Hashed"
        assert users.canonical("hashed") == "Hashed"
        for user, wrong in [("Plain", "124"), ("Plain", ""), ("Hashed", "123"), ("Hashed", ""), ("Plain", "pä ss")]:
            assert users.verify(user, wrong) is None

    def test_hash_itself_is_no_password(self, file: Path) -> None:
        """Whoever has read the file cannot sign in with what stands in it."""
        encoded = CHEAP.hash("123")

        assert reading(file, f"aaa {encoded}\n").verify("aaa", encoded) is None

    @pytest.mark.parametrize("password", ["", "123", "\x00", "\ud800", "x" * 60_000])
    def test_unknown_user(self, password: str, file: Path) -> None:
        """No password is right for someone who is not there, the decoy's own included."""
        assert reading(file, f"aaa {CHEAP.hash('123')}\n").verify("nobody", password) is None
        assert reading(file, "aaa 123\n").verify("nobody", password) is None
        assert reading(file, "").verify("nobody", password) is None

    @pytest.mark.parametrize(
        ("user", "password"),
        [("hashed", "123"), ("hashed", "no"), ("plain", "123"), ("plain", "no"), ("nobody", "123")],
    )
    def test_every_answer_costs_the_same(
        self, user: str, password: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a hash in the file each answer computes exactly one, so that time tells nobody who has an account."""
        users = reading(file, f"plain 123\nhashed {CHEAP.hash('123')}\n")
        computed = []
        matches = credentials._matches

        def counted(stored: str, given: bytes) -> bool:
            computed.append(stored)
            return matches(stored, given)

        monkeypatch.setattr(credentials, "_matches", counted)

        users.verify(user, password)

        assert len(computed) == 1

    def test_new_hashes_have_owasp_cost(self) -> None:
        """A hash that is made here is argon2id with 19 MiB, two passes and one lane."""
        assert credentials.hashed("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    def test_demonstration_users_are_known_by_name_and_password(self, file: Path) -> None:
        """A user of that name with another password is nobody's business, however the name is spelt."""
        assert not reading(file, "aaa 124\neve 123\n").has_demonstration_users()
        assert not reading(file, f"aaa {CHEAP.hash('124')}\n").has_demonstration_users()
        assert reading(file, "eve 1\nAAA 123\n").has_demonstration_users()


def test_changes_between_two_readings(file: Path) -> None:
    """Those whose password is another are named; who is gone or new, and new spellings, are not."""
    old = reading(file, "stays 1\ngone 2\nchanged 3\nspelt 4\n")
    new = reading(file, "new 5\nstays 1\nchanged 4\nSpelt 4\n")

    assert new.passwords_changed(old) == ["changed"]
    assert old.passwords_changed(old) == []


def test_a_file_that_is_hardly_the_right_one(file: Path) -> None:
    """One that has nobody of those who were there is not believed, were there any."""
    users = reading(file, "eve 1\nbob 2\n")

    assert users.has_some_of(["EVE", "gone"])
    assert users.has_some_of([])
    assert not users.has_some_of(["gone"])
    assert not reading(file, "# nobody yet\n").has_some_of(["gone"])
    assert reading(file, "# nobody yet\n").has_some_of([])


class TestEditing:
    """What `tessenger-server users` does to the file."""

    def test_add_keeps_what_is_there(self, file: Path) -> None:
        """A line is added at the end; comments, order and everything else stay byte for byte."""
        before = "# users\r\n\n  eve   pw\t\n# end"
        file.write_bytes(before.encode())

        credentials.add(file, "Bob", "s3 cret")

        assert file.read_bytes().startswith(before.encode() + b"\nBob $argon2id$")
        assert Credentials.load(file).verify("bob", "s3 cret") == "Bob"

    def test_add_makes_a_private_file(self, tmp_path: Path) -> None:
        """The first user's file is made with its folder, and only its owner may read it."""
        file = tmp_path / "new" / "credentials.txt"

        credentials.add(file, "bob", "pw")

        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_remove_and_passwd(self, file: Path) -> None:
        """Only the line of that user changes; the name keeps its spelling."""
        file.write_text("# one\neve 1\n# two\nBob 2\nzoe 3")

        credentials.remove(file, "EVE")
        credentials.passwd(file, "bob", "new")

        lines = file.read_text().splitlines()
        assert [lines[0], lines[1], lines[3]] == ["# one", "# two", "zoe 3"]
        assert lines[2].startswith("Bob $argon2id$")
        assert Credentials.load(file).verify("bob", "new") == "Bob"

    def test_a_name_that_is_added_again_has_another_tag(self, file: Path) -> None:
        """`add` draws one, `passwd` keeps it, and a line that was written by hand has none and gets none."""
        file.write_text("eve 1\n")
        credentials.add(file, "bob", "1")
        first = Credentials.load(file).tag("BOB")
        credentials.passwd(file, "bob", "2")
        credentials.passwd(file, "eve", "2")

        users = Credentials.load(file)
        assert len(first) == 16
        assert users.accounts == {"eve": "", "bob": first}
        assert (users.verify("bob", "2"), users.verify("eve", "2")) == ("bob", "eve")

        credentials.remove(file, "bob")
        credentials.add(file, "bob", "2")
        again = Credentials.load(file).tag("bob")
        assert len(again) == 16
        assert again != first

    @pytest.mark.parametrize(
        "password", ["0123456789abcdef", "a 0123456789abcdef", "$argon2 0123456789abcdef"[1:], "a  b", "a #x y"]
    )
    def test_a_plain_password_has_no_tag(self, password: str, file: Path) -> None:
        """Whatever it ends with: only behind a hash there may be one."""
        users = reading(file, f"eve {password}\n")

        assert users.tag("eve") == ""
        assert users.verify("eve", password) == "eve"

    @pytest.mark.parametrize("more", ["0123456789abcde", "0123456789ABCDEF", "0123456789abcdef 0", "x"])
    def test_what_is_no_tag_makes_no_sense(self, more: str, file: Path) -> None:
        """The line is named, as for any other mistake behind a hash."""
        with pytest.raises(CredentialsError, match="line 1: the password of eve is no valid argon2id hash"):
            reading(file, f"eve {CHEAP.hash('1')} {more}\n")

    def test_file_keeps_its_mode_and_its_link(self, file: Path, tmp_path: Path) -> None:
        """An edit leaves no other file behind, keeps the mode, and a symbolic link stays one."""
        file.write_text("eve 1\n")
        file.chmod(0o640)
        link = tmp_path / "link.txt"
        link.symlink_to(file)

        credentials.remove(link, "eve")

        assert link.is_symlink()
        assert file.read_text() == ""
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert set(tmp_path.iterdir()) == {file, link}

    def test_refusals_change_nothing(self, file: Path) -> None:
        """A user who is there already, one who is not, a bad name, a file with a mistake: the file stays as it is."""
        file.write_text("eve 1\n")

        with pytest.raises(CredentialsError, match="the user eve is there already"):
            credentials.add(file, "Eve", "2")
        with pytest.raises(CredentialsError, match="characters that are not allowed"):
            credentials.add(file, "a b", "2")
        with pytest.raises(CredentialsError, match="there is no user 'bob'"):
            credentials.remove(file, "bob")
        with pytest.raises(CredentialsError, match="there is no user 'bob'"):
            credentials.passwd(file, "bob", "2")
        assert file.read_text() == "eve 1\n"

        file.write_text("eve 1\nbroken\n")
        with pytest.raises(CredentialsError, match="line 2"):
            credentials.add(file, "bob", "2")
        assert file.read_text() == "eve 1\nbroken\n"

    def test_failed_write_leaves_the_old_file(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the disk is full, the file is as before and nothing is left beside it."""
        file.write_text("eve 1\n")

        def no_space(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)

        with pytest.raises(CredentialsError, match="cannot be written: No space left on device"):
            credentials.remove(file, "eve")

        assert file.read_text() == "eve 1\n"
        assert list(file.parent.iterdir()) == [file]

    def test_edits_at_once_all_take_effect(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of many edits that meet none is lost."""
        monkeypatch.setattr(credentials, "HASHER", CHEAP)
        start = threading.Barrier(8)

        def add(user: str) -> None:
            start.wait()
            credentials.add(file, user, "pw")

        threads = [threading.Thread(target=add, args=(f"user{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(Credentials.load(file).names) == [f"user{n}" for n in range(8)]
