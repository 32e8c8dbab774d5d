"""Every exception that Tessenger raises on purpose, and the exit status each one ends a program with. Pure."""

from __future__ import annotations


class TessengerError(Exception):
    """Base of all expected failures: its text is written for the person who reads it, without a traceback."""

    exit_status = 1


class UsageError(TessengerError):
    """The command line is wrong."""

    exit_status = 2


class Stopped(TessengerError):
    """A signal ended the program: quietly, with the status that a shell gives such an end."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.exit_status = 128 + signum


class OutputFailed(TessengerError):
    """A standard stream cannot be written; its disk is full, for instance."""


class ReaderGone(OutputFailed):
    """Nobody reads the output any more: the program ends quietly, with the status of an end by SIGPIPE."""

    exit_status = 141


class ConfigError(TessengerError):
    """A config file, an environment variable or an option has a value that is not allowed."""

    exit_status = 2


class CannotStart(TessengerError):
    """A role of the server cannot do its work here (port taken, data directory in use, journal unreadable).

    The supervisor stops the whole server with the reason instead of starting the role again.
    """

    exit_status = 3


class JournalError(CannotStart):
    """The journal is corrupt, of a newer version, or cannot be written."""


class JournalBusy(TessengerError):
    """The journal has no room at the moment, or its disk fails. Nothing was committed: the same can be tried again."""


class CredentialsError(TessengerError):
    """credentials.txt cannot be read or has a line that makes no sense."""

    exit_status = 4


class StateUnavailable(TessengerError):
    """The shared state cannot answer at the moment: its process is being replaced."""


class InvalidName(TessengerError):
    """A name of a user or group has characters that are not allowed, or is too long or empty."""


class WireError(TessengerError):
    """What came from the other side, a line or a frame, cannot be decoded."""


class ConnectionFailed(TessengerError):
    """The client cannot reach the server, or the server's identity is not what it was."""


class SessionOver(ConnectionFailed):
    """A session that had begun has ended, and cannot be resumed."""


class SignInDenied(ConnectionFailed):
    """The server does not let this user in; `code` is one of `wire.messages.DeniedCode`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class RequestRefused(TessengerError):
    """The server did not carry a request out; `code` is one of `wire.messages.ErrorCode`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class TransferError(TessengerError):
    """A file cannot be sent or received; the text says why."""
