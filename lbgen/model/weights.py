"""How the servers of several services share the requests of one backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from lbgen.model.types import Server

LARGEST_WEIGHT = 256  # HAProxy's limit


@dataclass(frozen=True, slots=True)
class Portion:
    """Servers that have one weight together; their own weights say how they share it."""

    weight: float
    servers: Sequence[Server]


def spread(portions: Sequence[Portion], in_service: Callable[[Iterable[Server]], Iterable[Server]]) -> list[Server]:
    """Give each portion's servers its share of the weight, whatever their number.

    Weights are whole numbers up to 256, so shares are as fine as 1/256 of the largest server's.

    Args:
        in_service: which of all the servers serve.
    """
    first: dict[tuple[str, int], Server] = {}  # of two routes of one service
    for server in (server for portion in portions for server in portion.servers):
        first.setdefault(_place(server), server)
    serving = {_place(server): server for server in in_service(first.values())}
    shares: list[tuple[Server, float]] = []
    names: set[str] = set()
    for portion in portions:
        own = [serving.pop(place) for place in map(_place, portion.servers) if place in serving]
        whole = sum(server.weight for server in own if server.state == "up")
        whole = whole or max((server.weight for server in own), default=0) or 1
        for server in own:
            if server.name in names:
                server = replace(server, name=f"{server.name}-{server.port}")
            names.add(server.name)
            shares.append((server, portion.weight * server.weight / whole))
    largest = max((share for _, share in shares), default=0.0)
    if all(share in (0.0, largest) for _, share in shares):
        return [replace(server, weight=100 if share else 0) for server, share in shares]
    return [
        replace(server, weight=max(1, round(LARGEST_WEIGHT * share / largest)) if share else 0)
        for server, share in shares
    ]


def _place(server: Server) -> tuple[str, int]:
    return server.address, server.port
