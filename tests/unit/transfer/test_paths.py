"""Files on the disk: what a peer's name becomes, and that nothing which exists is harmed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.errors import TransferError
from tessenger.transfer.blocks import BLOCK
from tessenger.transfer.file_names import clean_name, file_id
from tessenger.transfer.paths import ArrivingFile, remove_old_parts

ID = "00112233445566aa"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("example1.mp4", "example1.mp4"),
        ("my holiday video.mp4", "my holiday video.mp4"),
        (
            "d\u00e9j\u00e0 vu \u65e5\u672c \U0001f468\u200d\U0001f469.mp4",
            "d\u00e9j\u00e0 vu \u65e5\u672c \U0001f468\u200d\U0001f469.mp4",
        ),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/passwd", "passwd"),
        ("folder/", "folder"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("///", "file"),
        (".bashrc", "bashrc"),
        ("...hidden", "hidden"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("nul .txt", "_nul .txt"),
        ("console.txt", "console.txt"),
        ("a\x00b\nc\x1b[31m", "a_b_c_[31m"),
        ("evil\u202egpj.exe", "evil_gpj.exe"),
        ("Screenshot 9.41\u202fPM.png", "Screenshot 9.41 PM.png"),
        ("trailing. . ", "trailing"),
    ],
)
def test_clean_name(name: str, cleaned: str) -> None:
    """A peer's name becomes a plain, visible, harmless one; spaces and Unicode stay."""
    assert clean_name(name) == cleaned


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400))
def test_clean_name_of_anything(name: str) -> None:
    """Whatever the name, the result is one component of at most 255 bytes, not hidden, and clean already."""
    cleaned = clean_name(name)
    assert cleaned
    assert len(cleaned.encode()) <= 255
    assert "/" not in cleaned
    assert "\\" not in cleaned
    assert not cleaned.startswith((".", " "))
    assert not cleaned.endswith((".", " "))
    assert cleaned.replace("\u200c", "").replace("\u200d", "").isprintable() or cleaned.strip("\u200c\u200d") == ""
    assert clean_name(cleaned) == cleaned


def test_long_names_keep_their_suffix() -> None:
    """A name of 300 characters is cut in its middle, between characters."""
    assert clean_name("x" * 300 + ".mp4") == "x" * 251 + ".mp4"
    assert clean_name("\u00e9" * 300 + ".mp4") == "\u00e9" * 125 + ".mp4"


