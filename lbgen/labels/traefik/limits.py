"""What Traefik's rates come to where they fit no unit of ours."""

from __future__ import annotations

from lbgen.labels.values.value_type import BadValue


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
