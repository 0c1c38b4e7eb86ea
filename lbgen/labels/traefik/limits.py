"""What Traefik's guards by address and by number come to where there are several, or where they fit no unit of ours."""

from __future__ import annotations

import ipaddress

from lbgen.labels.values.value_type import BadValue


def common_networks(these: tuple[str, ...], those: tuple[str, ...]) -> tuple[str, ...]:
    """Return the networks that are in both lists: of two that overlap one is part of the other."""
    pairs = [(ipaddress.ip_network(one), ipaddress.ip_network(other)) for one in these for other in those]
    common = [
        str(max(one, other, key=lambda network: network.prefixlen))
        for one, other in pairs
        if one.version == other.version and one.overlaps(other)
    ]
    return tuple(dict.fromkeys(common))


def rate(average: int, period: float) -> tuple[int, int]:
    """Return so many requests in a period as (requests, seconds), the seconds being those of a rate of ours.

    Raises:
        BadValue: there is no such rate.
    """
    units = sorted((1, 60, 3600), key=lambda seconds: seconds != period)
    fitting = [(average * seconds / period, seconds) for seconds in units]
    found = next(((int(count), seconds) for count, seconds in fitting if count == int(count) > 0), None)
    if found is None:
        raise BadValue(
            f"is {average} requests in {period:g} seconds, which is not a whole number a second, minute or hour",
            "choose average and period so that it is one",
        )
    return found
