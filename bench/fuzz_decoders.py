"""Every place where Tessenger decodes bytes that somebody else has written, as functions of bytes.

A decoder returns, or raises one of the errors that it `refuses` with; anything else is a fault. What reads a file is
given one in memory (`/dev/shm`, where that exists).
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, get_args
from zlib import crc32

import msgspec
from msgspec import Struct

from tessenger import config
from tessenger.chat import entries
from tessenger.client import history, ignored, position, preferences, profiles, receiver_messages
from tessenger.client.commands import parse
from tessenger.client.identity import find_pin
from tessenger.client.lines import LineSplitter
from tessenger.client.link import LineDecoder
from tessenger.client.wrapping import wrap
from tessenger.errors import ConfigError, CredentialsError, JournalError, TransferError, WireError
from tessenger.journal import chunks, numbered_lines, targets
from tessenger.journal.rows import from_row, pack, to_rows
from tessenger.journal.tail import Tail
from tessenger.server import admin, frames
from tessenger.state.credentials import Credentials
from tessenger.transfer import packets
from tessenger.undecodable import UNDECODABLE
from tessenger.wire import messages, text
from tessenger.wire.framing import LineReader, decoded_together
from tests.support.hub_world import World
from tests.support.udp_path import SENDER, UdpPath, pair


class Shape(Enum):
    """What the inputs of a decoder are made of."""

    JSON = "json"
    MSGPACK = "msgpack"
    BYTES = "bytes"


class Decoder(Struct, frozen=True):
    """`run` decodes; `kinds` are the messages that it expects, `samples` some inputs that it takes."""

    name: str
    shape: Shape
    run: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()
    kinds: tuple[type[Struct], ...] = ()
    samples: tuple[bytes, ...] = (b"",)


WRAPPED = 500
"""Characters of a text that are wrapped: every way to break a line, without the time that a long one takes."""

REQUESTS = tuple(get_args(messages.AnyRequest))
ANSWERS = tuple(get_args(messages.AnyAnswer))
ENTRIES = tuple(get_args(entries.AnyEntry))
FRAMES = (frames.Follow, frames.Append, frames.Following, frames.CaughtUp, frames.Feed)
RECEIVER = (*get_args(receiver_messages.AnyToReceiver), *get_args(receiver_messages.AnyFromReceiver))


@contextmanager
def decoders() -> Iterator[list[Decoder]]:
    """Give every decoder; what they need of files and tables lasts as long as the block."""
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 a private folder is made in it
    with tempfile.TemporaryDirectory(dir=room) as name:
        folder = Path(name)
        yield [*_of_the_wire(), *_between_processes(), *_of_the_journal(folder), *_of_files(folder), *_of_transfers()]


def _of_the_wire() -> list[Decoder]:
    line = b'{"type":"msgto","id":7,"to":"bbb","text":"hi"}\n'
    login = b'{"type":"login","id":1,"user":"aaa","password":"123","udp_port":13000,"after":5}\n'
    event = b'{"type":"message","seq":41,"from":"aaa","text":"hi","at":1}\n'

    def together(data: bytes) -> object:
        return decoded_together([part + b"\n" for part in data.split(b"\n")])

    return [
        Decoder("requests", Shape.JSON, lambda data: LineReader(65_536).feed(data + b"\n"), (), REQUESTS,
                (line, login)),
        Decoder("requests together", Shape.JSON, together, (), REQUESTS, (line + login, login + line)),
        Decoder("answers", Shape.JSON, lambda data: LineDecoder().feed(data + b"\n"), (WireError,), ANSWERS, (event,)),
        Decoder("rules", Shape.JSON, Rules(), (), REQUESTS, (line, login)),
        Decoder("text", Shape.BYTES, _shown, (), (),
                tuple(sample.encode() for sample in ("hi", "a\u202eb", "👩‍👩‍👧 e\u0301"))),
        Decoder("commands", Shape.BYTES, lambda data: parse(data.decode("utf-8", "surrogateescape")), (), (),
                (b"/msgto bbb hi", b"creategroup -p g aaa", b'sendfile bbb "a b" c', b"history g 1h")),
        Decoder("lines", Shape.BYTES, lambda data: [*LineSplitter().feed(data), *LineSplitter().feed(b"")]),
    ]  # fmt: skip


def _shown(data: bytes) -> None:
    """Clean a text twice, which must change nothing more, and wrap it."""
    told = data.decode("utf-8", "replace")
    for cleaned in (text.clean, text.clean_line):
        once = cleaned(told)
        if cleaned(once) != once:
            raise AssertionError("what is clean was changed")
    wrap(text.clean(told)[:WRAPPED], 20, used=3, indent=3, width=len)


class Rules:
    """The chat's rules, with a server in memory: whatever a client sends, it and its neighbour get on."""

    FRESH = 2_000
    """Inputs after which another server takes over, so that memory stays small."""

    def __init__(self) -> None:
        self._left = 0
        self._world = World(workers=1)

    def __call__(self, data: bytes) -> None:
        """Let somebody who has signed in send this; somebody else must still be answered."""
        if not self._left:
            self._world, self._left = World(workers=1), self.FRESH
            self._neighbour = self._world.sign_in("bbb")
        self._left -= 1
        guest = self._world.sign_in("aaa")
        guest.send_bytes(data + b"\n")
        self._world.settle()
        guest.lose()
        self._world.settle()
        self._neighbour.synced()


