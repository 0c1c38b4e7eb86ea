"""All settings, as one value. Other modules are handed what they need of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from lbgen.base.address import split_bind
from lbgen.model import AccessLog, Listener, Rules
from lbgen.render.limits import Limits
from lbgen.settings.access_log import AccessLogging
from lbgen.settings.claims import ClaimSettings
from lbgen.settings.discovery import DiscoverySettings
from lbgen.settings.listener_tls import ListenerTls, ListenerTlsSettings
from lbgen.settings.status import StatusSettings
from lbgen.settings.value_types import (
    Bind,
    Name,
    Networks,
    Paths,
    Port,
    Program,
    Seconds,
    Section,
    Size,
    Templates,
    Texts,
)


class TlsSettings(Section):
    """Client certificate for tcp:// endpoints (as docker --tlsverify)."""

    ca: Path | None = None
    """CA certificate that signed the engine's; default: the system's."""
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    """Check the engine's certificate against the CA and its name."""


class DockerSettings(Section):
    """Follow a Swarm through its managers' Engine API."""

    endpoints: Texts = []
    """unix://, tcp://, ssh:// or context:NAME, tried in order; default: DOCKER_HOST, else the current context."""
    cluster: str = ""
    """Id of the only cluster to accept; default: that of the first contact."""
    control_socket: str = "auto"
    """Path of a manager's control socket, which pushes every change; "off" for none. "auto" tries
    /var/run/docker/swarm/control.sock beside unix:// endpoints. Without it, lbgen uses events and listings."""
    tls: TlsSettings | None = None

    @field_validator("control_socket")
    @classmethod
    def _socket(cls, value: str) -> str:
        if value not in ("auto", "off") and not Path(value).is_absolute():
            raise ValueError('write "auto", "off" or the absolute path of a socket')
        return value


class SourceSettings(Section):
    """Where the facts come from: a Swarm, a snapshot file or stack files."""

    docker: DockerSettings | None = None
    file: Paths = []
    """A snapshot file, or stack files, merged in this order."""
    stack: str = ""
    """Name that stack files would be deployed under; empty: derived from the first file's name."""

    @model_validator(mode="after")
    def _one(self) -> SourceSettings:
        if self.docker and self.file:
            raise ValueError("name one source, docker or file, not both")
        if self.stack and not self.file:
            raise ValueError("stack is the name that stack files are deployed under: name the files, too")
        return self


STATE_DIRECTORY = Path("/var/lib/lbgen")  # has a directory for each target whose `output` is not set


class ApplySettings(Section):
    """How the proxy loads new files. One of these ways; default: that of the template set."""

    run: bool = False
    """Start the proxy and keep it running."""
    master_socket: Path | None = None
    """HAProxy's master CLI (haproxy -W -S PATH)."""
    pid_file: Path | None = None
    """Signal the process whose id this file holds."""
    command: list[str] | None = None
    """Run this command; exit status 0 means that the proxy has loaded the files."""
    process: bool = False
    """Signal the Nginx master among this machine's processes."""
    http: bool = False
    """Traefik polls http://STATUS.BIND/traefik/TARGET, which answers as soon as the configuration changes."""
    directory: bool = False
    """Traefik watches OUTPUT/dynamic."""

    @model_validator(mode="after")
    def _one(self) -> ApplySettings:
        ways = self._ways()
        if len(ways) > 1:
            raise ValueError(f"choose one of {', '.join(ways)}")
        return self

    @property
    def chosen(self) -> str:
        """The way that the settings name; empty: none."""
        return "".join(self._ways())

    def _ways(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name)]


class RenderSettings(Section):
    """Limits of the target's templates: one that loops without end, or prints gigabytes, is stopped."""

    timeout: Seconds = Limits().timeout
    """Processor time for all files together."""
    max_size: Size = Limits().max_size
    """Characters of all files together, and of any text that templates make on the way."""


class TargetSettings(Section):
    """One proxy to feed."""

    templates: Templates
    """Built-in set or directory; of a list, the first that has a file wins."""
    output: Path | None = None
    """Directory of the rendered files; default: /var/lib/lbgen/TARGET."""
    render: RenderSettings = RenderSettings()
    apply: ApplySettings = ApplySettings()
    stats_socket: Path | None = None
    """HAProxy's stats socket; default: haproxy.sock beside the master socket or in `output`."""
    probe: str = ""
    """ADDRESS:PORT where the proxy answers what it serves. Nginx: for lbgen alone, default 127.0.0.1:9180; Traefik: its
    API, default 127.0.0.1:8080."""
    listeners: Texts | None = None
    """Listeners that this proxy serves; default: all."""
    binary: Program | None = None
    """The proxy's program, for the check and for apply.run; default: that of the template set."""
    options: dict[str, Any] = {}
    """Values for the template set's own options, see its set.yml."""


