"""Every message between client and server, as a typed struct. Pure.

One JSON object a line; `type` is the tag. Requests go to the server and carry `id`; answers carry it as `re`;
events come by themselves. Unknown fields are skipped, so fields can be added. docs/protocol.md has an example of each,
which a test decodes with the unions at the end of this module.

Times (`at`, `since`) are Unix milliseconds, sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

PROTOCOL = 1
"""Version of this protocol; a server refuses a client that asks for another."""

Id = Annotated[int, Meta(ge=0, le=2**53)]
"""A request id: rises within a session. 2**53: the largest integer that every JSON reader keeps exact."""

Seq = Id
"""The number of an entry of the log."""

Count = Id
"""How many there are."""

Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Unix milliseconds, up to the end of the year 9999: every calendar has that."""

Size = Annotated[int, Meta(ge=0, le=2**62)]
"""Bytes of a file."""

MAX_RUNS = 16
"""Earlier runs of a server that it names in its welcome: a line of half a kilobyte."""

MAX_HISTORY = 1_000
"""Messages that one request can ask for."""

Version = Annotated[int, Meta(ge=0, le=2**31)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Name = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_.-]{1,32}\Z")]
"""Of a user or a group, where whoever decodes it relies on that."""

ShortText = Annotated[str, Meta(max_length=255)]
Host = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z.:_-]{0,255}\Z")]
EndedRun = tuple[ShortText, Id]
"""A run of the server, and the number of the log that it ended at."""

TransferId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
"""Sixteen hexadecimal digits, chosen by the sender at random: also the UDP session id."""

PublicKey = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{43}\Z")]
"""A raw X25519 public key of 32 bytes, base64url without padding."""


class Request(Struct, tag_field="type", frozen=True, gc=False):
    """What a client asks."""


# ---- requests ----


class Login(Request, tag="login", frozen=True, gc=False):
    """Sign in. `udp_host` and `udp_port` are what others are told to send files to; host "" means the address seen.

    `after`: the last sequence number that this client has shown, when it keeps one; `run` and `runs`: what the welcome
    said under which it did. `unless_online`: of a program that comes back by itself, which must not take over where the
    person has signed in meanwhile.
    """

    id: Id
    user: str
    password: str
    udp_port: Port = 0
    udp_host: Host = ""
    protocol: Version = PROTOCOL
    after: Id | None = None
    unless_online: bool = False
    run: ShortText = ""
    runs: list[EndedRun] = []


class Resume(Request, tag="resume", frozen=True, gc=False):
    """Take up a session whose connection broke; `after` is the last sequence number received, `run` as in `Login`."""

    id: Id
    token: ShortText
    after: Id
    protocol: Version = PROTOCOL
    run: ShortText = ""
    runs: list[EndedRun] = []


class MsgTo(Request, tag="msgto", frozen=True, gc=False):
    """A private message."""

    id: Id
    to: str
    text: str


class GroupMsg(Request, tag="groupmsg", frozen=True, gc=False):
    """A message to a group that the sender is a member of."""

    id: Id
    group: str
    text: str


class ActiveUser(Request, tag="activeuser", frozen=True, gc=False):
    """Who is online."""

    id: Id


class CreateGroup(Request, tag="creategroup", frozen=True, gc=False):
    """Make a group; the creator is always a member. A `private` one is joined by invitation only, and not listed."""

    id: Id
    group: str
    members: list[str] = []
    private: bool = False


class JoinGroup(Request, tag="joingroup", frozen=True, gc=False):
    """Become a member of a group."""

    id: Id
    group: str


class LeaveGroup(Request, tag="leavegroup", frozen=True, gc=False):
    """Be a member of a group no more."""

    id: Id
    group: str


class Remove(Request, tag="remove", frozen=True, gc=False):
    """Let someone be a member no more: by the group's creator."""

    id: Id
    group: str
    user: str


class Invite(Request, tag="invite", frozen=True, gc=False):
    """Ask someone to join a group that the asker is a member of; they need it where the group is private."""

    id: Id
    group: str
    user: str


class Members(Request, tag="members", frozen=True, gc=False):
    """Who is in a group."""

    id: Id
    group: str


class Groups(Request, tag="groups", frozen=True, gc=False):
    """Which groups there are."""

    id: Id


class Whois(Request, tag="whois", frozen=True, gc=False):
    """What is known about someone."""

    id: Id
    user: str