def _arrive(folder: Path, name: str, data: bytes) -> str:
    arriving = ArrivingFile(str(folder), name, ID, len(data))
    for index in range(-(-len(data) // BLOCK)):
        arriving.write_block(index, memoryview(data[index * BLOCK : (index + 1) * BLOCK]))
    return arriving.finish()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_arrives_under_its_name(tmp_path: Path) -> None:
    """A file is a part with a bitmap first, and then alone under its name, in a folder that was made for it."""
    folder = tmp_path / "new" / "folder"
    data = os.urandom(BLOCK + 1)
    arriving = ArrivingFile(str(folder), "../x.mp4", ID, len(data))
    arriving.write_block(1, memoryview(data[BLOCK:]))
    assert _names(folder) == [f"x.mp4.{ID}.part", f"x.mp4.{ID}.part.bitmap"]
    arriving.write_block(0, memoryview(data[:BLOCK]))
    back = memoryview(bytearray(BLOCK))
    arriving.read_block(0, back)
    assert back == data[:BLOCK]
    assert arriving.finish() == str(folder / "x.mp4")
    assert _names(folder) == ["x.mp4"]
    assert (folder / "x.mp4").read_bytes() == data


def test_never_replaces(tmp_path: Path) -> None:
    """Files of that name, whatever they are, stay as they are; the new ones get numbers."""
    (tmp_path / "x.mp4").write_bytes(b"old")
    (tmp_path / "x (1).mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "x (2).mp4").mkdir()
    assert _arrive(tmp_path, "x.mp4", b"new") == str(tmp_path / "x (3).mp4")
    assert _arrive(tmp_path, "x.mp4", b"newer") == str(tmp_path / "x (4).mp4")
    assert (tmp_path / "x.mp4").read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "x (3).mp4").read_bytes() == b"new"


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has no hard links nothing is replaced either."""

    def no_links(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "x.mp4").write_bytes(b"old")
    assert _arrive(tmp_path, "x.mp4", b"new") == str(tmp_path / "x (1).mp4")
    assert _names(tmp_path) == ["x (1).mp4", "x.mp4"]
    assert (tmp_path / "x.mp4").read_bytes() == b"old"
    assert (tmp_path / "x (1).mp4").read_bytes() == b"new"


def test_names_of_255_bytes_and_their_numbers(tmp_path: Path) -> None:
    """The longest names land too, twice."""
    name = "x" * 251 + ".mp4"
    assert Path(_arrive(tmp_path, name, b"1")).name == name
    assert Path(_arrive(tmp_path, name, b"2")).name == "x" * 247 + " (1).mp4"


def test_part_is_no_symbolic_link(tmp_path: Path) -> None:
    """A link that waits under the name of the part is not followed: another name is taken, and its target stays."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f"x.mp4.{ID}.part").symlink_to(target)
    arriving = ArrivingFile(str(folder), "x.mp4", ID, 3)
    assert _names(folder) == [f"x.mp4.{ID}-1.part", f"x.mp4.{ID}-1.part.bitmap", f"x.mp4.{ID}.part"]
    arriving.write_block(0, memoryview(b"abc"))
    arriving.discard()
    assert target.read_bytes() == b"precious"


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    """A file that is given up leaves neither part nor bitmap, and giving up twice is no failure."""
    arriving = ArrivingFile(str(tmp_path), "x.mp4", ID, 3)
    arriving.write_block(0, memoryview(b"abc"))
    arriving.discard()
    arriving.discard()
    assert _names(tmp_path) == []


def test_start_over_forgets(tmp_path: Path) -> None:
    """Starting over empties part and bitmap."""
    arriving = ArrivingFile(str(tmp_path), "x.mp4", ID, 3)
    arriving.write_block(0, memoryview(b"abc"))
    arriving.start_over()
    assert [path.stat().st_size for path in sorted(tmp_path.iterdir())] == [0, 0]
    arriving.discard()


def test_offer_larger_than_the_disk(tmp_path: Path) -> None:
    """An offer that no disk holds is refused before anything is written or allocated: its blocks have no numbers."""
    with pytest.raises(TransferError, match="not enough room on the disk: 200,000,000,000,000 bytes needed"):
        ArrivingFile(str(tmp_path), "x.mp4", ID, 2 * 10**14)
    with pytest.raises(TransferError, match="more than"):
        ArrivingFile(str(tmp_path), "x.mp4", ID, 10**18)
    assert _names(tmp_path) == []


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A download folder that is no folder is a clear failure."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TransferError, match="is no folder"):
        ArrivingFile(str(tmp_path / "file"), "x.mp4", ID, 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    """A download folder that may not be written to is a clear failure."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(TransferError, match="Permission denied"):
            ArrivingFile(str(tmp_path), "x.mp4", ID, 3)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A disk that gets full, a quota and a size limit all say that there is no room."""
    arriving = ArrivingFile(str(tmp_path), "x.mp4", ID, 3)

    def full(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(TransferError, match=r"no room on the disk for x\.mp4"):
            arriving.write_block(0, memoryview(b"abc"))
    arriving.discard()


def test_part_is_taken_up(tmp_path: Path) -> None:
    """What a broken transfer has left is there for the next one of the same id, and for it alone at one time."""
    size = 20 * BLOCK
    block = memoryview(os.urandom(BLOCK))
    first = ArrivingFile(str(tmp_path), "x.mp4", ID, size)
    assert first.blocks_there() == (0, 0)
    for index in (*range(11), 12, 19):
        first.write_block(index, block)
    at_once = ArrivingFile(str(tmp_path), "x.mp4", ID, size)
    assert at_once.blocks_there() == (0, 0)
    at_once.discard()
    first.keep()
    second = ArrivingFile(str(tmp_path), "x.mp4", ID, size)
    assert second.blocks_there() == (11, 0b100000010)
    for index in (11, *range(13, 19)):
        second.write_block(index, block)
    second.keep()
    third = ArrivingFile(str(tmp_path), "x.mp4", ID, size)
    assert third.blocks_there() == (20, 0)
    assert Path(third.finish()).read_bytes() == bytes(block) * 20
    assert _names(tmp_path) == ["x.mp4"]


@pytest.mark.parametrize(
    ("there", "bitmap", "found"),
    [
        (3 * BLOCK + 5, b"\xff" * 900, (3, 0)),
        (3 * BLOCK + 5, b"\xf2\xff\xff", (0, 0b010)),
        (11 * BLOCK, b"\xff\x03\xff", (10, 0)),
        (0, b"\xff\xff\xff", (0, 0)),
        (19 * BLOCK + 1, b"\xff\xff\xff", (20, 0)),
        (90 * BLOCK, b"\xff\xff\xff", (20, 0)),
        (5 * BLOCK, b"", (0, 0)),
    ],
)
def test_a_bitmap_that_makes_no_sense_is_not_believed(
    tmp_path: Path, there: int, bitmap: bytes, found: tuple[int, int]
) -> None:
    """What it claims beyond the end of the part is not there, and what the part has beyond the file's is cut off."""
    part = tmp_path / f"x.mp4.{ID}.part"
    part.write_bytes(bytes(there))
    part.with_name(f"{part.name}.bitmap").write_bytes(bitmap)
    size = 19 * BLOCK + 1
    arriving = ArrivingFile(str(tmp_path), "x.mp4", ID, size)
    assert arriving.blocks_there() == found
    assert part.stat().st_size == min(there, size)
    arriving.discard()


def test_part_of_someone_else_is_not_taken_up(tmp_path: Path) -> None:
    """A part that has another name on the disk, or no bitmap, is left alone."""
    arriving = ArrivingFile(str(tmp_path), "x.mp4", ID, 3)
    arriving.write_block(0, memoryview(b"abc"))
    arriving.keep()
    part = tmp_path / f"x.mp4.{ID}.part"
    os.link(part, tmp_path / "precious")
    other = ArrivingFile(str(tmp_path), "x.mp4", ID, 3)
    assert other.blocks_there() == (0, 0)
    other.write_block(0, memoryview(b"def"))
    other.discard()
    assert part.read_bytes() == b"abc"


def test_ids_of_files() -> None:
    """The same file of the same person has the same id, and any other has another."""
    assert file_id("aaa", "x", 1) == file_id("AAA", "x", 1)
    assert len({file_id(*each) for each in (("a", "x", 1), ("b", "x", 1), ("a", "y", 1), ("a", "x", 2))}) == 4


def test_old_parts_are_removed(tmp_path: Path) -> None:
    """Parts that nobody came back for go after a time, and nothing else does."""
    for name in ("old", "new"):
        arriving = ArrivingFile(str(tmp_path), f"folder/{name}", ID, 3)
        arriving.write_block(0, memoryview(b"abc"))
        arriving.keep()
    for name in (f"film.{ID}.part", "film.part", "film.part.bitmap"):
        (tmp_path / name).write_bytes(b"precious")
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / "folder" / f"old.{ID}.part", (0, 0))
    remove_old_parts(str(tmp_path), 1_000.0)
    assert _names(tmp_path / "folder") == [f"new.{ID}.part", f"new.{ID}.part.bitmap"]
    assert _names(tmp_path) == [f"film.{ID}.part", "film.part", "film.part.bitmap", "folder"]


@pytest.mark.parametrize(("name", "landed"), [
    ("holiday/day 1/x.mp4", "holiday/day 1/x.mp4"),
    ("../../x.mp4", "x.mp4"),
    ("/etc/passwd", "etc/passwd"),
    ("a/../../b/./x.mp4", "a/b/x.mp4"),
    ("CON/.git/..\\x.mp4", "_CON/git/x.mp4"),
    ("a\u202e/b\x00/x\x1b.mp4", "a_/b_/x_.mp4"),
    ("..", "file"),
    ("", "file"),
    ("/".join("abcdefghij" * 10), "/".join(("abcdefghij" * 10)[-33:])),
])  # fmt: skip
def test_folders_stay_below(tmp_path: Path, name: str, landed: str) -> None:
    """A file that comes in folders lands in folders of that name below the download folder, never elsewhere."""
    arriving = ArrivingFile(str(tmp_path), name, ID, 0)
    assert arriving.finish() == str(tmp_path / landed)


def test_folder_that_is_a_link(tmp_path: Path) -> None:
    """A link in the download folder is not followed to where a peer's folder would land."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "holiday").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransferError, match="is no folder"):
        ArrivingFile(str(tmp_path / "downloads"), "holiday/x.mp4", ID, 0)
    assert _names(tmp_path / "elsewhere") == []
