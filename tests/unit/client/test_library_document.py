"""docs/library.md says what the library is: every method, every exception, and examples that are Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tessenger.client
from tessenger.client import Connection

TOP = Path(__file__).parents[3]
PAGE = (TOP / "docs/library.md").read_text("utf-8")


def test_every_method_is_on_the_page() -> None:
    """Requests, the state of the connection, and the name that the package exports."""
    public = {name for name in vars(Connection) if not name.startswith("_")}
    named = set(re.findall(r"`(?:chat\.|Connection\.)?([a-z_]+)\b", PAGE))
    assert public <= named
    assert set(tessenger.client.__all__) - {"TessengerError", "GroupMessage"} <= set(re.findall(r"\w+", PAGE))


def test_no_method_is_on_the_page_that_is_not_there() -> None:
    """The table's calls all exist."""
    called = re.findall(r"`([a-z_]+)\([^`]*\)`", PAGE)
    assert called
    assert [name for name in called if not hasattr(Connection, name)] == []


@pytest.mark.parametrize("page", ["docs/library.md", "README.md"])
def test_examples_are_python(page: str) -> None:
    """Each block compiles, within a coroutine."""
    blocks = re.findall(r"```python\n(.*?)```", (TOP / page).read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        body = "".join(f"    {line}\n" for line in block.splitlines())
        ast.parse(f"async def example():\n{body}")


def test_what_the_package_exports_is_there() -> None:
    """Each name, of the module that has it; and `dir` says nothing wrong."""
    for name in tessenger.client.__all__:
        assert getattr(tessenger.client, name).__name__ == name
