"""The configuration: every limit and default of both programs, from file, environment and command line.

Values are frozen structs, one for each table of config.toml. Sizes are integer bytes, rates bytes a second (messages:
messages a second), times seconds; 0 switches a limit off.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

_Size = Annotated[int, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(ge=0)]
_Port = Annotated[int, Meta(ge=0, le=65535)]


class ServerSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where it listens and where it keeps things. Relative paths are relative to config.toml's folder."""

    host: str = "127.0.0.1"
    port: _Port = 12000
    workers: Annotated[int, Meta(ge=1, le=64)] = 4
    data_dir: str = "data"
    credentials: str = "credentials.txt"
    tls: bool = True


class AuthSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: the blocklist."""

    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = 3
    block_seconds: Annotated[float, Meta(ge=0.1, le=31_536_000)] = 10


class LimitsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[limits]`: what one client may cost."""

    messages_per_second: _Count = 50
    burst: Annotated[int, Meta(ge=1)] = 200
    logins_per_second: _Count = 20
    connections: _Count = 12_000
    connections_per_address: _Count = 1_000
    group_members: _Count = 1_000
    line_bytes: Annotated[int, Meta(ge=1_024, le=65_536)] = 65_536
    text_bytes: Annotated[int, Meta(ge=1, le=60_000)] = 49_152
    queue_bytes: Annotated[int, Meta(ge=65_536)] = 4_194_304
    login_seconds: Annotated[float, Meta(ge=1)] = 60
    bad_lines: Annotated[int, Meta(ge=1)] = 10


class JournalSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[journal]`: what a commit means."""

    durability: Literal["process", "power"] = "process"
    wal_bytes: Annotated[int, Meta(ge=1_048_576)] = 67_108_864


class SessionsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[sessions]`: what happens when a connection breaks."""

    grace_seconds: Annotated[float, Meta(ge=0)] = 30
    token_seconds: Annotated[float, Meta(ge=60)] = 604_800


class MessagesSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[messages]`: messages to people who are away."""

    offline_delivery: bool = False


class ConsoleSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[console]`: what the server prints. "events" leaves messages out."""

    level: Literal["full", "events", "off"] = "full"


class ClientSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[client]`: where the client connects and what it keeps."""

    host: str = "127.0.0.1"
    port: _Port = 12000
    udp_port: _Port = 0
    advertise: str = ""
    tls: bool = True
    state_dir: str = "client-state"
    history_lines: _Count = 10_000


class TransferSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[transfer]`: files from others."""

    auto_accept_below: _Size = 104_857_600
    download_dir: str = "downloads"
    rate_limit: _Size = 0
    stall_seconds: Annotated[float, Meta(ge=1)] = 30


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration. Paths in it are absolute once it is loaded."""

    server: ServerSection = ServerSection()
    auth: AuthSection = AuthSection()
    limits: LimitsSection = LimitsSection()
    journal: JournalSection = JournalSection()
    sessions: SessionsSection = SessionsSection()
    messages: MessagesSection = MessagesSection()
    console: ConsoleSection = ConsoleSection()
    client: ClientSection = ClientSection()
    transfer: TransferSection = TransferSection()
