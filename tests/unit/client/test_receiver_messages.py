"""The pipe between the client and its UDP process: nonsense is one error, and ends the process that sent it."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable

import pytest

from tessenger.client.receiver_messages import (
    AnyFromReceiver,
    Opened,
    Stop,
    decode_from_receiver,
    decode_to_receiver,
    encode,
)
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.receiver_process import ReceiverProcess
from tessenger.errors import TransferError

NONSENSE = (b"", b"\x91" * 5_000, b"\x81\xa1a" * 5_000, b"\x81\xa4kind\xa1\xff", b"\x81\xa4kind\xa3odd", b"\xc1")


def test_messages_come_as_they_went() -> None:
    """In both directions."""
    opened = Opened("0" * 16, "x.mp4", 2**40, "key")
    assert decode_from_receiver(encode(opened)) == opened
    assert decode_to_receiver(encode(Stop())) == Stop()


@pytest.mark.parametrize("data", NONSENSE)
@pytest.mark.parametrize("decode", [decode_to_receiver, decode_from_receiver])
def test_nonsense_is_one_error(decode: Callable[[bytes], object], data: bytes) -> None:
    """Whatever the decoder makes of it."""
    with pytest.raises(TransferError, match="makes no sense"):
        decode(data)


@pytest.mark.parametrize("data", NONSENSE)
def test_a_process_that_sends_nonsense_counts_as_dead(data: bytes) -> None:
    """What it said before is heard; then it is replaced like one that was killed."""

    async def scenario() -> list[AnyFromReceiver]:
        ours, theirs = multiprocessing.Pipe()
        process = ReceiverProcess(ReceiverOptions(download_dir="."))
        process.listen(ours)
        theirs.send_bytes(encode(Opened("0" * 16, "x.mp4", 1, "key")))
        theirs.send_bytes(data)
        async with asyncio.timeout(20):
            heard = [message async for message in process]
        assert process.failed
        theirs.close()
        return heard

    assert asyncio.run(scenario()) == [Opened("0" * 16, "x.mp4", 1, "key")]