class Away(Request, tag="away", frozen=True, gc=False):
    """Let others know that one does not look, in a few words; empty: one is back."""

    id: Id
    text: ShortText = ""


class Folder(Struct, frozen=True, gc=False):
    """What a file is sent with: `id` is the same for all of it, `files` and `bytes` are how much that is together.

    Sixteen hexadecimal digits, as of a transfer. An empty folder counts as a file.
    """

    id: TransferId
    files: Count
    bytes: Size


class P2PVideo(Request, tag="p2pvideo", frozen=True, gc=False, omit_defaults=True):
    """Offer a file to someone. `key` is the sender's ephemeral public key, from its UDP process.

    `folder`: what it is a part of. A `name` that ends with a slash, of `size` 0, is an empty folder.
    """

    id: Id
    to: str
    transfer: TransferId
    name: str
    size: Size
    key: PublicKey
    folder: Folder | None = None


class Accept(Request, tag="accept", frozen=True, gc=False):
    """Take the file that `to` offered. `key` is the receiver's ephemeral public key."""

    id: Id
    to: str
    transfer: TransferId
    key: PublicKey


class Reject(Request, tag="reject", frozen=True, gc=False):
    """Refuse the file that `to` offered."""

    id: Id
    to: str
    transfer: TransferId
    reason: ShortText = ""


class Cancel(Request, tag="cancel", frozen=True, gc=False):
    """Give a transfer with `to` up, from either side, at any time."""

    id: Id
    to: str
    transfer: TransferId
    reason: ShortText = ""


class Names(Request, tag="names", frozen=True, gc=False, omit_defaults=True):
    """The names that can be completed: users online and groups. Asked by programs, so no line on the console.

    `everybody`: of users who are not online, too.
    """

    id: Id
    everybody: bool = False


class History(Request, tag="history", frozen=True, gc=False):
    """What was said: `with` someone (or a group of that name), in a `group`, or in all conversations.

    The newest `limit` messages at or after `since` (Unix ms) and numbered below `before`; 0 means any.
    """

    id: Id
    peer: str = field(name="with", default="")
    group: str = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_HISTORY)] = 50
    since: Id = 0
    before: Id = 0


class Ping(Request, tag="ping", frozen=True, gc=False):
    """Is the worker alive: answered at once, before requests that came earlier."""

    id: Id


class Sync(Request, tag="sync", frozen=True, gc=False):
    """A barrier: answered after every event that was ordered before it."""

    id: Id


class Seen(Request, tag="seen", frozen=True, gc=False):
    """Everything up to `seq` was shown to the person. Has no answer."""

    seq: Id


class Logout(Request, tag="logout", frozen=True, gc=False):
    """End the session."""

    id: Id


AnyRequest = (
    Login | Resume | MsgTo | GroupMsg | ActiveUser | CreateGroup | JoinGroup | P2PVideo | Accept | Reject | Cancel
    | Names | History | Ping | Sync | Seen | Logout | LeaveGroup | Remove | Invite | Members | Groups | Whois | Away
)  # fmt: skip


# ---- answers ----

DeniedCode = Literal[
    "invalid_password",  # wrong user or password
    "blocked_now",  # that was one attempt too many: the account is blocked from here on
    "blocked",  # the account is blocked, the password was not looked at
    "session_expired",  # the token to resume is unknown, too old or void
    "online_elsewhere",  # to a sign-in with `unless_online`: the person has a connection already
    "protocol",  # a version of the protocol that this server does not speak
    "unavailable",  # the server cannot sign anyone in at this moment
]

ErrorCode = Literal[
    "bad_request",  # no valid request
    "line_too_long",
    "not_signed_in",
    "already_signed_in",
    "bad_name",
    "name_taken",  # a group named like a user
    "unknown_user",
    "not_online",
    "no_files",  # the other client has no UDP port
    "to_self",
    "empty_text",
    "text_too_long",
    "group_exists",
    "unknown_group",
    "not_member",
    "already_member",
    "too_many_members",
    "too_many_groups",
    "too_many_invitations",
    "not_creator",  # only a group's creator can do that
    "not_done",  # an old request id without a trace: it was not carried out and will not be
    "unavailable",  # a part of the server that this request needs is being replaced
    "too_many_bad_lines",
    "too_slow",  # the reader does not keep up with its queue
    "login_timeout",
    "server_full",
    "too_many_connections",
    "removed",  # the account was taken out of the credentials
    "unknown_outcome",  # of no server, but of clients: the session ended before the answer came
]


