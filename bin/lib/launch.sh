# Sourced by the programs in bin/ with `root`, the checkout, set: sees to its virtual environment.
# The usual path, with the environment in place, costs one `cmp` a lock file and no other process.
#
# Python runs with -I: neither a PYTHON* variable nor a module in the current directory can take the place of
# Tessenger's own, and the children that multiprocessing spawns inherit that. They all find the package through
# .venv/.../tessenger.pth, which names the checkout relative to itself, so that a checkout can be moved.

python=$root/.venv/bin/python

fail() { # 69 is EX_UNAVAILABLE of sysexits.h
    printf '%s: %s\n' "${self##*/}" "$1" >&2
    exit 69
}

find_python() { # sets `base_python` to a Python 3.11 or newer that can make virtual environments
    for base_python in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        "$base_python" -I -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && return
        [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is no Python 3.11 or newer with its venv module"
    done
    fail 'needs Python 3.11 or newer with its venv module (python3-venv on Debian and Ubuntu); PYTHON may name one'
}

environment() { # environment LOCK...: makes sure that .venv has what these files in requirements/ pin
    for lock in "$@"; do
        if ! { [ -x "$python" ] && cmp -s "$root/requirements/$lock.txt" "$root/.venv/$lock.txt"; }; then
            find_python
            "$base_python" -I "$root/bin/lib/environment.py" "${self##*/}" "$@" || exit
            return
        fi
    done
}
