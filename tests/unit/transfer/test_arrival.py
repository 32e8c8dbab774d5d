"""What is on the disk, and what is open, before anything of an offered file has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessenger.errors import TransferError
from tessenger.transfer.arrival import Arrival
from tessenger.transfer.blocks import BLOCK

ID = "00112233445566aa"


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_an_offer_opens_and_makes_nothing(tmp_path: Path) -> None:
    """A thousand offers leave the disk and the descriptors as they were, given up or not."""
    before = _descriptors()
    offered = [Arrival(str(tmp_path / "new"), f"holiday/{n}.mp4", ID, 10**6) for n in range(1_000)]
    assert _descriptors() == before
    assert [each.blocks_there() for each in offered] == [(0, 0)] * 1_000
    for each in offered:
        each.keep()
        each.discard()
    assert _descriptors() == before
    assert _names(tmp_path) == []


def test_it_comes_with_the_first_block(tmp_path: Path) -> None:
    """Part and bitmap are made then, and go on being used until the file has its name."""
    arrival = Arrival(str(tmp_path), "x.mp4", ID, BLOCK + 1)
    arrival.write_block(1, memoryview(b"a"))
    assert _names(tmp_path) == [f"x.mp4.{ID}.part", f"x.mp4.{ID}.part.bitmap"]
    arrival.write_block(0, memoryview(bytes(BLOCK)))
    back = memoryview(bytearray(BLOCK))
    arrival.read_block(0, back)
    assert arrival.finish() == str(tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").read_bytes() == bytes(BLOCK) + b"a"


def test_an_empty_file_needs_no_block(tmp_path: Path) -> None:
    """It comes to be at its end."""
    arrival = Arrival(str(tmp_path), "x.mp4", ID, 0)
    assert _names(tmp_path) == []
    assert arrival.finish() == str(tmp_path / "x.mp4")


def test_an_earlier_try_is_taken_up_by_one(tmp_path: Path) -> None:
    """What is left of it is found; a second transfer of the same file meanwhile begins without it, and with its own."""
    first = Arrival(str(tmp_path), "x.mp4", ID, 3 * BLOCK)
    first.write_block(0, memoryview(bytes(BLOCK)))
    first.keep()
    second, third = (Arrival(str(tmp_path), "x.mp4", ID, 3 * BLOCK) for _ in range(2))
    assert second.blocks_there() == (1, 0)
    assert third.blocks_there() == (0, 0)
    third.write_block(2, memoryview(bytes(BLOCK)))
    assert f"x.mp4.{ID}-1.part" in _names(tmp_path)
    third.discard()
    second.discard()
    assert _names(tmp_path) == []


def test_what_was_left_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    """A transfer that has said that it begins with nothing does not go on with what another one leaves later."""
    late, other = (Arrival(str(tmp_path), "x.mp4", ID, 3 * BLOCK) for _ in range(2))
    assert late.blocks_there() == (0, 0)
    other.write_block(0, memoryview(b"x" * BLOCK))
    other.keep()
    late.write_block(1, memoryview(bytes(BLOCK)))
    assert late.blocks_there() == (0, 1 << 1)
    late.discard()


def test_a_folder(tmp_path: Path) -> None:
    """A name that ends with a slash, and no bytes, is a folder; one that is there is left as it is."""
    folder = Arrival(str(tmp_path), "holiday/../day 1/", ID, 0)
    assert _names(tmp_path) == []
    assert folder.finish() == str(tmp_path / "holiday" / "day 1")
    (tmp_path / "holiday" / "day 1" / "x").write_bytes(b"")
    assert Arrival(str(tmp_path), "holiday/day 1/", ID, 0).finish() == str(tmp_path / "holiday" / "day 1")
    assert _names(tmp_path) == ["holiday", "holiday/day 1", "holiday/day 1/x"]


def test_what_cannot_land_is_refused_at_once(tmp_path: Path) -> None:
    """No room, a file or a link where a folder should be: known from the offer, without a trace on the disk."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(TransferError, match="not enough room on the disk: 200,000,000,000,000 bytes needed"):
        Arrival(str(tmp_path / "new"), "x.mp4", ID, 2 * 10**14)
    with pytest.raises(TransferError, match="more than"):
        Arrival(str(tmp_path), "x.mp4", ID, 10**18)
    for name, size in (("file/x.mp4", 3), ("link/x.mp4", 3), ("file/", 0), ("link/", 0)):
        with pytest.raises(TransferError, match="is no folder"):
            Arrival(str(tmp_path), name, ID, size)
    with pytest.raises(TransferError, match="is no folder"):
        Arrival(str(tmp_path / "file"), "x.mp4", ID, 3)
    assert _names(tmp_path) == ["file", "link"]
