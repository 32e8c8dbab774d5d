"""Both programs by one name: `python -m tessenger server …` and `python -m tessenger client …`."""

from __future__ import annotations

import sys

from tessenger import early_signals

USAGE = "usage: python -m tessenger server|client [OPTIONS]; --help after either word tells more"


def main(argv: list[str]) -> int:
    """Run the program that the first argument names and return its exit status."""
    match argv:
        case ["server", *rest] if rest[:1] in (["users"], ["redact"]):
            early_signals.let_through()
            return _server(rest)
        case ["server", *rest]:
            try:
                early_signals.catch()
                return _server(rest)
            except KeyboardInterrupt:
                return 0  # told to stop, and stopped
        case ["client", *rest]:
            from tessenger.client import cli as client  # noqa: PLC0415  likewise

            return client.main(rest)
        case ["-h" | "--help"]:
            print(USAGE)
            return 0
        case _:
            print(USAGE, file=sys.stderr)
            return 2


def _server(arguments: list[str]) -> int:
    from tessenger.server import cli as server  # noqa: PLC0415  either program loads only its own half

    return server.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
