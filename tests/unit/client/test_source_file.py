"""The file that is sent: its blocks, and every reason why it cannot be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tessenger.client.effects import Tell
from tessenger.client.local_files import look_into
from tessenger.client.offers import Transfers
from tessenger.client.receiver_messages import OpenFile, decode_to_receiver, encode
from tessenger.client.source_file import SourceFile, printable
from tessenger.config import TransferSection
from tessenger.errors import TransferError
from tessenger.transfer.blocks import BLOCK


def test_source(tmp_path: Path) -> None:
    """A source gives its name, its size and its blocks."""
    path = tmp_path / "a b.mp4"
    data = os.urandom(BLOCK + 5)
    path.write_bytes(data)
    source = SourceFile(str(path))
    assert (source.name, source.size) == ("a b.mp4", len(data))
    block = memoryview(bytearray(5))
    source.read_block(1, block)
    assert block == data[BLOCK:]
    source.check_unchanged()
    source.close()


def test_sources_that_cannot_be(tmp_path: Path) -> None:
    """What is missing, a folder, a pipe or beneath a file is refused at once, each with its own words."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    for name, words in {
        "x.mp4": "x.mp4: no such file",
        "pipe": "pipe: is not a regular file",
        "file/x.mp4": "x.mp4: no such file, a part of its path is no directory",
        "": "is a directory",
    }.items():
        with pytest.raises(TransferError, match=words):
            SourceFile(str(tmp_path / name))


def test_source_that_changes(tmp_path: Path) -> None:
    """A source that becomes shorter, is changed or deleted is a failure with those words."""
    path = tmp_path / "x.mp4"
    path.write_bytes(bytes(100))
    source = SourceFile(str(path))
    os.truncate(path, 50)
    with pytest.raises(TransferError, match="became shorter"):
        source.read_block(0, memoryview(bytearray(100)))
    with pytest.raises(TransferError, match="was changed"):
        source.check_unchanged()
    path.unlink()
    with pytest.raises(TransferError, match="was deleted"):
        source.check_unchanged()
    source.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 alone")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """As old archives leave them: it is opened by that, and offered by one that can be sent and shown."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    path = folder / os.fsdecode(b"\xff.txt")
    path.write_bytes(b"hi")
    ((found, name),) = look_into(folder).parts
    assert (found, name) == (path, "caf\ufffd/\ufffd.txt")
    transfers = Transfers("aaa", TransferSection(), asks=False)
    (tell,) = transfers.send("0" * 16, "bbb", str(found), name, 0.0)
    assert isinstance(tell, Tell)
    command = decode_to_receiver(encode(tell.message))
    assert isinstance(command, OpenFile)
    source = SourceFile(os.fsdecode(command.path))
    assert (source.size, printable(source.path)) == (2, f"{tmp_path}/caf\ufffd/\ufffd.txt")
    source.close()
