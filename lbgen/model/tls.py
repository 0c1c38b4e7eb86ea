"""Which certificate, and which authority of client certificates, each host of a TLS listener has.

TLS knows hosts and no paths, so one service decides for a host: the oldest that has routes for it. Its choices hold
for all; what a younger service chooses otherwise is a problem of that one, whose clients alone are concerned: its
certificate is not shown, and a route that would be guarded by another authority, or by one where the older service
asks for none, is not served there.

A service with routes for ``*.example.org`` decides for ``www.example.org``, too, unless a younger one asks for all of
that host: then no request of it is left to the older one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from lbgen.base.problem import Problem
from lbgen.labels.match import Alternative
from lbgen.model.entries import TlsHost
from lbgen.model.routing import ANY_HOST, place_of
from lbgen.model.types import Listener, Route

_Age = tuple[float, str]


def hosts_of(route: Route) -> list[str]:
    """Return the hosts that a route asks for, "*" for requests to any; sorted."""
    hosts = set()
    for alternative in route.alternatives:
        hosts |= {test.value for test in alternative if test.kind == "host" and not test.negated} or {ANY_HOST}
    return sorted(hosts)


def domain_of(host: str) -> str:
    """Return the name for all hosts of a host's domain: ``*.example.org`` of ``www.example.org``; empty: none."""
    return "" if host.startswith("*") or "." not in host else f"*.{host.partition('.')[2]}"


def tls_hosts(
    listener: Listener, routes: Sequence[Route], secure: Collection[str] = ()
) -> tuple[Listener, list[Route], list[Problem]]:
    """Return the listener with its `hosts` filled in, the routes that it carries, and what is wrong with others.

    Args:
        secure: all listeners with TLS: a service decides for its hosts on each, wherever it has them. HAProxy has one
            list of certificates.
    """
    mine = [route for route in routes if listener.name in route.listeners]
    if not listener.tls or listener.protocol != "http":
        return listener, sorted(mine, key=_in_order), []
    known = {listener.name, *secure}
    ours = [route for route in routes if route.protocol == "http" and not known.isdisjoint(route.listeners)]
    decided = _Decided(listener, {(route.age, host) for route in ours for host in _whole(route.alternatives)})
    for route in sorted(ours, key=_in_order):
        decided.add(route)
    return replace(listener, hosts=decided.table()), decided.carried, decided.problems


def _in_order(route: Route) -> tuple[_Age, str]:
    return route.age, route.name


@dataclass(slots=True)
class _Choice:
    """What is decided for one host, and by whom."""

    first: Route  # the first route of the service that decides
    certificate: str = ""
    client_ca: str = ""
    services: set[_Age] = field(default_factory=set)  # that have routes for it


@dataclass(slots=True)
class _Decided:
    """All hosts of a listener, decided one route after the other."""

    listener: Listener
    whole: set[tuple[_Age, str]]  # services that ask for all of a host
    carried: list[Route] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    choices: dict[str, _Choice] = field(default_factory=dict)

    def add(self, route: Route) -> None:
        """Add the next route, the older service's first."""
        here = self.listener.name in route.listeners
        holders = {host: self._holder(host, route) for host in hosts_of(route)}
        if route.client_ca:
            for host, choice in holders.items():
                if choice and route.client_ca != choice.client_ca and not _may_choose(route, choice, "client_ca"):
                    if here:
                        instead = "the route is not served there, since TLS knows no paths"
                        self.problems.append(self._differs(route, choice, "client-ca", host, instead))
                    return
        if here:
            self.carried.append(route)
        for host, choice in holders.items():
            if choice is None:
                choice = self.choices.setdefault(host, _Choice(route))
            choice.services.add(route.age)
            if here:
                self._choose(route, choice, host)

    def _choose(self, route: Route, choice: _Choice, host: str) -> None:
        if route.client_ca:
            choice.client_ca = route.client_ca
        if route.certificate and route.certificate != choice.certificate:
            if _may_choose(route, choice, "certificate"):
                choice.certificate = route.certificate
            else:
                instead = f"it is shown {choice.certificate}" if choice.certificate else "its certificate is by name"
                self.problems.append(self._differs(route, choice, "tls", host, instead))

    def _holder(self, host: str, route: Route) -> _Choice | None:
        """Return the choice for a host that has one already, or the one for all of its domain."""
        if host in self.choices or host == ANY_HOST:
            return self.choices.get(host)
        domain = self.choices.get(domain_of(host))
        if domain and domain.first.age != route.age and (route.age, host) not in self.whole:
            # The older service's word holds, and for this host it is written down.
            first = domain.first
            return self.choices.setdefault(host, _Choice(first, domain.certificate, domain.client_ca, {first.age}))
        return None

    def table(self) -> tuple[TlsHost, ...]:
        """Return the hosts that something is asked for, and those that would be taken for one of them."""
        listed = []
        for host, choice in self.choices.items():
            domain = self.choices.get(domain_of(host))
            if domain and not (domain.certificate or domain.client_ca):
                domain = None
            certificate, client_ca, services = choice.certificate, choice.client_ca, choice.services
            if domain and domain.first.age <= choice.first.age:  # it is the same service's, or an older one's
                certificate, client_ca = certificate or domain.certificate, client_ca or domain.client_ca
                services = services | {domain.first.age}
            if certificate or client_ca or domain:
                listed.append(TlsHost(host, certificate, client_ca, shared=len(services) > 1))
        return tuple(sorted(listed, key=lambda item: (item.host == ANY_HOST, item.host)))

    def _differs(self, route: Route, choice: _Choice, key: str, host: str, instead: str) -> Problem:
        first = choice.first
        other = "another one" if route.age == first.age else f"that of service {first.service}, which is older,"
        return Problem(
            route.service,
            f"{key} differs from {other} for host {host} on listener {self.listener.name}: {instead}",
            "choose the same for all routes of the host, or use another host",
            route=route.name,
        )


def _may_choose(route: Route, choice: _Choice, what: str) -> bool:
    """Tell whether a route's choice for a host holds: nothing was chosen, and its own service decides."""
    return route.age == choice.first.age and not getattr(choice, what)


def _whole(alternatives: Iterable[Alternative]) -> Iterable[str]:
    """Yield the hosts of which an alternative asks for all requests."""
    for alternative in alternatives:
        place = place_of(alternative)
        if place and place[1:] == ("/", False):
            yield place[0]
