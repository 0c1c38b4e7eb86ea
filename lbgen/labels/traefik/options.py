"""What each option of a Traefik router or service means here: a field of `RouteKeys`, a remark, or too much.

Source: traefik 3.7 pkg/config/dynamic/http_config.go, tcp_config.go, udp_config.go; pkg/healthcheck/healthcheck.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.foreign_options import Left, Lost, Noted, Table, Taken, duration, flag
from lbgen.labels.keys.cookies import LONGEST
from lbgen.labels.values import basic, http
from lbgen.labels.values.value_type import BadValue


def _check_path(text: str) -> str:
    """A path of the server's, which Traefik reads as one below / where it has no slash."""
    return http.path_and_query(text if text.startswith("/") else f"/{text}")


def _strategy(text: str) -> str:
    known = {"wrr": "round-robin", "p2c": "random", "hrw": "source", "leasttime": "least-conn"}
    if text.lower() in known:
        return known[text.lower()]
    raise BadValue("is not a strategy", f"write one of {', '.join(known)}")


def _cookie(text: str) -> str:
    return http.sticky(f"cookie:{text}")


def _max_age(text: str) -> object:
    seconds = basic.integer(-(10**9), 10**10)(text)
    if seconds < 0:
        return Noted(None, BadValue("is left out: browsers would forget the cookie at once", "write 0, or remove it"))
    return float(min(seconds, LONGEST)) or None  # 0: until the browser is closed


def _same_site(text: str) -> str:
    return "lax" if text.lower() == "default" else basic.choice("lax", "strict", "none")(text.lower())


def _cookie_for_all(text: str) -> object:
    """An attribute that the cookie does not have, though it asks for the cookie."""
    return Noted(text, BadValue("is left out: the cookie is for all paths of the host alone", "remove it"))


def _sticky(text: str) -> object:
    if flag(text):
        return Noted(True, BadValue("is left out: without a cookie it means nothing", "add sticky.cookie=true"))
    return False


def _follow(text: str) -> object:
    if flag(text):
        return Noted(True, BadValue("is left out: a redirect counts as a good answer", "remove it"))
    return False


def _mode(text: str) -> object:
    if text.lower() == "grpc":
        note = BadValue("is left out: nothing asks by gRPC, so a connection that comes about is a good answer", _PATH)
        return Noted("tcp", note)
    return None  # Traefik takes any other word for http


_PATH = "remove it, or check by a path"


_OBSERVED = Left("is left out: logs, metrics and traces are the proxy's own here", "remove it")
_CERTIFICATE = Left("is left out: certificates are files here", "put one into the directory of setting certificates")
_ELSEWHERE = "is not a load balancer of this service's own tasks"
_LEAVE = "remove it, or leave the service to Traefik"

_UNKNOWN = Lost(
    "is unknown, or cannot be honoured", "correct its name, or leave the service to Traefik", otherwise=True
)

