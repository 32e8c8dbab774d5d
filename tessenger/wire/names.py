"""Names of users and groups: what is allowed, and how they compare. Pure.

Users and groups share one namespace and compare without case. A *key* is a name in lower case: dictionaries
are indexed by keys, while screens and logs show names as they were first written.
"""

from __future__ import annotations

import re

from tessenger.errors import InvalidName

MAX_NAME = 32
"""Characters in the longest name."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII)


def is_name(name: str) -> bool:
    """Tell whether `name` is 1 to 32 of ``A-Za-z0-9_.-``."""
    return _NAME.fullmatch(name) is not None


def key(name: str) -> str:
    """Return what `name` is compared by. Does not check it."""
    return name.lower()


def checked(name: str, what: str) -> str:
    """Return `name` unchanged, or raise `InvalidName` saying what is wrong with this `what` ("user", "group")."""
    if not name:
        raise InvalidName(f"A {what} name must not be empty.")
    if len(name) > MAX_NAME:
        raise InvalidName(f"The {what} name is too long: {len(name)} characters, at most {MAX_NAME} are allowed.")
    if not is_name(name):
        allowed = "use letters, digits, '_', '.' and '-'"
        raise InvalidName(f"The {what} name has characters that are not allowed: {allowed}.")
    return name
