"""How a connection gets its session: sign-in, resume and logout. Pure; lives in a worker."""

from __future__ import annotations

import hashlib
import hmac

from tessenger.chat import answers, entries, words
from tessenger.chat.catch_up import CatchUp
from tessenger.chat.entries import AnyEntry
from tessenger.chat.hub import Hub, Refusal
from tessenger.chat.link import Link, Place
from tessenger.chat.ports import (
    ClaimRefused,
    ClaimResult,
    IsBlocked,
    SignedIn,
    SignInResult,
    Unavailable,
    WrongPassword,
)
from tessenger.chat.present import Account, Session
from tessenger.wire import messages, names
from tessenger.wire.messages import Denied, DeniedCode, Limits, Login, Logout, Resume, Welcome

_ALREADY_SIGNED_IN = Refusal("already_signed_in", words.ALREADY_SIGNED_IN)

_DENIALS: dict[DeniedCode, str] = {
    "invalid_password": words.INVALID_PASSWORD,
    "blocked_now": words.BLOCKED_NOW,
    "blocked": words.BLOCKED,
    "session_expired": words.SESSION_EXPIRED,
    "online_elsewhere": words.ONLINE_ELSEWHERE,
    "unavailable": words.UNAVAILABLE,
}


def login(hub: Hub, link: Link, request: Login) -> Refusal | None:
    """Check a password, counted over all workers, and begin a session."""
    if link.session:
        return _ALREADY_SIGNED_IN
    if not _is_spoken(hub, link, request):
        return None

    def checked(result: SignInResult) -> None:
        if isinstance(result, WrongPassword):  # it counts, whether or not the guesser waits for the answer
            _wrong_password(hub, link, request, result)
        elif link.ended:
            return
        elif isinstance(result, SignedIn):
            account = _account_of(hub, result)
            if account is None or request.unless_online:
                hub.barrier(link, lambda: _begin_if_possible(hub, link, request, result))
            else:
                _begin(hub, link, request, result, account)
        else:
            _deny(hub, link, request.id, "blocked" if isinstance(result, IsBlocked) else "unavailable")

    if not names.is_name(request.user):
        _deny(hub, link, request.id, "invalid_password")
        return None
    link.busy = True
    hub.office.sign_in(request.user, request.password, link.ip, checked, lambda: link.ended)
    return None


def resume(hub: Hub, link: Link, request: Resume) -> Refusal | None:
    """Let a session go on over this connection."""
    if link.session:
        return _ALREADY_SIGNED_IN
    if not _is_spoken(hub, link, request):
        return None

    def attached(result: ClaimResult) -> None:
        session = _session_of(hub, request.token)
        if link.ended:
            return
        if session is None and _is_voided(hub, request.token):
            _deny(hub, link, request.id, "invalid_password", words.PASSWORD_CHANGED)
        elif session is None:
            _deny(hub, link, request.id, "session_expired")
        elif isinstance(result, ClaimRefused | Unavailable):
            _deny(hub, link, request.id, "unavailable")
        else:
            link.udp_port, link.udp_host = session.udp_port, session.udp_host
            entry = entries.Resumed(
                session.id, result, request.id, session.user, link.ip, session.udp_port, hub.worker.generation
            )
            hub.append(link, request.id, entry, lambda e: _resumed(hub, link, request, e))

    link.busy = True
    # What the replica does not know yet may be in the log: the session may have begun on another worker just now.
    hub.barrier(link, lambda: hub.office.attach(attached))
    return None


def logout(hub: Hub, link: Link, request: Logout) -> Refusal | None:
    """End the session; nothing behind it is carried out."""
    if not link.session:
        return Refusal("not_signed_in", words.NOT_SIGNED_IN)

    def left(entry: AnyEntry) -> None:
        hub.say(link, answers.line(messages.Bye(request.id)))
        hub.end(link)

    link.busy = True
    entry = entries.Offline(link.session, link.number, request.id, link.user, link.ip, link.udp_port, "logout")
    hub.append(link, request.id, entry, left)
    return None


def token_hash(token: str, secret: str) -> bytes:
    """Return what is kept of a token: with 256 random bits in it, a plain SHA-256 cannot be searched.

    It goes with `secret`, what the credentials have for the password: under another one the token is void, whether or
    not a server ran when it was changed, and whatever backup brings its session back.
    """
    return hashlib.sha256(f"{token}\n{secret}".encode("utf-8", "surrogatepass")).digest()


def _is_spoken(hub: Hub, link: Link, request: Login | Resume) -> bool:
    """Tell whether the client's version of the protocol is spoken here; where it is not, the client is told so."""
    if request.protocol == messages.PROTOCOL:
        return True
    text = words.PROTOCOL.format(ours=messages.PROTOCOL, theirs=request.protocol)
    hub.say(link, answers.line(Denied(request.id, "protocol", text)))
    return False


def _deny(hub: Hub, link: Link, re: int, code: DeniedCode, text: str = "") -> None:
    """Say no, and go on or close."""
    link.busy = False
    hub.say(link, answers.line(Denied(re, code, text or _DENIALS[code])))
    if code in {"blocked", "blocked_now"}:
        hub.end(link)
    else:
        hub.proceed(link)


