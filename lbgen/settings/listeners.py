"""The ports that proxies listen on: settings `listeners.NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import model_validator

from lbgen.base.address import split_bind
from lbgen.model import AccessLog, Listener
from lbgen.settings.access_log import AccessLogging
from lbgen.settings.listener_redirect import ListenerRedirecting
from lbgen.settings.listener_tls import ListenerTls, ListenerTlsSettings
from lbgen.settings.value_types import Bind, Networks, Port, Seconds, Section, Size

LEAST_HEADERS, MOST_HEADERS, USUAL_HEADERS = 8 << 10, 256 << 10, 32 << 10  # bytes of `max_headers`
HELLO_TIMEOUT = 5.0  # seconds


class ListenerSettings(Section):
    """A port the proxy listens on."""

    bind: Bind
    """ADDRESS:PORT; ":80" and "[::]:80" are port 80 on every address, of IPv4 and IPv6, "0.0.0.0:80" on those of IPv4
    alone (but with Traefik of both), "[::1]:80" on one address."""
    protocol: Literal["http", "tcp", "udp"] = "http"
    tls: ListenerTls = None
    """Terminate TLS with the certificates of the directory `certificates`: true, or a section."""
    access_log: AccessLogging = None
    """Of protocol http: one line for each request; `off`, `json`, `combined` or a section."""
    encoded_slashes: Literal["pass", "reject"] = "pass"
    """Of protocol http: `reject` answers 400 to a path with %2F, %5C or a backslash."""
    max_headers: Size | None = None
    """Of protocol http: bytes of a request's line and headers together, cookies among them, that are accepted for sure;
    default 32k. Headers of answers may be as large. Each connection may need so much memory, with HAProxy at once."""
    public_port: Port | None = None
    """Port that clients connect to, where something before the proxy changes it, such as a load balancer or a published
    port of a container; default: that of `bind`. redirect-https leads to that of the route's listener with TLS."""
    trusted_proxies: Networks = []
    """Networks of the load balancers and CDNs in front. Of requests from these the client is the right-most address in
    X-Forwarded-For that is not one of them, and X-Forwarded-Proto and X-Forwarded-Port are believed. Nobody else is."""
    hello_timeout: Seconds | None = None
    """Of protocol tcp without tls, where some routes have server names: how long a client may take to begin with TLS;
    default 5s. With HAProxy one that says nothing, since the server is to speak first, is served after that."""
    redirect: ListenerRedirecting = None
    """Of protocol http: every request is led to another listener, by default to https: its name, or a section."""
    proxy_protocol: bool = False
    """Connections begin with a PROXY header (version 1 or 2), which says who the client is; where there are
    `trusted_proxies`, those from there."""

    @model_validator(mode="after")
    def _of_http(self) -> ListenerSettings:
        if self.tls and self.tls.http3 and (self.protocol != "http" or self.proxy_protocol):
            raise ValueError(
                "tls.http3 is for listeners of protocol http, without proxy_protocol: QUIC has no such thing"
            )
        for key in ("access_log", "encoded_slashes", "max_headers", "redirect"):
            if self.protocol != "http" and getattr(self, key) not in (None, "pass"):
                raise ValueError(f"{key} is for listeners of protocol http, this one is of {self.protocol}")
        if self.max_headers is not None and not LEAST_HEADERS <= self.max_headers <= MOST_HEADERS:
            raise ValueError(f"max_headers: {self.max_headers} is not between 8k and 256k")
        return self

    @model_validator(mode="after")
    def _who_asks(self) -> ListenerSettings:
        if self.protocol == "udp" and (self.trusted_proxies or self.proxy_protocol):
            raise ValueError("trusted_proxies and proxy_protocol are for the protocols http and tcp; remove them")
        if self.protocol == "tcp" and self.trusted_proxies and not self.proxy_protocol:
            raise ValueError("over tcp only the PROXY protocol tells who the client is: add proxy_protocol: true")
        if self.hello_timeout is not None and (self.protocol != "tcp" or self.tls):
            raise ValueError("hello_timeout is for listeners of protocol tcp without tls; remove it")
        if everybody := [network for network in self.trusted_proxies if network.endswith("/0")]:
            raise ValueError(f"trusted_proxies: {everybody[0]} is everybody; name the load balancers' own networks")
        return self

    @property
    def where(self) -> tuple[str, int]:
        """Address and port; "*" for all addresses of both families."""
        address, port = split_bind(self.bind)
        return "*" if address == "::" else address, port

    @property
    def as_clients_see(self) -> int:
        """The port that clients connect to."""
        return self.public_port or self.where[1]

    def listener(self, name: str, others: Mapping[str, ListenerSettings]) -> Listener:
        """Return the listener as the model has it, without routes.

        Args:
            others: all listeners, of which its redirect leads to one.
        """
        address, port = self.where
        tls = self.tls or ListenerTlsSettings.default()
        return Listener(
            name,
            address,
            port,
            self.protocol,
            self.tls is not None,
            tls_minimum=tls.minimum,
            strict_sni=tls.strict_sni,
            http3=tls.http3,
            access_log=AccessLog(self.access_log.format, self.access_log.to) if self.access_log else None,
            trusted_proxies=tuple(sorted(set(self.trusted_proxies))),
            proxy_protocol=self.proxy_protocol,
            encoded_slashes=self.encoded_slashes,
            public_port=self.public_port or 0,
            redirect=self.redirect.target(name, others) if self.redirect else None,
            max_headers=self.max_headers or USUAL_HEADERS,
            hello_timeout=HELLO_TIMEOUT if self.hello_timeout is None else self.hello_timeout,
        )
