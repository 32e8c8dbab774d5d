"""Make the checkout's virtual environment, .venv, from the lock files; run by bin/ when it is missing or out of date.

Stands alone: it runs in whatever Python 3.11 or newer there is, before anything is installed. Only one process at a
time works on .venv. It holds a copy of each lock file that is wholly installed: this copy is written last, so without
it an environment is half made.

Usage: environment.py PROGRAM LOCK...
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OURS = VENV / "made-by-tessenger"
UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h: a service that this needs is not there."""

LAST_WORDS = 4
"""Lines of a failed step's output that are shown."""

MAX_SHOWN = 200
"""Characters of each of them, from its end, where the reason stands."""

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""


class CannotSetUp(Exception):
    """The environment cannot be made here; the text says why, for people."""


def main(program: str, locks: list[str]) -> int:
    """Bring .venv up to date with these lock files and return the exit status."""
    try:
        with (ROOT / ".venv.lock").open("w") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            os.set_inheritable(lock_file.fileno(), True)  # a pip that outlives this process keeps the lock
            missing = [lock for lock in locks if not is_installed(lock)]
            if missing:
                print(f"{program}: setting up {VENV}; this happens once and takes a moment", file=sys.stderr)
                set_up(missing)
    except CannotSetUp as error:
        print(f"{program}: {error}", file=sys.stderr)
        return UNAVAILABLE
    except OSError as error:
        print(f"{program}: cannot set up {VENV}: {error}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def lock_path(lock: str) -> Path:
    """Return the lock file of this name in the checkout."""
    return ROOT / "requirements" / f"{lock}.txt"


def is_installed(lock: str) -> bool:
    """Tell whether the environment works and has exactly what this lock file pins."""
    copy = VENV / lock_path(lock).name
    return os.access(PYTHON, os.X_OK) and copy.is_file() and copy.read_bytes() == lock_path(lock).read_bytes()


def set_up(missing: list[str]) -> None:
    """Install what is missing, into a new environment unless the present one only lacks packages.

    "runtime" is what an environment is made from: when that lock file changed, or Python itself, nothing of the old
    environment is kept.
    """
    if "runtime" in missing:
        make_room()
        create()
    for lock in missing:
        install(lock)


def make_room() -> None:
    """Remove our own old environment; put one that somebody else made aside."""
    if OURS.exists() or VENV.is_symlink() or not VENV.exists():
        VENV.unlink() if VENV.is_symlink() else shutil.rmtree(VENV, ignore_errors=True)
        return
    aside = next(path for n in itertools.count(1) if not (path := ROOT / f".venv.old-{n}").exists())
    VENV.rename(aside)
    print(f"(the .venv that was there is now {aside.name})", file=sys.stderr)


def create() -> None:
    """Make an empty environment that finds the package `tessenger` in this checkout."""
    VENV.mkdir()
    OURS.touch()
    # The real path of the interpreter, so that the link breaks, and is seen to, when a system update replaces it.
    base = os.path.realpath(sys.executable)
    run([base, "-I", "-m", "venv", str(VENV)], "Python's venv module failed")
    site_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(VENV), "platbase": str(VENV)}))
    (site_packages / "tessenger.pth").write_text(os.path.relpath(ROOT, site_packages) + "\n")


def install(lock: str) -> None:
    """Install a lock file's packages, each checked against its hashes, and note that it is done."""
    pip = [str(PYTHON), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "3"]
    options = ["--quiet", "--require-hashes", "--requirement", str(lock_path(lock))]
    run([*pip, "install", *options], "pip cannot install the pinned packages; the first run needs the network")
    unfinished = VENV / f"{lock}.unfinished"
    shutil.copyfile(lock_path(lock), unfinished)
    unfinished.replace(VENV / lock_path(lock).name)


def run(command: list[str], failure: str) -> None:
    """Run a step; if it fails, raise with `failure` and its own last words."""
    # A virtual environment takes none of these, and would refuse to work with some.
    refused = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME"}
    environ = {name: value for name, value in os.environ.items() if name not in refused}
    done = subprocess.run(
        command,
        env=environ,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        last_words = done.stdout.decode(errors="replace").strip().splitlines()[-LAST_WORDS:]
        shown = (line if len(line) <= MAX_SHOWN else f"...{line[-MAX_SHOWN:]}" for line in last_words)
        raise CannotSetUp("\n    ".join([f"cannot set up {VENV}: {failure}", *shown]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