def _wrong_password(hub: Hub, link: Link, request: Login, result: WrongPassword) -> None:
    user = hub.accounts.canonical(result.user) or result.user
    if result.blocked_until:
        entry: AnyEntry = entries.Blocked(user, link.ip, result.blocked_until, result.seconds, result.place)
        code: DeniedCode = "blocked_now"
    else:
        entry = entries.LoginFailed(user, link.ip, result.failures, result.place)
        code = "invalid_password"
    hub.append(link, request.id, entry, lambda _: None if link.ended else _deny(hub, link, request.id, code))


def _account_of(hub: Hub, result: SignedIn) -> Account | None:
    """Return the account in the log that the credentials meant.

    None: there is none, or the two are of different moments, and the password is not good yet, or not any more.
    """
    account = hub.present.account(result.user)
    if account is None or result.tag != hub.accounts.tag(result.user) or not account.is_meant(result.tag):
        return None
    return account


def _begin_if_possible(hub: Hub, link: Link, request: Login, result: SignedIn) -> None:
    """Begin a session, unless it is of somebody who comes back and has a connection: all that was ordered is known."""
    if link.ended:
        return
    account = _account_of(hub, result)
    session = hub.present.find(result.user)
    if account is None:
        _deny(hub, link, request.id, "invalid_password")
    elif request.unless_online and session is not None and not session.detached_until:
        _deny(hub, link, request.id, "online_elsewhere")
    else:
        _begin(hub, link, request, result, account)


def _begin(hub: Hub, link: Link, request: Login, result: SignedIn, account: Account) -> None:
    """Append the entry that begins the session."""
    token = f"{result.number:x}.{hub.new_token()}"
    link.udp_port, link.udp_host = request.udp_port, request.udp_host
    entry = entries.Online(
        session=result.number,
        number=result.number,
        request=request.id,
        user=result.user,
        ip=link.ip,
        udp_port=request.udp_port,
        generation=hub.worker.generation,
        token_hash=token_hash(token, hub.accounts.secret(result.user) or ""),
        expires=hub.now() + hub.rules.token_ms,
        token_ms=hub.rules.token_ms,
        udp_host=request.udp_host,
        account=account.number,
    )
    hub.append(link, request.id, entry, lambda e: _online(hub, link, request, token, e))


def _online(hub: Hub, link: Link, request: Login, token: str, entry: AnyEntry) -> None:
    """The session has begun: welcome, then what was left unread in earlier ones."""
    if isinstance(entry, entries.Refused) and entry.reason == "gone" and not link.ended:  # the account is over
        _deny(hub, link, request.id, "invalid_password")
        return
    if not _attach(hub, link, entry):
        return
    after = hub.present.runs.common(request, entry.seq)
    place = _welcome(hub, link, request.id, token, entry.seq, after or 0)
    CatchUp(hub, link, place).of_sign_in(after, entry.seq)


def _resumed(hub: Hub, link: Link, request: Resume, entry: AnyEntry) -> None:
    """The session goes on: welcome, then what was missed."""
    if isinstance(entry, entries.Refused) and not link.ended:
        _deny(hub, link, request.id, "session_expired")
    elif _attach(hub, link, entry):
        after = hub.present.runs.common(request, entry.seq) or 0
        place = _welcome(hub, link, request.id, request.token, entry.seq, after)
        CatchUp(hub, link, place).of_resume(after, entry.seq)


def _attach(hub: Hub, link: Link, entry: AnyEntry) -> bool:
    """Bind the connection to its session. False where the connection or the session is gone already."""
    if not isinstance(entry, entries.Online | entries.Resumed):
        hub.say(link, answers.line(messages.Replaced(words.REPLACED)))
        hub.end(link)
        return False
    link.session, link.number, link.user = entry.session, entry.number, entry.user
    if link.ended:  # it broke while the entry was on its way
        link.ended = False
        hub.lost(link)
        return False
    hub.attach(link)
    return True


def _welcome(hub: Hub, link: Link, re: int, token: str, seq: int, after: int) -> Place:
    """Say that somebody is in, and return the place of what they missed: what is behind `after`."""
    limits = Limits(hub.rules.line_bytes, hub.rules.text_bytes, hub.rules.group_members)
    runs = hub.present.runs
    welcome = Welcome(re, link.user, token, seq, limits, run=runs.current, runs=runs.ended, after=after)
    hub.say(link, answers.line(welcome))
    hub.delivery.flush()
    return link.hold()


def _numbered(hub: Hub, token: str) -> Session | None:
    """Return the session that has the number in a token, whether or not the token is good for it."""
    number, _, _ = token.partition(".")
    try:
        return hub.present.sessions.get(int(number, 16))
    except ValueError:
        return None


def _is_voided(hub: Hub, token: str) -> bool:
    """Tell whether a token's session goes on without one: its user has another password since. It names nobody."""
    session = _numbered(hub, token)
    return session is not None and not session.token_hash


def _session_of(hub: Hub, token: str) -> Session | None:
    """Return the session that a token resumes, if it is still good."""
    session = _numbered(hub, token)
    if session is None or session.expires <= hub.now():
        return None
    secret = hub.accounts.secret(session.user)
    if secret is None:
        return None
    return session if hmac.compare_digest(token_hash(token, secret), session.token_hash) else None
