"""The programs in bin/: how they find Python, set up .venv, and find the package. With real virtual environments.

Each test has a checkout of its own: the real bin/, a package that says how it was started, and lock files that pin one
tiny wheel, which pip finds in a folder. So no test needs the network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

PACKAGE = """
def child(queue):
    queue.put(__file__)
"""

MAIN = """
import json, multiprocessing, os, sys
import tessenger, tinydep

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=tessenger.child, args=(queue,))
    process.start()
    process.join()
    modules = {"package": tessenger.__file__, "child": queue.get(), "dependency": tinydep.__file__}
    print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), **modules}))
    sys.exit(7)
"""
"""What stands in for the programs: it tells how it was started, and so does a process that it spawns."""


class Checkout:
    """A checkout in a folder with spaces in its path."""

    def __init__(self, path: Path, wheels: Path) -> None:
        self.path = path
        self._environ = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
        self._environ |= {"PIP_FIND_LINKS": wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}

    def start(
        self, *args: str, program: Path | None = None, cwd: Path | None = None, **environ: str
    ) -> subprocess.Popen[str]:
        """Start the server program, the real one or through another path."""
        return subprocess.Popen(
            [program or self.path / "bin" / "tessenger-server", *args],
            cwd=cwd,
            env=self._environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, **how: Any) -> tuple[int, str, str]:
        """Run the server program to its end; returns status, output and error output."""
        process = self.start(*args, **how)
        out, err = process.communicate(timeout=55)
        return process.returncode, out, err

    def works(self, err: str) -> bool:
        """Tell whether the program runs from here, with exactly this on its error output."""
        status, out, said = self.run("a", "b c")
        return (status, said) == (7, err) and json.loads(out)["argv"] == ["server", "a", "b c"]

    @property
    def setting_up(self) -> str:
        """The one line that a first run says."""
        return f"tessenger-server: setting up {self.path}/.venv; this happens once and takes a moment\n"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of `tinydep`."""
    folder = tmp_path_factory.mktemp("wheels")
    files = {
        "tinydep.py": "",
        "tinydep-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tinydep\nVersion: 1.0\n",
        "tinydep-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    files["tinydep-1.0.dist-info/RECORD"] = f"{record}tinydep-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(folder / "tinydep-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return folder


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def fresh(tmp_path: Path, wheels: Path) -> Checkout:
    """A checkout in which nothing ran yet."""
    path = tmp_path / "my team's chat"
    shutil.copytree(ROOT / "bin", path / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    (path / "requirements").mkdir()
    digest = hashlib.sha256((wheels / "tinydep-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (path / "requirements" / "runtime.txt").write_text(f"tinydep==1.0 --hash=sha256:{digest}\n")
    (path / "tessenger").mkdir()
    (path / "tessenger" / "__init__.py").write_text(PACKAGE)
    (path / "tessenger" / "__main__.py").write_text(MAIN)
    return Checkout(path, wheels)


@pytest.fixture(scope="session")
def made_once() -> dict[str, Path]:
    """Where this session's ready environment is kept, once there is one."""
    return {}


@pytest.fixture
def ready(fresh: Checkout, made_once: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout that was used before: its environment is a copy of one that was made elsewhere."""
    if not made_once:
        assert fresh.run()[0] == 7
        made_once["venv"] = tmp_path_factory.mktemp("ready") / ".venv"
        shutil.copytree(fresh.path / ".venv", made_once["venv"], symlinks=True)
    else:
        shutil.copytree(made_once["venv"], fresh.path / ".venv", symlinks=True)
    return fresh


def test_first_run_sets_up_and_says_so_in_one_line(fresh: Checkout) -> None:
    """The first run installs what is pinned and says so; the next is silent. Arguments and exit status pass through."""
    assert fresh.works(err=fresh.setting_up)
    assert fresh.works(err="")


def test_two_first_runs_at_once(fresh: Checkout) -> None:
    """Of programs that are started at the same time one sets up, the others wait for it, and all work."""
    processes = [fresh.start() for _ in range(3)]
    ended = [process.communicate(timeout=55) for process in processes]

    assert [process.returncode for process in processes] == [7, 7, 7]
    assert sorted(err for _, err in ended) == ["", "", fresh.setting_up]


def test_from_anywhere_and_with_nothing_foreign(ready: Checkout, tmp_path: Path) -> None:
    """Through a chain of symbolic links and from any folder the checkout's own code runs, in spawned processes too.

    Neither PYTHONPATH nor the current folder can put other modules in its place.
    """
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("tessenger", "tinydep", "json", "multiprocessing"):
        (foreign / f"{name}.py").write_text("raise SystemExit('foreign code ran')")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "second").symlink_to("../first")
    (tmp_path / "first").symlink_to(ready.path / "bin" / "tessenger-server")

    status, out, err = ready.run(program=tmp_path / "links" / "second", cwd=foreign, PYTHONPATH=str(foreign))

    assert (status, err) == (7, "")
    told = json.loads(out)
    package = str(ready.path / "tessenger" / "__init__.py")
    assert (told["cwd"], told["package"], told["child"]) == (str(foreign), package, package)
    assert told["dependency"].startswith(str(ready.path / ".venv"))


def test_moved_checkout_works_at_once(ready: Checkout, wheels: Path) -> None:
    """A checkout that was moved, or copied with its environment, finds itself at its new place without a set-up."""
    moved = Checkout(ready.path.rename(ready.path.with_name("moved")), wheels)

    status, out, err = moved.run()

    assert (status, err) == (7, "")
    assert json.loads(out)["package"] == str(moved.path / "tessenger" / "__init__.py")


@pytest.mark.parametrize("damage", ["interrupted", "python gone", "lock changed"])
def test_stale_or_half_made_environment_is_made_again(damage: str, ready: Checkout) -> None:
    """A set-up that was interrupted, a Python that was removed, a new lock file: each is noticed, and made good."""
    venv = ready.path / ".venv"
    (venv / "old").touch()
    if damage == "interrupted":
        (venv / "runtime.txt").unlink()
    elif damage == "python gone":
        (venv / "bin" / "python").unlink()
        (venv / "bin" / "python").symlink_to("/nowhere/python3.11")
    else:
        with (ready.path / "requirements" / "runtime.txt").open("a") as lock:
            lock.write("# newer\n")

    assert ready.works(err=ready.setting_up)
    assert not (venv / "old").exists()
    assert ready.works(err="")


def test_environment_of_somebody_else_is_kept(fresh: Checkout) -> None:
    """A .venv that was not made by Tessenger is put aside, not deleted."""
    (fresh.path / ".venv").mkdir()
    (fresh.path / ".venv" / "precious").write_text("mine")

    assert fresh.works(err=f"{fresh.setting_up}(the .venv that was there is now .venv.old-1)\n")
    assert (fresh.path / ".venv.old-1" / "precious").read_text() == "mine"


def test_package_that_is_not_the_pinned_one(fresh: Checkout) -> None:
    """A file with another hash is refused, with pip's own words and no traceback; nothing counts as installed."""
    (fresh.path / "requirements" / "runtime.txt").write_text(f"tinydep==1.0 --hash=sha256:{'0' * 64}\n")

    status, out, err = fresh.run()

    assert (status, out) == (69, "")
    assert f"Expected sha256 {'0' * 64}" in err
    assert err.splitlines()[1].startswith(f"tessenger-server: cannot set up {fresh.path}/.venv: pip cannot install")
    assert "Traceback" not in err
    assert not (fresh.path / ".venv" / "runtime.txt").exists()


def test_no_network(fresh: Checkout) -> None:
    """Without a way to the packages the first run says what it needs, and ends with status 69."""
    status, _, err = fresh.run(PIP_FIND_LINKS="")

    assert status == 69
    assert "No matching distribution found for tinydep==1.0" in err
    assert err.splitlines()[1].startswith(f"tessenger-server: cannot set up {fresh.path}/.venv: pip cannot install")


def test_no_python(fresh: Checkout, tmp_path: Path) -> None:
    """Without Python 3.11 one line says so; one that is named but does not do is not replaced in silence."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "readlink", "cmp"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool} here"))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # as one answers that is too old
    old.chmod(0o755)

    status, _, err = fresh.run(PATH=str(tools), PYTHON="")
    assert (status, err.count("\n")) == (69, 1)
    assert err.startswith("tessenger-server: needs Python 3.11 or newer with its venv module")

    status, _, err = fresh.run(PYTHON=str(old))
    assert (status, err) == (69, f"tessenger-server: PYTHON={old} is no Python 3.11 or newer with its venv module\n")


def test_every_package_of_the_lock_files_is_pinned_by_hash() -> None:
    """The real lock files name one version and its hashes for each package, and no place to get them from."""
    for lock in ("runtime", "development"):
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        packages = [
            block for block in text.replace("\\\n", "").splitlines() if block and not block.lstrip().startswith("#")
        ]

        assert packages
        assert [block for block in packages if "==" not in block or "--hash=sha256:" not in block] == []
        assert "://" not in text
    runtime, development = (
        {line.split()[0] for line in (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines() if "==" in line}
        for lock in ("runtime", "development")
    )
    assert runtime <= development


@pytest.mark.parametrize("program", ["tessenger-server", "tessenger-client"])
def test_real_programs_start(program: str) -> None:
    """The real programs tell their version and help, and complain about a wrong option on one line."""
    path = ROOT / "bin" / program
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    help_ = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    wrong = subprocess.run([path, "--wrong"], capture_output=True, text=True, check=False)

    assert (version.returncode, version.stdout.split()[0]) == (0, program)
    assert help_.returncode == 0
    assert "--config FILE" in help_.stdout
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].startswith(f"{program}: ")
