"""The real client with a scripted file process: `python client_program.py ARGUMENTS`, for tests of the client alone.

The scripted process says it can open every file and sends it at once, without a network. RESUME_SECONDS in the
environment is how long the filter resumes a broken connection.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tessenger.client import cli
from tessenger.client.files import Report
from tessenger.client.filter import Filter
from tessenger.client.receiver_messages import (
    Abort,
    AnyToReceiver,
    Done,
    Failed,
    Opened,
    OpenFile,
    Ready,
    ReceiveFile,
    SendFile,
)
from tessenger.client.reconnect import Patience

KEY = "k" * 43


class ScriptedFiles:
    """A file process in this process."""

    def __init__(self) -> None:
        self._on_report: Callable[[Report], None] | None = None
        self._opened: dict[str, Path] = {}

    async def start(self, on_report: Callable[[Report], None]) -> int:
        """Start."""
        self._on_report = on_report
        return 13_000

    def send(self, message: AnyToReceiver) -> None:
        """Answer at once."""
        match message:
            case OpenFile(transfer=transfer):
                path = self._opened[transfer] = Path(os.fsdecode(message.path))
                self._report(Opened(transfer, path.name, path.stat().st_size, KEY))
            case SendFile(transfer=transfer):
                path = self._opened[transfer]
                self._report(Done(transfer, str(path), path.stat().st_size, 0.5, "1234"))
            case ReceiveFile(transfer=transfer, name=name, size=size):
                self._report(Ready(transfer, KEY))
                self._report(Done(transfer, f"downloads/{name}", size, 0.5, "1234"))
            case Abort(transfer=transfer, reason=reason):
                self._report(Failed(transfer, reason))
            case _:
                raise AssertionError(message)

    async def stop(self) -> None:
        """Stop."""

    def _report(self, report: Report) -> None:
        assert self._on_report is not None
        asyncio.get_running_loop().call_soon(self._on_report, report)


def main() -> int:
    """Run the client."""
    Filter.patience = Patience(float(os.environ.get("RESUME_SECONDS", "15")))
    cli.file_process = lambda config: ScriptedFiles()
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
