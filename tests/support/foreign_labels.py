"""What the labels of other programs say, as tests ask it."""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.context import LabelContext, Listeners, Ports, Provider
from lbgen.labels.dialects import DOCKERFLOW, TRAEFIK
from lbgen.labels.keys.table import FIELDS, RouteKeys
from lbgen.labels.match import alternatives
from lbgen.labels.route_spec import ClosedSpec, RouteSpec, ServiceLabels
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.substitution import Substitution, UrlRedirect

LISTENERS = Listeners(("web",), frozenset({"web"}), frozenset({"websecure"}))
# A router and its service, as most of Traefik's labels need them; and what all its routes have by default.
APP = {"http.routers.app.rule": "Host(`a.org`)", "http.services.app.loadbalancer.server.port": "80"}
TRAEFIK_DEFAULTS = {"health_check": "off", "timeout_response": 86400.0, "timeout_idle": 86400.0}
PORTS = Ports((("http", 80, "web"), ("http", 443, "websecure"), ("tcp", 5432, "pg")))


def traefik_labels(labels: Mapping[str, str], **provider: str | tuple[str, ...]) -> ServiceLabels:
    """What the labels ``traefik.<key>`` of an exposed service ``shop`` say."""
    written = {f"traefik.{key}": value for key, value in labels.items()}
    context = LabelContext(expose_by_default=True, provider=Provider(**provider), listeners=LISTENERS)
    return TRAEFIK.parse("shop", written, context).alone


def traefik_route(labels: Mapping[str, str], **provider: str | tuple[str, ...]) -> RouteSpec:
    """The one route of ``traefik.<key>`` labels without a problem."""
    return only_route(traefik_labels(labels, **provider))


def dockerflow_labels(labels: Mapping[str, str]) -> ServiceLabels:
    """What the labels ``com.df.<parameter>`` of a service ``shop`` say that takes part."""
    written = {f"com.df.{name}": value for name, value in labels.items()}
    return DOCKERFLOW.parse("shop", {"com.df.notify": "true", **written}, LabelContext(ports=PORTS))


def dockerflow_route(labels: Mapping[str, str]) -> RouteSpec:
    """The one route of ``com.df.<parameter>`` labels without a problem."""
    return only_route(dockerflow_labels(labels))


def only_route(labels: ServiceLabels) -> RouteSpec:
    """The one route of labels without a problem."""
    assert [str(problem) for problem in labels.problems] == []
    (route,) = labels.routes
    return route


def unusual(keys: RouteKeys, defaults: Mapping[str, object] | None = None) -> dict[str, object]:
    """What differs from the defaults of lbgen's own labels, and from those of a dialect."""
    usual = RouteKeys()
    values = {name: getattr(keys, name) for name in FIELDS}
    return {
        name: value
        for name, value in values.items()
        if value != getattr(usual, name) and (not defaults or value != defaults.get(name))
    }


def matches(route: RouteSpec | ClosedSpec) -> list[str]:
    """The alternatives of a route, for people."""
    return [" && ".join(map(str, tests)) or "everything" for tests in alternatives(route.match)]


def plain(value: object) -> object:
    """A value as YAML writes it."""
    if isinstance(value, ServiceUrl | Substitution | UrlRedirect):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value
