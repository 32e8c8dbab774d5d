"""The datagrams' bodies: what is encoded is decoded, and whatever bytes come raise nothing but `PacketError`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.transfer import packets
from tessenger.transfer.packets import DATA, Ack, Fin, Hello, PacketError, Record, run_end

U32 = st.integers(0, 2**32 - 1)
BYTE = st.integers(0, 255)
RECORDS = st.builds(Record, U32, BYTE, BYTE, st.integers(0, 2**64 - 1))
ACKS = st.builds(Ack, BYTE, U32, U32, U32, U32, st.integers(0, 2**4096 - 1), st.lists(RECORDS, max_size=40).map(tuple))
HELLOS = st.builds(
    Hello, BYTE, BYTE, st.booleans(), U32, st.integers(0, 65_535), st.binary(min_size=8, max_size=8), st.just(bytes(8))
)
DECODERS: list[Callable[[bytes], object]] = [
    packets.decode_hello,
    packets.decode_ack,
    packets.decode_fin,
    packets.decode_attempt,
    packets.decode_length,
    packets.decode_token,
]


@given(ACKS)
def test_ack_round_trip(ack: Ack) -> None:
    """An acknowledgement is read as it was written."""
    assert packets.decode_ack(packets.encode_ack(ack)) == ack


@given(ACKS)
def test_ack_fits_every_path(ack: Ack) -> None:
    """The largest acknowledgement fits a datagram that every path carries."""
    sealed = packets.CONTROL_HEADER.size + len(packets.encode_ack(ack)) + 16
    assert sealed <= packets.MAX_CONTROL


@given(HELLOS)
def test_hello_round_trip(hello: Hello) -> None:
    """A HELLO is read as it was written, also with bytes of a later version behind."""
    assert packets.decode_hello(packets.encode_hello(hello)) == hello
    assert packets.decode_hello(packets.encode_hello(hello) + b"later") == hello


@given(BYTE, st.integers(0, 2**63), st.binary(min_size=32, max_size=32))
def test_fin_round_trip(attempt: int, size: int, digest: bytes) -> None:
    """A FIN is read as it was written."""
    fin = Fin(attempt, size, digest)
    assert packets.decode_fin(packets.encode_fin(fin)) == fin


@pytest.mark.parametrize("decode", DECODERS)
@given(body=st.binary(max_size=1_500))
def test_any_bytes(decode: Callable[[bytes], object], body: bytes) -> None:
    """Any bytes are a value or a `PacketError`."""
    with suppress(PacketError):
        decode(body)


@given(st.binary(max_size=1_500))
def test_any_reason_is_harmless_on_a_screen(body: bytes) -> None:
    """The peer's reason is printable, on one line and short, whatever was sent."""
    reason = packets.decode_reason(body)
    assert reason.isprintable()
    assert len(reason) <= packets.MAX_REASON


@given(st.text(max_size=1_000))
def test_reason_is_cut_between_characters(reason: str) -> None:
    """A long reason is cut, never inside a character."""
    body = packets.encode_reason(reason)
    assert len(body) <= packets.MAX_REASON
    assert reason.encode("utf-8", "replace").startswith(body)


@given(st.binary(max_size=40))
def test_session_of_any_bytes(datagram: bytes) -> None:
    """The session is the first eight bytes; a datagram shorter than a header has none."""
    expected = -1 if len(datagram) < 18 else int.from_bytes(datagram[:8])
    assert packets.session_of(datagram) == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 255), st.integers(1, 60), st.integers(0, 31)),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_runs_of_segments(runs: list[tuple[int, int, int, int, int]]) -> None:
    """However datagrams follow each other, a run is of one block, one cut and rising segments, and all are in one."""
    datagrams = [
        (session, block, (first + n) % 256, flags) for session, block, first, count, flags in runs for n in range(count)
    ]
    headers = bytearray(b"".join(DATA.pack(s, block, 7, segment, flags) for s, block, segment, flags in datagrams))
    start = 0
    while start < len(datagrams):
        end = run_end(headers, start, len(datagrams))
        assert start < end <= len(datagrams)
        session, block, segment, flags = datagrams[start]
        assert [each[2] for each in datagrams[start:end]] == list(range(segment, segment + end - start))
        assert datagrams[end - 1] == (session, block, segment + end - start - 1, flags)
        start = end


def test_a_whole_block_is_one_run() -> None:
    """What the sender sends in one train is taken in one go."""
    headers = bytearray(b"".join(DATA.pack(1, block, 7, n, 2) for block in (5, 6) for n in range(43)))
    assert run_end(headers, 0, 86) == 43
    assert run_end(headers, 43, 86) == 86
    assert run_end(headers, 10, 30) == 30
