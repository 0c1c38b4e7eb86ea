"""When the certificates of a fleet end, and what is said of that while there is time to do something."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509

from lbgen.base.logs import log
from lbgen.source import Validity
from lbgen.source.hub.certificates import fingerprint

EARLY = 90 * 86400.0  # seconds before its end at which an authority is told of: a rotation takes days
LATE = 1 / 6  # of a certificate's life is left when it should long have been renewed, which begins with a third
ROTATE = "take the steps of 'lbgen hub rotate', a day apart: docs/security.md, \"Another authority\""
RENEW = "let this edge reach a hub, see certificate_not_renewed in its log"


def of_authority(certificate: x509.Certificate, now: float) -> Validity:
    """Return how long an authority is good for."""
    until = certificate.not_valid_after_utc.timestamp()
    if now < until - EARLY:
        return Validity("authority", until)
    what = f"the authority {fingerprint(certificate)[:16]}"
    if now < until:
        message = f"{what} ends in {_days(until - now)}, at {_time(until)}: no hub and no edge is trusted by it then"
    else:
        message = f"{what} has ended at {_time(until)}: no hub and no edge is trusted by it any more"
    return Validity("authority", until, message, ROTATE)


def of_edge(certificate: x509.Certificate, name: str, now: float) -> Validity:
    """Return how long an edge's certificate is good for."""
    until = certificate.not_valid_after_utc.timestamp()
    life = until - certificate.not_valid_before_utc.timestamp()
    if now < until - life * LATE:
        return Validity("own", until)
    when = "ends" if now < until else "has ended"
    return Validity("own", until, f"the certificate of {name} {when} at {_time(until)}, and was not renewed", RENEW)


class Reminder:
    """Logs what is wrong with certificates: when that begins, and each day."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def look(self, validities: Iterable[Validity]) -> None:
        """Log what was not logged in these words."""
        for each in validities:
            if each.message and each.message != self._told.get(each.which):
                log.warning("certificate_ends", which=each.which, error=each.message, remedy=each.remedy)
            self._told[each.which] = each.message


def _days(seconds: float) -> str:
    days = int(seconds // 86400)
    return f"{days} day{'s' if days != 1 else ''}" if days else "less than a day"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%F %T} UTC"
