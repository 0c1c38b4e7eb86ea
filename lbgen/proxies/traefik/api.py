"""Asks Traefik's API which generation is live, and what it would not take.

Facts (observed on 3.7): what the API shows of one request is one configuration, the one that new requests are served
by. A router or service that Traefik could not make is ``disabled``, with the reason, and everything else is live.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

from lbgen.base import json_text
from lbgen.base.address import host_port
from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.traefik.trust import Trust

MARKER, MARKER_HEADER = "lbgen.generation", "X-Lbgen-Generation"  # the middleware that says which generation this is
TIMEOUT = 5.0  # seconds
_PAGE = 100
T = TypeVar("T")


class Api:
    """The API of one Traefik."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self.shown = host_port(address, port)

    def get(self, path: str) -> tuple[Any, int]:
        """Return the document at ``/api/<path>`` and the number of the next page (1: none); None for what is not there.

        Raises:
            ProxyUnreachable: nothing answers there, or something that is not Traefik's API.
        """
        connection = http.client.HTTPConnection(self._address, self._port, timeout=TIMEOUT)
        try:
            connection.request("GET", f"/api/{path}")
            answer = connection.getresponse()
            # Traefik itself answers 404 in plain text while it has no API.
            document = json_text.data_in(answer.read())
            return (None if answer.status == 404 else document), int(answer.headers.get("X-Next-Page") or 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def generation(self, provider: str) -> str:
        """Return the generation that is live; empty if none of lbgen's.

        Args:
            provider: "http" or "file": how it got there.
        """
        with self._as_traefik_answers():
            marker, _ = self.get(f"http/middlewares/{MARKER}@{provider}")
            headers = (marker or {}).get("headers", {}).get("customResponseHeaders", {})
            return str(headers.get(MARKER_HEADER, ""))

    def entry_points(self) -> dict[str, str]:
        """Return where each entry point listens: ``{"web": ":80", "dns": ":53/udp"}``."""
        with self._as_traefik_answers():
            return {str(item["name"]): str(item.get("address", "")) for item in self._all("entrypoints?")}

    def trust(self) -> dict[str, Trust]:
        """Return whom each entry point believes about its clients."""
        with self._as_traefik_answers():
            return {str(item["name"]): Trust.of(item) for item in self._all("entrypoints?")}

    def statuses(self, provider: str) -> dict[tuple[str, str], str]:
        """Return the status of the servers that it checks, by service and URL: "UP" or "DOWN"."""
        with self._as_traefik_answers():
            return {
                (str(item["name"]).removesuffix(f"@{provider}"), str(url)): str(status)
                for item in self._all("http/services?")
                if item.get("provider") == provider
                for url, status in (item.get("serverStatus") or {}).items()
            }

    def refused(self, provider: str, ours: Callable[[dict[str, Any]], bool]) -> list[str]:
        """Return the elements of this provider that Traefik refused, each with its own words.

        Args:
            ours: tells whether a router, service or middleware is to be counted.
        """
        with self._as_traefik_answers():
            overview, _ = self.get("overview")
            kinds = [
                (protocol, kind)
                for protocol in ("http", "tcp", "udp")
                for kind, count in sorted((overview or {}).get(protocol, {}).items())
                if count.get("errors")
            ]
            return [
                _refusal(protocol, kind, provider, item)
                for protocol, kind in kinds
                for item in self._all(f"{protocol}/{kind}?status=disabled&")
                if item.get("provider") == provider and ours(item)
            ]

    @contextlib.contextmanager
    def _as_traefik_answers(self) -> Iterator[None]:
        """Take an answer of another shape as what it is: another program's."""
        try:
            yield
        except (AttributeError, KeyError, TypeError) as error:
            raise self._unreachable(f"not an answer of Traefik's ({error!r})") from error

    def _unreachable(self, why: object) -> ProxyUnreachable:
        return ProxyUnreachable(
            f"{self.shown}: Traefik's API does not answer there: {why}; start Traefik with its API "
            "on this address (deploy/traefik-static.yml), or set targets.NAME.probe to the one it has"
        )

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page; ``path`` ends in ``?`` or ``&``."""
        page = 1
        while True:
            items, following = self.get(f"{path}per_page={_PAGE}&page={page}")
            yield from items or ()
            if following <= page:
                return
            page = following


def _refusal(protocol: str, kind: str, provider: str, item: dict[str, Any]) -> str:
    name = item["name"].removesuffix(f"@{provider}")
    leads = f" to service {item['service']}" if item.get("service") else ""
    said = "; ".join(item.get("error", [])) or "no reason given"
    return f"{protocol} {kind.removesuffix('s')} {name}{leads}: {said}"


class Fleet:
    """The API of every Traefik behind one name, or of one at an address: what is live, all of them serve.

    Those that do not answer are left out: they do not serve either, or will get the newest when they start.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def generation(self, provider: str) -> str:
        """Return the generation that is live everywhere; empty if there is none. See `Api.generation`."""
        generations = set(self._each(lambda api: api.generation(provider)))
        return generations.pop() if len(generations) == 1 else ""

    def entry_points(self) -> dict[str, str]:
        """Return the entry points that all have. See `Api.entry_points`."""
        first, *others = self._each(lambda api: api.entry_points())
        return {name: address for name, address in first.items() if all(name in other for other in others)}

    def trust(self) -> list[dict[str, Trust]]:
        """Return whom the entry points believe, for each that answers. See `Api.trust`."""
        return self._each(lambda api: api.trust())

    def statuses(self, provider: str) -> dict[tuple[str, str], str]:
        """Return the status of the servers, DOWN where one of them says so. See `Api.statuses`."""
        joined: dict[tuple[str, str], str] = {}
        for statuses in self._each(lambda api: api.statuses(provider)):
            joined |= {key: status for key, status in statuses.items() if joined.get(key) != "DOWN"}
        return joined

    def refused(self, provider: str, ours: Callable[[dict[str, Any]], bool]) -> list[str]:
        """Return the elements that any of them refused. See `Api.refused`."""
        return list(dict.fromkeys(chain.from_iterable(self._each(lambda api: api.refused(provider, ours)))))

    def _each(self, ask: Callable[[Api], T]) -> list[T]:
        """Return the answers of those that answer; raise ProxyUnreachable if none does."""
        try:
            addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ProxyUnreachable(
                f"{self._host}: cannot be resolved: {error.strerror}; correct targets.NAME.probe"
            ) from error
        answers: list[T] = []
        unreachable: ProxyUnreachable | None = None
        for address in sorted({str(where[0]) for *_, where in addresses}):
            try:
                answers.append(ask(Api(address, self._port)))
            except ProxyUnreachable as error:
                unreachable = error
        if unreachable and not answers:
            raise unreachable
        return answers
