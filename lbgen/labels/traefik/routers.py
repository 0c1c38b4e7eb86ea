"""The routers of a service's Traefik labels, each as a route with everything that it names.

Source: traefik 3.7 pkg/provider/configuration.go, pkg/provider/docker/pswarm.go, pkg/server/router.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.context import Listeners, Provider
from lbgen.labels.foreign_options import Element, Read, Written, flag, read
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import ALWAYS, Match, TooManyAlternatives, alternatives
from lbgen.labels.route_spec import RouteSpec, problem_of, sound
from lbgen.labels.rule import parser
from lbgen.labels.traefik.elements import KINDS, PREFIX, Labels
from lbgen.labels.traefik.middleware_effects import Effects
from lbgen.labels.traefik.middlewares import Middlewares, local
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.traefik.redirects import TO_HTTPS
from lbgen.labels.traefik.services import service_fields, transport_notes
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue

NOOP = "noop@internal"
_NAME = re.compile(r"\{\{-?\s*(normalize\s+)?\.Name\s*-?\}\}")


def default_rule(template: str, service: str) -> str:
    """Return the default rule of a service's routers.

    Raises:
        BadValue: the template has more than the service's name in it.
    """
    text = _NAME.sub(lambda found: _normal(service) if found[1] else service, template)
    if "{{" in text:
        raise BadValue("has a template that is not known", "use {{ .Name }} and {{ normalize .Name }} only")
    return text


def _normal(service: str) -> str:
    """Return a Swarm service's name as Traefik writes it: letters and digits, with dashes between."""
    return "-".join(re.findall(r"[^\W_]+", service))


