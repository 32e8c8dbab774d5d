"""The named points at which tests strike: each is in the program once, and some test strikes there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tessenger.server.faults import Point

ROOT = Path(__file__).parents[2]


def sources(folder: str) -> str:
    """Return all source text below a folder, but the list of points itself."""
    files = sorted((ROOT / folder).rglob("*.py"))
    return "\n".join(file.read_text() for file in files if file.name not in {"faults.py", Path(__file__).name})


@pytest.mark.parametrize("point", get_args(Point))
def test_each_point_is_passed_in_one_place_and_struck_by_a_test(point: str) -> None:
    """So no window loses its test when code or tests move."""
    assert len(re.findall(rf'faults\.reach(?:\(|, )"{point}"\)', sources("tessenger"))) == 1
    assert f'"{point}"' in sources("tests/integration")
