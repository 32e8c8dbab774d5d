"""The transfers of the client's UDP process, where this runs: what the client asks becomes a session."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tessenger.client.receiver_messages import (
    Abort,
    Done,
    Failed,
    FromReceiver,
    Opened,
    OpenFile,
    Ready,
    ReceiveFile,
    SendFile,
)
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.reported_transfer import Transfer
from tessenger.client.source_file import AnySource, SourceFile, SourceFolder, printable
from tessenger.client.udp_socket import UdpSocket
from tessenger.errors import TransferError
from tessenger.transfer.arrival import Arrival
from tessenger.transfer.assembly import BlockBuffers
from tessenger.transfer.blocks import block_count
from tessenger.transfer.file_names import file_id
from tessenger.transfer.keys import Binding, Cipher, TransferKeys, derive, public_text
from tessenger.transfer.paths import remove_old_parts
from tessenger.transfer.ports import Address
from tessenger.transfer.receiver import ReceiveSession
from tessenger.transfer.sender import SendSession
from tessenger.transfer.session import Peer, Settings
from tessenger.transfer.unproved import UnprovedAddresses
from tessenger.wire.text import clean_line

KEEP_PARTS_SECONDS = 7 * 86_400.0
"""How long a broken transfer can be resumed."""
_ID = re.compile("[0-9a-f]{16}")


class Offer:
    """A file that was opened to be sent, until the offer is answered."""

    def __init__(self, source: AnySource, name: str) -> None:
        self.source = source
        self.name = name
        self.private = X25519PrivateKey.generate()


class Lookup:
    """A peer's host name that is being resolved, and what is to happen then."""

    def __init__(self, command: SendFile | ReceiveFile) -> None:
        self.command = command
        self.address: Address | None = None


