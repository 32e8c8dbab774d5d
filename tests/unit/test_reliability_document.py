"""docs/reliability.md names a test for each claim: they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

NAMED = re.compile(r"`(?:([\w/.]+\.py)|…)(?:::(\w+))?`")
"""`FILE::TEST`, `FILE`, or `…::TEST` of the file that was named last."""


def test_every_test_that_is_named_is_there() -> None:
    """In the file that is named; files without a folder are in tests/integration."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    found = 0
    file = Path()
    for name, test in NAMED.findall(text):
        if name:
            file = ROOT / name if "/" in name else ROOT / "tests" / "integration" / name
        assert file.is_file(), f"no such file: {name}"
        if test:
            found += 1
            assert re.search(rf"^def {test}\(", file.read_text(), re.MULTILINE), f"no such test: {file.name}::{test}"
    assert found > 20
