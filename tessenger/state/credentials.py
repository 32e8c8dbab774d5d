"""credentials.txt: who may sign in. Read by workers and the supervisor, edited by `tessenger-server users`.

One `user password` a line; the password is an argon2id hash or, for trying out, plain. Empty lines and lines that begin
with `#` are skipped. No error text ever holds a password or a hash.

Behind a hash there may be the account's *tag*: `add` draws one, and `passwd` keeps it. So a name that was removed and
added again is told from one whose password changed. A line without a tag, as people write them, says nothing of that.
"""

from __future__ import annotations

import fcntl
import hmac
import io
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import argon2

from tessenger.errors import CredentialsError, InvalidName
from tessenger.wire import names

HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's minimum for argon2id: 19 MiB, two passes, one lane (Password Storage Cheat Sheet)."""

DEMONSTRATION: Final = frozenset((user, "123") for user in ("aaa", "bbb", "ccc", "ddd"))
"""Users and passwords that everybody knows: those that credentials.txt comes with."""

_TAG_BYTES: Final = 8
"""Of chance in a tag: enough that of all accounts of a name no two have the same."""

_TAG: Final = re.compile(r"[0-9a-f]{16}")

_HASH_PREFIX: Final = "$argon2"
_HASH: Final = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,2})\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{16,128}"
)
"""An encoded hash with memory (KiB), passes, lanes, salt and output, each within what can be computed (RFC 9106)."""


_FOREIGN: Final = re.compile(r"\$[0-9A-Za-z][0-9A-Za-z-]*\$|\{[0-9A-Za-z-]+\}.|(pbkdf2|bcrypt|scrypt)[_:][0-9a-z:_]*\$")
"""How hashes of other programs begin: crypt's (`$2b$`), LDAP's (`{SSHA}`), web frameworks' (`pbkdf2_sha256$`)."""

MAX_MEMORY_KIB: Final = 1_048_576
MAX_WORK_KIB: Final = 4_194_304
"""KiB of memory, and of memory in all passes together, that the check of one password may take: some seconds."""


class User(NamedTuple):
    """A line of the file: the name, what stands for the password, and the account's tag, "" for none."""

    name: str
    secret: str
    tag: str = ""


class Credentials:
    """The users at one moment. Never changes: read the file again for a newer one."""

    def __init__(self, users: Iterable[User]) -> None:
        """Take the users, no two of whom have the same name."""
        self._users = {names.key(user.name): user for user in users}
        self.names: Mapping[str, str] = MappingProxyType({key: user.name for key, user in self._users.items()})
        """The name of each user as the file has it, by its key."""
        self._decoy = next((u.secret for u in self._users.values() if u.secret.startswith(_HASH_PREFIX)), None)
        self.hashes = self._decoy is not None
        """Whether `verify` takes its time: some password is hashed."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file, or raise `CredentialsError` with the number of the line that makes no sense."""
        return cls(User(line.user, line.secret, line.tag) for line in _user_lines(path, _read(path)))

    def canonical(self, user: str) -> str | None:
        """Return the user's name as the file has it, or None."""
        return self.names.get(names.key(user))

    def everybody(self) -> Iterable[str]:
        """Return the names of all users, as the file has them."""
        return self.names.values()

    def secret(self, user: str) -> str | None:
        """Return what stands for the user's password in the file, or None."""
        known = self._users.get(names.key(user))
        return None if known is None else known.secret

    def tag(self, user: str) -> str:
        """Return what tells the user's account from an earlier one of that name, "" for nothing."""
        known = self._users.get(names.key(user))
        return "" if known is None else known.tag

    @property
    def accounts(self) -> dict[str, str]:
        """The tag of each user, by name."""
        return {user.name: user.tag for user in self._users.values()}

    def verify(self, user: str, password: str) -> str | None:
        """Return the user's canonical name if the password is right, else None. Where `hashes`, takes tens of ms.

        As soon as one password in the file is hashed, every answer costs a hash, so that its time tells nobody which
        users there are.
        """
        known = self._users.get(names.key(user))
        name, secret = (None, "") if known is None else known[:2]
        given = password.encode("utf-8", "surrogatepass")
        if secret.startswith(_HASH_PREFIX):
            return name if _matches(secret, given) else None
        if self._decoy is not None:
            _matches(self._decoy, given)
        is_right = hmac.compare_digest(secret.encode("utf-8", "surrogatepass"), given)
        return name if is_right else None

    def has_demonstration_users(self) -> bool:
        """Tell whether someone can sign in with a name and a password that everybody knows."""
        return any((key, user.secret) in DEMONSTRATION for key, user in self._users.items())

    def has_some_of(self, accounts: Iterable[str]) -> bool:
        """Tell whether one of these is there, or there are none: else this is hardly the file that they were in.

        An account that is taken out is gone for good, so all at once are not believed.
        """
        keys = set(map(names.key, accounts))
        return not keys or not keys.isdisjoint(self._users)

    def passwords_changed(self, old: Credentials) -> list[str]:
        """Return the keys of those who had another password in `old`."""
        return sorted(key for key, u in self._users.items() if key in old._users and old._users[key].secret != u.secret)


def hashed(password: str) -> str:
    """Return what stands for this password in the file."""
    return HASHER.hash(password.encode("utf-8", "surrogatepass"))


