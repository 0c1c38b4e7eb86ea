"""Whether a proxy could listen where its files tell it to: tried before it is started or reloaded.

No proxy starts if one of its ports is taken, and HAProxy, told to reload, refuses every new connection for two seconds
before it notices (observed on 2.6, 3.0 and 3.2).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from lbgen.base.address import ANY, host_port

_REMEDIES = {
    errno.EADDRINUSE: "another process has this port: free it, or give the listener another",
    errno.EACCES: "lbgen and the proxy it runs may not open this port: start lbgen as root or with "
    "CAP_NET_BIND_SERVICE, or give the listener a port from 1024 on",
    errno.EADDRNOTAVAIL: "this machine has no such address: correct the listener's bind",
}


@dataclass(frozen=True, slots=True, order=True)
class Socket:
    """Where a proxy listens."""

    address: str  # "*": all addresses of IPv4; "::": all of IPv6
    port: int
    udp: bool = False

    @classmethod
    def of(cls, text: str, *, udp: bool = False) -> Socket | None:
        """Read ADDRESS:PORT as proxies write it; None: it is something else, such as a path."""
        address, _, port = text.rpartition(":")
        address = address.strip("[]")
        if not port.isdecimal():
            return None
        return cls("*" if address in ("", *ANY[:2]) else address, int(port), udp)

    def error(self) -> OSError | None:
        """Return why nobody can listen there now; None: somebody can."""
        address = "" if self.address == "*" else self.address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = socket.SOCK_DGRAM if self.udp else socket.SOCK_STREAM
        try:
            with socket.socket(family, kind) as probe:
                if not self.udp:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:  # the same port of IPv4 is another socket's
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, self.port))
        except OSError as error:
            return error
        return None


def every(where: Socket) -> frozenset[Socket]:
    """Return the sockets that take the clients of both families, where this one is for all addresses."""
    return frozenset({where} | ({Socket("::", where.port, where.udp)} if where.address == "*" else set()))


@cache
def has_ipv6() -> bool:
    """Tell whether this machine's kernel knows IPv6."""
    error = Socket("::", 0).error()
    return error is None or error.errno != errno.EAFNOSUPPORT


def closed(sockets: Iterable[Socket]) -> dict[Socket, str]:
    """Return those of the sockets that cannot be opened, with the reason in HAProxy's words and the remedy."""
    errors = {each: each.error() for each in sorted(sockets)}
    return {each: _reason(each, error) for each, error in errors.items() if error and error.errno in _REMEDIES}


def taken(sockets: Iterable[Socket]) -> list[str]:
    """Return why sockets cannot be opened that another process has.

    Anything else (no right to bind, an address of another namespace) says nothing about what somebody else runs.
    """
    errors = ((each, each.error()) for each in sorted(sockets))
    return [_reason(each, error) for each, error in errors if error and error.errno == errno.EADDRINUSE]


def _reason(where: Socket, error: OSError) -> str:
    address = "0.0.0.0" if where.address == "*" else where.address
    number = error.errno or 0
    return f"cannot bind socket ({os.strerror(number)}) [{host_port(address, where.port)}]; {_REMEDIES[number]}"