class Answer(Struct, tag_field="type", frozen=True, gc=False):
    """What the server says about a request (`re`), or an event."""


class Limits(Struct, frozen=True, gc=False):
    """What the server allows, so that a client can tell people before it sends. Bytes, but for `group_members`."""

    line_bytes: Annotated[int, Meta(ge=1, le=2**53)]
    text_bytes: Count
    group_members: Count


class Welcome(Answer, tag="welcome", frozen=True, gc=False):
    """Signed in, or resumed. Events with numbers up to `seq` that were missed follow first, then live ones.

    `run` is the server's run, `runs` are earlier ones that led to it. `after` is how far the client's own `after` holds
    here: less where the server has lost what came behind it, 0 where it knows of nothing that the client has.
    """

    re: Id
    user: Name
    token: ShortText
    seq: Seq
    limits: Limits
    protocol: Version = PROTOCOL
    features: list[str] = []
    run: ShortText = ""
    runs: list[EndedRun] = []
    after: Seq = 0


class Denied(Answer, tag="denied", frozen=True, gc=False):
    """Not signed in. After `blocked_now` and `blocked` the server closes the connection."""

    re: Id
    code: DeniedCode
    text: str


class Error(Answer, tag="error", frozen=True, gc=False):
    """A request was not carried out; without `re` it concerns the connection, which may then be closed."""

    code: ErrorCode
    text: str
    re: Id | None = None


class Sent(Answer, tag="sent", frozen=True, gc=False, omit_defaults=True):
    """The message is in the journal. `away`: it waits there for its recipient's next sign-in.

    `note`: the recipient has said that they do not look; told once on a connection, until they say something else.
    """

    re: Id
    seq: Seq
    at: Moment
    away: bool = False
    note: str = ""


class UserLine(Struct, frozen=True, gc=False):
    """Someone who is online; where they take files, and since when they are there."""

    user: str
    ip: str
    udp_port: Port
    since: Moment


class ActiveUsers(Answer, tag="activeusers", frozen=True, gc=False, omit_defaults=True):
    """Who is online, in the order of sign-in. Long lists come in several answers, all but the last with `more`."""

    re: Id
    users: list[UserLine]
    more: bool = False


class Created(Answer, tag="created", frozen=True, gc=False):
    """The group exists now, with these members."""

    re: Id
    group: str
    members: list[str]


class Joined(Answer, tag="joined", frozen=True, gc=False, omit_defaults=True):
    """You are a member now, among these. Long lists come in several answers."""

    re: Id
    group: str
    members: list[str]
    more: bool = False


class Left(Answer, tag="left", frozen=True, gc=False):
    """You are a member no more."""

    re: Id
    group: str


class Removed(Answer, tag="removed", frozen=True, gc=False):
    """They are a member no more."""

    re: Id
    group: str
    user: str


class Invited(Answer, tag="invited", frozen=True, gc=False):
    """They are told, now or at their next sign-in, and may join."""

    re: Id
    group: str
    user: str


class MemberLine(Struct, frozen=True, gc=False):
    """A member of a group."""

    user: str
    online: bool


class MembersAnswer(Answer, tag="members", frozen=True, gc=False, omit_defaults=True):
    """A group and its members, in the order of joining. Long lists come in several answers."""

    re: Id
    group: str
    creator: str
    members: list[MemberLine]
    private: bool = False
    more: bool = False


class GroupLine(Struct, frozen=True, gc=False, omit_defaults=True):
    """A group: how many are in it, and whether you are (`joined`)."""

    group: str
    members: Count
    joined: bool = False
    private: bool = False


class GroupsAnswer(Answer, tag="groups", frozen=True, gc=False, omit_defaults=True):
    """Your groups, then the others that are not private. Long lists come in several answers."""

    re: Id
    groups: list[GroupLine]
    more: bool = False


class WhoisAnswer(Answer, tag="whois", frozen=True, gc=False, omit_defaults=True):
    """What is known about someone; `since` is 0 where they are not online.

    `lost`: their connection broke a moment ago. `away`: what they say about not looking. `groups`: those that you are
    both in.
    """

    re: Id
    user: str
    since: Moment = 0
    ip: str = ""
    udp_port: Port = 0
    lost: bool = False
    away: str = ""
    groups: list[str] = []


