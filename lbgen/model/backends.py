"""A route's backend: how its servers are used, which is all in its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lbgen.model.cookies import always_secure
from lbgen.model.health import health_check
from lbgen.model.last_servers import in_service
from lbgen.model.mirrors import mirror_of
from lbgen.model.names import check_server_keys, check_verifiable, server_name
from lbgen.model.pages import error_pages
from lbgen.model.routes import RouteRequest
from lbgen.model.servers import RouteServers, Surroundings, route_servers
from lbgen.model.types import Backend, Redirect, Route, Rules
from lbgen.snapshot import STACK, Service, Task

HTTPS = 443  # the port that a URL need not name


def route_backend(
    service: Service,
    tasks: Sequence[Task],
    request: RouteRequest,
    around: Surroundings,
    siblings: Sequence[RouteRequest] = (),
) -> tuple[Backend, RouteServers]:
    """Return a route's backend, and how its servers were chosen.

    Of a route with a group these are all that may serve: which of them do is for the group to decide.

    Args:
        siblings: all routes of the service.

    Raises:
        BadValue: nothing says, or too many things say, where the traffic should go, or who the servers are; the route
            is not served.
    """
    keys, protocol = request.spec.keys, request.spec.protocol
    if keys.redirect or keys.deny:  # it is answered by the proxy itself
        chosen = RouteServers("")
    else:
        chosen = route_servers(service, tasks, keys, around, "udp" if protocol == "udp" else "tcp")
    servers = [replace(server, weight=keys.weight, backup=keys.backup) for server in chosen.servers]
    check_server_keys(keys)
    name = server_name(keys, request.spec.match) if keys.scheme == "https" else ""
    if not keys.group:  # there it is that of the service that leads it
        check_verifiable(keys.server_ca, name)
    backend = Backend(
        name=request.route.backend,
        service=service.name,
        route=request.spec.name,
        protocol=protocol,
        via=chosen.via,
        servers=tuple(servers) if keys.group else in_service(servers),
        balance="source" if keys.sticky == "source" else keys.balance,
        weight=keys.weight,
        health_check=None
        if protocol == "udp" or keys.redirect or keys.deny
        else health_check(service, keys, request.spec.match, chosen.via, anything=around.rules.any_health_check),
        timeout_connect=keys.timeout_connect,
        timeout_response=keys.timeout_response,
        timeout_idle=keys.timeout_idle,
        retries=keys.retries,
        max_conn=keys.max_conn,
        backup=keys.backup,
        sticky_cookie="" if keys.sticky in ("", "source") else keys.sticky,
        cookie=request.cookie,
        redirect=Redirect(keys.redirect_code, keys.redirect) if keys.redirect else None,
        redirect_https=keys.redirect_https,
        https_port=_https_port(request, siblings, around.rules),
        scheme=keys.scheme,
        slow_start=keys.slow_start,
        send_proxy=keys.send_proxy,
        policy=request.policy,
        client_ca=keys.client_ca,
        client_ca_headers=keys.client_ca_headers,
        secure_cookie=protocol == "http"
        and always_secure(request.cookie, by_https=keys.redirect_https or _has_tls_only(request.route, around.rules)),
        mirror=mirror_of(keys),
        error_pages=error_pages(keys.error_pages),
        deny=keys.deny_status if keys.deny else 0,
        stack=service.labels.get(STACK, ""),
        network=chosen.network.network.name if chosen.network else "",
        server_ca=keys.server_ca,
        server_name=name,
    )
    return backend, chosen


def _https_port(request: RouteRequest, siblings: Sequence[RouteRequest], rules: Rules) -> int:
    """Return the port that redirect-https leads to: of a TLS listener of the route, else of the service, else any."""
    if not request.spec.keys.redirect_https:
        return HTTPS
    secure = [listener for listener in rules.listeners if listener.tls and listener.protocol == "http"]
    ports = {listener.name: listener.public_port or listener.port for listener in secure}
    own = (ports[name] for each in (request, *siblings) for name in each.route.listeners if name in ports)
    return request.spec.keys.redirect_https_port or next(own, next(iter(ports.values()), HTTPS))


def _has_tls_only(route: Route, rules: Rules) -> bool:
    """Tell whether all listeners of a route have TLS."""
    return all(listener.tls for listener in rules.listeners if listener.name in route.listeners)
