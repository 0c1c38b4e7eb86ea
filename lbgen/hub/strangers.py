"""Connections at the hub's port that are not admitted yet: limited in number, so that no address keeps others out.

They are counted from the moment when they are accepted, before TLS, until they are admitted or closed. Where there are
too many, the address that has most of them makes room: an address alone keeps out nobody but itself.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from typing import Any

from lbgen.base.address import owner

MOST_STRANGERS = 256  # connections


class Strangers:
    """All of them. Not for several threads."""

    def __init__(self, most: int = MOST_STRANGERS) -> None:
        """
        Args:
            most: connections.
        """
        self._most = most
        self._sockets: dict[tuple[Any, ...], socket.socket] = {}  # by the address that they come from, oldest first

    def let_in(self, connection: socket.socket, address: tuple[Any, ...]) -> bool:
        """Count a connection that has just been accepted; tell whether there is room for it.

        Args:
            address: the other end's, as `socket.accept` has it.
        """
        if len(self._sockets) >= self._most:
            self._sockets = {key: each for key, each in self._sockets.items() if each.fileno() >= 0}  # not closed
        if len(self._sockets) >= self._most and not self._room_for(owner(address[0])):
            return False
        self._sockets[address] = connection
        return True

    def admitted(self, address: tuple[Any, ...]) -> None:
        """Count a connection no longer."""
        self._sockets.pop(address, None)

    def _room_for(self, who: str) -> bool:
        """Hang up on another address's newest connection, if that has more of them; tell whether one has."""
        counts = Counter(owner(address[0]) for address in self._sockets)
        most, count = counts.most_common(1)[0] if counts else ("", 0)
        if count <= counts[who] + 1:
            return False
        victim = next(address for address in reversed(self._sockets) if owner(address[0]) == most)
        with contextlib.suppress(OSError):  # it is closed at the same moment
            self._sockets.pop(victim).shutdown(socket.SHUT_RDWR)
        return True
