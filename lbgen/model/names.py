"""By which name a route's servers are asked: the Host header of health checks, and the TLS server name (SNI).

Pure, and decided here, so that every template says the same: what the labels name, else what servers see in requests.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import All, AnyOf, Match, Test
from lbgen.labels.values.value_type import BadValue

_NAMES = ("host", "sni")  # kinds of tests


def check_host(keys: RouteKeys, match: Match) -> str:
    """Return the Host header of a route's health checks; empty: each server's address."""
    if keys.health_check_host or keys.host_header == "server":
        return keys.health_check_host or ""
    return keys.host_header or next(_exact(match), "")


def server_name(keys: RouteKeys, match: Match) -> str:
    """Return the TLS name of a route's servers; empty: the one that the client asks for. It is never an address."""
    written = "" if keys.host_header == "server" else keys.host_header.partition(":")[0]
    return next((name for name in (keys.server_name, written, *_exact(match)) if _is_name(name)), "")


def check_server_name(keys: RouteKeys, match: Match) -> str:
    """Return the TLS name that health checks ask for; empty: none."""
    if name := server_name(keys, match):
        return name
    host = check_host(keys, match).partition(":")[0]
    return host if _is_name(host) else ""


def check_server_keys(keys: RouteKeys) -> None:
    """Raise BadValue if a key speaks of TLS with servers, and there is none."""
    if keys.server_tls and keys.passthrough:
        raise BadValue(
            "stands beside passthrough, with which TLS goes to the server untouched", "leave one out", "server-tls"
        )
    remedy = "add scheme, https, or for a TCP route server-tls, true"
    if keys.server_ca and not speaks_tls(keys):
        raise BadValue("servers are not spoken to by TLS", remedy, "server-ca")
    if keys.server_name and not speaks_tls(keys) and keys.health_check_scheme != "https":
        raise BadValue("servers are not spoken to by TLS", remedy, "server-name")


def speaks_tls(keys: RouteKeys) -> bool:
    """Tell whether a route's servers are spoken to by TLS."""
    return keys.scheme == "https" or keys.server_tls


def check_verifiable(server_ca: str, name: str) -> None:
    """Raise BadValue if servers are to be verified, and nothing but the client would say which name is theirs."""
    if server_ca and not name:
        raise BadValue(
            "nothing says for which name servers have a certificate",
            "add server-name, such as shop.internal",
            "server-ca",
        )


def _exact(match: Match) -> Iterator[str]:
    """Yield the exact hosts that a match asks for, in the order in which they are written."""
    match match:
        case Test(kind=kind, value=value, negated=False) if kind in _NAMES and not value.startswith("*"):
            yield value
        case All(terms) | AnyOf(terms):
            for term in terms:
                yield from _exact(term)


def _is_name(text: str) -> bool:
    if not text or text.startswith("*"):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return True
    return False
