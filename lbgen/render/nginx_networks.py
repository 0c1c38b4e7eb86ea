"""Networks as Nginx's directive geo takes them: it does not take every one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

# A network of all addresses would be a second default.
_HALVES = {"0.0.0.0/0": ("0.0.0.0/1", "128.0.0.0/1"), "::/0": ("::/1", "8000::/1")}
# The last address is what Nginx's parser returns for a text that is none (INADDR_NONE): it is written as the last two,
# and the other one of them, a more specific network, as outside.
_LAST, _LAST_TWO, _OTHER = "255.255.255.255/32", "255.255.255.254/31", "255.255.255.254/32"


def geo(networks: Iterable[str]) -> tuple[tuple[str, bool], ...]:
    """Return the lines of Nginx's ``geo`` for some networks: each a network, and whether what is in it is in them.

    Source: Nginx, src/core/ngx_inet.c, ngx_inet_addr(); src/http/modules/ngx_http_geo_module.c.
    """
    found = dict.fromkeys((half for network in networks for half in _HALVES.get(network, (network,))), True)
    if found.pop(_LAST, None) and not any(map(_has_last, found)):
        found = {**found, _LAST_TWO: True, _OTHER: _OTHER in found}
    return tuple(found.items())


def _has_last(network: str) -> bool:
    return network.partition(":")[1] == "" and ipaddress.IPv4Address(0xFFFFFFFF) in ipaddress.IPv4Network(network)
