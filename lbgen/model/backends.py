"""A route's backend: how its servers are used, which is all in its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import Match
from lbgen.model.cookies import always_secure
from lbgen.model.health import health_check
from lbgen.model.last_servers import in_service
from lbgen.model.mirrors import mirror_of
from lbgen.model.names import check_server_keys, check_verifiable, server_name, speaks_tls
from lbgen.model.pages import error_pages, page_services
from lbgen.model.routes import RouteRequest
from lbgen.model.servers import RouteServers, Surroundings, route_servers
from lbgen.model.shares import shared_servers
from lbgen.model.types import Backend, Redirect, Rules, Server
from lbgen.snapshot import Service, Task

HTTPS = 443  # the port that a URL need not name


def route_backend(
    service: Service,
    tasks: Sequence[Task],
    request: RouteRequest,
    around: Surroundings,
    siblings: Sequence[RouteRequest] = (),
) -> tuple[Backend, RouteServers]:
    """Return a route's backend, and how its servers were chosen.

    Args:
        siblings: all routes of the service.
    Raises:
        BadValue: nothing says, or too many things say, where the traffic should go, or who the servers are; the route
            is not served.
    """
    keys, match, protocol, rules = request.spec.keys, request.spec.match, request.spec.protocol, around.rules
    has_servers = not (keys.redirect or keys.deny)  # else the proxy itself answers
    layer4 = "udp" if protocol == "udp" else "tcp"
    shared = shared_servers(service, request.spec, around, layer4) if has_servers and request.spec.shares else None
    if shared:
        chosen, servers = shared.chosen, shared.servers
    else:
        chosen = route_servers(service, tasks, keys, around, layer4) if has_servers else RouteServers("")
        servers = _own_servers(chosen, keys)
    checked = has_servers and protocol != "udp"
    via = "" if shared else chosen.via  # the ports of shares are asked about with each
    return replace(
        _as_labelled(request),
        service=service.name,
        stack=service.stack,
        via=chosen.via,
        network=chosen.network.network.name if chosen.network else "",
        servers=servers,
        members=shared.services if shared and shared.services != (service.name,) else (),
        health_check=health_check(service, keys, match, via, anything=rules.any_health_check) if checked else None,
        server_name=_server_name(keys, match),
        https_port=_https_port(request, siblings, rules),
        secure_cookie=_always_secure(request, rules),
    ), chosen


def _own_servers(chosen: RouteServers, keys: RouteKeys) -> tuple[Server, ...]:
    """Return the servers of a route without shares; which of a group's are in service is for the group to decide."""
    servers = [replace(server, weight=keys.weight, backup=keys.backup) for server in chosen.servers]
    return tuple(servers) if keys.group else in_service(servers)


def _as_labelled(request: RouteRequest) -> Backend:
    """Return the backend as far as its route's keys alone say it: without servers, and without who they are."""
    keys, protocol = request.spec.keys, request.spec.protocol
    return Backend(
        name=request.route.backend,
        service="",
        route=request.spec.name,
        protocol=protocol,
        via="",
        servers=(),
        balance="source" if keys.sticky == "source" else keys.balance,
        weight=keys.weight,
        health_check=None,
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
        scheme=keys.scheme,
        slow_start=keys.slow_start,
        send_proxy=keys.send_proxy,
        policy=request.policy,
        client_ca=keys.client_ca,
        client_ca_headers=keys.client_ca_headers,
        mirror=mirror_of(keys),
        error_pages=error_pages(keys.error_pages),
        page_services=page_services(keys.error_pages),
        deny=keys.deny_status if keys.deny else 0,
        server_ca=keys.server_ca,
        server_tls=keys.server_tls,
    )


def _server_name(keys: RouteKeys, match: Match) -> str:
    """Return the TLS name of a route's servers; raise BadValue if they could not be verified by it."""
    check_server_keys(keys)
    name = server_name(keys, match) if speaks_tls(keys) else ""
    if not keys.group:  # there it is that of the service that leads it
        check_verifiable(keys.server_ca, name)
    return name


def _https_port(request: RouteRequest, siblings: Sequence[RouteRequest], rules: Rules) -> int:
    """Return the port that redirect-https leads to: of a TLS listener of the route, else of the service, else any."""
    if not request.spec.keys.redirect_https:
        return HTTPS
    secure = [listener for listener in rules.listeners if listener.tls and listener.protocol == "http"]
    ports = {listener.name: listener.public_port or listener.port for listener in secure}
    own = (ports[name] for each in (request, *siblings) for name in each.route.listeners if name in ports)
    return request.spec.keys.redirect_https_port or next(own, next(iter(ports.values()), HTTPS))


def _always_secure(request: RouteRequest, rules: Rules) -> bool:
    """Tell whether the sticky cookie has the attribute Secure for each client."""
    listeners = (listener for listener in rules.listeners if listener.name in request.route.listeners)
    by_https = request.spec.keys.redirect_https or all(listener.tls for listener in listeners)
    return request.spec.protocol == "http" and always_secure(request.cookie, by_https=by_https)
