"""What went wrong with an endpoint, in words that name the endpoint, the failure and the remedy."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests
import urllib3

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.base.problem import printable
from lbgen.source.engine.endpoints import Endpoint

_MOUNT = "mount it (-v /var/run/docker.sock:/var/run/docker.sock:ro), or name the right one"


def unreachable(endpoint: Endpoint, error: Exception, timeout: float) -> SourceError:
    """Return the error for a request that got no reply."""
    causes = list(_causes(error))
    for cause in causes:
        if said := _explained(endpoint, cause):
            return SourceError(f"{endpoint.name}: {said}")
    if any(isinstance(cause, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError) for cause in causes):
        return SourceError(f"{endpoint.name}: no answer for {timeout:g} s; the engine hangs or its host is gone")
    return SourceError(f"{endpoint.name}: {causes[-1] or repr(causes[-1])}")


class Missing(SourceError):
    """The engine knows no such thing (404)."""


def refused(endpoint: Endpoint, path: str, status: int, body: bytes, paths: Sequence[str]) -> SourceError:
    """Return the error for a reply that is not 200.

    Args:
        paths: all that lbgen asks this engine for.
    """
    said = _message(body)
    if status == 404:
        return Missing(f"{endpoint.name}: GET {path} answered 404: {said}")
    if status == 503 and "not a swarm manager" in said:
        return not_a_manager(endpoint)
    if status in (401, 403):
        return SourceError(
            f"{endpoint.name}: GET {path} is forbidden ({said or status}); a socket proxy must allow GET to "
            f"{' '.join(paths)}"
        )
    if status == 400 and "HTTP request to an HTTPS server" in said:
        return SourceError(f"{endpoint.name}: the engine wants TLS: give its CA, a client certificate and the key")
    return SourceError(f"{endpoint.name}: GET {path} answered {status}: {said}")


def not_a_manager(endpoint: Endpoint, managers: str = "") -> SourceError:
    """Return the error for an engine that cannot tell about services; `managers` are addresses to suggest."""
    known = f" (it knows {printable(managers, 300)})" if managers else ""
    return SourceError(f"{endpoint.name}: this engine is not a Swarm manager; give the endpoint of one{known}")


def not_in_a_swarm(endpoint: Endpoint, state: str) -> SourceError:
    """Return the error for an engine whose LocalNodeState is not "active"."""
    remedy = {
        "locked": "its Swarm is locked: `docker swarm unlock`",
        "pending": "it is still joining its Swarm",
        "error": "its Swarm membership is broken: see `docker info` there",
    }.get(state, "Swarm is not active there: `docker swarm init` or `docker swarm join`, or give a manager's endpoint")
    return SourceError(f"{endpoint.name}: {remedy}")


def _explained(endpoint: Endpoint, cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return _tls(cause)
    if isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError):
        return "its host name is not known here: check the name and DNS"
    if not isinstance(cause, OSError) or cause.errno is None:
        return ""
    path = endpoint.host.removeprefix("unix://") if endpoint.host.startswith("unix://") else ""
    if path and Path(path).is_dir():
        # Docker makes a directory where the source of a bind mount does not exist.
        return f"{path} is a directory, not a socket; its mount's source did not exist: {_MOUNT}"
    if path and cause.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no such socket: {_MOUNT}"
    if path and cause.errno in (errno.EACCES, errno.EPERM):
        return "permission denied: run as root, or add this user to the group that owns the socket (docker)"
    if cause.errno == errno.ECONNREFUSED:
        return "nothing listens there: is dockerd running, and with this -H address?"
    if cause.errno == errno.ENOENT:
        return f"the command {cause.filename} is not installed here"
    return ""


def _tls(cause: ssl.SSLError) -> str:
    text = str(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: the engine's certificate is not trusted ({cause.verify_message}): check the CA and the host name"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "TLS: the engine does not speak TLS on this port: leave the TLS files out, or use its TLS port (2376)"
    if "ALERT" in text or isinstance(cause, ssl.SSLEOFError):
        why = cause.reason or "it hung up"
        return f"TLS: the engine refused the client certificate ({why}): check certificate, key and their CA"
    return f"TLS: {cause.reason or text}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, down to the first cause.

    requests and urllib3 keep causes now in ``__context__``, now in ``args``, now in ``reason``.
    """
    seen: set[int] = set()
    rest: list[object] = [error]
    while rest:
        cause = rest.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            hidden = None if cause.__suppress_context__ else cause.__context__
            rest += [*cause.args, getattr(cause, "reason", None), cause.__cause__ or hidden]


def _message(body: bytes) -> str:
    """Return the engine's own words: ``{"message": "..."}``, or plain text from a proxy."""
    try:
        said = str(json_text.data_in(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = body.decode("utf-8", "replace")
    return printable(said.strip(), 300)
