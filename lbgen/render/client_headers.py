"""Headers in which proxies tell applications who asks: what clients write into them never reaches an application.

Every proxy sets X-Forwarded-For, -Host, -Port, -Proto and X-Real-IP itself; those are not listed here. The others are
removed, unless a label sets them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

# By words after a beginning, since families of names differ in nothing else.
_FAMILIES = {
    "": "forwarded proxy client-cert client-cert-chain front-end-https x-forwarded x-scheme x-url-scheme "
    "x-original-url x-original-uri x-original-host x-original-forwarded-for x-rewrite-url x-arr-clientcert",
    "x-forwarded-": "access-token by client-cert email groups method path prefix preferred-username protocol scheme "
    "server ssl tls-client-cert tls-client-cert-info uri user",
    "x-client-": "cert cert-subject cert-san cert-sha256 cert-sha1 dn verify",
    "x-ssl-": "cert cipher client-cert client-cn client-dn client-fingerprint client-i-dn client-s-dn client-serial "
    "client-sha1 client-sha256 client-subject client-verify issuer protocol subject",
    "ssl-client-": "cert fingerprint issuer-dn subject-dn verify",
    "x-tls-client-": "cert cn dn verify",
}
_FORGED = tuple(sorted(start + end for start, ends in _FAMILIES.items() for end in ends.split()))
_MOST_DASHES = 3  # of a name whose twins are all named: there are 7


def forged_headers() -> tuple[str, ...]:
    """Names of the headers that say who asks, in lower case: a client's own never reach an application."""
    return _FORGED


def twins(name: str) -> tuple[str, ...]:
    """Names that applications cannot tell from this one, since CGI has `_` for `-`: x_tenant for x-tenant."""
    words = name.split("-")
    if len(words) - 1 > _MOST_DASHES:
        return ("_".join(words),)
    spelled = ("".join(map("".join, zip(words, (*dashes, ""), strict=True))) for dashes in _dashes(len(words) - 1))
    return tuple(twin for twin in spelled if twin != name)


def _dashes(number: int) -> Iterator[tuple[str, ...]]:
    return product("-_", repeat=number)