def _between_processes() -> list[Decoder]:
    encode = msgspec.msgpack.encode
    append = frames.Append(1, [entries.Message(session=1, number=1, request=1, user="a", to="b", text="hi", body=b"x")])

    def framed(reader: Callable[[], frames.FrameReader[Any]], data: bytes) -> object:
        return reader().feed(len(data).to_bytes(4, "little") + data)

    return [
        Decoder("frames to the logger", Shape.MSGPACK, partial(framed, frames.for_logger), (WireError,),
                (*FRAMES, *ENTRIES), (encode(append),)),
        Decoder("frames from the logger", Shape.MSGPACK, partial(framed, frames.from_logger), (WireError,),
                (*FRAMES, *ENTRIES), (encode(frames.Following(3)),)),
        Decoder("requests to the logger", Shape.JSON, lambda data: msgspec.json.decode(data, type=admin.Redact),
                UNDECODABLE, (admin.Redact,)),
        Decoder("the logger's replies", Shape.JSON, lambda data: msgspec.json.decode(data, type=admin.Reply),
                UNDECODABLE, (admin.Done, admin.Refused)),
    ]  # fmt: skip


def _of_the_journal(folder: Path) -> list[Decoder]:
    rows = to_rows([
        entries.Message(session=1, number=1, request=1, user="a", to="b", text="hi", body=b"", seq=1, at=1),
        entries.Blocked(user="a", ip="::1", until=5, seconds=1.0, seq=2, at=1),
    ])  # fmt: skip
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(chunks.TABLE)
    db.execute(chunks.INSERT, (1, b""))
    db.execute(targets.TABLE)
    db.execute(targets.INSERT, ("b", 1, b""))
    runs = targets.Runs()
    runs.count(rows)
    tail_path = folder / "journal.db"

    def chunk(data: bytes) -> object:
        db.execute("UPDATE chunks SET rows = ?", (data,))
        return [from_row(row) for row in chunks.forward(db, 0)]

    def run_of_targets(data: bytes) -> object:
        db.execute("UPDATE targets SET found = ?", (data,))
        return list(targets.Targets().newest_to(db, "b", 2**40, 0))

    def left_behind(data: bytes) -> object:
        record = len(data).to_bytes(4, "little") + crc32(data).to_bytes(4, "little") + data
        (folder / "journal.db-tail").write_bytes(head + record)
        left = Tail(tail_path, wanted=True)
        try:
            left.open(1, 0)
            return [from_row(row) for row in left.rows]
        finally:
            left.close()

    begun = Tail(tail_path, wanted=True)
    begun.open(1, 0)
    begun.close()
    head = (folder / "journal.db-tail").read_bytes()[:16]
    return [
        Decoder("chunks", Shape.MSGPACK, chunk, (JournalError,), ENTRIES, (pack(rows),)),
        Decoder("targets", Shape.MSGPACK, run_of_targets, (JournalError,), ENTRIES, tuple(r[2] for r in runs.rows())),
        Decoder("tail", Shape.MSGPACK, left_behind, (JournalError,), ENTRIES, (pack(rows),)),
    ]


