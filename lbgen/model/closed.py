"""Routes that cannot be honoured: which requests they close, and where.

What another route of the service would take of them goes through the screens of `lbgen.model.screens`; what nobody
takes is answered as well, in the place of the route (`fallback`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import Alternative, TooManyAlternatives, alternatives
from lbgen.labels.route_spec import ClosedSpec
from lbgen.model.policy import NOTHING, Policy, answers_of
from lbgen.model.types import Backend, Closed, Route, Rules
from lbgen.snapshot import Service, moment

MISSING_GUARD, CANNOT_SERVE = 403, 503
MOST = 128  # alternatives of one closed route; one with more closes its whole service
MOST_WITH_HEADERS, MOST_HEADERS = 16, 4096  # of one service, and characters of each one's
REFUSED = "closed"  # of protocols that have no statuses: a backend without servers
_EVERYTHING: tuple[Alternative, ...] = ((),)


def closed_route(service: Service, spec: ClosedSpec, rules: Rules) -> Closed | None:
    """Return what a route that cannot be honoured closes; None: it guards nothing, and asks for too much."""
    expanded = _alternatives(spec)
    if expanded is None and not spec.guarded:
        return None
    return Closed(
        name=f"{service.name}.{spec.protocol}.{spec.name}" if spec.name else service.name,
        service=service.name,
        protocol=spec.protocol,
        listeners=_listeners(spec, rules),
        alternatives=_EVERYTHING if expanded is None else expanded,
        age=(moment(service.created_at), service.id),
        status=MISSING_GUARD if spec.missing else CANNOT_SERVE,
        unclaimed=0 if expanded is None or spec.unreadable else CANNOT_SERVE,
        guarded=spec.guarded,
        answers=answers_of(spec.keys) if spec.protocol == "http" else NOTHING,
    )


def refused(route: Route, listeners: tuple[str, ...], policy: Policy = NOTHING) -> Closed:
    """Return a route as it is on listeners where a guard of its cannot be kept up."""
    status = MISSING_GUARD
    return closed_as(route, status, policy, unclaimed=status, listeners=listeners)


def closed_as(
    route: Route,
    status: int,
    policy: Policy = NOTHING,
    *,
    unclaimed: int = CANNOT_SERVE,
    listeners: tuple[str, ...] = (),
) -> Closed:
    """Return a route that was decided, and that gets no requests."""
    return Closed(
        route.name,
        route.service,
        route.protocol,
        listeners or route.listeners,
        route.alternatives,
        route.age,
        status,
        unclaimed,
        route.guarded,
        policy.answers(),
    )


def with_headers(closed: Iterable[Closed], rules: Rules) -> Iterator[Closed]:
    """Yield a service's closed routes, of which some may have headers: few of them, and not many.

    Setting claims is asked of routes that can be honoured alone. So where it says who may use what, closed ones have
    none: they answer for hosts that may be another service's.
    """
    for number, item in enumerate(closed):
        many = number >= MOST_WITH_HEADERS or len(repr(item.answers)) > MOST_HEADERS
        yield replace(item, answers=NOTHING) if item.answers and (many or rules.claims) else item


def fallback(closed: Closed) -> Route | None:
    """Return the route of the requests that nobody takes; None: there is none."""
    if closed.protocol != "http" or not closed.unclaimed:
        return None
    return Route(
        name=closed.name,
        backend=backend_of(closed, closed.unclaimed),
        service=closed.service,
        protocol=closed.protocol,
        listeners=closed.listeners,
        alternatives=closed.alternatives,
        priority=-1,  # labels say 0 at least
        age=closed.age,
    )


def backend_name(answer: int | str) -> str:
    """Return the name of the backend that answers a status, or of the one that refuses connections of a protocol.

    No service's has it: those have no dot, or two, and those of groups end in ".group" and a protocol.
    """
    return f"{REFUSED}.{answer}"


def backend_of(closed: Closed, status: int) -> str:
    """Return the name of the backend that answers a closed route's requests: its own where they have headers."""
    return f"{backend_name(status)}-{closed.name}" if closed.answers else backend_name(status)


def closed_backends(names: Iterable[str], closed: Iterable[Closed]) -> Iterator[Backend]:
    """Yield those of these backends that are no service's, always the same objects."""
    answers = {item.name: item.answers for item in closed if item.answers}
    for name in sorted(set(names)):
        if backend := _closed_backend(name, answers.get(name.partition("-")[2], NOTHING)):
            yield backend


@lru_cache(maxsize=1024)
def _closed_backend(name: str, answers: Policy) -> Backend | None:
    head, _, answer = name.partition("-")[0].partition(".")
    if head == REFUSED and answer.isdecimal():
        return replace(PLAIN, name=name, deny=int(answer), policy=answers)
    return replace(PLAIN, name=name, protocol=answer) if head == REFUSED and answer in ("tcp", "udp") else None


_KEYS = RouteKeys()
PLAIN = Backend(
    name="",
    service="",
    route="",
    protocol="http",
    via="",
    servers=(),
    balance=_KEYS.balance,
    weight=_KEYS.weight,
    health_check=None,
    timeout_connect=_KEYS.timeout_connect,
    timeout_response=_KEYS.timeout_response,
    timeout_idle=_KEYS.timeout_idle,
    retries=_KEYS.retries,
    max_conn=None,
    backup=False,
)


def _alternatives(spec: ClosedSpec) -> tuple[Alternative, ...] | None:
    """Return what a closed route matches; None if that is more than a proxy should be asked."""
    try:
        expanded = alternatives(spec.match)
    except TooManyAlternatives:
        return None
    if spec.protocol == "tcp":  # tables of names know nothing else, and fewer tests only widen it
        names = {tuple(test for test in each if test.kind == "sni" and not test.negated)[:1] for each in expanded}
        expanded = _EVERYTHING if () in names else tuple(sorted(names))
    return expanded if len(expanded) <= MOST else None


def _listeners(spec: ClosedSpec, rules: Rules) -> tuple[str, ...]:
    """Return the listeners of a closed route: those it names, else the default ones; all, if there are none such."""
    carrying = [listener.name for listener in rules.listeners if listener.protocol == spec.protocol]
    named = carrying if "listener" in spec.broken else spec.keys.listener
    if spec.protocol == "tcp" and named:  # beside HTTP, where its name is at the beginning of TLS
        carrying += [
            each.name for each in rules.listeners if each.protocol == "http" and each.tls and each.name in named
        ]
    wanted = rules.default_listeners if named is None else named
    return tuple(name for name in wanted if name in carrying) or tuple(carrying)
