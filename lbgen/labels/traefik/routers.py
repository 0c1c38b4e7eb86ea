"""The routers of a service's Traefik labels, each as a route with everything that it names.

Source: traefik 3.7 pkg/provider/configuration.go, pkg/provider/docker/pswarm.go, pkg/server/router.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from lbgen.base.problem import Problem
from lbgen.labels.context import Listeners, Provider
from lbgen.labels.definitions import Definitions
from lbgen.labels.foreign_options import Element, Options, Written, flag, read
from lbgen.labels.keys.table import GUARDS, RouteKeys
from lbgen.labels.match import ALWAYS, Match, TooManyAlternatives, alternatives
from lbgen.labels.route_spec import ClosedSpec, Denial, Joined, RouteSpec, problem_of, sound
from lbgen.labels.rule import parser
from lbgen.labels.traefik import PREFIX
from lbgen.labels.traefik.definitions import normal
from lbgen.labels.traefik.elements import KINDS, Labels
from lbgen.labels.traefik.entrypoints import EntryPoints, Part, asks_tls, choose_listeners, place
from lbgen.labels.traefik.leading import NOOP, Leading, split
from lbgen.labels.traefik.lookup import Names
from lbgen.labels.traefik.middleware_effects import Effects
from lbgen.labels.traefik.middlewares import Middlewares
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.traefik.redirects import TO_HTTPS
from lbgen.labels.traefik.refused import closed_router, looks_like_middlewares, origin_of
from lbgen.labels.traefik.rules import read_rule
from lbgen.labels.traefik.streams import place_stream
from lbgen.labels.traefik.tls_options import apply_tls_options
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue

TEAPOT = 418  # what that answers
_NAME = re.compile(r"\{\{-?\s*(normalize\s+)?\.Name\s*-?\}\}")


def default_rule(template: str, service: str) -> str:
    """Return the default rule of a service's routers.

    Raises:
        BadValue: the template has more than the service's name in it.
    """
    text = _NAME.sub(lambda match: normal(service) if match[1] else service, template)
    if "{{" in text:
        raise BadValue("has a template that is not known", "use {{ .Name }} and {{ normalize .Name }} only")
    return text


@dataclass(slots=True)
class Routers:
    """Makes the routes of one service."""

    service: str
    labels: Labels
    provider: Provider
    listeners: Listeners
    tcp_listeners: Listeners
    entry_points: EntryPoints
    definitions: Definitions
    problems: list[Problem] = field(default_factory=list)
    closed: list[ClosedSpec] = field(default_factory=list)  # routers that cannot be honoured
    joined: list[Joined] = field(default_factory=list)  # routers that are those of older services
    general: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    some_tls: bool = field(init=False)  # a router sees TLS requests only
    names: Names = field(init=False)

    def read_general(self) -> None:
        """Read what holds for all routers: the network, and who balances."""
        kinds = {name.partition(".")[0] for name in self.labels.general if "." in name}
        self.written = {"network": Written(f"{PREFIX}swarm.network", "")}
        for name, written in self.labels.general.items():
            try:
                if len(kinds) > 1 and name != "enable":
                    raise BadValue("stands beside both traefik.docker. and traefik.swarm.", "write traefik.swarm. only")
                if name.endswith("network"):
                    self.general["network"] = basic.name(sound(written.value))
                    self.written["network"] = written
                elif name.endswith("lbswarm"):
                    self.general["via"] = "vip" if flag(sound(written.value)) else "task"
                    self.written["via"] = written
                else:
                    self.written["_enable"] = written
            except BadValue as bad:
                self.labels.broken.append(problem_of(self.service, *written, bad))

    def __post_init__(self) -> None:
        self.names = Names(self.service, self.definitions)
        self.some_tls = any(map(asks_tls, self.labels.of("http", "routers").values()))

    def routes(self) -> tuple[RouteSpec, ...]:
        """Return the routes of all routers that can be honoured; the others are among those that are closed."""
        routers = [(protocol, router) for protocol in KINDS for router in self.labels.of(protocol, "routers").values()]
        streams = any(protocol != "http" and kind != "middlewares" for protocol, kind, _ in self.labels.elements)
        web = any(protocol == "http" for protocol, *_ in self.labels.elements)
        if not self.labels.of("http", "routers") and (web or not streams) and not self.defines_only:
            routers.append(("http", Element("http", "routers", "")))
        names = {protocol: self.labels.of(protocol, "routers") for protocol in KINDS}
        parts = [
            (protocol, part)
            for protocol, router in sorted(routers, key=lambda item: item[1].name)
            for part in self.entry_points.parts(protocol, router, names[protocol])
        ]
        made = [self._route(protocol, part) for protocol, part in parts]
        return tuple(sorted((route for route in made if route), key=lambda route: (route.protocol, route.name)))

    @property
    def defines_only(self) -> bool:
        """Whether the labels have no router, nor a rule for one: what they define may be there for others."""
        web = any(protocol == "http" for protocol, *_ in self.labels.elements)
        routers = any(kind == "routers" for _, kind, _ in self.labels.elements)
        return web and not routers and not self.provider.default_rule

    def _route(self, protocol: str, part: Part) -> RouteSpec | None:
        router = part.router
        options = read(self.service, router.name, router, TABLES[protocol, "routers"])
        label = f"{PREFIX}{protocol}.routers.{router.name or '<name>'}."
        options.missing(rule=f"{label}rule", listener=f"{label}entrypoints", _service=f"{label}service")
        options.written.setdefault("host", options.written["rule"])
        place(part, options)
        leading = Leading(self.names, self.labels, self.provider)
        led = leading.service(protocol, options)
        own, of_service = led.options, led.fields
        match, priority = self._match(protocol, router, options)
        effects = self._middlewares(protocol, part, options, match)
        denials: tuple[Denial, ...] = ()
        if protocol == "http":
            listeners = choose_listeners(router, options, self.listeners, some_tls=self.some_tls)
            apply_tls_options(protocol, options, effects.fields, self.names.definitions, self.listeners, listeners)
            denials = (*effects.denials, *self._answer(options, effects, listeners))
        elif protocol == "tcp" and not options.fields.get("passthrough"):
            names = options.fields.get("listener") or self.tcp_listeners.default
            apply_tls_options(protocol, options, effects.fields, self.names.definitions, self.tcp_listeners, names)
        problems = [*options.lost, *own.lost, *effects.options.lost]
        self.problems += [*problems, *options.left, *own.left, *effects.options.left]
        if problems or match is None or "_service" in options.broken:
            closed = closed_router(protocol, part, match, options, own, effects)
            self.closed += [closed] if closed else []
            return None
        if older := leading.older(protocol, router, options):
            self.joined.append(Joined(protocol, router.name, older))
            return None
        fields = {**self.general, **of_service, **effects.fields}
        if "host_header" in of_service:  # it is set last
            fields["host_header"] = of_service["host_header"]
        fields |= {key: options.fields[key] for key in ("listener", "rule", "passthrough") if key in options.fields}
        written = {**self.written, **own.written, **effects.options.written, **options.written}
        keys = RouteKeys(**fields)  # each value came from the field's own parser
        return RouteSpec(
            *(protocol, part.name, keys, match, priority, written, "traefik", origin_of(router)),
            *(effects.users, denials, led.shares),
        )

    def _match(self, protocol: str, router: Element, options: Options) -> tuple[Match | None, int | None]:
        """Return the match of a router, None if it is bad, and its priority."""
        if protocol == "udp":
            return ALWAYS, None
        written = options.written["rule"]
        try:
            if "rule" in options.broken:
                return None, None
            if "rule" not in options.fields:
                options.fields["rule"] = rule = self._default_rule(protocol, options.route)
                written = Written(written.label, rule)
            rule = options.fields["rule"]
            match, note = read_rule(rule, protocol, options.fields.get("_syntax", ""), self.provider.rule_syntax)
            alternatives(match)  # too many of them are a problem before a redirect is looked at
        except TooManyAlternatives as error:
            options.lose(written, BadValue(str(error), "use fewer values"), "rule")
            return None, None
        except BadValue as bad:
            options.lose(written, bad, "rule")
            return None, None
        if protocol == "tcp":
            options.written["rule"] = written
            place_stream(router, options, match, self.tcp_listeners, self.listeners)
        if note and "rule" not in options.broken:
            options.leave(written, note)
        # A priority of 0 stands for the default.
        return match, options.fields.get("priority") or parser.default_priority(rule, protocol, match)

    def _default_rule(self, protocol: str, route: str) -> str:
        other = split(self.labels, self.provider, protocol, route)
        remedy = f"write router {other} if that is meant, or add the label" if other else "add the label"
        if protocol == "tcp":
            raise BadValue("is missing", f"{remedy}, such as HostSNI(`*`)")
        if not self.provider.default_rule:
            message = "is missing, and setting discovery.traefik.default_rule is empty"
            raise BadValue(message, f"{remedy}, or set it")
        return default_rule(self.provider.default_rule, self.service)

    def _middlewares(self, protocol: str, part: Part, options: Options, match: Match | None) -> Effects:
        names, source = options.fields.get("_middlewares"), options.written.get("_middlewares")
        misspelt = "_middlewares" in options.broken
        if misspelt:
            source, names = _listed(part.router)
        listed = [(name, source) for name in names or () if source is not None]
        chain = Middlewares(self.names, self.provider, protocol)
        expanded = alternatives(match) if match is not None else ()
        effects = chain.of(options.route, (*part.middlewares, *listed), expanded)
        if misspelt or effects.options.lost:
            for kind in ("middlewares", "services"):
                self.names.count(protocol, kind, self.labels.of(protocol, kind))
        if misspelt:  # none of them is in force
            effects.options.broken |= GUARDS & effects.fields.keys() or {"middlewares"}
        return effects

    def _answer(self, options: Options, effects: Effects, listeners: frozenset[str]) -> tuple[Denial, ...]:
        """Have a router without a server redirect, or deny what comes to it; return what of that it denies."""
        if options.fields.get("_service", "").lower() != NOOP:
            return ()
        if effects.whole:
            del effects.fields["redirect_regex"]
            effects.fields |= effects.whole
        elif "redirect_regex" in effects.fields:
            bad = BadValue("is not a server, and some requests are redirected, but not all", "name a service")
            options.lose("_service", bad, "deny")
        elif effects.fields.pop("redirect_https", False):
            del effects.fields["redirect_https_port"]
            effects.fields.update(redirect=TO_HTTPS, redirect_code=308)
            return () if listeners <= self.listeners.plain else (Denial(ALWAYS, TEAPOT, tls=True),)
        else:
            effects.fields.update(deny=True, deny_status=TEAPOT)
        return ()


def _listed(router: Element) -> tuple[Written | None, tuple[str, ...] | None]:
    """Return the names in a list of middlewares whose option is misspelt, and the label; None: they cannot be read."""
    for option, written in router.options.items():
        if looks_like_middlewares(option):
            try:
                return written, basic.list_of(str)(sound(written.value))
            except BadValue:
                break
    return None, None