ROUTER: Table = {
    "rule": Taken(str, "rule", lines=True),
    "entrypoints": Taken(basic.list_of(basic.name), "listener"),
    "priority": Taken(basic.integer(0, 1_000_000), "priority"),
    "service": Taken(str, "_service"),
    "middlewares": Taken(basic.list_of(str), "_middlewares"),
    "tls": Taken(lambda text: text.lower() == "true", "_tls"),
    "tls.certresolver": _CERTIFICATE,
    "tls.domains[n].main": _CERTIFICATE,
    "tls.domains[n].sans": _CERTIFICATE,
    "tls.options": Taken(str, "_tls_options"),
    "rulesyntax": Taken(basic.choice("v2", "v3"), "_syntax"),
    "observability.<>": _OBSERVED,
    "encodedcharacters.<>": Left(
        "is left out: which characters may be encoded is the listener's own business, in Traefik its entry point's",
        "set listeners.NAME.encoded_slashes",
    ),
}
SERVICE: Table = {
    "loadbalancer.server.port": Taken(basic.port, "port"),
    "loadbalancer.server.scheme": Taken(basic.choice("http", "https", "h2c"), "scheme"),
    "loadbalancer.server.weight": Taken(basic.integer(0, 256), "weight"),
    "loadbalancer.server.preservepath": Taken(flag),
    "loadbalancer.passhostheader": Taken(flag, "_pass_host"),
    "loadbalancer.serverstransport": Taken(str, "_transport"),
    "loadbalancer.strategy": Taken(_strategy, "balance"),
    "loadbalancer.healthcheck.path": Taken(_check_path, "health_check_path"),
    "loadbalancer.healthcheck.interval": Taken(duration(0.1, 3600, usual=30), "health_check_interval"),
    "loadbalancer.healthcheck.timeout": Taken(duration(0.01, 600, usual=5), "health_check_timeout"),
    "loadbalancer.healthcheck.port": Taken(basic.port, "health_check_port"),
    "loadbalancer.healthcheck.hostname": Taken(http.host, "health_check_host"),
    "loadbalancer.healthcheck.method": Taken(basic.choice("GET", "HEAD", "OPTIONS", "POST"), "health_check_method"),
    "loadbalancer.healthcheck.status": Taken(http.status_codes, "health_check_status"),
    "loadbalancer.healthcheck.scheme": Taken(basic.choice("http", "https"), "health_check_scheme"),
    "loadbalancer.healthcheck.mode": Taken(_mode, "_health_check_kind"),
    "loadbalancer.healthcheck.headers.<>": Taken(http.header_value, "_health_check_headers", secret=True),
    "loadbalancer.healthcheck.followredirects": Taken(_follow),
    "loadbalancer.healthcheck.unhealthyinterval": Left("is left out: the usual interval holds for bad servers too"),
    "loadbalancer.passivehealthcheck.<>": Left("is left out: a server is judged by loadbalancer.healthcheck"),
    "loadbalancer.sticky": Taken(_sticky),
    "loadbalancer.sticky.cookie": Taken(lambda text: text.lower() == "true", "_cookie"),
    "loadbalancer.sticky.cookie.name": Taken(_cookie, "sticky"),
    "loadbalancer.sticky.cookie.secure": Taken(flag, "sticky_secure"),
    "loadbalancer.sticky.cookie.httponly": Taken(flag, "sticky_http_only"),
    "loadbalancer.sticky.cookie.samesite": Taken(_same_site, "sticky_same_site"),
    "loadbalancer.sticky.cookie.maxage": Taken(_max_age, "sticky_max_age"),
    **{f"loadbalancer.sticky.cookie.{name}": Taken(_cookie_for_all, "_cookie_too") for name in ("path", "domain")},
    "loadbalancer.responseforwarding.flushinterval": Left("is left out: it tunes Traefik alone", "remove it"),
    "loadbalancer.<>": _UNKNOWN,
    "weighted.<>": Lost(_ELSEWHERE),
    "mirroring.<>": Lost(_ELSEWHERE),
    "failover.<>": Lost(_ELSEWHERE),
    "highestrandomweight.<>": Lost(_ELSEWHERE),
    "errors.<>": Lost(_ELSEWHERE),
}
TCP_ROUTER: Table = {
    **{key: ROUTER[key] for key in ("rule", "entrypoints", "priority", "service", "tls", "rulesyntax")},
    "middlewares": Taken(basic.list_of(str), "_middlewares"),
    "tls.passthrough": Taken(flag, "passthrough"),
    "tls.certresolver": _CERTIFICATE,
    "tls.domains[n].main": _CERTIFICATE,
    "tls.domains[n].sans": _CERTIFICATE,
    "tls.options": ROUTER["tls.options"],
}
TCP_SERVICE: Table = {
    "loadbalancer.server.port": Taken(basic.port, "port"),
    "loadbalancer.server.tls": Taken(flag, "server_tls"),
    "loadbalancer.proxyprotocol": Taken(flag, "_proxy"),
    "loadbalancer.proxyprotocol.version": Taken(lambda text: f"v{basic.number(1, 2)(text)}", "send_proxy"),
    "loadbalancer.serverstransport": Left(
        "is left out: what it says is not known here", "if it has proxyProtocol, add loadbalancer.proxyProtocol.version"
    ),
    "loadbalancer.terminationdelay": Left("is left out: it tunes Traefik alone", "remove it"),
    "loadbalancer.<>": _UNKNOWN,
    "weighted.<>": Lost(_ELSEWHERE),
}
UDP_ROUTER: Table = {key: ROUTER[key] for key in ("entrypoints", "service")}
UDP_SERVICE: Table = {"loadbalancer.server.port": Taken(basic.port, "port"), "weighted.<>": Lost(_ELSEWHERE)}
TABLES: Mapping[tuple[str, str], Table] = {
    ("http", "routers"): ROUTER,
    ("http", "services"): SERVICE,
    ("tcp", "routers"): TCP_ROUTER,
    ("tcp", "services"): TCP_SERVICE,
    ("udp", "routers"): UDP_ROUTER,
    ("udp", "services"): UDP_SERVICE,
}