@dataclass(slots=True)
class Routers:
    """Makes the routes of one service."""

    service: str
    labels: Labels
    provider: Provider
    listeners: Listeners
    problems: list[Problem] = field(default_factory=list)
    named: set[tuple[str, str, str]] = field(default_factory=set)  # services and middlewares that some router names
    general: dict[str, object] = field(default_factory=dict)
    written: dict[str, tuple[str, str]] = field(default_factory=dict)
    some_tls: bool = field(init=False)  # a router sees TLS requests only

    def read_general(self) -> None:
        """Read what holds for all routers: the network, and who balances."""
        self.general["via"] = "task"
        kinds = {name.partition(".")[0] for name in self.labels.general if "." in name}
        self.written = {
            key: (f"{PREFIX}swarm.{name}", "") for key, name in (("network", "network"), ("via", "lbswarm"))
        }
        for name, written in self.labels.general.items():
            try:
                if len(kinds) > 1 and name != "enable":
                    raise BadValue("stands beside both traefik.docker. and traefik.swarm.", "write traefik.swarm. only")
                if name.endswith("network"):
                    self.general["network"] = basic.name(sound(written.value))
                    self.written["network"] = written.label, written.value
                elif name.endswith("lbswarm"):
                    self.general["via"] = "vip" if flag(sound(written.value)) else "task"
                    self.written["via"] = written.label, written.value
                else:
                    self.written["_enable"] = written.label, written.value
            except BadValue as bad:
                self.labels.broken.append(problem_of(self.service, written.label, written.value, bad))

    def __post_init__(self) -> None:
        self.some_tls = any(map(_tls, self.labels.of("http", "routers").values()))

    def routes(self) -> tuple[RouteSpec, ...]:
        """Return the routes of all routers that can be honoured."""
        routers = [(protocol, router) for protocol in KINDS for router in self.labels.of(protocol, "routers").values()]
        streams = any(protocol != "http" and kind != "middlewares" for protocol, kind, _ in self.labels.elements)
        web = any(protocol == "http" for protocol, *_ in self.labels.elements)
        if not self.labels.of("http", "routers") and (web or not streams):
            routers.append(("http", Element("http", "routers", "")))
        made = [self._route(protocol, router) for protocol, router in sorted(routers, key=lambda item: item[1].name)]
        return tuple(sorted((route for route in made if route), key=lambda route: (route.protocol, route.name)))

    def _route(self, protocol: str, router: Element) -> RouteSpec | None:
        found = read(self.service, router.name, router, TABLES[protocol, "routers"])
        label = f"{PREFIX}{protocol}.routers.{router.name or '<name>'}."
        found.written.setdefault("rule", (label + "rule", ""))
        found.written.setdefault("host", found.written["rule"])
        found.written.setdefault("listener", (label + "entrypoints", ""))
        own = self._service(protocol, router, found)
        match, priority = self._match(protocol, router, found)
        effects = self._middlewares(protocol, router, found, match)
        if protocol == "http":
            self._answer(router, found, effects, self._listeners(router, found))
        problems = [*found.lost, *own.lost, *effects.read.lost]
        notes = [*found.left, *own.left, *effects.read.left]
        self.problems += [*problems, *notes]
        if problems or match is None:
            return None
        of_service = service_fields(protocol, own)
        fields = {**self.general, **of_service, **effects.fields}
        if "host_header" in of_service:  # it is set last
            fields["host_header"] = of_service["host_header"]
        for key in ("listener", "rule"):
            if key in found.fields:
                fields[key] = found.fields[key]
        written = {**self.written, **own.written, **effects.read.written, **found.written}
        keys = RouteKeys(**fields)  # each value came from the field's own parser
        origin = f"router {router.name}" if router.name else "no router, by the default rule"
        return RouteSpec(protocol, router.name, keys, match, priority, written, "traefik", origin)

    def _service(self, protocol: str, router: Element, found: Read) -> Read:
        """Read the service that a router leads to; what is wrong with the choice is the router's."""
        known = self.labels.of(protocol, "services")
        reference = found.fields.get("_service")
        label, value = found.written.get(
            "_service", (f"{PREFIX}{protocol}.routers.{router.name or '<name>'}.service", "")
        )
        try:
            if reference is None:
                self.named.update((protocol, "services", name) for name in known)
                if len(known) > 1:
                    raise BadValue(
                        f"is missing, and there are several services ({', '.join(known)})", "name one of them"
                    )
                service = next(iter(known.values()), None)
            elif str(reference).lower() == NOOP and protocol == "http":
                service = None
            elif not known and local(str(reference)) == _normal(self.service).lower():
                service = None  # the one that Traefik makes where no label does
            else:
                name = local(str(reference))
                if name not in known:
                    raise BadValue(
                        "names a service that is not among these labels", f"use one of: {', '.join(known) or 'none'}"
                    )
                service = known[name]
                self.named.add((protocol, "services", name))
        except BadValue as bad:
            found.lost.append(problem_of(self.service, label, value, bad, router.name))
            return Read()
        port = f"{PREFIX}{protocol}.services.{service.name if service else '<name>'}.loadbalancer.server.port"
        own = read(self.service, router.name, service, TABLES[protocol, "services"]) if service else Read()
        own.written.setdefault("port", (port, ""))
        own.left += transport_notes(self.service, router.name, own, self.provider)
        return own

    def _match(self, protocol: str, router: Element, found: Read) -> tuple[Match | None, int | None]:
        """Return what the router matches, and its priority."""
        if protocol == "udp":
            return ALWAYS, None
        label, value = found.written["rule"]
        try:
            if "rule" not in found.fields:
                if protocol == "tcp" or not self.provider.default_rule:
                    also = "" if protocol == "tcp" else ", and setting discovery.traefik.default_rule is empty"
                    raise BadValue(
                        f"is missing{also}",
                        "add the label, such as HostSNI(`*`)" if protocol == "tcp" else "add the label, or set it",
                    )
                found.fields["rule"] = value = default_rule(self.provider.default_rule, self.service)
            text = str(found.fields["rule"])
            match = parser.parse(text, protocol)
            alternatives(match)  # too many of them are a problem before a redirect is looked at
            if protocol == "tcp":
                self._stream(router, match, found)
        except TooManyAlternatives as error:
            found.lost.append(
                problem_of(self.service, label, value, BadValue(str(error), "use fewer values"), router.name)
            )
            return None, None
        except BadValue as bad:
            found.lost.append(problem_of(self.service, label, value, bad, router.name))
            return None, None
        priority = found.fields.get("priority")
        assert priority is None or isinstance(priority, int)
        return match, priority or parser.default_priority(text, protocol)  # 0 stands for the default

    def _stream(self, router: Element, match: Match, found: Read) -> None:
        """Refuse a TCP router that Traefik would end TLS for, or that would see no server name."""
        if found.fields.get("_passthrough"):
            return
        if _tls(router):
            raise BadValue("is that of a TCP router that ends TLS, which is not done here", "set tls.passthrough=true")
        if match != ALWAYS:
            raise BadValue("never matches without TLS", "set tls.passthrough=true, or write HostSNI(`*`)")

    def _middlewares(self, protocol: str, router: Element, found: Read, match: Match | None) -> Effects:
        names = found.fields.get("_middlewares")
        if not isinstance(names, tuple):
            return Effects()
        chain = Middlewares(self.service, self.labels.of(protocol, "middlewares"), self.provider, protocol)
        source = Written(*found.written["_middlewares"])
        effects = chain.of(router.name, names, source, alternatives(match) if match is not None else ())
        self.named.update((protocol, "middlewares", name) for name in effects.seen)
        return effects

    def _listeners(self, router: Element, found: Read) -> frozenset[str]:
        """Keep a router with TLS off the listeners without; return the listeners it comes to."""
        known, asked, tls = self.listeners, found.fields.get("listener"), _tls(router)
        wanted = asked if isinstance(asked, tuple) else known.default
        if tls and asked and (plain := known.plain.intersection(wanted)):
            bad = BadValue(f"asks for TLS, which listener {min(plain)} does not have", "name a listener with tls")
            found.lost.append(problem_of(self.service, tls.label, tls.value, bad, router.name))
        elif not tls and not asked and self.some_tls:
            # Beside routers with TLS, one without sees the other requests: the two may well have the same rule.
            wanted = tuple(name for name in wanted if name in known.plain) or wanted
            found.fields["listener"] = wanted
        elif tls and not asked:
            # Traefik would put it on every entry point, where it sees TLS requests alone.
            wanted = tuple(name for name in wanted if name in known.secure) or tuple(sorted(known.secure))
            if wanted:
                found.fields["listener"] = wanted
            else:
                bad = BadValue("asks for TLS, and no HTTP listener has it", "give a listener tls: true")
                found.lost.append(problem_of(self.service, tls.label, tls.value, bad, router.name))
        return frozenset(wanted)

    def _answer(self, router: Element, found: Read, effects: Effects, listeners: frozenset[str]) -> None:
        """Have a router without a server redirect, or drop it."""
        if str(found.fields.get("_service", "")).lower() != NOOP:
            return
        if effects.whole:
            del effects.fields["redirect_regex"]
            effects.fields |= effects.whole
            return
        if effects.fields.pop("redirect_https", False) and listeners <= self.listeners.plain:
            effects.fields.update(redirect=TO_HTTPS, redirect_code=308)
            return
        label, value = found.written["_service"]
        bad = BadValue("is no server, and not every request is redirected", "name a service")
        found.lost.append(problem_of(self.service, label, value, bad, router.name))

    def unused(self) -> list[Problem]:
        """Return a note for each label of a service or middleware that no router names."""
        notes = []
        for key, element in self.labels.elements.items():
            if element.kind != "routers" and key not in self.named:
                bad = BadValue(f"belongs to {element.kind[:-1]} {element.name}, which no router here uses", "remove it")
                for written in element.options.values():
                    shown = written.value if element.kind == "services" else ""
                    notes.append(problem_of(self.service, written.label, shown, bad))
        return notes


def _tls(router: Element) -> Written | None:
    """Return the label that has a router see TLS requests only, or None."""
    switch = router.options.get("tls")
    if switch:
        return switch if switch.value.strip().lower() == "true" else None
    return next((written for option, written in router.options.items() if option.startswith("tls.")), None)
