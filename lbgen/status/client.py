"""Asks a running lbgen for its status, from anywhere that reaches its status address."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lbgen.base.address import dialable, host_port
from lbgen.base.errors import NoDaemon, NotAdmitted, SettingsError, UnknownService
from lbgen.base.problem import printable

TIMEOUT = 10.0  # seconds
_LONGEST = 500  # characters of a refusal that are shown


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon, as it is asked."""

    url: str
    secret: str = ""  # a token, or NAME:PASSWORD; empty: none is sent

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with each question."""
        if not self.secret:
            return {}
        if ":" in self.secret:  # a token has none
            return {"Authorization": "Basic " + base64.b64encode(self.secret.encode()).decode()}
        return {"Authorization": f"Bearer {self.secret}"}


def url_of(where: tuple[str, int] | None) -> str:
    """Return the URL of a daemon with this status address on the same machine; raise SettingsError if it is off."""
    if where is None:
        raise SettingsError("status.bind is empty in the settings; say where the daemon answers with --status URL")
    address, port = where
    return f"http://{host_port(dialable(address), port)}"


def full_url(url: str) -> str:
    """Return a URL as somebody typed it in the form that is asked: ``host:9099/`` -> ``http://host:9099``."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def ask(daemon: Daemon, path: str) -> Any:
    """Return the document that the daemon has there; raise NotAdmitted, or NoDaemon."""
    return _document(daemon, path, *_get(daemon, path))


def _document(daemon: Daemon, path: str, status: int, body: bytes) -> Any:
    try:
        if status != 200:
            raise ValueError(f"status {status}")
        return json.loads(body)
    except ValueError as error:
        raise NoDaemon(f"{daemon.url}{path}: this is not lbgen, or not this version of it ({error})") from error


def explanation(daemon: Daemon, service: str) -> Any:
    """Return the daemon's explanation of a service; raise UnknownService, NotAdmitted, or NoDaemon."""
    path = f"/api/v1/explain/{quote(service, safe='')}"
    status, body = _get(daemon, path)
    text = _text(body)
    if status == 404 and text.startswith("there is no service "):
        raise UnknownService(text)
    if status == 503:
        raise NoDaemon(f"{daemon.url}: {text}")
    return _document(daemon, path, status, body)


def unready(daemon: Daemon) -> str:
    """Return why the daemon is not ready, empty if it is; raise NoDaemon."""
    status, body = _get(daemon, "/readyz")
    text = _text(body)
    if status == 503:
        return text
    if (status, text) != (200, "ready"):
        raise NoDaemon(f"{daemon.url}/readyz: this is not lbgen, or not this version of it (status {status})")
    return ""


def _text(body: bytes) -> str:
    return body.decode(errors="replace").strip()


def _get(daemon: Daemon, path: str) -> tuple[int, bytes]:
    # Here and not above: they take a tenth of the time that other commands need to start.
    import http.client
    import urllib.error
    import urllib.request

    # Not through a proxy that the environment names: the daemon is near.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(daemon.url + path)
        for name, value in daemon.headers.items():
            request.add_unredirected_header(name, value)
        with opener.open(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
        if error.code in (401, 403):
            raise NotAdmitted(f"{daemon.url} does not answer: {printable(_text(body), _LONGEST)}") from error
        return error.code, body
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoDaemon(
            f"{daemon.url}: lbgen does not answer there ({reason}); does 'lbgen run' run, and is its status.bind this "
            "address?"
        ) from error
