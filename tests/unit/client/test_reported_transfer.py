"""What the client is told about a transfer: above all its rate."""

from __future__ import annotations

from tessenger.client.reported_transfer import Transfer
from tests.support.udp_path import UdpPath, pair

MB = 1_000_000


def _transfer() -> Transfer:
    path = UdpPath()
    return Transfer("00112233445566aa", pair(bytes(100), path, size=100 * MB).receiver, "", None, path.now)


def test_rate_follows_what_comes() -> None:
    """Smoothed over about two seconds."""
    transfer, now, rate = _transfer(), 100.0, 0.0
    for _ in range(40):
        now += 0.25
        transfer.session.done += MB // 2
        rate = transfer.progress(now).rate
    assert abs(rate - 2 * MB) < 1
    assert 0 < transfer.progress(now + 1).rate < 2 * MB


def test_what_an_earlier_try_left_is_no_speed() -> None:
    """It counts as done, but has not come now; and a start from nothing is no speed either."""
    transfer = _transfer()
    transfer.session.done = transfer.session.resumed_from = 60 * MB
    progress = transfer.progress(100.25)
    assert (progress.done, progress.rate) == (60 * MB, 0.0)
    transfer.session.done += MB
    assert transfer.progress(100.5).rate == 4 * MB
    transfer.session.done = transfer.session.resumed_from = 0
    assert 0 <= transfer.progress(100.75).rate < 4 * MB
