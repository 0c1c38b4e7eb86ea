"""Listeners, routes, backends and servers: the public vocabulary of every template.

This is a contract (context version 1): fields are added, never renamed or removed. Durations are seconds.
All sequences are sorted, so equal facts render equal bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.context import LabelContext, Ports, Provider, Ways
from lbgen.labels.definitions import Definitions, DefinitionsByPart
from lbgen.labels.match import Alternative
from lbgen.labels.values.users import LabelUsers
from lbgen.model.cookies import USUAL, Cookie
from lbgen.model.entries import AccessLog, Cell, ListenerRedirect, Refusal, Rule, Screen, Stream, TlsHost
from lbgen.model.label_listeners import carrying
from lbgen.model.pages import ErrorPage, PageService
from lbgen.model.policy import NOTHING, Policy

CONTEXT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Server:
    """One place that receives traffic: a task, a node's published port, or a virtual IP."""

    name: str  # "<service>.<slot>" or "<service>.<node>": outlives the task, so counters and sticky sessions do too
    address: str  # IP literal
    port: int  # 1..65535
    state: str  # "up", or "drain": no new sessions, existing ones finish
    node: str  # hostname of the node; empty for a virtual IP
    origin: str  # id of the task, node or service it stands for
    weight: int = 100  # share of the traffic among the backend's servers, 0..256; 0: none
    backup: bool = False  # a standby: gets requests only while no server of the backend that is none is up
    leaving: bool = False  # it is to go: it drains, or is "up" since no other server of the backend is


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How the proxy asks a server whether it is well."""

    kind: str  # "http" or "tcp"
    interval: float  # between two checks of a server
    timeout: float  # of one check
    rise: int  # so many good checks, and a server that was down is up
    fall: int  # so many bad ones, and it is down
    path: str = "/"  # this and what follows: kind http only
    method: str = "GET"
    host: str = ""  # Host header; empty: the server's address and port
    status: tuple[tuple[int, int], ...] = ((200, 399),)  # inclusive ranges of good statuses
    scheme: str = "http"  # http, https, h2c; of kind tcp: https, where a check is a TLS handshake, or http
    port: int | None = None  # None: the server's own
    server_name: str = ""  # with scheme https, the TLS name (SNI) that is asked for; empty: none
    headers: tuple[tuple[str, str], ...] = ()  # that it has besides Host, by lower-case name


@dataclass(frozen=True, slots=True)
class Redirect:
    """The answer of a backend that has no servers of its own: go elsewhere."""

    code: int  # 301, 302, 307, 308
    # The URL: ("text", "https://"), ("host", ""), ("path", ""), ("query", ""); ("search", ""): the query with its "?",
    # nothing without one; ("uri", ""): path and query as the client sent them.
    parts: tuple[tuple[str, str], ...]  # the URL, piece by piece: (kind, text)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Who gets a copy of requests, with their bodies; what is answered is thrown away."""

    name: str  # of the service or group, as the label has it
    percent: int  # of the requests, 1..100
    scheme: str = "http"  # spoken to servers: "http", "h2c"
    servers: tuple[Server, ...] = ()  # all up; none: nothing is copied


