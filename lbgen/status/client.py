"""Asks a running lbgen for its status, from anywhere that reaches its status address."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from lbgen.base.address import dialable, host_port
from lbgen.base.errors import NoDaemon, SettingsError, UnknownService

TIMEOUT = 10.0  # seconds


def url_of(where: tuple[str, int] | None) -> str:
    """Return the URL of a daemon with this status address on the same machine; raise SettingsError if it is off."""
    if where is None:
        raise SettingsError("status.bind is empty in the settings; say where the daemon answers with --status URL")
    address, port = where
    return f"http://{host_port(dialable(address), port)}"


def full_url(url: str) -> str:
    """Return a URL as somebody typed it in the form that is asked: ``host:9099/`` -> ``http://host:9099``."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def ask(url: str, path: str) -> Any:
    """Return the document that the daemon has there; raise NoDaemon."""
    return _document(url, path, *_get(url, path))


def _document(url: str, path: str, status: int, body: bytes) -> Any:
    try:
        if status != 200:
            raise ValueError(f"status {status}")
        return json.loads(body)
    except ValueError as error:
        raise NoDaemon(f"{url}{path}: this is not lbgen, or not this version of it ({error})") from error


def explanation(url: str, service: str) -> Any:
    """Return the daemon's explanation of a service; raise UnknownService, or NoDaemon."""
    path = f"/api/v1/explain/{quote(service, safe='')}"
    status, body = _get(url, path)
    text = body.decode(errors="replace").strip()
    if status == 404 and text.startswith("there is no service "):
        raise UnknownService(text)
    if status == 503:
        raise NoDaemon(f"{url}: {text}")
    return _document(url, path, status, body)


def unready(url: str) -> str:
    """Return why the daemon is not ready, empty if it is; raise NoDaemon."""
    status, body = _get(url, "/readyz")
    text = body.decode(errors="replace").strip()
    if status == 503:
        return text
    if (status, text) != (200, "ready"):
        raise NoDaemon(f"{url}/readyz: this is not lbgen, or not this version of it (status {status})")
    return ""


def _get(url: str, path: str) -> tuple[int, bytes]:
    # Here and not above: they take a tenth of the time that other commands need to start.
    import http.client
    import urllib.error
    import urllib.request

    # Not through a proxy that the environment names: the daemon is near.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + path, timeout=TIMEOUT) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoDaemon(
            f"{url}: lbgen does not answer there ({reason}); does 'lbgen run' run, and is its status.bind this address?"
        ) from error
