"""A TCP relay on loopback that can go silent without a FIN, as a way that is cut."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Passes bytes on between who dials it and a port; each connection has a thread."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.silent = False  # nothing is passed on, and nobody is told
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, port: int) -> None:
        """Lead new connections there."""
        self._target = port

    def cut(self) -> None:
        """End all connections, with RST."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._ended = True
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while not self._ended:
            with contextlib.suppress(OSError):
                accepted, _ = self._listening.accept()
                self.accepted += 1
                self._sockets.append(accepted)
                threading.Thread(target=self._pass_on, args=[accepted], daemon=True).start()

    def _pass_on(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), accepted, socket.create_connection(("127.0.0.1", self._target)) as other:
            self._sockets.append(other)
            ways = {accepted: other, other: accepted}
            while True:
                readable, _, _ = select.select([] if self.silent else list(ways), [], [], 0.02)
                for each in readable:
                    if self.silent:
                        break
                    data = each.recv(65536)
                    if not data:
                        return
                    ways[each].sendall(data)


@contextlib.contextmanager
def a_relay(port: int) -> Iterator[Relay]:
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
