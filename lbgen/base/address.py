"""ADDRESS:PORT, read and written; and where to dial something that listens on every address. Pure."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

ANY = ("*", "0.0.0.0", "::")  # what listens on one of these listens on every address of its family
_LOOPBACK = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_BIND = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|\*?)):([0-9]{1,5})")


def host_port(host: str, port: int) -> str:
    """``10.0.0.2`` and 80 -> ``10.0.0.2:80``; IPv6 in brackets, as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dialable(address: str) -> str:
    """Return the address at which this machine reaches what listens on `address`: ``*`` -> ``127.0.0.1``."""
    return _LOOPBACK.get(address, address)


def split_bind(text: str) -> tuple[str, int]:
    """``:80`` -> ("*", 80), ``[::1]:80`` -> ("::1", 80).

    Raises:
        ValueError: not an address and a port.
    """
    if match := _BIND.fullmatch(text):
        address, port = match[1] or match[2] or "*", int(match[3])
        if 1 <= port <= 65535 and (address == "*" or is_address(address)):
            return address, port
    raise ValueError(f"{text!r} is not ADDRESS:PORT; write for example ':80', '192.0.2.1:80' or '[::1]:80'")


def is_address(text: str) -> bool:
    """Tell whether the text is an IP address."""
    with suppress(ValueError):
        ipaddress.ip_address(text)
        return True
    return False


def owner(address: str) -> str:
    """Return the key that identifies a client: its IPv4 address, or the /64 that its IPv6 address is in."""
    if ":" not in address:
        return address
    network = ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False)
    mapped = ipaddress.IPv6Address(address.partition("%")[0]).ipv4_mapped  # at a socket of both families
    return str(mapped or network)
