"""Working labels of every dialect, and each of them broken in each of several ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lbgen.labels.context import LabelContext, Listeners, Ports
from lbgen.labels.dialects import parse
from lbgen.labels.route_spec import ServiceLabels
from tests.support.closed_rows import CONTROL, misspelt

CONTEXT = LabelContext(
    ("lbgen", "traefik", "dockerflow"),
    listeners=Listeners(("web",), frozenset({"web"}), frozenset({"websecure"})),
    ports=Ports((("http", 80, "web"), ("http", 443, "websecure"), ("tcp", 5432, "pg"))),
)
_APP = {
    "traefik.enable": "true",
    "traefik.http.routers.app.rule": "Host(`a.org`)",
    "traefik.http.services.app.loadbalancer.server.port": "80",
}
WORKING: Mapping[str, Mapping[str, str]] = {
    "native": {
        "lbgen.enable": "true",
        "lbgen.host": "a.org",
        "lbgen.port": "8080",
        "lbgen.health-check.path": "/up",
        "lbgen.allow-ip": "192.0.2.0/24",
    },
    "native-routes": {
        "lbgen.enable": "true",
        "lbgen.port": "8080",
        "lbgen.http.shop.host": "a.org",
        "lbgen.http.shop.path": "/shop",
        "lbgen.http.admin.host": "a.org",
        "lbgen.http.admin.basic-auth": "staff",
        "lbgen.tcp.db.listener": "pg",
        "lbgen.tcp.db.port": "5432",
    },
    "traefik": _APP,
    "traefik-https": {
        **_APP,
        "traefik.http.routers.app.entrypoints": "websecure",
        "traefik.http.routers.app.tls": "true",
        "traefik.http.routers.app.service": "app",
        "traefik.http.routers.app-http.rule": "Host(`a.org`)",
        "traefik.http.routers.app-http.entrypoints": "web",
        "traefik.http.routers.app-http.middlewares": "to-https",
        "traefik.http.middlewares.to-https.redirectscheme.scheme": "https",
    },
    "traefik-guarded": {
        **_APP,
        "traefik.http.routers.app.middlewares": "guards",
        "traefik.http.middlewares.guards.chain.middlewares": "inside,slow",
        "traefik.http.middlewares.inside.ipallowlist.sourcerange": "192.0.2.0/24",
        "traefik.http.middlewares.slow.ratelimit.average": "100",
        "traefik.http.middlewares.slow.ratelimit.burst": "50",
    },
    "traefik-two-services": {
        **_APP,
        "traefik.http.routers.app.service": "app",
        "traefik.http.routers.api.rule": "Host(`a.org`) && PathPrefix(`/api`)",
        "traefik.http.routers.api.service": "api",
        "traefik.http.services.api.loadbalancer.server.port": "81",
        "traefik.http.services.api.loadbalancer.healthcheck.interval": "10s",
    },
    "traefik-tcp": {
        "traefik.enable": "true",
        "traefik.tcp.routers.db.rule": "HostSNI(`*`)",
        "traefik.tcp.routers.db.entrypoints": "pg",
        "traefik.tcp.services.db.loadbalancer.server.port": "5432",
    },
    "dockerflow": {
        "com.df.notify": "true",
        "com.df.serviceDomain": "a.org",
        "com.df.serviceDomainAlgo": "hdr(host)",
        "com.df.servicePath": "/api",
        "com.df.port": "8080",
        "com.df.httpsOnly": "true",
    },
    "dockerflow-two": {
        "com.df.notify": "true",
        "com.df.serviceDomainAlgo": "hdr(host)",
        "com.df.serviceDomain": "a.org",
        "com.df.servicePath.1": "/",
        "com.df.port.1": "8080",
        "com.df.servicePath.2": "/admin",
        "com.df.port.2": "8081",
        "com.df.users.2": "joe:pw",
    },
}


@dataclass(frozen=True)
class Mistake:
    """A label of a working set, broken."""

    of: str
    label: str
    way: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.of}-{self.label}-{self.way}"

    def said(self) -> ServiceLabels:
        """What the labels of a service ``shop`` say with it."""
        return parse("shop", self.labels, CONTEXT)


def mistakes(name: str) -> Iterator[Mistake]:
    """Yield all of one working set."""
    working = WORKING[name]
    for label in working:
        for way, broken in _ways(working, label):
            yield Mistake(name, label, way, broken)


def _ways(working: Mapping[str, str], label: str) -> Iterator[tuple[str, dict[str, str]]]:
    others = {key: value for key, value in working.items() if key != label}
    value = working[label]
    for way, written in _renamed(label):
        yield way, {**others, written: value}
    for way, bad in (("control", CONTROL), ("empty", " "), ("bad", "!")):
        yield way, {**others, label: bad}
    yield "missing", others
    prefix = next(prefix for prefix in ("lbgen.", "traefik.", "com.df.") if label.startswith(prefix))
    yield "twice", {**working, prefix + label.removeprefix(prefix).upper(): value}


def _renamed(label: str) -> Iterator[tuple[str, str]]:
    words = label.split(".")
    last = -2 if words[-1].isdecimal() else -1
    yield "misspelt", ".".join([*words[:last], misspelt(words[last]), *words[len(words) + last + 1 :]])
    if len(words) > 4:  # traefik.http.routers.NAME.option
        yield "name", ".".join([*words[:3], misspelt(words[3]), *words[4:]])
        yield "kind", ".".join([*words[:2], misspelt(words[2]), *words[3:]])
        yield "dots", ".".join([*words[:3], f"my.{words[3]}", *words[4:]])
    if words[0] == "lbgen" and len(words) > 3 and words[1] in ("http", "tcp"):
        yield "name", ".".join([*words[:2], misspelt(words[2]), *words[3:]])
        yield "dots", ".".join([*words[:2], f"my.{words[2]}", *words[3:]])
