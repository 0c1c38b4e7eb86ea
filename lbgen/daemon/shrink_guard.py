"""The shrink guard: a listing in which most servers are gone at once has to be confirmed by another one.

A manager that has just lost its store, or an endpoint of another cluster, must not empty the proxy.
"""

from __future__ import annotations

from collections.abc import Collection

from lbgen.model import Model

LEAST = 4  # servers; fewer may vanish at once


class ShrinkGuard:
    """Remembers the servers of the last accepted model."""

    def __init__(self) -> None:
        self._accepted: frozenset[tuple[str, str]] = frozenset()
        self._doubted: int | None = None  # listing that a held snapshot rests on

    def vanished(self, model: Model, listing: int, asked: Collection[str] = ()) -> int:
        """Return 0 to accept the model, or how many servers are gone in a model to be held.

        Servers that were leaving anyway do not count.

        Args:
            asked: ids of the tasks and nodes that an operator drains: these are meant to go.
        """
        up = frozenset(
            (backend.name, server.origin)
            for backend in model.backends
            for server in backend.servers
            if server.state == "up" and not server.leaving
        )
        still = {(backend.name, server.origin) for backend in model.backends for server in backend.servers}
        gone = sum(origin not in asked for _, origin in self._accepted - still)
        if gone >= LEAST and gone * 2 > len(self._accepted) and (self._doubted is None or listing <= self._doubted):
            self._doubted = listing if self._doubted is None else self._doubted
            return gone
        self._accepted = up
        if self._doubted is not None and listing >= self._doubted:  # not for the accepted snapshot, rendered again
            self._doubted = None
        return 0
