"""Servers that are not (only) the tasks of a route's own service: those of other Swarm services, and addresses.

Each share's servers are found by the same rules as a route's, with the short labels of the Swarm service whose tasks
they are; setting claims says who may use whose. A share whose servers cannot be found is a problem, and the others
serve; the route is closed if there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lbgen.labels.beside import short_guards
from lbgen.labels.keys.table import KEYS, PREFIX, RouteKeys
from lbgen.labels.route_spec import RouteSpec, Share
from lbgen.labels.values.value_type import BadValue
from lbgen.model.claims import check_share
from lbgen.model.health import check_port
from lbgen.model.last_servers import in_service
from lbgen.model.servers import RouteServers, Surroundings, route_servers
from lbgen.model.service_lookup import own_keys
from lbgen.model.types import Server
from lbgen.model.weights import Portion, spread
from lbgen.snapshot import Service

# Fields of the keys that say where a service's servers are: each share has its own.
_WHERE = ("port", "published_port", "via", "network", "nodes", "mesh_nodes")
_USUAL = RouteKeys()


@dataclass(frozen=True, slots=True)
class Shared:
    """The servers of a route's shares."""

    chosen: RouteServers  # how the first share's were chosen, with the problems of all
    servers: tuple[Server, ...]  # of all shares
    services: tuple[str, ...]  # names of the Swarm services whose servers are among them


def shared_servers(asking: Service, spec: RouteSpec, around: Surroundings, transport: str) -> Shared:
    """Find the servers of a route that has shares.

    Args:
        asking: the route's service.
        transport: "tcp" or "udp".
    Raises:
        BadValue: no share's servers can be found.
    """
    portions: dict[str, tuple[int, list[Server]]] = {}
    found: list[tuple[str, RouteServers]] = []
    lost: list[BadValue] = []
    for number, share in enumerate(spec.shares):
        try:
            service, chosen = _of_share(asking, spec, share, around, transport)
        except BadValue as bad:
            lost.append(bad)
            continue
        found.append((service, chosen))
        pool = portions.setdefault(share.pool or f"{number}", (share.weight, []))[1]
        weight = int(share.fields.get("weight", _USUAL.weight))
        pool.extend(replace(each, weight=weight, backup=share.backup) for each in chosen.servers)
    if not found:
        raise lost[0] if lost else BadValue("has no servers", "name a service")
    first = found[0][1]
    problems = [problem for _, chosen in found for problem in chosen.problems]
    problems += [spec.problem(asking.name, bad) for bad in lost]
    left_out = {origin: why for _, chosen in found for origin, why in chosen.left_out.items()}
    made = replace(
        first, problems=problems, left_out=left_out, servers=[each for _, own in found for each in own.servers]
    )
    services = tuple(dict.fromkeys(name for name, _ in found if name))
    return Shared(made, tuple(spread([Portion(*each) for each in portions.values()], in_service)), services)


def _of_share(
    asking: Service, spec: RouteSpec, share: Share, around: Surroundings, transport: str
) -> tuple[str, RouteServers]:
    if share.fields.get("scheme", spec.keys.scheme) != spec.keys.scheme:
        raise BadValue(f"has servers that are spoken to with {share.fields['scheme']}, and others", "use one scheme")
    if not share.service:
        return "", _addresses(share)
    service = around.service(share.service, asking.stack)
    if service is None:
        raise BadValue(
            f"leads to service {share.service}, and there is none of this name",
            "write the name that 'docker service ls' shows",
        )
    keys = replace(spec.keys, **{name: getattr(_USUAL, name) for name in _WHERE})
    keys = replace(keys, **{name: value for name, value in share.fields.items() if name != "scheme"})
    try:
        if service is not asking:
            _check_guards(asking, service)
        keys = replace(keys, **own_keys(service, _WHERE[1:]))  # type: ignore[arg-type]  # parsed as such
        ways = around.rules.ways.of_hosts if service.on_hosts else around.rules.ways
        keys = keys if keys.via else replace(keys, via=ways.of(spec.dialect))
        chosen = route_servers(service, around.tasks_of(service), keys, around, transport)
        if not around.rules.any_health_check:
            check_port(service, keys.health_check_port, chosen.via)
    except BadValue as bad:
        if service is asking:
            raise
        raise BadValue(f"leads to service {service.name}: {bad.message}", bad.remedy) from bad
    if service is not asking and service.name in around.unguarded and _merged(spec, share):
        raise BadValue(
            f"shares requests with service {service.name}, which has a guard that cannot be kept up",
            "mend that service's labels, or give its service another name",
        )
    check_share(asking, service, {server.port for server in chosen.servers}, around.rules.claims)
    return service.name, chosen


def _merged(spec: RouteSpec, share: Share) -> bool:
    """Tell whether a Swarm service is among the servers only since another one defines a service of this name alike.

    Nobody asked for it, so what that service keeps closed must not be open by this route.
    """
    return len({each.service for each in spec.shares if share.pool and each.pool == share.pool}) > 1


def _check_guards(asking: Service, service: Service) -> None:
    """Raise BadValue unless what another service guards by its short keys is guarded by the same keys here.

    They hold for all requests to its tasks, whichever service's labels bring them.
    """
    mine = short_guards(asking.name, asking.labels)
    for name, value in short_guards(service.name, service.labels).items():
        if mine.get(name) != value:
            label = PREFIX + KEYS[name].name
            raise BadValue(f"its label {label} guards its servers, and this service's does not", "write the same here")


def _addresses(share: Share) -> RouteServers:
    port = share.fields.get("port")
    if port is None or not share.addresses:
        raise BadValue("leads to an address without a port", "add the port")
    servers = [Server(f"{_named(address)}-{port}", address, port, "up", "", address) for address in share.addresses]
    return RouteServers("", servers)


def _named(address: str) -> str:
    """Return an address as a server's name, which no service's has: those have no dash at an end."""
    return "".join(char if char.isalnum() or char == "." else "-" for char in address)


def names_of(shares: Sequence[Share]) -> tuple[str, ...]:
    """Return the names of the Swarm services that shares have."""
    return tuple(dict.fromkeys(share.service for share in shares if share.service))
