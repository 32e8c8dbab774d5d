"""The line at the bottom of the REPL."""

from __future__ import annotations

from msgspec.structs import replace

from tessenger.client.toolbar import Standing, toolbar
from tessenger.client.transfer import State, Transfer

RUNNING = Transfer(
    "0" * 16, 1, "bbb", "example1.mp4", True, State.RUNNING, 0.0, size=100_000_000, done=45_000_000, rate=11e6
)
HERE = Standing("aaa", "chat.example:12000")
OFFER = Transfer("1" * 16, 2, "ccc", "big.mkv", False, State.OFFERED, 0.0, size=10)


def line(*transfers: Transfer, columns: int = 200) -> str:
    """Return the line for someone with these transfers."""
    return toolbar(HERE, transfers, columns, len)


def test_who_where_and_the_connection() -> None:
    """With nothing going on."""
    assert line() == " aaa@chat.example:12000 | connected "


def test_the_connection() -> None:
    """How long until the next attempt, counted down; nothing of that while one is under way."""
    away = replace(HERE, connection="reconnecting", wait=2.2)
    assert toolbar(away, (), 80, len) == " aaa@chat.example:12000 | reconnecting in 3 s "
    assert toolbar(replace(away, wait=-0.1), (), 80, len) == " aaa@chat.example:12000 | reconnecting "
    assert toolbar(replace(away, wait=None), (), 80, len) == " aaa@chat.example:12000 | reconnecting "


def test_people_and_unread_messages() -> None:
    """Who is online, and what came in other conversations: the latest three by name."""
    now = replace(HERE, online=5, unread={"bbb": 2, "g": 14})
    assert toolbar(now, (), 80, len) == " aaa@chat.example:12000 | connected | 5 online | new: bbb 2, g 14 "
    many = replace(now, unread={"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    assert toolbar(many, (), 80, len).endswith("| new: c 3, d 4, e 5, 2 more ")
    assert toolbar(many, (), 30, len) == " aaa | connected | 15 new "


def test_names_of_others_cannot_steer_the_terminal() -> None:
    """Whatever a server lets through."""
    assert "\x1b" not in toolbar(replace(HERE, unread={"\x1b[2J": 1}), (), 80, len)


def test_without_unicode() -> None:
    """A terminal with another encoding shows the bar in ASCII."""
    line = toolbar(replace(HERE, unicode=False), (RUNNING,), 200, len)
    assert "[####------] 45 %" in line
    assert line.isascii()


def test_transfers() -> None:
    """Percent, rate and time left of what runs; a count of what waits for an answer."""
    assert line(RUNNING, OFFER).split("\n") == [
        " aaa@chat.example:12000 | connected | 1 offered to you ",
        " example1.mp4 to bbb [████░░░░░░] 45 % 11.0 MB/s 5 s left ",
    ]


def test_many_transfers() -> None:
    """Three have a line each; of more than that, two have one, and the others are counted."""
    names = [replace(RUNNING, id=str(n), name=f"{n}.mp4", outgoing=n % 2 == 0) for n in range(5)]
    assert [each.split(" [")[0] for each in line(*names[:3]).split("\n")[1:]] == [
        " 0.mp4 to bbb", " 1.mp4 from bbb", " 2.mp4 to bbb",
    ]  # fmt: skip
    assert [each.split(" [")[0] for each in line(*names).split("\n")[1:]] == [
        " 0.mp4 to bbb", " 1.mp4 from bbb", " 3 more: /transfers ",
    ]  # fmt: skip


def test_offers_of_ones_own() -> None:
    """What waits for the other side's answer is named, and what has ended is not."""
    mine = replace(RUNNING, state=State.OFFERED)
    assert line(mine) == " aaa@chat.example:12000 | connected \n example1.mp4 to bbb offered "
    assert line(replace(mine, state=State.ACCEPTED)).endswith("\n example1.mp4 to bbb connecting ")
    assert line(replace(mine, state=State.STALLED)).endswith("\n example1.mp4 to bbb [████░░░░░░] 45 % stalled ")
    assert line(replace(mine, state=State.DONE), replace(mine, state=State.FAILED)) == line()


def test_it_shortens_before_it_is_cut() -> None:
    """First the server and the bar go, then the end of the name and the rate, and at last what does not fit."""
    many = replace(HERE, online=12, unread={"bbb": 1})
    detail = "45 % 11.0 MB/s 5 s left"
    for columns, standing, transfer in (
        (
            61,
            "aaa@chat.example:12000 | connected | 12 online | new: bbb 1",
            f"example1.mp4 to bbb [████░░░░░░] {detail}",
        ),
        (58, "aaa | connected | 12 online | new: bbb 1", f"example1.mp4 to bbb [████░░░░░░] {detail}"),
        (57, "aaa | connected | 12 online | new: bbb 1", f"example1.mp4 to bbb {detail}"),
        (40, "aaa | connected | 1 new", f"exampl… to bbb {detail}"),
        (30, "aaa | connected | 1 new", "to bbb 45 %"),
    ):
        assert toolbar(many, (RUNNING,), columns, len).split("\n") == [f" {standing} ", f" {transfer} "], columns
    assert line(RUNNING, columns=10) == " aaa | con\n to bbb 45"