@dataclass(frozen=True, slots=True)
class Backend:
    """The servers of one route and how they are used. Without servers (and `redirect`) it answers 503."""

    # Unique: "shop", "shop.http.api" of a named route, "shop.group" of a group, "authelia.login" of a service that a
    # policy's forward_auth asks.
    name: str
    service: str  # of a group, the one that leads it
    route: str  # as in lbgen.http.<route>; empty for the route made of short keys
    protocol: str  # "http", "tcp" or "udp"
    via: str  # "mesh", "host", "task" or "vip": what auto became; empty for a redirect, and for addresses
    servers: tuple[Server, ...]
    balance: str  # "round-robin", "least-conn", "source", "random"
    weight: int  # of each server, 0..256; in a group, where each server's own counts, the largest there can be
    health_check: HealthCheck | None
    timeout_connect: float  # until a server has taken the connection
    timeout_response: float  # until it begins to answer
    timeout_idle: float  # without a byte in either direction, of a TCP or upgraded connection
    retries: int  # with other servers, after a failed connect
    max_conn: int | None  # concurrent requests for each server
    backup: bool  # all its servers are standbys, as their own `backup` says
    sticky_cookie: str = ""  # protocol http: name of the cookie that keeps a client with its server; empty: none
    cookie: Cookie = USUAL  # attributes of that cookie
    redirect: Redirect | None = None  # protocol http
    redirect_https: bool = False  # protocol http: on a listener without TLS, 308 to the same URL with https
    scheme: str = "http"  # protocol http: spoken to servers: "http", "https" (see `server_ca`), "h2c"
    slow_start: float = 0.0  # until a server that has come up gets its full share; 0: at once
    send_proxy: str = ""  # PROXY protocol to servers: "v1", "v2"; empty: none
    policy: Policy = NOTHING  # what happens to requests and answers on their way
    client_ca: str = ""  # protocol http: name of the authority that clients need a certificate of; empty: they do not
    deny: int = 0  # protocol http: the status that every request is answered with, in place of a server; 0: none
    client_ca_headers: bool = False  # servers are told of that certificate
    https_port: int = 443  # protocol http: that `redirect_https` leads to, as clients see it
    mirror: Mirror | None = None  # protocol http
    error_pages: tuple[ErrorPage, ...] = ()  # protocol http; no status is in two of them
    page_services: tuple[PageService, ...] = ()  # protocol http; no status is in two of these and `error_pages`
    secure_cookie: bool = False  # the sticky cookie has the attribute Secure, by http as well
    server_ca: str = ""  # with TLS to servers: the authority that vouches for their certificates; empty: none
    server_name: str = ""  # with TLS to servers: their TLS name (SNI); empty: the one that the client asks for
    stack: str = ""  # of the service; empty: it is of none
    network: str = ""  # name of the one on which servers are reached; empty: by nodes' addresses (via mesh, host)
    members: tuple[str, ...] = ()  # of a group: the services that share the backend, the one that leads it first
    server_tls: bool = False  # protocol tcp: TLS is spoken to servers

    @property
    def by_tls(self) -> bool:
        """Whether TLS is spoken to servers."""
        return self.scheme == "https" or self.server_tls

    @property
    def about(self) -> str:
        """Where it comes from, for a comment: "service shop_web; stack shop; network edge; via task"."""
        if not self.service:
            answers = "a listener's redirect" if self.redirect else "no service's: it answers what must not reach one"
            return "an address that labels name" if self.servers else answers
        named = f"services {', '.join(self.members)}" if len(self.members) > 1 else f"service {self.service}"
        said = (("stack", self.stack), ("network", self.network), ("via", self.via))
        return "; ".join([named, *(f"{what} {name}" for what, name in said if name)])


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests of its listeners go to one backend."""

    name: str  # the backend's name
    backend: str
    service: str
    protocol: str  # "http", "tcp" or "udp"
    listeners: tuple[str, ...]
    alternatives: tuple[Alternative, ...]  # the match as an OR of ANDs; one empty alternative: always
    priority: int | None  # as the label says; None: the length of the alternative that matched
    age: tuple[float, str]  # creation time and id of the service: the smaller is older and wins a conflict
    certificate: str = ""  # name of the one for its hosts; empty: by host
    client_ca: str = ""  # as the backend's
    guarded: bool = False  # some requests are kept from the application
    refusals: tuple[Refusal, ...] = ()  # of its backend; a listener's screens have them
    passthrough: bool = False  # protocol tcp: TLS goes to the servers as it is


@dataclass(frozen=True, slots=True)
class Closed:
    """Requests that a service refuses, since its route for them cannot be honoured there.

    Of those that another of its routes would take none reaches a server (`Screen`); other services' routes do not see
    it. Where nobody takes them they are answered as well.
    """

    name: str  # as the route's would be
    service: str
    protocol: str
    listeners: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    age: tuple[float, str]  # as the route's would be
    status: int  # 403: a guard is missing; 503
    unclaimed: int = 503  # the answer where no route takes the request; 0: as if this were not there
    guarded: bool = True  # the route keeps some requests from the application, however their paths are spelt
    answers: Policy = NOTHING  # headers of these answers, as the route has them


@dataclass(frozen=True, slots=True)
class Listener:
    """A port the proxy accepts connections on, and what it does with them."""

    name: str
    address: str  # "*" for all addresses of IPv4 and IPv6
    port: int
    protocol: str  # "http", "tcp" or "udp"
    tls: bool
    cells: tuple[Cell, ...] = ()  # protocol http: sorted by host, path
    rules: tuple[Rule, ...] = ()  # protocol http: in the order to ask
    names: tuple[tuple[str, str], ...] = ()  # protocol tcp: (TLS server name or "*.name", backend), sorted
    default: str = ""  # protocols tcp, udp: backend for every other connection; empty: refuse
    hosts: tuple[TlsHost, ...] = ()  # protocol http with tls: the hosts that something is chosen for; "*" last
    screens: tuple[Screen, ...] = ()  # protocol http: asked about the backend that was found, in this order
    encoded_slashes: str = "pass"  # protocol http: "pass", or "reject": 400 to %2F, %5C and a backslash in a path
    max_headers: int = 32 << 10  # protocol http: bytes of a request's line and headers together that are accepted
    trusted_proxies: tuple[str, ...] = ()  # networks of load balancers before it: what they say of clients is believed
    proxy_protocol: bool = False  # protocols http, tcp: connections begin with a PROXY header, version 1 or 2
    hello_timeout: float = 5.0  # protocol tcp without tls: until the client's TLS has begun, where there are names
    public_port: int = 0  # that clients connect to, where something before the proxy changes it; 0: `port`
    tls_minimum: str = "1.2"  # with tls: the oldest version that clients may use, "1.2" or "1.3"
    strict_sni: bool = False  # with tls: handshakes are refused for names that no certificate is for, or without a name
    http3: bool = False  # protocol http with tls: HTTP/3, too, on the UDP port of the same number
    streams: tuple[Stream, ...] = ()  # of TCP, in this order: where routes ask for more than `names`, or beside HTTP
    access_log: AccessLog | None = None  # protocol http: one line for each request; None: the template set decides
    redirect: ListenerRedirect | None = None  # protocol http: as cells and rules say, to the backend "<name>.redirect"

    @property
    def answers(self) -> tuple[str, ...]:
        """The backends that cells, rules, screens and names lead to; sorted."""
        led = [item.backend for item in self.cells] + [item.backend for item in self.rules]
        led += [item.backend for item in self.screens] + [backend for _, backend in self.names]
        led += [item.backend for item in self.streams]
        return tuple(sorted({*led, self.default} - {""}))


@dataclass(frozen=True, slots=True)
class Basis:
    """What a model was decided by, besides the facts."""

    rules: Rules
    drained: Collection[str]  # ids of tasks and nodes whose time to drain was over
    definitions: DefinitionsByPart  # of all services, by which each one's labels were read


@dataclass(frozen=True, slots=True)
class Model:
    """Everything a template sees of the cluster, decided."""

    listeners: tuple[Listener, ...] = ()
    routes: tuple[Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()  # what services should know of each other; nothing is wrong
    closed: tuple[Closed, ...] = ()  # by name
    basis: Basis | None = field(default=None, compare=False, repr=False)  # not for templates; None: made by hand
    users: tuple[LabelUsers, ...] = ()  # that labels hold, sorted by name

    @property
    def servers(self) -> tuple[Server, ...]:
        """Every server of every backend, in backend order."""
        return tuple(server for backend in self.backends for server in backend.servers)

    def only(self, listeners: frozenset[str]) -> Model:
        """Return the part of the model that these listeners need: their routes, and the backends of those."""
        kept = tuple(listener for listener in self.listeners if listener.name in listeners)
        routes = tuple(route for route in self.routes if not listeners.isdisjoint(route.listeners))
        closed = tuple(item for item in self.closed if not listeners.isdisjoint(item.listeners))
        needed = {route.backend for route in routes}.union(*(listener.answers for listener in kept))
        logins = (backend.policy.forward_auth for backend in self.backends if backend.name in needed)
        needed |= {login.backend for login in logins if login}
        backends = tuple(backend for backend in self.backends if backend.name in needed)
        named = {backend.policy.users for backend in backends}
        users = tuple(item for item in self.users if item.name in named)
        return Model(kept, routes, backends, self.problems, self.remarks, closed, self.basis, users)


@dataclass(frozen=True, slots=True)
class Claim:
    """What some services may use. None: everything of this kind."""

    services: str = ""  # constraints, as `lbgen.model.claims` reads them; empty: all services
    hosts: tuple[str, ...] | None = None  # names, or "*.name" for all of a domain
    listeners: tuple[str, ...] | None = None
    ports: tuple[tuple[int, int], ...] | None = None  # inclusive ranges: those that the proxy connects to
    keys: tuple[str, ...] | None = None  # as in labels; "cors.*": all that begin like this
    deny_keys: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None  # None: any, shared with services of the same claim
    logins: tuple[str, ...] | None = None  # services and addresses, for forward-auth; None: services of the same claim


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the model depends on."""

    listeners: tuple[Listener, ...]
    default_listeners: tuple[str, ...]
    expose_by_default: bool = False
    networks: tuple[str, ...] = ()  # preferred, in this order
    nodes: str = ""  # placement constraints for mesh servers
    node_cidrs: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ("lbgen",)  # the vocabularies of labels that are read
    any_health_check: bool = False  # checks may ask any port, and with POST
    claims: tuple[Claim, ...] = ()  # who may use what; empty: all may use everything
    provider: Provider = field(default_factory=Provider)  # what Traefik's labels depend on besides
    ways: Ways = field(default_factory=Ways)  # where traffic goes if no label says it

    def label_context(self, definitions: Definitions | None = None, *, on_hosts: bool = False) -> LabelContext:
        """Return what labels are read with.

        Args:
            definitions: what names in them mean; None: what the labels themselves define.
            on_hosts: they are those of containers on hosts without Swarm.
        """
        ports = Ports(tuple((listener.protocol, listener.port, listener.name) for listener in self.listeners))
        http, tcp = (carrying(self.listeners, protocol, self.default_listeners) for protocol in ("http", "tcp"))
        return LabelContext(
            *(self.dialects, self.expose_by_default, self.provider, http, tcp, ports),
            definitions=definitions or self.provider.defined(),
            ways=self.ways.of_hosts if on_hosts else self.ways,
        )
