"""The entries of a listener's table: which backend a request goes to, and what goes before it.

Part of the public vocabulary of templates, as `types`: fields are added, never renamed or removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.match import Alternative


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """Requests of a backend that are answered with a status in place of its servers."""

    alternative: Alternative
    status: int
    tls: bool | None  # of those that came by https alone, or by http; None: of all


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in a listener's routing table: requests that arrive here go to this backend.

    Look up the request's host, then ``*.`` and what follows its first label, then ``*``: at each of the three the
    exact path first, then the longest prefix by segment. The first cell found decides.
    """

    host: str  # "shop.example.org", "*.example.org" or "*"
    path: str  # "/", "/api": no trailing slash
    exact: bool  # the whole path, not a prefix
    backend: str
    priority: int

    @property
    def escaped(self) -> bool:
        """Whether the path has percent-encoded characters."""
        return "%" in self.path

    @property
    def level(self) -> str:
        """Which of the three hosts it is found under: "exact", "domain" (``*.``) or "any" (``*``)."""
        return "any" if self.host == "*" else "domain" if self.host.startswith("*.") else "exact"


@dataclass(frozen=True, slots=True)
class Rule:
    """A match that no cell can express. It is asked in the order of the list; the first that holds decides.

    It goes before a cell of the same or a lower priority.
    """

    alternative: Alternative
    backend: str
    priority: int


@dataclass(frozen=True, slots=True)
class Stream:
    """TCP connections that go to one backend. It is asked in the order of the list; the first that holds decides."""

    alternative: Alternative  # tests of kinds sni, sni_regex, alpn, client_ip
    backend: str  # of protocol tcp; empty: they are HTTP's
    passthrough: bool  # TLS goes to the servers as it is, on a listener that ends it for others


@dataclass(frozen=True, slots=True)
class Screen:
    """What goes before some backends: a request for one of them that is like this goes to another one.

    All of a listener's are asked about the backend that cells and rules led to, in the order of the list; the first
    that holds decides.
    """

    backends: tuple[str, ...]  # sorted; none of them is one that a screen leads to in place of a server
    alternative: Alternative
    backend: str  # a guarded one of the same service, or one that answers `deny`


@dataclass(frozen=True, slots=True, order=True)
class TlsHost:
    """What a TLS listener does for one host before it knows more of the request."""

    host: str  # "shop.example.org", "*.example.org", or "*" for routes that name no host
    certificate: str  # name of its file, without suffix; empty: chosen by host
    client_ca: str  # name of the authority; empty: clients need no certificate
    shared: bool = False  # several services have routes for it: a certificate that is for other names is not shown


@dataclass(frozen=True, slots=True)
class ListenerRedirect:
    """Where a listener leads its requests: to the same host, path and query with another scheme or port."""

    scheme: str  # "http", "https"
    port: int  # as clients see it
    code: int  # 307, 308
    priority: int | None = None  # routes of a higher one go before it; None: none does


@dataclass(frozen=True, slots=True)
class AccessLog:
    """How a listener logs its requests."""

    format: str  # "json" or "combined"
    to: str  # "stdout", the path of a file, or "syslog:" and an address: ADDRESS:PORT or the path of a socket
