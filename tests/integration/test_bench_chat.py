"""The benchmark of the chat does what it says, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.people import COMPILER
from tests.support.server_process import ROOT

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]

NAIVE = "threads and log file"


def bench(folder: Path, *options: str, seconds: float = 55) -> str:
    """Run it, for at most so many seconds, and return what it prints."""
    command = [sys.executable, "-m", "bench.chat", "--rounds", "1", "--seconds", "0.2", *options]
    environment = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not [path for path in folder.iterdir() if path.name.startswith("tessenger-bench-")], (
        "it leaves nothing behind"
    )
    return done.stdout


def test_loads_are_measured_side_by_side(tmp_path: Path) -> None:
    """Our server and the naive one: a table, a chart and all figures."""
    chart, results = tmp_path / "chart.svg", tmp_path / "results.json"
    only = ["--only", "direct1,paced"]
    printed = bench(
        tmp_path, "--loads", "--servers", f"Tessenger,{NAIVE}", *only, "--chart", str(chart), "--results", str(results)
    )
    figures = json.loads(results.read_text())["loads"]
    assert [(f["server"], f["load"]) for f in figures] == [
        (server, load) for server in ("Tessenger", NAIVE) for load in ("direct1", "paced")
    ]
    assert all(figure["cpu"] > 0 and figure["rate"] > 0 for figure in figures)
    assert all(0 < f["p50"] <= f["p99"] for f in figures if f["load"] == "paced")
    assert f"| {NAIVE} |" in printed
    words = {element.text for element in ElementTree.parse(chart).iter()}  # noqa: S314 we have just written it
    assert {"Tessenger", NAIVE, "direct, window 1"} <= words


def test_what_is_not_installed_is_left_out_and_named(tmp_path: Path) -> None:
    """A run without it is still a run. A group of 500 is more than the naive server stands on a busy machine."""
    program, chart = tmp_path / "none", tmp_path / "chart.svg"
    servers = ["--servers", "Tessenger,miniircd", "--miniircd", str(program), "--only", "group8"]
    printed = bench(tmp_path, "--loads", *servers, "--chart", str(chart))
    assert "Left out: miniircd, as it is not installed." in printed
    assert "| Tessenger |" in printed
    words = {element.text for element in ElementTree.parse(chart).iter()}  # noqa: S314 we have just written it
    assert {"Tessenger", "group of 500, window 8"} <= words


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_idle_connections_and_growth_are_measured(tmp_path: Path) -> None:
    """Every row is there, in small sizes."""
    results = tmp_path / "results.json"
    servers = ["--servers", "Tessenger,Tessenger TLS,Tessenger power", "--people", "100", "--entries", "2000"]
    bench(tmp_path, "--idle", "--growth", *servers, "--results", str(results), seconds=230)
    found = json.loads(results.read_text())
    assert all(each["people"] == 100 and each["kb"] > 0 for each in found["idle"])
    assert [each["size"] for each in found["growth"]] == ["0", "100", "1", "4", "8", "0", "2,000"]
    assert all(len(each["window1"]) == len(each["window32"]) == 1 for each in found["growth"])
