"""Several transfers, and a flow with CUBIC's congestion control, over one bottleneck in memory and virtual time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from tests.support.udp_path import RECEIVER, SENDER, MemorySink, MemorySource, Pair, UdpPath, datagrams, pair

CUBIC = -1
TIMEOUT = 0.3
PACKET = 1_452


class _Endless(MemorySource):
    """A file of zeros, of any size."""

    def read_block(self, index: int, into: memoryview) -> None:
        """Give zeros."""
        into[:] = bytes(len(into))


class _Forgetful(MemorySink):
    """A file that is counted and forgotten."""

    def write_block(self, index: int, data: memoryview) -> None:
        """Forget it."""

    def read_block(self, index: int, into: memoryview) -> None:
        """Give zeros."""
        into[:] = bytes(len(into))


@dataclass(order=True)
class _Event:
    at: float
    order: int
    flow: int = field(compare=False)
    to_receiver: bool = field(compare=False)
    data: bytes = field(compare=False)


class SharedLine:
    """A line of `rate` bytes a second with a queue of `queue` bytes and `delay` seconds one way; answers never wait.

    Transfer n starts `stagger` times n seconds after the first.
    """

    def __init__(self, rate: float, queue: float, *, delay: float, transfers: int, stagger: float = 0.0) -> None:
        self.rate, self.queue, self.delay = rate, queue, delay
        self.now = 100.0
        self.cubic: Cubic | None = None
        self._starts = [self.now + n * stagger for n in range(transfers)]
        self._ends = [self._pair(n) for n in range(transfers)]
        self._free_at = 0.0
        self._events: list[_Event] = []
        self._order = 0
        self.longest_queue = 0.0

    def _pair(self, number: int) -> Pair:
        path = UdpPath(seed=number + 1)
        path.now = self._starts[number]
        size = int(self.rate * 1_000)
        return pair(bytes(0), path, source=_Endless(b""), sink=_Forgetful(size), size=size, max_datagram=PACKET)

    def send(self, flow: int, data: bytes, *, to_receiver: bool) -> None:
        """Send one packet of a flow."""
        at = self.now
        if to_receiver:
            start = max(at, self._free_at)
            if (start - at) * self.rate + len(data) > self.queue:
                return
            self._free_at = at = start + len(data) / self.rate
            self.longest_queue = max(self.longest_queue, at - self.now)
        self._order += 1
        heapq.heappush(self._events, _Event(at + self.delay, self._order, flow, to_receiver, data))

    def delivered(self) -> list[int]:
        """Return how many bytes each transfer has delivered, then the CUBIC flow if there is one."""
        found = [ends.receiver.done for ends in self._ends]
        return [*found, self.cubic.delivered] if self.cubic else found

    def shares(self, seconds: float) -> list[float]:
        """Go on for some time; return which share of what was delivered in it each flow had."""
        before = self.delivered()
        self.run(seconds)
        gained = [after - earlier for after, earlier in zip(self.delivered(), before, strict=True)]
        return [each / sum(gained) for each in gained]

    def run(self, seconds: float) -> None:
        """Go on for some time."""
        until = self.now + seconds
        while self.now < until:
            due = self._let_send()
            if self._events:
                due.append(self._events[0].at)
            self.now = max(self.now, min(due))
            while self._events and self._events[0].at <= self.now:
                self._deliver(heapq.heappop(self._events))
            if self.cubic and self.cubic.due_at <= self.now:
                self.cubic.handle_timer()
            for ends in self._running():
                for end in (ends.sender, ends.receiver):
                    if end.next_timer() <= self.now:
                        end.handle_timer(self.now)

    def _running(self) -> list[Pair]:
        return [ends for ends, start in zip(self._ends, self._starts, strict=True) if start <= self.now]

    def _let_send(self) -> list[float]:
        """Let every flow send what it may; return when each one has something to do next."""
        due = [start for start in self._starts if start > self.now]
        for flow, ends in enumerate(self._running()):
            for to_receiver, end in ((True, ends.sender), (False, ends.receiver)):
                while trains := end.datagrams_to_send(self.now):
                    for datagram in (each for train in trains for each in datagrams(train)):
                        self.send(flow, datagram, to_receiver=to_receiver)
                due.append(end.next_timer())
        if self.cubic:
            self.cubic.send_what_fits()
            due.append(self.cubic.due_at)
        return due

    def _deliver(self, event: _Event) -> None:
        if event.flow == CUBIC:
            assert self.cubic
            self.cubic.arrives(event.data, to_receiver=event.to_receiver)
        elif event.to_receiver:
            self._ends[event.flow].receiver.receive_datagram(event.data, SENDER, self.now)
        else:
            self._ends[event.flow].sender.receive_datagram(event.data, RECEIVER, self.now)


class Cubic:
    """A bulk flow with the window of RFC 9438: packets of 1,452 bytes, each acknowledged, lost once three are behind.

    It has slow start, fast convergence, the region that is friendly to Reno, and a time-out of 0.3 s (where Linux has
    0.2 s and a round trip), but no pacing.
    """

    def __init__(self, line: SharedLine) -> None:
        self._line = line
        self._window, self._threshold, self._highest_window = 10.0, float("inf"), 0.0
        self._epoch: float | None = None
        self._origin = self._reno = 0.0
        self._next = self._recovering_until = 0
        self._newest = -1
        self._flying: dict[int, float] = {}
        self._rtt = 2 * line.delay
        self._heard_at = line.now
        self.delivered = 0
        line.cubic = self

    @property
    def due_at(self) -> float:
        """When everything in flight counts as lost if nothing comes."""
        return self._heard_at + TIMEOUT

    def handle_timer(self) -> None:
        """Start again with one packet."""
        self._heard_at = self._line.now
        self._shrink(self._next)
        self._threshold, self._window = max(2.0, self._window), 1.0
        self._flying.clear()

    def send_what_fits(self) -> None:
        """Fill the window."""
        while len(self._flying) < self._window:
            self._flying[self._next] = self._line.now
            self._line.send(CUBIC, self._next.to_bytes(8) + bytes(PACKET - 8), to_receiver=True)
            self._next += 1

    def arrives(self, data: bytes, *, to_receiver: bool) -> None:
        """Count a packet and answer it, or take the answer."""
        if to_receiver:
            self.delivered += len(data)
            self._line.send(CUBIC, data[:8], to_receiver=False)
            return
        number = int.from_bytes(data[:8])
        self._heard_at = self._line.now
        sent_at = self._flying.pop(number, None)
        if sent_at is not None:
            self._rtt += (self._line.now - sent_at - self._rtt) / 8
        self._newest = max(self._newest, number)
        lost = [each for each in list(self._flying)[:64] if each < self._newest - 3]
        for each in lost:
            del self._flying[each]
        if lost:
            self._shrink(max(lost))
        else:
            self._grow()

    def _shrink(self, lost: int) -> None:
        if lost < self._recovering_until:
            return
        self._recovering_until = self._next
        self._highest_window = self._window * (0.85 if self._window < self._highest_window else 1.0)
        self._window = self._threshold = max(2.0, self._window * 0.7)
        self._epoch = None

    def _grow(self) -> None:
        if self._window < self._threshold:
            self._window += 1
            return
        if self._epoch is None:
            self._epoch, self._reno = self._line.now, self._window
            self._origin = (max(0.0, self._highest_window - self._window) / 0.4) ** (1 / 3)
        target = 0.4 * (self._line.now - self._epoch + self._rtt - self._origin) ** 3 + self._highest_window
        self._reno += 0.53 / self._window
        step = (target - self._window) / self._window if target > self._window else 0.01 / self._window
        self._window = max(self._window + min(step, 0.5), self._reno)