LEAST_HEADERS, MOST_HEADERS = 8 << 10, 256 << 10


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

    @model_validator(mode="after")
    def _paths(self) -> ListenerSettings:
        if self.tls and self.tls.http3 and (self.protocol != "http" or self.proxy_protocol):
            raise ValueError(
                "tls.http3 is for listeners of protocol http, without proxy_protocol: QUIC has no such thing"
            )
        for key in ("access_log", "encoded_slashes", "max_headers"):
            if self.protocol != "http" and getattr(self, key) not in (None, "pass"):
                raise ValueError(f"{key} is for listeners of protocol http, this one is of {self.protocol}")
        if self.max_headers is not None and not LEAST_HEADERS <= self.max_headers <= MOST_HEADERS:
            raise ValueError(f"max_headers: {self.max_headers} is not between 8k and 256k")
        return self

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
    proxy_protocol: bool = False
    """Connections begin with a PROXY header (version 1 or 2), which says who the client is; where there are
    `trusted_proxies`, those from there."""

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


class LogSettings(Section):
    """Log lines go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Section):
    """All settings of lbgen."""

    source: SourceSettings = SourceSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    listeners: dict[Name, ListenerSettings] = {"web": ListenerSettings(bind=":80")}
    default_listeners: Texts = []
    """Listeners of routes that name none; default: web if there is one, else the only one."""
    certificates: Path = Path("/etc/lbgen/certs")
    """Directory of PEM files (certificate chain and key) for listeners with tls; default.pem is for all other names."""
    users: Path = Path("/etc/lbgen/users")
    """Directory of the files that label basic-auth names: lines NAME:HASH, as `htpasswd -nB NAME` prints them."""
    client_cas: Path = Path("/etc/lbgen/client-ca")
    """Directory of the files NAME.pem that label client-ca names: authorities of clients' certificates."""
    server_cas: Path = Path("/etc/lbgen/server-ca")
    """Directory of the files NAME.pem that label server-ca names: authorities of servers' certificates."""
    pages: Path = Path("/etc/lbgen/pages")
    """Directory of the pages that label error-pages names, .html, .txt, .json, .xml or .svg, each of 14 kB at most."""
    claims: list[ClaimSettings] = []
    """Which services may use what: a route is allowed if one entry that is for its service allows all of it. Without
    entries everything is allowed."""
    targets: dict[Name, TargetSettings] = {}
    min_reload_interval: Seconds = 1.0
    """Least time between two reloads of a proxy; changes meanwhile are applied together."""
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _known_listeners(self) -> Settings:
        named = {"default_listeners": self.default_listeners}
        named |= {f"claims.{number}.listeners": claim.listeners or [] for number, claim in enumerate(self.claims)}
        named |= {f"targets.{name}.listeners": target.listeners or [] for name, target in self.targets.items()}
        for setting, names in named.items():
            if unknown := [name for name in names if name not in self.listeners]:
                raise ValueError(f"{setting} names {', '.join(unknown)}, listeners are {', '.join(self.listeners)}")
        return self

    @model_validator(mode="after")
    def _distinct_binds(self) -> Settings:
        """Two listeners of one proxy on one port: HAProxy would share the connections out between them."""
        for served in [target.listeners for target in self.targets.values()] or [None]:
            by_bind: dict[tuple[bool, tuple[str, int]], str] = {}
            for name, listener in self.listeners.items():
                if served is None or name in served:
                    address, port = listener.where
                    where = ("*" if address == "0.0.0.0" else address, port)
                    first = by_bind.setdefault((listener.protocol == "udp", where), name)
                    if first != name:
                        raise ValueError(f"listeners {first} and {name} both bind {listener.bind}")
        return self

    def rules(self) -> Rules:
        """Return the settings that the model depends on."""
        defaults = self.default_listeners or (
            ["web"] if "web" in self.listeners else list(self.listeners) if len(self.listeners) == 1 else []
        )
        return Rules(
            listeners=tuple(_listener(name, listener) for name, listener in sorted(self.listeners.items())),
            default_listeners=tuple(defaults),
            expose_by_default=self.discovery.expose_by_default,
            networks=tuple(self.discovery.networks),
            nodes=self.discovery.nodes,
            node_cidrs=tuple(self.discovery.node_cidrs),
            dialects=tuple(self.discovery.dialects),
            any_health_check=self.discovery.any_health_check,
            claims=tuple(claim.claim() for claim in self.claims),
            provider=self.discovery.traefik.provider(),
        )


def _listener(name: str, settings: ListenerSettings) -> Listener:
    address, port = settings.where
    tls = settings.tls or ListenerTlsSettings()
    return Listener(
        name,
        address,
        port,
        settings.protocol,
        settings.tls is not None,
        tls_minimum=tls.minimum,
        strict_sni=tls.strict_sni,
        http3=tls.http3,
        access_log=AccessLog(settings.access_log.format, settings.access_log.to) if settings.access_log else None,
        trusted_proxies=tuple(sorted(set(settings.trusted_proxies))),
        proxy_protocol=settings.proxy_protocol,
        encoded_slashes=settings.encoded_slashes,
        public_port=settings.public_port or 0,
        max_headers=settings.max_headers or 32 << 10,
        hello_timeout=5.0 if settings.hello_timeout is None else settings.hello_timeout,
    )
