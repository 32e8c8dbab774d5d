"""How both programs read their command lines."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from tessenger.errors import UsageError
from tessenger.standard_streams import say


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UsageError`s like all others, on one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit with."""
        raise UsageError(f"{message} (`{self.prog} --help` explains)")

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 as argparse has it
        """Print help or version; argparse's own lets the error of a stream out as a traceback."""
        if message and file in (None, sys.stdout):
            say(message.removesuffix("\n"))
        else:
            super()._print_message(message, file)
