"""Every change the moment the store has it: swarmkit's Watch stream on a manager's control socket.

gRPC with TLS and no client certificate over a unix socket: whoever may open the socket may watch. The server is called
``swarm-manager``, and its certificate is signed by the root that ``GET /swarm`` tells, so the stream is that of the
very cluster that is followed; the root is asked for each time, for it can be rotated. Any manager will do, the leader
or another. Messages carry the objects themselves. Nothing is resumed: after a break everything is listed again.
Source: moby/swarmkit, api/watch.proto and manager/watchapi; the rest was seen on a three-node Swarm (engine 20.10).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from lbgen.base.errors import SourceError
from lbgen.source.engine.api import Engine
from lbgen.source.engine.endpoints import Endpoint
from lbgen.source.engine.events import NotOffered, Way
from lbgen.source.facts import ALL
from lbgen.source.mailbox import Change, Signals

if TYPE_CHECKING:  # loaded when there is a control socket: a tenth of the start-up time
    from lbgen.source.swarmkit.grpc import StreamCall

MODE = "push"
AUTO, OFF = "auto", "off"  # what a setting can say instead of a path
WELL_KNOWN = "/var/run/docker/swarm/control.sock"
METHOD = "/docker.swarmkit.v1.Watch/Watch"
SERVER = "swarm-manager"
_REMEDY = "set source.docker.control_socket to off to do without it"


def ways(setting: str, endpoint: Endpoint) -> list[Way]:
    """Return the way of a setting ("auto", "off" or a path) beside an endpoint; none if nothing is to be tried."""
    if setting == OFF or (setting == AUTO and not endpoint.host.startswith("unix://")):
        return []
    return [Way(MODE, partial(_subscribed, setting))]


def _subscribed(setting: str, engine: Engine, signals: Signals) -> Push:
    path = WELL_KNOWN if setting == AUTO else setting
    connection = connected(path, engine.timeout, promised=setting != AUTO)
    try:
        from lbgen.source.swarmkit.grpc import StreamCall

        root = (engine.get("/swarm").get("TLSInfo") or {}).get("TrustRoot")
        if not isinstance(root, str):
            raise SourceError(f"{engine.endpoint.name}: GET /swarm tells no TLSInfo.TrustRoot to trust {path} by")
        return Push(path, StreamCall(connection, root, SERVER), signals)
    except BaseException:
        connection.close()
        raise


def connected(path: str, timeout: float, promised: bool) -> socket.socket:
    """Return a connection to the socket.

    Raises:
        SourceError: that cannot be had; NotOffered if there is no socket and nobody had `promised` one.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise _unusable(path, error, promised) from error
    return connection


def _unusable(path: str, error: OSError, promised: bool) -> SourceError:
    why = f"control socket {path}: {(error.strerror or str(error)).lower()}"
    match error:
        case PermissionError():
            return SourceError(
                f'{why}: dockerd gives it to root alone: run lbgen as root (user: "0:0" in a stack file); {_REMEDY}'
            )
        case FileNotFoundError() | NotADirectoryError():
            remedy = f"on a manager, mount its directory ({os.path.dirname(path)}), and run as root"  # noqa: PTH120
            return (SourceError if promised else NotOffered)(f"{why}: {remedy}; {_REMEDY}")
        case ConnectionRefusedError():
            return SourceError(f"{why}: no socket, or nobody behind it: is dockerd running, and a manager?")
    return SourceError(why)


class Push:
    """`Changes` by way of one Watch call."""

    covers = ALL

    def __init__(self, path: str, call: StreamCall, signals: Signals) -> None:
        """Begin to subscribe and return at once."""
        self._path, self._call, self._signals = path, call, signals
        self.ready = False
        self.ended = ""
        self.last = time.monotonic()
        threading.Thread(target=self._read, name="lbgen-source-push", daemon=True).start()

    def close(self) -> None:
        self.ended = self.ended or "closed"
        self._call.end()

    def _read(self) -> None:
        from lbgen.source.swarmkit import objects

        try:
            with closing(self._call.messages(METHOD, objects.REQUEST)) as messages:
                for message in messages:
                    self._received(objects.changes(message))
            why = "the manager ended the stream"
        except SourceError as error:
            why = str(error)
            if why.startswith("TLS: "):
                why += "; is it the socket of a manager of this very cluster?"
        except Exception as error:  # whatever it is, events carry on, and the log has it
            why = repr(error)
        self.ended = self.ended or f"control socket {self._path}: {why}"
        self._signals.tell()

    def _received(self, changes: list[Change]) -> None:
        """Pass on what a message says; the first one is empty and says that we are subscribed."""
        self.last = time.monotonic()
        if self.ready:
            self._signals.tell(changes=changes)
        elif changes:
            raise SourceError("it did not begin by saying that it has subscribed us")
        else:
            self.ready = True
            self._signals.tell()
