"""Which addresses count as one."""

from __future__ import annotations

import pytest

from tessenger.chat import addresses


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"), ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"), ("::1", "::/64"), ("", ""), ("no address", "no address"),
    ],
)  # fmt: skip
def test_key(ip: str, key: str) -> None:
    """An address of IPv4, a site of IPv6."""
    assert addresses.key(ip) == key