def add(path: Path, user: str, password: str) -> None:
    """Add a user; the file and its folder are made if they are not there."""
    try:
        names.checked(user, "user")
    except InvalidName as error:
        raise CredentialsError(str(error)) from None
    secret = hashed(password)

    def append(lines: list[str]) -> None:
        present = _find(path, lines, user)
        if present:
            raise CredentialsError(f"{path}: the user {present.user} is there already")
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(f"{user} {secret} {secrets.token_hex(_TAG_BYTES)}\n")

    _edit(path, append, may_be_new=True)


def remove(path: Path, user: str) -> None:
    """Take a user out."""

    def delete(lines: list[str]) -> None:
        del lines[_must_find(path, lines, user).number - 1]

    _edit(path, delete)


def passwd(path: Path, user: str, password: str) -> None:
    """Give a user another password."""
    secret = hashed(password)

    def replace(lines: list[str]) -> None:
        line = _must_find(path, lines, user)
        lines[line.number - 1] = " ".join(filter(None, (line.user, secret, line.tag))) + "\n"

    _edit(path, replace)


class _Line(NamedTuple):
    """A line that names a user, by its number in the file, from 1."""

    number: int
    user: str
    secret: str
    tag: str


def _matches(stored: str, given: bytes) -> bool:
    try:
        return HASHER.verify(stored, given)
    except argon2.exceptions.VerifyMismatchError:
        return False


def _read(path: Path) -> list[str]:
    """Return the lines of the file with their ends."""
    try:
        return io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="\n").readlines()
    except FileNotFoundError:
        raise CredentialsError(f"{path}: no such file; `tessenger-server users add NAME` makes it") from None
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CredentialsError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from None


def _user_lines(path: Path, lines: list[str]) -> Iterator[_Line]:
    """Yield the lines with users; raise `CredentialsError` at the first one that makes no sense."""
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, 1):
        match text.split(maxsplit=1):
            case []:
                continue
            case [first, *_] if first.startswith("#"):
                continue
            case [user, rest]:
                line = _line(number, user, rest.rstrip())
            case _:
                raise CredentialsError(f'{path}, line {number}: must be "user password", the password is missing')
        _check(path, line)
        if (earlier := seen.setdefault(names.key(user), number)) != number:
            raise CredentialsError(f"{path}, line {number}: the user {user} stands in line {earlier} already")
        yield line


def _line(number: int, user: str, rest: str) -> _Line:
    """Part what stands behind the name: a hash has no spaces, while a plain password may have anything."""
    match rest.split():
        case [secret, tag] if secret.startswith(_HASH_PREFIX) and _TAG.fullmatch(tag):
            return _Line(number, user, secret, tag)
        case _:
            return _Line(number, user, rest, "")


def _check(path: Path, line: _Line) -> None:
    try:
        names.checked(line.user, "user")
    except InvalidName as error:
        raise CredentialsError(f"{path}, line {line.number}: {error}") from None
    problem = _problem_of(line.secret)
    if problem:
        raise CredentialsError(f"{path}, line {line.number}: the password of {line.user} {problem}")


def _problem_of(secret: str) -> str:
    """Say why passwords cannot be checked against what a line has, "" where they can."""
    if not secret.startswith(_HASH_PREFIX):
        if _FOREIGN.match(secret) is None:
            return ""
        return "looks like a hash of another program: set it anew with `tessenger-server users passwd`"
    found = _HASH.fullmatch(secret)
    if found is None:
        return "is no valid argon2id hash"
    memory, passes, lanes = map(int, found.groups())
    if passes < 1 or lanes < 1 or memory < 8 * lanes or any(len(part) % 4 == 1 for part in secret.split("$")[4:]):
        return "is no valid argon2id hash"
    if memory > MAX_MEMORY_KIB or memory * passes > MAX_WORK_KIB:
        return f"costs too much to check: at most m={MAX_MEMORY_KIB} (KiB), and m times t at most {MAX_WORK_KIB}"
    return ""


def _find(path: Path, lines: list[str], user: str) -> _Line | None:
    return next((line for line in list(_user_lines(path, lines)) if names.key(line.user) == names.key(user)), None)


def _must_find(path: Path, lines: list[str], user: str) -> _Line:
    line = _find(path, lines, user)
    if line is None:
        raise CredentialsError(f"{path}: there is no user {user!r}")
    return line


def _edit(path: Path, change: Callable[[list[str]], None], *, may_be_new: bool = False) -> None:
    """Let `change` edit the file's lines, and replace the file with them; all other lines stay as they are."""
    real = Path(os.path.realpath(path))  # a symbolic link stays one
    try:
        if may_be_new:
            real.parent.mkdir(parents=True, exist_ok=True)
        with _exclusively(real.parent):
            lines = [] if may_be_new and not real.exists() else _read(real)
            change(lines)
            _replace(real, "".join(lines))
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be written: {error.strerror}") from None


@contextmanager
def _exclusively(folder: Path) -> Iterator[None]:
    """Keep other editors out. The folder is what is locked, since the file itself gets replaced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Write the file anew so that a reader, or a power cut, finds the old or the new one whole."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor is no path
            if path.exists():
                status = path.stat()
                os.fchmod(descriptor, status.st_mode & 0o7777)
                if os.geteuid() == 0:  # root may edit the file of the user that the server runs as
                    os.fchown(descriptor, status.st_uid, status.st_gid)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