class Transfers:
    """All transfers by session id. `tell` says something to the client."""

    def __init__(self, options: ReceiverOptions, udp: UdpSocket, tell: Callable[[FromReceiver], None]) -> None:
        self._options = options
        self._udp = udp
        self._tell = tell
        self._offers: dict[str, Offer] = {}
        self.running: dict[int, Transfer] = {}
        """Until nothing is to be said any more, which is later than the end that the client is told."""
        self._lookups = 0
        self._looked_up: SimpleQueue[Lookup] = SimpleQueue()
        self._cipher = _faster_cipher()
        self._buffers = BlockBuffers()
        self._addresses = UnprovedAddresses()
        remove_old_parts(options.download_dir, time.time() - KEEP_PARTS_SECONDS)

    @property
    def looking_up(self) -> bool:
        """Whether a host name is being resolved: `take_lookups` is to be called now and then."""
        return self._lookups > 0

    def carry_out(self, command: OpenFile | SendFile | ReceiveFile | Abort) -> None:
        """Do what the client asks."""
        try:
            _check(command)
            if isinstance(command, OpenFile):
                self._open(command)
            elif isinstance(command, Abort):
                self._abort(command)
            else:
                self._look_up(command)
        except TransferError as error:
            self._refuse(command, str(error))

    def report(self, transfer: Transfer, now: float) -> None:
        """Tell the client how a transfer ended."""
        transfer.reported = True
        for resumed in transfer.news():
            self._tell(resumed)
        outcome = transfer.session.outcome
        assert outcome is not None
        transfer.let_go()
        if outcome.reason:
            self._tell(Failed(transfer.transfer, clean_line(outcome.reason)))
        else:
            path = printable(transfer.source.path if transfer.source else outcome.path)
            seconds = now - transfer.started_at
            self._tell(Done(transfer.transfer, path, transfer.session.size, seconds, transfer.code))
        self._share_rate()

    def _open(self, command: OpenFile) -> None:
        if command.transfer in self._offers or int(command.transfer, 16) in self.running:
            raise TransferError("a transfer of this id exists already")
        path = os.fsdecode(command.path)
        source = SourceFolder(path) if command.name.endswith("/") else SourceFile(path)
        name = command.name or source.name
        try:
            block_count(source.size)
        except TransferError:
            source.close()
            raise
        offer = self._offers[command.transfer] = Offer(source, clean_line(name))
        self._tell(Opened(command.transfer, offer.name, source.size, public_text(offer.private)))

    def _abort(self, command: Abort) -> None:
        transfer = self.running.get(int(command.transfer, 16))
        if transfer is not None:
            transfer.session.abort(command.reason, time.monotonic(), keep=command.keep)
        elif self._forget_offer(command.transfer):
            self._tell(Failed(command.transfer, command.reason))

    def _forget_offer(self, transfer: str) -> bool:
        offer = self._offers.pop(transfer, None)
        if offer is not None:
            offer.source.close()
        return offer is not None

    def _look_up(self, command: SendFile | ReceiveFile) -> None:
        """Go on once the peer's address is known: at once where it is one, else when its name was resolved."""
        try:
            address = self._udp.resolve(command.host, command.port, numeric=True)
        except OSError:
            self._lookups += 1
            threading.Thread(target=self._resolve, args=(Lookup(command),), daemon=True).start()
        else:
            self._begin(command, address)

    def _resolve(self, lookup: Lookup) -> None:
        """In a thread of its own, since it may wait for a name server."""
        try:
            lookup.address = self._udp.resolve(lookup.command.host, lookup.command.port, numeric=False)
        except (OSError, UnicodeError):
            lookup.address = None
        self._looked_up.put(lookup)

    def take_lookups(self) -> None:
        """Go on with the transfers whose peer's address is known now."""
        while True:
            try:
                lookup = self._looked_up.get_nowait()
            except Empty:
                return
            self._lookups -= 1
            if lookup.address is None:
                self._refuse(lookup.command, f"the address {lookup.command.host} is not known")
            else:
                self._try_begin(lookup.command, lookup.address)

    def _refuse(self, command: OpenFile | SendFile | ReceiveFile | Abort, reason: str) -> None:
        self._forget_offer(command.transfer)
        self._tell(Failed(command.transfer, clean_line(reason)))

    def _try_begin(self, command: SendFile | ReceiveFile, address: Address) -> None:
        try:
            self._begin(command, address)
        except TransferError as error:
            self._refuse(command, str(error))

    def _begin(self, command: SendFile | ReceiveFile, address: Address) -> None:
        _check_address(address)
        if isinstance(command, SendFile):
            self._send_file(command, address)
        else:
            self._receive_file(command, address)

    def _send_file(self, command: SendFile, address: Address) -> None:
        offer = self._offers.get(command.transfer)
        if offer is None:
            return  # given up in the meantime, and the client knows
        source = offer.source
        binding = Binding(command.transfer, command.sender, command.receiver, offer.name, source.size)
        keys = derive(offer.private, command.key, binding, sending=True)
        now = time.monotonic()
        peer = Peer(command.receiver, address)
        del self._offers[command.transfer]
        session = SendSession(binding, keys, peer, self._settings(), now, source)
        self._add(Transfer(command.transfer, session, keys.code, source, now))

    def _receive_file(self, command: ReceiveFile, address: Address) -> None:
        binding = Binding(command.transfer, command.sender, command.receiver, command.name, command.size)
        if binding.session in self.running:
            raise TransferError("a transfer of this id exists already")
        block_count(command.size)
        private = X25519PrivateKey.generate()
        keys = derive(private, command.key, binding, sending=False)
        part = file_id(command.sender, command.name, command.size)
        sink = Arrival(self._options.download_dir, command.name, part, command.size)
        now = time.monotonic()
        peer = Peer(command.sender, address)
        session = ReceiveSession(binding, keys, peer, self._settings(), now, sink, self._buffers)
        self._add(Transfer(command.transfer, session, keys.code, None, now))
        self._tell(Ready(command.transfer, public_text(private)))

    def _settings(self) -> Settings:
        options = self._options
        return Settings(
            secrets.token_bytes(32),
            self._udp.receive_buffer,
            options.stall_seconds,
            self._cipher,
            options.rate_limit,
            options.max_datagram,
            self._addresses,
        )

    def _add(self, transfer: Transfer) -> None:
        self.running[transfer.session.binding.session] = transfer
        self._share_rate()

    def _share_rate(self) -> None:
        """Divide the limit among the transfers that send."""
        if not self._options.rate_limit:
            return
        sending = [each.session for each in self.running.values() if isinstance(each.session, SendSession)]
        running = [session for session in sending if session.outcome is None]
        for session in running:
            session.limit_rate(self._options.rate_limit / len(running))

    def give_up(self, now: float) -> None:
        """End everything; peers are told."""
        for transfer in self.running.values():
            transfer.session.abort("signed out", now, keep=True)
            if not transfer.reported:
                transfer.reported = True
                transfer.let_go()
        for offer in list(self._offers):
            self._forget_offer(offer)


def _check(command: OpenFile | SendFile | ReceiveFile | Abort) -> None:
    """Refuse what cannot be: some of it comes from the server, which need not be one of ours."""
    if not _ID.fullmatch(command.transfer):
        raise TransferError("the transfer's id makes no sense")
    if isinstance(command, SendFile | ReceiveFile) and not 0 < command.port < 65_536:
        raise TransferError("the other side takes no files: it has no UDP port")
    if isinstance(command, ReceiveFile) and command.size < 0:
        raise TransferError("the file's size makes no sense")


def _check_address(address: Address) -> None:
    """Refuse what is no machine's own address: many would get what is sent there."""
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255":
        raise TransferError(f"{ip} is not the address of one machine")


def _faster_cipher() -> Cipher:
    """Return what this machine seals blocks with: AES unless it has no instructions for it."""
    plain, times = bytes(65_536), {}
    keys = TransferKeys(bytes(32), b"", sending=True)
    for cipher in Cipher:
        aead = keys.blocks(0, cipher)
        best = float("inf")
        for number in range(3):
            start = time.perf_counter()
            aead.encrypt(number.to_bytes(12), plain, None)
            best = min(best, time.perf_counter() - start)
        times[cipher] = best
    return min(times, key=lambda cipher: times[cipher])
