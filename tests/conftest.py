"""What all tests share: nothing of the machine that they run on reaches them.

A test that starts processes takes its ports from the system (port 0) and keeps everything in its own `tmp_path`, so
that all tests can run at once. Deadlines come from `timeout` in pyproject.toml, never from a sleep.
"""

from __future__ import annotations

import os

import pytest


def pytest_xdist_auto_num_workers() -> int:
    """Have one more than processors with `-n auto`: most tests wait for processes a good part of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run without the TESSENGER_ variables of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("TESSENGER_")]:
        monkeypatch.delenv(name)
