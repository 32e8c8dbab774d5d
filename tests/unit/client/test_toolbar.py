"""The line at the bottom of the REPL."""

from __future__ import annotations

from msgspec.structs import replace

from tessenger.client.toolbar import toolbar
from tessenger.client.transfer import State, Transfer

RUNNING = Transfer(
    "0" * 16, 1, "bbb", "example1.mp4", True, State.RUNNING, 0.0, size=100_000_000, done=45_000_000, rate=11e6
)
OFFER = Transfer("1" * 16, 2, "ccc", "big.mkv", False, State.OFFERED, 0.0, size=10)


def line(*transfers: Transfer, columns: int = 200) -> str:
    """Return the line for someone with these transfers."""
    return toolbar("aaa", "chat.example:12000", "connected", transfers, columns, len)


def test_who_where_and_the_connection() -> None:
    """With nothing going on."""
    assert line() == " aaa@chat.example:12000 | connected "


def test_transfers() -> None:
    """Percent, rate and time left of what runs; a count of what waits for an answer."""
    assert line(RUNNING, OFFER) == (
        " aaa@chat.example:12000 | connected | example1.mp4 to bbb 45 % 11.0 MB/s 5 s left | 1 offered to you "
    )


def test_offers_of_ones_own() -> None:
    """What waits for the other side's answer is named, and what has ended is not."""
    mine = replace(RUNNING, state=State.OFFERED)
    assert line(mine) == " aaa@chat.example:12000 | connected | example1.mp4 to bbb offered "
    assert line(replace(mine, state=State.ACCEPTED)).endswith("| example1.mp4 to bbb connecting ")
    assert line(replace(mine, state=State.STALLED)).endswith("| example1.mp4 to bbb 45 % stalled ")
    assert line(replace(mine, state=State.DONE), replace(mine, state=State.FAILED)) == line()


def test_it_shortens_before_it_is_cut() -> None:
    """First the server goes, then the details, and at last what does not fit."""
    assert line(RUNNING, columns=70) == " aaa | connected | example1.mp4 to bbb 45 % 11.0 MB/s 5 s left "
    assert line(RUNNING, columns=40) == " aaa | connected | to bbb 45 % "
    assert line(RUNNING, columns=20) == " aaa | connected | t"
