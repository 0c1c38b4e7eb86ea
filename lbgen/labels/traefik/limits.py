"""What Traefik's rates come to where they fit no unit of ours, and where there are several."""

from __future__ import annotations

from lbgen.labels.values.value_type import BadValue

_NEARLY = 0.99  # of a rate: what may be lost of it by rounding


def rate(average: int, period: float) -> tuple[int, int]:
    """Return so many requests in a period as (requests, seconds), the seconds being those of a rate of ours.

    Raises:
        BadValue: there is no such rate.
    """
    units = sorted((1, 60, 3600), key=lambda seconds: seconds != period)
    fitting = [(average * seconds / period, seconds) for seconds in units]
    found = next(((int(count), seconds) for count, seconds in fitting if count == int(count) > 0), None)
    hourly = average * 3600 / period
    if found is None and int(hourly) >= hourly * _NEARLY:
        found = (int(hourly), 3600)  # rounded down: a limit never lets in more than was asked for
    if found is None:
        raise BadValue(
            f"is {average} requests in {period:g} seconds, which is not a whole number a second, minute or hour",
            "choose average and period so that it is one",
        )
    return found


def stricter(one: tuple[tuple[int, int], int], other: tuple[tuple[int, int], int]) -> tuple[tuple[int, int], int]:
    """Return of two limits, each a rate and its burst, the one that lets in nothing that the other one keeps out.

    Raises:
        BadValue: each of them keeps out something.
    """
    low, high = sorted((one, other), key=lambda limit: (limit[0][0] / limit[0][1], limit[1]))
    if low[1] > high[1]:
        raise BadValue(
            "is the second limit, and one of them has the lower rate, the other one the lower burst",
            "make one of the two",
        )
    return low
