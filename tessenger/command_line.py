"""How both programs read their command lines."""

from __future__ import annotations

import argparse
from typing import NoReturn

from tessenger.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UsageError`s like all others, on one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit with."""
        raise UsageError(f"{message} (`{self.prog} --help` explains)")
