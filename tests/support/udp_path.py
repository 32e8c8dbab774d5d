"""Two ends of a transfer joined in memory, by a path that loses, delays, reorders, repeats, damages and limits.

Time is virtual: a run of minutes takes milliseconds, and the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tessenger.errors import TransferError
from tessenger.transfer.assembly import BlockBuffers
from tessenger.transfer.blocks import BLOCK, block_length
from tessenger.transfer.keys import Binding, derive, public_text
from tessenger.transfer.ports import Address, Buffer, Train
from tessenger.transfer.receiver import ReceiveSession
from tessenger.transfer.sender import SendSession
from tessenger.transfer.session import Peer, Session, Settings

SENDER: Address = ("192.0.2.1", 1)
RECEIVER: Address = ("192.0.2.2", 2)


class MemorySource:
    """A file in memory. `fail_at` is a block whose reading fails, `changed` what `check_unchanged` complains about."""

    def __init__(self, data: bytes, *, fail_at: int = -1, changed: str = "") -> None:
        self.data = data
        self.fail_at = fail_at
        self.changed = changed

    def read_block(self, index: int, into: memoryview) -> None:
        """Read, or fail as told."""
        if index == self.fail_at:
            raise TransferError("the file became shorter while it was sent")
        into[:] = self.data[index * BLOCK : index * BLOCK + len(into)]

    def check_unchanged(self) -> None:
        """Complain as told."""
        if self.changed:
            raise TransferError(self.changed)


class MemorySink:
    """A file in memory. `room` is how many blocks fit; `spoil` counts the writes that keep something else."""

    def __init__(self, size: int, *, room: int = 2**40, spoil: int = 0) -> None:
        self.size = size
        self.room = room
        self.spoil = spoil
        self.blocks: dict[int, bytes] = {}
        self.writes: list[int] = []
        self.finished = self.discarded = self.kept = False
        self.starts_over = self.looks = 0

    def write_block(self, index: int, data: memoryview) -> None:
        """Keep a block, which must have the right length; what is to be spoilt is kept wrong."""
        assert len(data) == block_length(self.size, index)
        if len(self.blocks) >= self.room:
            raise TransferError("no space left on the disk")
        self.writes.append(index)
        self.blocks[index] = bytes(data)
        if self.spoil > len(self.writes) - 1:
            self.blocks[index] = bytes(len(data))

    def read_block(self, index: int, into: memoryview) -> None:
        """Give back what was kept."""
        into[:] = self.blocks[index]

    def blocks_there(self) -> tuple[int, int]:
        """Return which blocks an earlier try has left."""
        self.looks += 1
        prefix = 0
        while prefix in self.blocks:
            prefix += 1
        return prefix, sum(1 << (index - prefix) for index in self.blocks if index > prefix)

    def start_over(self) -> None:
        """Forget all blocks."""
        self.starts_over += 1
        self.blocks.clear()

    def finish(self) -> str:
        """Note that the file is complete."""
        self.finished = True
        return "landed"

    def discard(self) -> None:
        """Note that the file is given up."""
        self.discarded = True

    def keep(self) -> None:
        """Note that what is there stays for a later try."""
        self.kept = True

    @property
    def content(self) -> bytes:
        """All blocks in order."""
        return b"".join(self.blocks[index] for index in sorted(self.blocks))


@dataclass
class Weather:
    """What a path does. Shares are of datagrams, times in seconds, `rate` in bytes a second, `queue` in bytes."""

    delay: float = 0.01
    loss: float = 0.0
    repeat: float = 0.0
    damage: float = 0.0
    reorder: float = 0.0
    reorder_by: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    queue: float = 1_000_000.0
    mtu: int = 1_472


@dataclass(order=True)
class _Travelling:
    at: float
    order: int
    to_receiver: bool = field(compare=False)
    data: bytes = field(compare=False)
    source: Address = field(compare=False)


class UdpPath:
    """Joins a sender and a receiver. `drop(to_receiver, datagram)` may decide about each datagram, after `weather`."""

    def __init__(self, weather: Weather | None = None, *, seed: int = 1) -> None:
        self.weather = weather or Weather()
        self.random = random.Random(seed)
        self.now = 100.0
        self.sender: Session | None = None
        self.receiver: Session | None = None
        self.addresses: dict[bool, Address] = {True: RECEIVER, False: SENDER}
        """Where each end is at the moment: True the receiver, False the sender."""
        self.drop: Callable[[bool, bytes], bool] = lambda to_receiver, datagram: False
        self.change: Callable[[bool, bytes], bytes] = lambda to_receiver, datagram: datagram
        self.sent: dict[bool, list[bytes]] = {True: [], False: []}
        self.keep_sent = False
        self.counts = {True: 0, False: 0}
        self.bytes = {True: 0, False: 0}
        self.frozen: set[bool] = set()
        self._queue: list[_Travelling] = []
        self._order = 0
        self._free_at = {True: 0.0, False: 0.0}

    @property
    def queueing_delay(self) -> float:
        """How long a datagram that is sent to the receiver now would wait for those before it."""
        return max(0.0, self._free_at[True] - self.now)

    def ends(self) -> list[tuple[bool, Session]]:
        """Return both ends, each with whether it is the receiver."""
        both = ((False, self.sender), (True, self.receiver))
        return [(is_receiver, end) for is_receiver, end in both if end is not None]

    def _collect(self) -> None:
        for is_receiver, end in self.ends():
            while is_receiver not in self.frozen:
                trains = end.datagrams_to_send(self.now)
                if not trains:
                    break
                for train in trains:
                    for datagram in datagrams(train):
                        self._send(not is_receiver, datagram, train.address)

    def _send(self, to_receiver: bool, datagram: bytes, address: Address) -> None:
        weather, chance = self.weather, self.random.random
        self.counts[to_receiver] += 1
        self.bytes[to_receiver] += len(datagram)
        if self.keep_sent:
            self.sent[to_receiver].append(datagram)
        if address != self.addresses[to_receiver] or len(datagram) > weather.mtu:
            return
        at = self.now
        if weather.rate:
            start = max(at, self._free_at[to_receiver])
            if (start - at) * weather.rate > weather.queue:
                return
            self._free_at[to_receiver] = at = start + len(datagram) / weather.rate
        if chance() < weather.loss or self.drop(to_receiver, datagram):
            return
        datagram = self.change(to_receiver, datagram)
        if chance() < weather.damage:
            damaged = bytearray(datagram)
            damaged[self.random.randrange(len(damaged))] ^= 1 << self.random.randrange(8)
            datagram = bytes(damaged)
        at += weather.delay + weather.jitter * chance()
        if chance() < weather.reorder:
            at += weather.reorder_by
        for _ in range(2 if chance() < weather.repeat else 1):
            self.inject(to_receiver, datagram, self.addresses[not to_receiver], at)

    def inject(self, to_receiver: bool, datagram: bytes, source: Address, at: float = 0.0) -> None:
        """Let a datagram arrive, at once where no time is given."""
        self._order += 1
        heapq.heappush(self._queue, _Travelling(max(at, self.now), self._order, to_receiver, datagram, source))

    def step(self) -> bool:
        """Go on to whatever comes next; False when nothing ever will."""
        self._collect()
        timers = [
            end.next_timer() for is_receiver, end in self.ends() if not end.over and is_receiver not in self.frozen
        ]
        due = min([*timers, *(item.at for item in self._queue[:1])], default=float("inf"))
        if due == float("inf"):
            return False
        self.now = max(self.now, due)
        while self._queue and self._queue[0].at <= self.now:
            item = heapq.heappop(self._queue)
            end = self.receiver if item.to_receiver else self.sender
            if end is not None and item.to_receiver not in self.frozen:
                end.receive_datagram(item.data, item.source, self.now)
        for is_receiver, end in self.ends():
            if is_receiver not in self.frozen and not end.over and end.next_timer() <= self.now:
                end.handle_timer(self.now)
        return True

    def run(self, until: Callable[[], bool] | None = None, *, seconds: float = 600.0) -> float:
        """Run until both ends have an outcome, or `until` says so; return how long that took on the virtual clock."""
        start = self.now
        steps = 0
        while not (until() if until else all(end.outcome for _, end in self.ends())):
            steps += 1
            assert self.now - start < seconds, "the transfer did not end in time"
            assert steps < 5_000_000, "the transfer turns in a circle"
            if not self.step():
                break
        return self.now - start


def datagrams(train: Train) -> list[bytes]:
    """Return the single datagrams of a train, as the kernel would cut them."""
    whole = b"".join(map(_bytes, train.buffers))
    cut = [whole[start : start + train.length] for start in range(0, len(whole), train.length)]
    assert len(cut) == train.datagrams, (len(cut), train.datagrams)
    return cut


def _bytes(buffer: Buffer) -> bytes:
    return bytes(buffer)


@dataclass
class Pair:
    """A transfer about to happen, over `path`."""

    path: UdpPath
    sender: SendSession
    receiver: ReceiveSession
    source: MemorySource
    sink: MemorySink


def pair(
    data: bytes,
    path: UdpPath,
    *,
    source: MemorySource | None = None,
    sink: MemorySink | None = None,
    receive_buffer: int = 2_000_000,
    max_datagram: int = 65_507,
    stall_seconds: float = 30.0,
    receiver_name: str = "x.mp4",
    size: int | None = None,
    buffers: BlockBuffers | None = None,
) -> Pair:
    """Return two ends of the transfer of `data` that are joined by `path`."""
    binding = Binding("00112233445566aa", "aaa", "bbb", "x.mp4", len(data) if size is None else size)
    keys = [X25519PrivateKey.from_private_bytes(path.random.randbytes(32)) for _ in range(2)]
    publics = [public_text(key) for key in keys]
    source = source or MemorySource(data)
    sink = sink or MemorySink(len(data))

    def settings() -> Settings:
        return Settings(path.random.randbytes(32), receive_buffer, stall_seconds, max_datagram=max_datagram)

    sender = SendSession(
        binding, derive(keys[0], publics[1], binding, sending=True), Peer("bbb", RECEIVER), settings(), path.now, source
    )
    theirs = binding._replace(name=receiver_name)
    receiver = ReceiveSession(
        theirs, derive(keys[1], publics[0], theirs, sending=False), Peer("aaa", SENDER), settings(), path.now, sink,
        buffers,
    )  # fmt: skip
    path.sender, path.receiver = sender, receiver
    return Pair(path, sender, receiver, source, sink)