def _of_files(folder: Path) -> list[Decoder]:
    path = folder / "file"
    state = folder / "state"
    place = position.position_path(state, "h:1", "aaa")
    assert place is not None
    ignored_path = state / "ignored" / position.account_name("h:1", "aaa")
    settings = folder / "settings" / preferences.FILE_NAME
    for parent in (place.parent, ignored_path.parent, settings.parent):
        parent.mkdir(parents=True)

    def read(where: Path, reading: Callable[[], object]) -> Callable[[bytes], object]:
        def run(data: bytes) -> object:
            where.write_bytes(data)
            return reading()

        return run

    section = config.load(None, {}, {}).client
    own = msgspec.structs.replace(section, state_dir=str(settings.parent))
    return [
        Decoder("credentials", Shape.BYTES, read(path, lambda: Credentials.load(path)), (CredentialsError,), (),
                (b"aaa 123\n# x\nbbb $argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$" + b"A" * 43 + b"\n",)),
        Decoder("config.toml", Shape.BYTES, read(path, lambda: config.load(path, {}, {})), (ConfigError,), (),
                (b"[server]\nport = 1\n[limits]\nburst = 3.5\n",)),
        Decoder("client.toml", Shape.BYTES, read(path, lambda: profiles.read(path)), (ConfigError,), (),
                (b"user = 'a'\n[profiles.b]\nport = 1\n",)),
        Decoder("settings", Shape.JSON, read(settings, lambda: preferences.Preferences(own, {})), (), (),
                (b'{"times":"short","colours":false}',)),
        Decoder("position", Shape.BYTES, read(place, lambda: position.Position(place, "")), (), (),
                (b"41 -\n", b"41 - a1 b2:40\n")),
        Decoder("ignored", Shape.BYTES, read(ignored_path, lambda: ignored.Ignored(state, "h:1", "aaa")), (), (),
                (b"bbb\nccc\n",)),
        Decoder("history of lines", Shape.BYTES,
                read(path, lambda: history.BoundedHistory(path, 50).load_history_strings()), (), (), (b"a\\nb\nc\n",)),
        Decoder("numbers of a log", Shape.BYTES,
                read(path, lambda: (numbered_lines.first_number(path), numbered_lines.last_number(path))), (), (),
                (b"1; 1 Dec 2026 14:00:00; aaa; ::1; 0\n2; torn",)),
        Decoder("known servers", Shape.BYTES,
                lambda data: find_pin(data.decode("utf-8", "replace").splitlines(), "h:1"), (), (),
                (b"h:1 sha256:abc\n",)),
    ]  # fmt: skip


def _of_transfers() -> list[Decoder]:
    bodies: list[tuple[str, Callable[[bytes], object], bytes]] = [
        ("HELLO", packets.decode_hello, bytes(40)),
        ("ACK", packets.decode_ack, packets.encode_ack(packets.Ack(1, 2, 3, 4, 5, 6, ()))),
        ("FIN", packets.decode_fin, bytes(41)),
        ("HAVE", packets.decode_have, packets.encode_have(packets.Have(1, bytes(32), 5))),
        ("ABORT", packets.decode_reason, b"disk full"),
        ("RESUMED", packets.decode_flag, b"\1"),
        ("DONE", packets.decode_attempt, b"\1"),
        ("PROBED", packets.decode_length, b"\4\0"),
        ("CHALLENGE", packets.decode_token, bytes(8)),
    ]
    decoded = [
        Decoder(f"datagram {name}", Shape.BYTES, decode, (packets.PacketError,), (), (sample,))
        for name, decode, sample in bodies
    ]
    to_receiver = receiver_messages.decode_to_receiver
    return [
        *decoded,
        Decoder("datagrams at both ends", Shape.BYTES, Datagrams(), (), (), (bytes(18), bytes(1_200))),
        Decoder("files' process", Shape.MSGPACK, to_receiver, (TransferError,), RECEIVER),
    ]


class Datagrams:
    """The file protocol at both ends of a transfer in memory: a stranger's datagrams change nothing about it."""

    FRESH = 200
    """Inputs after which the transfer is let come to its end, and the next one begins."""

    def __init__(self) -> None:
        self._left = 0
        self._content = bytes(range(256)) * 800
        self._session = bytes.fromhex("00112233445566aa")  # the id of every transfer of `pair`

    def __call__(self, data: bytes) -> None:
        """Let this arrive at both ends, from elsewhere and from the peer's address, with their session's number."""
        if not self._left:
            self._path = UdpPath()
            self._pair = pair(self._content, self._path)
            self._left = self.FRESH
        self._left -= 1
        for to_receiver, source in ((True, SENDER), (False, ("203.0.113.9", 9))):
            self._path.inject(to_receiver, data, source)
            self._path.inject(to_receiver, self._session + data[8:], source)
        self._path.step()
        if not self._left:
            self._path.run()
            if self._pair.sink.content != self._content:
                raise AssertionError("the file did not arrive as it was")
