"""Several files and folders in one command, in both directions at once, between two people's clients."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.piped_client import PipedClient
from tests.support.server_process import running_server

CLIENT = [sys.executable, "-m", "tessenger", "client"]


def _tree(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_symlink()}
    return {name: path.read_bytes() if path.is_file() else b"" for name, path in found.items()}


def _fill(folder: Path, count: int) -> None:
    for n in range(count):
        path = folder / f"day {n % 3}" / ("deep/er" if n % 4 == 0 else "") / f"{n}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(n * 3_000))
    (folder / "nothing" / "in here").mkdir(parents=True)
    (folder / "link.mp4").symlink_to("/etc/passwd")
    (folder / "elsewhere").symlink_to("/etc")


def test_folders_both_ways(tmp_path: Path) -> None:
    """More files than are sent at once, in folders, to each other at the same time: all arrive where they belong.

    So do folders with nothing in them; of links it is said that they were not sent.
    """
    homes = {name: tmp_path / name for name in ("aaa", "bbb")}
    for name, home in homes.items():
        _fill(home / f"holiday of {name}", 15)
        (home / "one more.mp4").write_bytes(os.urandom(200_000))
    with running_server(tmp_path / "server") as server:
        clients = {name: PipedClient(server.port, homes[name], command=CLIENT) for name in homes}
        with clients["aaa"], clients["bbb"]:
            for name, client in clients.items():
                client.sign_in(name)
            for name, client in clients.items():
                other = "bbb" if name == "aaa" else "aaa"
                client.type(f"sendfile {other} 'holiday of {name}' 'one more.mp4' missing.mp4")
            for name, client in clients.items():
                lines = [line for _ in range(35) for line in client.answer()]
                assert sum(line.endswith("has been uploaded.") for line in lines) == 17, lines
                assert sum(line.startswith("Received ") for line in lines) == 17, lines
                assert "There is no file missing.mp4." in lines
                left_out = f"Not sent of holiday of {name}: 2 symbolic links (elsewhere, link.mp4)."
                assert left_out in client.errors.splitlines()
    for name, other in (("aaa", "bbb"), ("bbb", "aaa")):
        sent = homes[name] / f"holiday of {name}"
        assert _tree(homes[other] / "downloads" / sent.name) == _tree(sent)


def test_each_tenth_is_told(tmp_path: Path) -> None:
    """In a pipe, each tenth of a transfer is a line beside the chat, on both sides."""
    homes = {name: tmp_path / name for name in ("aaa", "bbb")}
    for home in homes.values():
        home.mkdir()
    (homes["aaa"] / "x.mp4").write_bytes(os.urandom(4_000_000))
    env = {"TESSENGER_TRANSFER_RATE_LIMIT": "1000000"}
    with (
        running_server(tmp_path / "server") as server,
        PipedClient(server.port, homes["aaa"], command=CLIENT, env=env) as aaa,
        PipedClient(server.port, homes["bbb"], command=CLIENT) as bbb,
    ):
        aaa.sign_in("aaa")
        bbb.sign_in("bbb")
        aaa.type("p2pvideo bbb x.mp4")
        assert aaa.answer() == ["x.mp4 has been uploaded."]
        assert bbb.answer() == ["Received x.mp4 from aaa"]
        for client in (aaa, bbb):
            told = [line for line in client.errors.splitlines() if line.startswith("x.mp4: ") and "%" in line]
            tenths = [int(line.split()[1]) // 10 for line in told]
            assert len(tenths) >= 5, client.errors
            assert tenths == sorted(set(tenths))
