"""The services of Traefik's files, as shares of a route's servers: fixed addresses, weighted, failover, mirroring.

Services within services become one list of shares: a share of a share is the product of both. What cannot be said so
(standbys within a weighted service, say) closes the router.

Source: traefik 3.7 pkg/server/service/service.go, pkg/server/service/loadbalancer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from lbgen.labels.context import Provider
from lbgen.labels.definitions import FILE, Definition, Definitions
from lbgen.labels.foreign_options import Element, Options, Written, read
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.route_spec import Share, Use
from lbgen.labels.traefik.file_options import SERVICES, FileServer
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.traefik.services import note_transport, service_fields
from lbgen.labels.traefik.swarm_shares import swarm_shares
from lbgen.labels.values.value_type import BadValue

_MAX_DEPTH = 8
_MAX_LEAVES = 64
_WHERE = frozenset({"port", "scheme", "weight", "network", "via"})  # of a share's own servers
UNCHECKED = "off"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A load balancer of servers, and its part of the requests."""

    name: str
    servers: tuple[Share, ...]
    fields: Mapping[str, Any]  # of `RouteKeys`: how the servers are used
    weight: Fraction = Fraction(1)
    backup: bool = False


@dataclass(slots=True)
class FileServices:
    """Reads the services that one router leads to."""

    definitions: Definitions
    service: str  # the Swarm service whose router it is
    protocol: str
    options: Options  # what is said of the labels and settings on the way; its fields are those of the route
    provider: Provider
    uses: set[Use] = field(default_factory=set)

    def shares(self, definition: Definition) -> tuple[Share, ...]:
        """Return the shares that a service comes to; its fields are put among the options' fields.

        Raises:
            BadValue: it cannot be honoured. What is wrong with a single option is among the options instead.
        """
        leaves = self._leaves(definition, ())
        if self.options.lost:
            return ()
        self._join(leaves, definition)
        merged: list[Leaf] = []
        for leaf in leaves:  # a service may be reached in several ways
            same = [one for one in merged if (one.servers, one.backup) == (leaf.servers, leaf.backup)]
            merged = [one for one in merged if one not in same]
            merged.append(replace(leaf, weight=leaf.weight + sum(one.weight for one in same)))
        whole = math.lcm(*(leaf.weight.denominator for leaf in merged))
        return tuple(
            replace(share, weight=int(leaf.weight * whole), backup=leaf.backup, pool=f"{number}")
            for number, leaf in enumerate(merged)
            for share in leaf.servers
        )

    def _leaves(self, definition: Definition, inside: tuple[Element, ...]) -> list[Leaf]:
        element = definition.element
        if element in inside:
            raise BadValue(f"leads to service {element.name} again", "take it out of the others")
        if len(inside) > _MAX_DEPTH:
            raise BadValue(f"nests services more than {_MAX_DEPTH} deep", "name the services themselves")
        if definition.service:
            return [self._of_swarm(definition)]
        own = self._read(element, SERVICES[self.protocol])
        kinds = sorted({option.partition(".")[0] for option in element.options})
        if own.lost or len(kinds) != 1:
            if not own.lost:
                raise BadValue(f"is of several kinds ({', '.join(kinds)})" if kinds else "is of no kind", "write one")
            return []
        (kind,) = kinds
        if kind == "loadbalancer":
            return [self._balanced(element, own)]
        within = (*inside, element)
        return {"weighted": self._weighted, "failover": self._failover, "mirroring": self._mirrored}[kind](own, within)

    def _read(self, element: Element, table: Any) -> Options:
        own = read(self.service, self.options.route, element, table)
        self.options.lost += own.lost
        self.options.left += own.left
        self.options.broken |= own.broken
        self.options.written.update(own.written)
        return own

    def _child(self, reference: object, inside: tuple[Element, ...]) -> list[Leaf]:
        use = Use(self.protocol, "services", str(reference), self.service, FILE)
        self.uses.add(use)
        return self._leaves(self.definitions.find(*use), inside)

    def _of_swarm(self, definition: Definition) -> Leaf:
        """Return the tasks of a Swarm service, and of those that have the same Traefik service."""
        own = self._read(definition.element, TABLES[self.protocol, "services"])
        own.missing(port=f"traefik.{self.protocol}.services.{definition.element.name}.loadbalancer.server.port")
        note_transport(own, self.provider)
        return Leaf(definition.element.name, swarm_shares(definition), _how(service_fields(self.protocol, own)))

    def _balanced(self, element: Element, own: Options) -> Leaf:
        found: Mapping[int, FileServer] = own.fields.pop("_servers", {})
        weights: Mapping[int, int] = own.fields.pop("_weights", {})
        if not found:
            raise BadValue("has no servers", "write loadBalancer.servers, each with its url")
        if transport := own.fields.get("_transport"):
            own.fields["_transport"] = transport if "@" in transport else f"{transport}@{FILE}"
        schemes = {server.scheme for server in found.values()} - {""}
        if len(schemes) > 1:
            raise BadValue(f"has servers of several schemes ({', '.join(sorted(schemes))})", "use one of them")
        if schemes:
            own.fields["scheme"] = next(iter(schemes))
        if "_tls" in own.fields:
            by_tls = {own.fields["_tls"].get(number, False) for number in found}
            if len(by_tls) > 1:
                raise BadValue("has servers with TLS and others without", "make two services of them")
            own.fields["server_tls"] = by_tls.pop()
            own.written["server_tls"] = own.written["_tls"]
        note_transport(own, self.provider)
        fields = service_fields(self.protocol, own)
        servers = [
            Share(
                "" if server.is_address else server.host,
                _where(fields) | {"port": server.port, "weight": weights.get(number, 1)},
                addresses=(server.host,) if server.is_address else (),
            )
            for number, server in sorted(found.items())
        ]
        return Leaf(element.name, tuple(servers), _how(fields))

    def _weighted(self, own: Options, inside: tuple[Element, ...]) -> list[Leaf]:
        names, weights = own.fields.pop("_names", {}), own.fields.pop("_weights", {})
        if not names:
            raise BadValue("has no services", "write weighted.services, each with its name")
        leaves: list[Leaf] = []
        for number, name in sorted(names.items()):
            inner = self._child(name, inside)
            if any(leaf.backup for leaf in inner):
                raise BadValue(f"has standbys within a share ({name})", "put failover around weighted, not into it")
            whole = sum(leaf.weight for leaf in inner) or Fraction(1)
            share = Fraction(weights.get(number, 1))
            leaves += [replace(leaf, weight=share * leaf.weight / whole) for leaf in inner]
        if len(leaves) > _MAX_LEAVES:
            raise BadValue(f"has {len(leaves)} services", f"keep it below {_MAX_LEAVES}")
        cookie = service_fields("http", own) if self.protocol == "http" else {}
        sticky = {key: value for key, value in cookie.items() if key.startswith("sticky")}
        if sticky.get("sticky"):
            leaves = [replace(leaf, fields={**leaf.fields, **sticky}) for leaf in leaves]
        return leaves

    def _failover(self, own: Options, inside: tuple[Element, ...]) -> list[Leaf]:
        names = own.fields.get("_service"), own.fields.get("_fallback")
        if not all(names):
            raise BadValue("lacks the service or its fallback", "write failover.service and failover.fallback")
        first, then = (self._child(name, inside) for name in names)
        if any(leaf.backup for leaf in (*first, *then)):
            raise BadValue("has standbys of standbys", "name the services themselves")
        unchecked = next((leaf for leaf in first if leaf.fields.get("health_check") == UNCHECKED), None)
        if unchecked:
            raise BadValue(
                f"has service {unchecked.name} without a health check, so that nothing tells when to fail over",
                f"add loadBalancer.healthCheck.path to service {unchecked.name}, which Traefik needs, too",
            )
        return [*first, *(replace(leaf, backup=True) for leaf in then)]

    def _mirrored(self, own: Options, inside: tuple[Element, ...]) -> list[Leaf]:
        if len(inside) > 1:
            raise BadValue("mirrors a part of the requests only", "put mirroring around the other services")
        if "_service" not in own.fields:
            raise BadValue("lacks the service", "write mirroring.service")
        leaves = self._child(own.fields["_service"], inside)
        percents = own.fields.get("_weights", {})
        wanted = [(name, percents.get(number, 0)) for number, name in sorted(own.fields.get("_names", {}).items())]
        first, *others = [(name, percent) for name, percent in wanted if percent] or [("", 0)]
        label = next(iter(inside[-1].options.values())).label
        if others:
            self.options.leave(
                Written(label, ""), BadValue(f"copies to {first[0]} alone: here there is one mirror", "live without")
            )
        if not first[0]:
            return leaves
        service = self._mirror(first[0])
        if not service:
            bad = BadValue(f"copies nothing to {first[0]}: copies go to Swarm services", "name NAME@swarm")
            self.options.leave(Written(label, ""), bad)
            return leaves
        copies = {"mirror": service, "mirror_percent": first[1]}
        return [replace(leaf, fields={**leaf.fields, **copies}) for leaf in leaves]

    def _mirror(self, reference: str) -> str:
        """Return the Swarm service that a service's servers are; empty: they are several, or addresses."""
        unsaid = replace(self, options=Options(self.service, self.options.route))
        (leaf, *others) = unsaid._child(reference, ())
        self.uses |= unsaid.uses
        names = {share.service for share in leaf.servers}
        return names.pop() if len(names) == 1 and not others else ""

    def _join(self, leaves: Sequence[Leaf], definition: Definition) -> None:
        """Put how all servers are used among the options' fields: as the first load balancer says."""
        first, *others = leaves
        fields = {key: value for key, value in first.fields.items() if not key.startswith("health_check")}
        fields |= self._checks(leaves, definition)
        for leaf in others:
            if leaf.fields.get("host_header") != fields.get("host_header"):
                raise BadValue(
                    f"has services {first.name} and {leaf.name}, of which only one hands on the client's Host",
                    "give both the same passHostHeader",
                )
        schemes = {share.fields.get("scheme", "http") for leaf in leaves for share in leaf.servers}
        if len(schemes) == 1:
            fields["scheme"] = schemes.pop()
        self.options.fields.update(fields)

    def _checks(self, leaves: Sequence[Leaf], definition: Definition) -> dict[str, Any]:
        """Return the fields of the health check that all servers have; note where theirs would be others."""
        main = [leaf for leaf in leaves if not leaf.backup]
        first, *others = [_check(leaf) for leaf in main]
        label = Written(next(iter(definition.element.options.values())).label, "")
        if any(check != first for check in others) and len(main) == len(leaves):
            differ = "is left out: its services differ in their health checks, and here all servers have the same"
            self.options.leave(label, BadValue(differ, "give all of them the same, or none"))
            return {"health_check": UNCHECKED} if "health_check" in first else {}
        unlike = next((leaf for leaf in leaves if _check(leaf) != first), None)
        if unlike:
            message = f"is taken, and service {unlike.name} is asked for {first.get('health_check_path', '/')}, too"
            self.options.leave(label, BadValue(message, "have it answer that: all servers have the same health check"))
        return first


def _check(leaf: Leaf) -> dict[str, Any]:
    return {key: value for key, value in leaf.fields.items() if key.startswith("health_check")}


def _where(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key in _WHERE and value != getattr(RouteKeys(), key)}


def _how(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in _WHERE}
