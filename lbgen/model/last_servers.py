"""Which of a backend's servers serve: those that are up, and while none is, those that are leaving.

With one replica and an order of stop-first, Swarm takes the only task away before there is another one. For seconds it
still answers, and nothing is gained by sending nobody there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lbgen.model.servers import STATES
from lbgen.model.types import Server


def in_service(servers: Iterable[Server]) -> tuple[Server, ...]:
    """Return a backend's servers, each "up" or "drain"; those whose time to drain is over are left out.

    While none is up that gets requests, a standby included, those that drain are "up" until their tasks end; where none
    of these is left either, those whose time is over are.
    """
    servers = tuple(servers)
    states = {server.state for server in servers if server.weight}
    serving = next((state for state in STATES if state in states), "up")
    kept = (server for server in servers if server.state == serving or server.state != "over")
    return tuple(
        server
        if server.state == "up"
        else replace(server, leaving=True, state="up" if server.state == serving else "drain")
        for server in kept
    )
