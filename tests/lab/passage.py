"""A control socket that a test can take away, without a Swarm noticing anything."""

from __future__ import annotations

import contextlib
import socket
import threading


class Passage:
    """A control socket that leads to another one, and can go away."""

    def __init__(self, path, target):
        self.path, self._target = path, target
        self._open = []
        self._listener = None

    def __enter__(self):
        self.come_back()
        return self

    def __exit__(self, *_):
        self.go_away()

    def come_back(self):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def go_away(self):
        """No socket any more, and all connections cut."""
        self.path.unlink(missing_ok=True)
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._target))
                except OSError:  # nobody there just now
                    client.close()
                    continue
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=pump, args=(source, target), daemon=True).start()


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
