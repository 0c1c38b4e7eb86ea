"""Which services may use which hosts, listeners, ports, keys and groups: setting ``claims``.

Without entries every service may use everything. With some, a route is allowed if one entry that is for its service
allows all of it; so another entry never takes anything away. docs/security.md has the rules for people.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from lbgen.labels.beside import OTHER_DEFAULTS
from lbgen.labels.keys.table import KEYS, RouteKeys
from lbgen.labels.match import Alternative, Test
from lbgen.labels.route_spec import RouteSpec
from lbgen.labels.values.value_type import BadValue
from lbgen.model import constraints
from lbgen.model.constraints import Chooser
from lbgen.model.types import Backend, Claim, Route
from lbgen.snapshot import Service

_DEFAULTS = RouteKeys()
# The key that asks for a test of this kind; of those with a name "header.<name>". Others can only be written as a rule.
_KEY_OF = {
    "host": "host",
    "path": "path-exact",
    "path_prefix": "path",
    "path_start": "path",
    "path_regex": "path-regex",
    "method": "method",
    "header": "header.",
    "header_regex": "header-regex.",
    "query": "query.",
    "client_ip": "client-ip",
    "sni": "sni",
}


class NotAllowed(BadValue):
    """A service claims what setting claims does not allow it."""


def services(text: str) -> Chooser[Service]:
    """Return the test for services that constraints are: ``stack==shop``, ``name!=db``, ``label.team==a``.

    Names are compared as they are: another stack may differ from this one in a capital letter.

    Raises:
        BadValue: it is not a list of constraints.
    """
    return _services(text)


def share_an_entry(one: Service, other: Service, claims: tuple[Claim, ...]) -> bool:
    """Tell whether some entry is for both services; without entries all may use each other."""
    return not claims or any(services(claim.services)(one) and services(claim.services)(other) for claim in claims)


def group_scope(service: Service, spec: RouteSpec, route: Route, backend: Backend, claims: tuple[Claim, ...]) -> str:
    """Return which services a route can share a group with: those of the same scope; empty: all.

    Where an entry names no groups, they are among its own services: elsewhere the same name is another group.

    Raises:
        NotAllowed: no entry allows the route.
    """
    reasons: list[tuple[str, str]] = []
    if not claims:
        return ""
    for number, claim in enumerate(claims):
        if services(claim.services)(service):
            refused = next(_refusals(claim, spec, route, backend), None)
            if refused is None:
                return f"claim{number}" if claim.groups is None else ""
            reasons.append((refused[0], f"claims.{number} {refused[1]}"))
    if not reasons:
        raise NotAllowed("no entry of setting claims is for this service, so it may use nothing", "ask for an entry")
    raise NotAllowed(
        f"setting claims does not allow it: {'; '.join(why for _, why in reasons)}",
        "use what is allowed, or ask for an entry that allows it",
        reasons[0][0],
    )


def allowing(
    service: Service, spec: RouteSpec, route: Route, backend: Backend, claims: tuple[Claim, ...]
) -> tuple[Claim, ...] | None:
    """Return the entries that allow a route, whatever login service it asks; None: there is no such setting."""
    if not claims:
        return None
    return tuple(
        claim
        for claim in claims
        if services(claim.services)(service) and next(_refusals(claim, spec, route, backend), None) is None
    )


def check_login(entries: tuple[Claim, ...] | None, service: Service | None, backend: Backend, host: str) -> None:
    """Check that a route may ask a login service.

    Where an entry names none, these are its own services; addresses of the proxy's own machine are always named.

    Args:
        entries: those that allow the rest of the route; None: there is no setting claims.
        service: None: it is an address.
        backend: the login service's.
        host: as the label has it.
    Raises:
        NotAllowed: it may not.
    """
    if entries is None:
        if service is None and is_own(host):
            raise NotAllowed(
                f"{host} is the proxy's own machine", "allow it in setting claims, key logins", "forward-auth"
            )
        return
    ports = {server.port for server in backend.servers}
    for claim in entries:
        name = service.name if service else host
        mine = service is not None and services(claim.services)(service)
        named = mine if claim.logins is None else _named(name, claim.logins)
        low_high = claim.ports
        if named and (low_high is None or all(any(low <= port <= high for low, high in low_high) for port in ports)):
            return
    raise NotAllowed(
        f"setting claims does not allow to ask {host} there", "ask for an entry whose logins have it", "forward-auth"
    )


def check_share(asking: Service, service: Service, ports: Iterable[int], claims: tuple[Claim, ...]) -> None:
    """Raise NotAllowed unless a service may send requests to these ports of another one.

    Without entries it may; with some, one has to be for both services, and allow the ports.
    """
    if asking is service:  # then the route's own entry decides
        return
    ports = tuple(ports)
    for claim in claims:
        both = services(claim.services)(asking) and services(claim.services)(service)
        if both and all(claim.ports is None or any(low <= port <= high for low, high in claim.ports) for port in ports):
            return
    if claims:
        raise NotAllowed(
            f"setting claims has no entry for both this service and {service.name} that allows it",
            "name a service of the same entry",
        )


def is_own(host: str) -> bool:
    """Tell whether an address is the proxy's own machine, or not one host's."""
    address = ipaddress.ip_address(host)
    meant = getattr(address, "ipv4_mapped", None) or address
    return bool(meant.is_loopback or meant.is_link_local or meant.is_unspecified or meant.is_multicast)


def _refusals(claim: Claim, spec: RouteSpec, route: Route, backend: Backend) -> Iterator[tuple[str, str]]:
    """Yield what an entry does not allow of a route: (key, why)."""
    if claim.hosts is not None:
        kind = "sni" if route.protocol == "tcp" else "host"
        for alternative in route.alternatives:
            if not _confined(alternative, kind, claim.hosts):
                names = ", ".join(test.value for test in alternative if test.kind == kind and not test.negated)
                yield kind, f"has hosts {_list(claim.hosts)}, not {names or 'any host'}"
    yield from _beside(claim.listeners, route.listeners, "listener", "listeners")
    if claim.ports is not None:
        for key, port in _ports(backend):
            if not any(low <= port <= high for low, high in claim.ports):
                allowed = [f"{low}-{high}" if low != high else f"{low}" for low, high in claim.ports]
                yield key, f"has ports {_list(allowed)}, not {port}"
    for key in used_keys(spec, route):
        if claim.keys is not None and not _named(key, claim.keys):
            yield key, f"has keys {_list(claim.keys)}, not {key}"
        if _named(key, claim.deny_keys):
            yield key, f"denies key {key}"
    if spec.keys.group and claim.groups is not None and not _named(spec.keys.group, claim.groups):
        yield "group", f"has groups {_list(claim.groups)}, not {spec.keys.group}"


def _beside(allowed: Iterable[str] | None, names: Iterable[str], key: str, what: str) -> Iterator[tuple[str, str]]:
    for name in names if allowed is not None else ():
        if name not in (known := list(allowed or ())):
            yield key, f"has {what} {_list(known)}, not {name}"


def _confined(alternative: Alternative, kind: str, hosts: Iterable[str]) -> bool:
    """Tell whether only requests for some of the hosts can match."""
    values = [test.value for test in alternative if test.kind == kind and not test.negated]
    return any(_covers(host, value) for value in values for host in hosts)


def _covers(host: str, name: str) -> bool:
    """Tell whether an allowed host is the name, or ``*.`` and what follows its first label."""
    return host == name or (not name.startswith("*") and host == f"*.{name.partition('.')[2]}")


def _ports(backend: Backend) -> Iterator[tuple[str, int]]:
    """Yield every port that the proxy connects to, and the key that chooses it."""
    yield from (("port", port) for port in sorted({server.port for server in backend.servers}))
    if backend.health_check and backend.health_check.port is not None:
        yield "health-check.port", backend.health_check.port


def used_keys(spec: RouteSpec, route: Route) -> list[str]:
    """Return the keys that a route uses, ``request-header.x-a`` too, in the order of the table.

    Of a rule, and of another dialect's labels, what they become counts: a test as the key that asks for the same, and
    as ``rule`` where no key does.
    """
    own = spec.dialect == "lbgen"
    found: dict[str, None] = {}
    for name, key in KEYS.items():
        value = getattr(spec.keys, name)
        if name in spec.written if own else name != "rule" and _asked(name, value, spec.written):
            names = [f"{key.family}{member}" for member in value] if isinstance(value, Mapping) else [key.name]
            found |= dict.fromkeys(names)
    found |= dict.fromkeys(_key_of(test) for alternative in route.alternatives for test in alternative)
    return list(found)


def _asked(name: str, value: object, written: Mapping[str, tuple[str, str]]) -> bool:
    """Tell whether a label of another dialect asked for a field."""
    if name in OTHER_DEFAULTS:
        return bool(written.get(name, ("", ""))[1])
    return bool(value != getattr(_DEFAULTS, name))


def _key_of(test: Test) -> str:
    key = "rule" if test.negated else _KEY_OF.get(test.kind, "rule")
    return f"{key}{test.name}" if key.endswith(".") else key


def _named(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a list has the name, or its beginning with a ``*`` after it."""
    return any(name.startswith(text[:-1]) if text.endswith("*") else name == text for text in patterns)


def _list(items: Iterable[str]) -> str:
    texts = list(items)
    return (", ".join(texts[:5]) + (", ..." if texts[5:] else "")) or "of nobody"


@lru_cache(maxsize=1024)
def _services(text: str) -> Chooser[Service]:
    return constraints.parse(text, _reader, exact=True, otherwise=_bad)


def _reader(key: str) -> Callable[[Service], str] | None:
    if key == "name":
        return lambda service: service.own_name
    if key == "part":
        return lambda service: service.part
    if key == "stack":
        return lambda service: service.stack
    label = key.removeprefix("label.") if key.startswith("label.") else ""
    return (lambda service: service.labels.get(label, "")) if label else None


def _bad(text: str) -> BadValue:
    remedy = "write for example stack==shop, name!=shop_db or label.team==a"
    return BadValue(f"{text!r} is not a constraint on services", remedy, "services")
