"""Lists of networks as labels have them."""

from __future__ import annotations

import ipaddress


def in_both(these: tuple[str, ...], those: tuple[str, ...]) -> tuple[str, ...]:
    """Return the networks that are in both lists: of two that overlap one is part of the other."""
    pairs = [(ipaddress.ip_network(one), ipaddress.ip_network(other)) for one in these for other in those]
    common = [
        str(max(one, other, key=lambda network: network.prefixlen))
        for one, other in pairs
        if one.version == other.version and one.overlaps(other)
    ]
    return tuple(dict.fromkeys(common))
