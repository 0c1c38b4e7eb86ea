"""The part of the Engine API that lbgen uses: a handful of GET requests to one engine.

The paths are a tested contract, so that a read-only socket proxy in front of the engine suffices. Every request has a
timeout, every failure is a SourceError that names endpoint and remedy.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
import urllib3

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.base.problem import printable
from lbgen.source.decode_fields import Json, each, get
from lbgen.source.engine import errors, replies
from lbgen.source.engine.endpoints import Endpoint, client
from lbgen.source.engine.line import Line

PATHS = ("/_ping", "/version", "/info", "/swarm", "/services", "/tasks", "/nodes", "/networks", "/events")
# Of an engine that is in no Swarm: all that the `hosts` source may ask for.
HOST_PATHS = ("/_ping", "/version", "/info", "/events", "/containers/json", "/containers/ID/json", "/networks")
_OF_CONTAINER = re.compile(r"/containers/[0-9a-f]+/json")
# The newest version whose replies lbgen was tried with (engine 28.5); an older shape of a reply beats an unknown one.
# Of what is read here nothing changed from 1.41 to 1.51; 1.52 leaves out fields that nobody here reads.
# Source: moby, api/docs/CHANGELOG.md; recorded replies (tests/fixtures).
NEWEST = (1, 51)
_VERSIONS = ("Version", "ApiVersion", "MinAPIVersion")
T = TypeVar("T")


class Engine:
    """One engine, spoken to in the highest API version both sides know.

    Not for several requests at once, except that a stream may be read beside them.
    """

    def __init__(
        self, endpoint: Endpoint, timeout: float, line: Line | None = None, paths: Sequence[str] = PATHS
    ) -> None:
        """Connect and negotiate; raise SourceError if that fails.

        Args:
            timeout: longest silence of the engine, in seconds.
            line: for another thread to hang up with, also while this one waits here.
            paths: that it may be asked for; ID stands for a container's.
        """
        self._paths = paths
        self.endpoint, self.timeout, self.line = endpoint, timeout, line or Line()
        self._client = client(endpoint, timeout, self.line)
        self._prefix = ""
        self._clock_ahead = 0.0
        try:
            self.version, self.api = self.negotiate()
        except BaseException:
            self.close()
            raise
        self._prefix = f"/v{self.api}"

    def negotiate(self) -> tuple[str, str]:
        """Return the engine's version, and that of the API to speak with it."""
        told = self.asked("/version", lambda reply: [get(reply, key, str, "") for key in _VERSIONS])
        version, newest, oldest = told
        return version, negotiated(newest, oldest)

    def asked(self, path: str, read: Callable[[Json], T]) -> T:
        """Return what `read` makes of a reply's JSON object; its errors get the path."""
        body = self.body(path)
        try:
            reply: object = json_text.data_in(body)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise SourceError(f"{self._what(path)} answered, but not with a JSON object: {body[:80]!r}")
        try:
            return read(reply)
        except SourceError as error:
            raise SourceError(f"{self._what(path)}: {error}") from error

    def body(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """Return a reply's bytes."""
        return self._read(path, params, lambda response: replies.whole(response, self._what(path)))

    def stream(self, path: str, params: Mapping[str, str] | None = None) -> Stream:
        """Return an open stream of lines. When this returns, the engine has subscribed us."""
        return self._read(path, params, lambda response: Stream(response, self._what(path)))

    def cluster(self) -> str:
        """Return the id of the cluster that this engine manages; raise SourceError if it manages none right now."""
        swarm = self.asked("/info", _Membership.of)
        if swarm.state != "active":
            raise errors.not_in_a_swarm(self.endpoint, swarm.state)
        if not swarm.manager:
            raise errors.not_a_manager(self.endpoint, ", ".join(sorted(swarm.managers)))
        if not swarm.cluster:
            why = printable(swarm.error or "no leader", 300)
            raise SourceError(f"{self.endpoint.name}: the Swarm cannot answer: {why}")
        return swarm.cluster

    def now(self) -> float:
        """Return the engine's clock, in seconds since 1970, good to a second."""
        return time.time() + self._clock_ahead

    def close(self) -> None:
        self._client.close()

    def _what(self, path: str) -> str:
        return f"{self.endpoint.name}: GET {path}"

    def _read(self, path: str, params: Mapping[str, str] | None, read: Callable[[requests.Response], T]) -> T:
        try:
            return read(self._request(path, params))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise errors.unreachable(self.endpoint, error, self.timeout) from error

    def _request(self, path: str, params: Mapping[str, str] | None) -> requests.Response:
        if ("/containers/ID/json" if _OF_CONTAINER.fullmatch(path) else path) not in self._paths:
            raise ValueError(f"{path} is not among the paths lbgen may ask for")
        url = f"{self._client.base_url}{self._prefix}{path}"
        response = self._client.get(url, params=params, timeout=self.timeout, stream=True, allow_redirects=False)
        with contextlib.suppress(ValueError, TypeError):  # absent behind some proxies: the clocks are taken as equal
            self._clock_ahead = parsedate_to_datetime(response.headers.get("Date", "")).timestamp() - time.time()
        if response.status_code != 200:
            raise errors.refused(self.endpoint, path, response.status_code, replies.error_text(response), self._paths)
        return response


@dataclass(frozen=True, slots=True)
class _Membership:
    """What ``GET /info`` says of the Swarm."""

    state: str
    manager: bool
    managers: list[str]  # addresses
    cluster: str
    error: str

    @classmethod
    def of(cls, reply: Json) -> _Membership:
        return cls(
            get(reply, "Swarm.LocalNodeState", str, "") or "inactive",
            get(reply, "Swarm.ControlAvailable", bool, False),
            each(reply, "Swarm.RemoteManagers", lambda manager: get(manager, "Addr", str, "")),
            get(reply, "Swarm.Cluster.ID", str, ""),
            get(reply, "Swarm.Error", str, ""),
        )


class Stream:
    """An endless reply, read line by line in one thread and ended from another."""

    def __init__(self, response: requests.Response, what: str) -> None:
        """
        Args:
            what: the request, for errors.
        """
        self._response, self._what = response, what
        # Taken now: once the reply has ended, urllib3 no longer knows its socket.
        connection = getattr(response.raw, "connection", None)
        self._socket: socket.socket | None = getattr(connection, "sock", None)
        if self._socket is not None:
            self._socket.settimeout(None)  # silence is normal from here on

    def lines(self) -> Generator[bytes, None, None]:
        """Yield each whole line as it arrives; end when the stream does, raise SourceError if it breaks."""
        try:
            yield from replies.lines(self._response, self._what)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # The last two are what http.client raises when its socket is shut down under it.
            raise SourceError(f"the stream broke: {error}") from error
        finally:
            self._response.close()

    def end(self) -> None:
        """Make `lines` end soon, also while it waits for data."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def negotiated(newest: str, oldest: str) -> str:
    """Return the API version to speak with an engine that speaks `oldest` to `newest`.

    That is the newest both know: "1.41" for engine 20.10 (1.12 to 1.41), "1.51" for engine 29 (1.44 to 1.52). Where
    even the engine's oldest is newer than what lbgen knows, that oldest one.
    """
    try:
        low, high = (tuple(int(part) for part in text.split(".")) for text in (oldest or "1.24", newest))
    except ValueError as error:
        raise SourceError(f"the engine names no usable API version: {newest!r}, at least {oldest!r}") from error
    return ".".join(str(part) for part in max(low, min(high, NEWEST)))
