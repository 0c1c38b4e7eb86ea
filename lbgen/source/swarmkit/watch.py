"""Every change the moment the store has it: swarmkit's Watch stream on a manager's control socket.

Every process that may open the socket may watch, on any manager, the leader or another. This module finds the socket;
`stream` reads it, and is loaded only where there is one.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from lbgen.base.errors import SourceError
from lbgen.source.decode_fields import get
from lbgen.source.engine.events import NotOffered, StreamKind

if TYPE_CHECKING:
    from lbgen.source.engine.api import Engine
    from lbgen.source.engine.endpoints import Endpoint
    from lbgen.source.engine.events import ChangeStream
    from lbgen.source.mailbox import Mailbox

MODE = "push"
AUTO, OFF = "auto", "off"  # what a setting can say instead of a path
WELL_KNOWN = "/var/run/docker/swarm/control.sock"
_REMEDY = "set source.docker.control_socket to off to do without it"


def stream_kinds(setting: str, endpoint: Endpoint) -> list[StreamKind]:
    """Return the kind of a setting ("auto", "off" or a path) beside an endpoint; none if nothing is to be tried."""
    if setting == OFF or (setting == AUTO and not endpoint.host.startswith("unix://")):
        return []
    return [StreamKind(MODE, partial(_subscribe, setting))]


def _subscribe(setting: str, engine: Engine, mailbox: Mailbox) -> ChangeStream:
    path = WELL_KNOWN if setting == AUTO else setting
    connection = connect(path, engine.timeout, promised=setting != AUTO)
    try:
        from lbgen.source.swarmkit.stream import WatchStream  # here: a tenth of the start-up time

        root = engine.asked("/swarm", lambda reply: get(reply, "TLSInfo.TrustRoot", str, ""))
        if not root:
            raise SourceError(f"{engine.endpoint.name}: GET /swarm tells no TLSInfo.TrustRoot to trust {path} by")
        return WatchStream(path, connection, root, mailbox)
    except BaseException:
        connection.close()
        raise


def connect(path: str, timeout: float, promised: bool) -> socket.socket:
    """Return a connection to the socket.

    Raises:
        SourceError: there is none; NotOffered if there is no socket and none was `promised`.
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
