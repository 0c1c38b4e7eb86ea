"""Ports for a proxy or a daemon to listen on, that nobody else takes before it does.

A port that was merely found free can be anybody's a moment later: the rows of `make test` run side by side, and each
starts many proxies. So a port stays reserved by a socket that is bound to it and does not listen. What lets others bind
where nobody listens (SO_REUSEADDR, which proxies and servers set) binds there all the same; another search for a free
port, and the kernel where it gives out ports, keep off. A client is refused until somebody listens.
"""

from __future__ import annotations

import errno
import random
import socket
from collections import deque

# Below those that the kernel gives to clients and to servers that ask for any: none is somebody's by chance.
_NUMBERS = range(12000, 32000)
_KINDS = (
    (socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0"),
    (socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0"),
    (socket.AF_INET6, socket.SOCK_STREAM, "::"),
    (socket.AF_INET6, socket.SOCK_DGRAM, "::"),
)
_LASTING = 200  # reservations at a time; the oldest ends when another port is asked for: its test is long over
_reserved: deque[socket.socket] = deque()


def free_port() -> int:
    """Return a port that nobody uses on any address, for TCP nor UDP, and that no other test will be given."""
    while True:
        port = random.SystemRandom().choice(_NUMBERS)
        if _is_free(port) and _reserve(port):
            return port


def _is_free(port: int) -> bool:
    """Whether nobody is bound to it, not even with SO_REUSEADDR."""
    return all(_binds(family, kind, address, port) for family, kind, address in _KINDS)


def _binds(family: int, kind: int, address: str, port: int) -> bool:
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno == errno.EAFNOSUPPORT  # a machine without IPv6 has nobody there
    return True


def _reserve(port: int) -> bool:
    """Stay bound to it; False if somebody else was quicker."""
    made = socket.socket()
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        return False
    # Only now: with it, two reservations of one port would be possible.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _reserved.append(made)
    while len(_reserved) > _LASTING:
        _reserved.popleft().close()
    return True
