"""Who has an account: what becomes of those that the log knows when the credentials are read. Pure.

Runs in the logger, and in the supervisor before a start. A name is not enough to know somebody by: it may be given to
somebody else later. So the log notes when an account is added and when it is over, and everything that somebody is
entitled to hangs on the account.
"""

from __future__ import annotations

from collections.abc import Mapping

from tessenger.chat import entries
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Present
from tessenger.wire import names


def changes(present: Present, wanted: Mapping[str, str]) -> list[AnyEntry]:
    """Return what has to be ordered so that those in `wanted`, names with their tags, have an account and nobody else.

    Where a name has another tag than before, its account is over and a new one begins. A name that a group has
    gets none: the two share one namespace.
    """
    meant = {names.key(user): (user, tag) for user, tag in wanted.items()}
    over = {
        key: account
        for key, account in present.accounts.items()
        if key not in meant or (present.accounts_begun and not account.is_meant(meant[key][1]))
    }
    found: list[AnyEntry] = []
    for key, account in over.items():
        session = present.online.get(key)
        if session is not None:
            found.append(session.ended("removed"))
        found.append(entries.AccountRemoved(account.user, account.number))
    kept = present.accounts.keys() - over.keys()
    new = {user: tag for key, (user, tag) in meant.items() if key not in kept and key not in present.groups}
    if present.accounts_begun:
        return found + [entries.AccountAdded(user, tag) for user, tag in new.items()]
    known = {user: tag for key, (user, tag) in meant.items() if key in kept}
    return [*found, entries.AccountsBegun(known | new)]


def without(present: Present, wanted: Mapping[str, str]) -> list[str]:
    """Return who of `wanted` has no account when the changes have been applied: a group has the name."""
    return [user for user in wanted if present.account(user) is None]
