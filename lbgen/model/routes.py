"""Which routes a service asks for: all that depends on its labels and the settings alone, not on tasks or nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain

from lbgen.base.problem import Problem
from lbgen.labels.definitions import Definitions
from lbgen.labels.match import ALWAYS, Alternative, Test, TooManyAlternatives, alternatives
from lbgen.labels.route_spec import ClosedSpec, Joined, Offer, RouteSpec, Use, problem_of
from lbgen.labels.values.value_type import BadValue
from lbgen.model.closed import closed_route, refused
from lbgen.model.cookies import USUAL, Cookie, cookie_of
from lbgen.model.entries import Refusal
from lbgen.model.limits import Exceeded, Usage
from lbgen.model.own_names import read_labels
from lbgen.model.policy import Policy, policy_of
from lbgen.model.types import Closed, Route, Rules
from lbgen.snapshot import Service, moment

# What Swarm accepts as a service name (swarmkit, manager/controlapi); every proxy accepts it as an identifier. It has
# no dot, so that "<service>.<protocol>.<route>" cannot be another service's name.
NONE = Definitions()
_SERVICE_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """A route as its service asks for it; whether it has servers is not known yet."""

    spec: RouteSpec
    route: Route
    policy: Policy
    cookie: Cookie = USUAL
    refused: tuple[str, ...] = ()  # listeners that it names, and on which a guard of its cannot be kept up


@dataclass(frozen=True, slots=True)
class ServiceRoutes:
    """What one service asks for."""

    requests: tuple[RouteRequest, ...] = ()
    problems: tuple[Problem, ...] = ()
    closed: tuple[Closed, ...] = ()
    unhonoured: tuple[ClosedSpec, ...] = ()  # what its labels ask for in vain
    uses: tuple[Use, ...] = ()  # names that its labels use, which may mean something else when other labels change
    offers: tuple[Offer, ...] = ()  # what they define and do not use
    joined: tuple[Joined, ...] = ()  # what is the route of an older service


def service_routes(service: Service, rules: Rules, definitions: Definitions = NONE) -> ServiceRoutes:
    """Read a service's labels and decide its routes; what is wrong with one is a problem and closes it alone.

    Args:
        definitions: what names in its labels mean.
    """
    if not _SERVICE_NAME.fullmatch(service.own_name):
        return ServiceRoutes(problems=(Problem(service.name, "is not a Swarm service name", "rename the service"),))
    labels = read_labels(service, rules.label_context(definitions, on_hosts=service.on_hosts))
    requests, problems, used, closed = [], list(labels.problems), Usage(), list(labels.closed)
    exceeded: Exceeded | None = None
    for spec in labels.routes:
        try:
            if exceeded:  # by one of those before: nobody multiplies out what will not be served
                raise exceeded
            request = route_request(service, spec, rules)
            used.add(request.route, request.policy)
        except Exceeded as bad:
            exceeded = bad
            problems.append(problem_of(service.name, *bad.blame(spec.written), bad, spec.name))
            if spec.guards:  # nothing of the service is open then: what it guards is too much to be told
                closed.append(replace(ClosedSpec.of(spec, bad), match=ALWAYS, broken=spec.guards))
        except BadValue as bad:
            problems.append(spec.problem(service.name, bad))
            closed.append(ClosedSpec.of(spec, bad))
        else:
            requests.append(request)
    return ServiceRoutes(
        tuple(requests),
        tuple(problems),
        (
            *filter(None, (closed_route(service, spec, rules) for spec in closed)),
            *(refused(request.route, request.refused, request.policy) for request in requests if request.refused),
        ),
        tuple(closed),
        labels.uses,
        labels.offers,
        labels.joined,
    )


def route_request(service: Service, spec: RouteSpec, rules: Rules) -> RouteRequest:
    """Decide one route: which requests it takes on which listeners, and what happens to them.

    Raises:
        BadValue: a key cannot be honoured; the route is not served.
    """
    keys, name = spec.keys, route_name(service.name, spec)
    expanded = _alternatives(spec)
    if keys.group and (keys.redirect or keys.deny):
        raise BadValue("shares servers, and this route has none", "remove it, or the redirect or denial", "group")
    listeners, refusing = _listeners(spec, rules)
    route = Route(
        name=name,
        backend=name,
        service=service.name,
        protocol=spec.protocol,
        listeners=listeners,
        alternatives=expanded,
        priority=spec.priority,
        age=(moment(service.created_at), service.id),
        certificate=keys.tls or "",
        client_ca=keys.client_ca,
        guarded=bool(spec.guards),
        refusals=tuple(
            Refusal(alternative, denial.status, denial.tls)
            for denial in spec.denials
            for alternative in alternatives(denial.match)
        ),
        passthrough=bool(keys.passthrough),
    )
    return RouteRequest(spec, route, policy_of(keys), cookie_of(keys), refusing)


def route_name(service: str, spec: RouteSpec) -> str:
    """Return the name that the route and its backend have."""
    return f"{service}.{spec.protocol}.{spec.name}" if spec.name else service


def _alternatives(spec: RouteSpec) -> tuple[Alternative, ...]:
    try:
        expanded = alternatives(spec.match)
    except TooManyAlternatives as error:
        raise BadValue(str(error), "use fewer values, or path prefixes", "host") from error
    by_host = "client-ca" if spec.keys.client_ca else "tls" if spec.keys.tls else ""
    if by_host and not all(any(map(_names_host, alternative)) for alternative in expanded):
        raise BadValue("is chosen by host, and this route is for any", "add the key host", by_host)
    return expanded


def _names_server(test: Test) -> bool:
    return test.kind == "sni" and not test.negated


def _offers(test: Test) -> bool:
    return test.kind == "alpn"


def _names_host(test: Test) -> bool:
    return test.kind == "host" and not test.negated


def _listeners(spec: RouteSpec, rules: Rules) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the listeners that carry the route (those it names, or the default ones), and those that refuse it.

    These are the ones that cannot ask for a client's certificate, where others of its listeners can.
    """
    keys, protocol = spec.keys, spec.protocol
    known = {listener.name: listener for listener in rules.listeners}
    secure = [name for name, listener in known.items() if listener.protocol == protocol and listener.tls]
    fitting = ", ".join(name for name, listener in known.items() if listener.protocol == protocol) or "none"
    names, tls = _wanted(spec, rules, secure, fitting)
    open_ = tuple(name for name in names if name in known and name not in secure)
    if keys.client_ca and len(open_) < len(names):
        names = [name for name in names if name not in open_]
    else:
        open_ = ()
    for name in names:
        if name not in known:
            raise BadValue(f"there is no listener {name}", f"use one of the settings' ({fitting})", "listener")
        beside_http = protocol == "tcp" and known[name].protocol == "http" and known[name].tls
        if beside_http and not all(any(map(_names_server, each)) for each in alternatives(spec.match)):
            remedy = "write HostSNI with the servers' names, or name a TCP listener"
            raise BadValue(f"asks for more than some names, and the rest of listener {name} is HTTP's", remedy, "rule")
        if known[name].protocol != protocol and not beside_http:
            carried = known[name].protocol
            raise BadValue(f"listener {name} carries {carried}, not {protocol}", f"use: {fitting}", "listener")
        if tls and name not in secure:
            remedy = f"use: {', '.join(secure)}" if secure else "give a listener tls: true"
            raise BadValue(f"asks for TLS, which listener {name} does not have", remedy, tls)
        if known[name].tls and any(map(_offers, chain.from_iterable(alternatives(spec.match)))):
            raise BadValue(
                f"asks what clients offer by ALPN, which not every proxy knows where TLS ends, as on listener {name}",
                "set passthrough on a listener without tls, or leave ALPN out",
                "rule",
            )
        if keys.passthrough and known[name].tls and not beside_http:
            raise BadValue(f"listener {name} ends TLS", "use a listener without tls", "passthrough")
    return tuple(names), open_


def _wanted(spec: RouteSpec, rules: Rules, secure: list[str], fitting: str) -> tuple[list[str], str]:
    """Return the listeners that a route asks for, and the key by which it asks for TLS (empty: none)."""
    keys, protocol = spec.keys, spec.protocol
    tls = "client-ca" if keys.client_ca else "tls" if keys.tls is not None else ""
    if keys.listener is not None:
        return list(keys.listener), tls
    protocols = {listener.name: listener.protocol for listener in rules.listeners}
    names = [name for name in rules.default_listeners if protocols[name] == protocol]
    if tls and not secure:
        raise BadValue("asks for TLS, which no HTTP listener has", "give a listener tls: true", tls)
    if tls:
        own = [name for name in names if name in secure] or secure
        names = [*own, *(name for name in names if name not in own)] if keys.client_ca else own
    if not names:
        raise BadValue(f"no default listener carries {protocol}", f"name one (there are: {fitting})", "listener")
    return names, tls
