"""swarmkit's Watch stream: gRPC with TLS and no client certificate over a manager's control socket.

The server is called ``swarm-manager``, and its certificate is signed by the root that ``GET /swarm`` tells, so the
stream is that of the very cluster that is followed; the root is asked for each time, for it can be rotated. Messages
carry the objects themselves. Nothing is resumed: after a break everything is listed again.
Source: moby/swarmkit, api/watch.proto and manager/watchapi; the rest was seen on a three-node Swarm (engine 20.10).
"""

from __future__ import annotations

import socket

from lbgen.base.errors import SourceError
from lbgen.source.engine.events import ThreadedStream
from lbgen.source.facts import ALL
from lbgen.source.mailbox import Mailbox
from lbgen.source.swarmkit import objects
from lbgen.source.swarmkit.grpc import StreamCall

METHOD = "/docker.swarmkit.v1.Watch/Watch"
SERVER = "swarm-manager"


class WatchStream(ThreadedStream):
    """One Watch call, which is subscribed when its first message has come."""

    covers = ALL

    def __init__(self, path: str, connection: socket.socket, root: str, mailbox: Mailbox) -> None:
        """Begin to subscribe and return at once; raise SourceError if the root is not a certificate."""
        self._path = path
        call = StreamCall(connection, root, SERVER)
        super().__init__("push", call.messages(METHOD, objects.REQUEST), call.end, mailbox)

    def received(self, message: bytes) -> None:
        """Pass on what a message says; the first one is empty and says that we are subscribed."""
        changes = objects.changes(message)
        if not self.ready and changes:
            raise SourceError("it did not begin by saying that it has subscribed us")
        self.ready = True
        self._mailbox.tell(changes=changes)

    def explained(self, why: str) -> str:
        remedy = "; is it the socket of a manager of this very cluster?" if why.startswith("TLS: ") else ""
        return f"control socket {self._path}: {why}{remedy}"