class AwayAnswer(Answer, tag="away", frozen=True, gc=False):
    """That is what others are told from now on; empty: nothing."""

    re: Id
    text: str


class NamesAnswer(Answer, tag="names", frozen=True, gc=False, omit_defaults=True):
    """The names of the users online and of the groups. Long lists come in several answers.

    `others`: the users who are not online, where everybody was asked for.
    """

    re: Id
    users: list[str] = []
    groups: list[str] = []
    more: bool = False
    others: list[str] = []


class Offered(Answer, tag="offered", frozen=True, gc=False):
    """The offer of a file, or an answer to one, is on its way to the other client."""

    re: Id
    transfer: str


class Pong(Answer, tag="pong", frozen=True, gc=False):
    """The worker is alive."""

    re: Id


class Synced(Answer, tag="synced", frozen=True, gc=False):
    """Every event that was ordered before the `sync` has been sent."""

    re: Id


class Bye(Answer, tag="bye", frozen=True, gc=False):
    """Signed out; the server closes the connection."""

    re: Id


# ---- events ----


class Message(Answer, tag="message", frozen=True, gc=False):
    """A private message for you; with `to`, in a `history`, perhaps one of yours."""

    seq: Seq
    sender: str = field(name="from")
    text: str
    at: Moment
    to: str = ""


class GroupMessage(Answer, tag="groupmessage", frozen=True, gc=False):
    """A message in one of your groups."""

    seq: Seq
    group: str
    sender: str = field(name="from")
    text: str
    at: Moment


class Invitation(Answer, tag="invitation", frozen=True, gc=False):
    """Someone asks you to join a group."""

    seq: Seq
    at: Moment
    sender: str = field(name="from")
    group: str


class GroupLeft(Answer, tag="groupleft", frozen=True, gc=False):
    """`user` is a member no more: they left, or someone else (`from`) removed them. Members are told, and `user`."""

    seq: Seq
    at: Moment
    sender: str = field(name="from")
    group: str
    user: str


class Offer(Answer, tag="offer", frozen=True, gc=False, omit_defaults=True):
    """Someone offers you a file, and takes datagrams at `host`:`port`. `folder`: what it comes with, so they say."""

    seq: Seq
    at: Moment
    sender: str = field(name="from")
    transfer: str
    name: str
    size: Size
    key: str
    host: str
    port: Port
    folder: Folder | None = None


class Accepted(Answer, tag="accepted", frozen=True, gc=False):
    """Your offer was accepted; the receiver takes datagrams at `host`:`port`."""

    seq: Seq
    at: Moment
    sender: str = field(name="from")
    transfer: str
    key: str
    host: str
    port: Port


class Rejected(Answer, tag="rejected", frozen=True, gc=False):
    """Your offer was refused."""

    seq: Seq
    at: Moment
    sender: str = field(name="from")
    transfer: str
    reason: str = ""


class Cancelled(Answer, tag="cancelled", frozen=True, gc=False):
    """The other side gave the transfer up."""

    seq: Seq
    at: Moment
    sender: str = field(name="from")
    transfer: str
    reason: str = ""


class HistoryAnswer(Answer, tag="history", frozen=True, gc=False, omit_defaults=True):
    """What was said, the oldest first; long ones come in several answers.

    `before`, in the last one: there may be more that is older; ask on with it. 0: that is all.
    """

    re: Id
    messages: list[Message | GroupMessage]
    more: bool = False
    before: Seq = 0


class Unread(Answer, tag="unread", frozen=True, gc=False):
    """Behind a sign-in: the next `count` events are messages that came while you were away. Not sent for none."""

    count: Count


class Replaced(Answer, tag="replaced", frozen=True, gc=False):
    """You signed in elsewhere: this session is over and the server closes the connection. Do not reconnect."""

    text: str


class Closing(Answer, tag="closing", frozen=True, gc=False):
    """The server stops; it closes the connection. The session can be resumed when it is back."""

    text: str


AnyAnswer = (
    Welcome | Denied | Error | Sent | ActiveUsers | Created | Joined | NamesAnswer | Offered | Pong | Synced | Bye
    | Message | GroupMessage | Offer | Accepted | Rejected | Cancelled | HistoryAnswer | Unread | Replaced
    | Closing | Left | Removed | Invited | MembersAnswer | GroupsAnswer | WhoisAnswer | AwayAnswer | Invitation
    | GroupLeft
)  # fmt: skip
