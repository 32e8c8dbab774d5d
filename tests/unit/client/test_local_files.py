"""What a folder is sent as, and what is said about the rest of it."""

from __future__ import annotations

import os
from pathlib import Path

from tessenger.client.local_files import LINK, SPECIAL, look_into, said_left_out


def _names(folder: Path) -> list[str]:
    return [name for _, name in look_into(folder).parts]


def test_files_and_empty_folders(tmp_path: Path) -> None:
    """Every file has a name with folders from the sent one's on; a folder with nothing in it ends with a slash."""
    folder = tmp_path / "holiday"
    for inner in ("day 1", "day 2/evening", "day 3"):
        (folder / inner).mkdir(parents=True)
    (folder / "day 1" / "b.mp4").write_bytes(b"123")
    (folder / "a.mp4").write_bytes(b"45")
    contents = look_into(folder)
    assert _names(folder) == ["holiday/a.mp4", "holiday/day 1/b.mp4", "holiday/day 2/evening/", "holiday/day 3/"]
    assert (contents.size, contents.left_out) == (5, {})
    assert contents.parts[-1][0] == folder / "day 3"


def test_an_empty_folder_alone(tmp_path: Path) -> None:
    """It is sent as well."""
    assert _names(tmp_path) == [f"{tmp_path.name}/"]


def test_links_and_special_files_are_left_out(tmp_path: Path) -> None:
    """Where they lead is not looked at; a folder that has nothing else comes as an empty one."""
    folder = tmp_path / "holiday"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "link.mp4").symlink_to("/etc/passwd")
    (folder / "elsewhere").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    contents = look_into(folder)
    assert [name for _, name in contents.parts] == ["holiday/inner/"]
    assert contents.left_out == {LINK: ["elsewhere", "inner/link.mp4"], SPECIAL: ["pipe"]}
    said = "2 symbolic links and 1 special file (elsewhere, inner/link.mp4, pipe)"
    assert said_left_out(contents.left_out) == said


def test_only_the_first_names_are_said() -> None:
    """However many there are, it is one line, and harmless to a terminal."""
    said = said_left_out({LINK: [f"link\x1b {n}" for n in range(2_000)]})
    assert said == "2000 symbolic links (link␛ 0, link␛ 1, link␛ 2, and 1,997 more)"
