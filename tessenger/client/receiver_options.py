"""What the client's UDP process is started with. Pure: a value that crosses the process boundary."""

from __future__ import annotations

from msgspec import Struct


class ReceiverOptions(Struct, frozen=True):
    """How the UDP process works. Sizes are bytes, rates bytes a second, times seconds.

    `bind_host` "" is every address of this machine, `udp_port` 0 any free port, `rate_limit` 0 no limit (it is for all
    transfers that send together). `log_path` is where a fault of the process itself is written, "" nowhere. `offload`
    and `max_datagram` are for measuring what the system's offload is worth.
    """

    download_dir: str
    udp_port: int = 0
    bind_host: str = ""
    rate_limit: float = 0.0
    stall_seconds: float = 30.0
    log_path: str = ""
    offload: bool = True
    max_datagram: int = 65_507
