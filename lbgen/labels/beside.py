"""lbgen's short keys beside another dialect's labels: they hold for all its routes, as for lbgen's own.

Which requests a route wants its own labels say. What else they say goes before a short key, as with named routes of
lbgen's, but for two kinds of keys: where traffic goes is said for lbgen alone, so that other programs can have labels
of their own; and of guards all hold. Two that cannot hold together close the route, and so does a short key that cannot
be read: nothing that it was to guard is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import BY_NAME, ENABLE, FIELDS, GUARDS, KEYS, PREFIX, find
from lbgen.labels.native import NAMED, Scope, short_keys
from lbgen.labels.route_spec import MATCHING, ClosedSpec, RouteSpec, ServiceLabels, problem_of
from lbgen.labels.values.networks import in_both
from lbgen.labels.values.value_type import BadValue

OF_THE_ROUTE = MATCHING | {"rule"}  # fields that say which requests are meant
# Fields that say where traffic goes.
WHERE = frozenset({"via", "network", "nodes", "mesh_nodes", "published_port"})
# Fields that have other defaults in other dialects: their value alone does not tell that a label has said it.
OTHER_DEFAULTS = frozenset({"via", "priority", "health_check", "timeout_connect", "timeout_response", "timeout_idle"})
_RATE = ("rate_limit", "rate_limit_burst")
_CONCURRENCY = ("max_concurrent", "max_concurrent_by")
_ALL_HOLD = GUARDS | {"listener", "max_body"}
_CHECK = "health_check"


def holds(label: str) -> bool:
    """Tell whether a label is a short key that counts for routes of other dialects; one that is unknown closes them."""
    key = label.removeprefix(PREFIX)
    if not label.lower().startswith(PREFIX) or label == ENABLE or NAMED.fullmatch(key):
        return False
    located = find(key)
    return located is None or located[0] not in OF_THE_ROUTE


def short_guards(service: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the short keys that guard a service, by field of `RouteKeys`.

    Raises:
        BadValue: one of them cannot be read, or may be one.
    """
    short = short_keys(service, {label: value for label, value in labels.items() if holds(label)})
    for (known, name), keys in short.sorted_broken.items():
        if not known or name in GUARDS:
            raise BadValue(f"its label {short.broken[keys[0]].label} cannot be read", "mend it there")
    return {name: value for name, value in short.fields.items() if name in GUARDS}


def laid_over(service: str, labels: Mapping[str, str], own: ServiceLabels) -> ServiceLabels:
    """Return the dialect's routes, each with the service's short keys applied to it."""
    written = {label: value for label, value in labels.items() if holds(label)}
    if not own.enabled or not written:
        return own
    beside = _Beside(service, labels, short_keys(service, written))
    made = [beside.over(spec) for spec in own.routes]
    closed = [beside.over_closed(spec) for spec in own.closed]
    return replace(
        own,
        routes=tuple(spec for spec in made if isinstance(spec, RouteSpec)),
        closed=(*closed, *(spec for spec in made if isinstance(spec, ClosedSpec))),
        problems=tuple(sorted({*own.problems, *beside.short.broken.values(), *beside.problems})),
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """The short keys of one service, and what is wrong between them and the routes' own labels."""

    service: str
    labels: Mapping[str, str]
    short: Scope
    problems: list[Problem] = field(default_factory=list)

    def over(self, spec: RouteSpec) -> RouteSpec | ClosedSpec:
        """Return a route with the short keys, or what it closes if one of them cannot hold for it."""
        if lost := set(self._lost(spec)):
            return self.over_closed(replace(ClosedSpec.of(spec, BadValue("", "")), broken=frozenset(lost - {""})))
        fields: dict[str, Any] = {}
        for name, value in self._of(spec.protocol):
            try:
                fields |= self._laid(spec, name, value)
            except BadValue as bad:
                key = BY_NAME.get(bad.key, bad.key)
                self.problems.append(problem_of(self.service, *self.short.written[key], bad, spec.name))
                return self.over_closed(replace(ClosedSpec.of(spec, bad), broken=frozenset({key})))
        if any(name.startswith(_CHECK) for name in fields) and not self._checks(spec):
            fields.setdefault(_CHECK, None)  # the keys of a check mean what they mean without another dialect's default
        written = {**spec.written, **{name: self.short.written[name] for name in fields if name in self.short.written}}
        # 0 is what takes the requests that nothing else does.
        priority = fields.get("priority", spec.priority) if spec.priority != 0 else 0
        return replace(spec, keys=replace(spec.keys, **fields), written=written, priority=priority)

    def over_closed(self, spec: ClosedSpec) -> ClosedSpec:
        """Return a route that cannot be honoured with the short guards: they say what is missing, too."""
        guards = {name: value for name, value in self._of(spec.protocol) if name in GUARDS}
        new = {name: value for name, value in guards.items() if getattr(spec.keys, name) == FIELDS[name].default}
        broken = {name for name in self._broken(spec.protocol) if name in GUARDS}
        return replace(spec, keys=replace(spec.keys, **new), broken=spec.broken | broken)

    def _of(self, protocol: str) -> Iterator[tuple[str, Any]]:
        for name, value in self.short.fields.items():
            if protocol in KEYS[name].protocols:
                yield name, value

    def _broken(self, protocol: str) -> Iterator[str]:
        """Yield the fields of broken short keys that are for a protocol; "" and what it is like for an unknown one."""
        for known, name in self.short.sorted_broken:
            if not known:
                yield from ("", name)
            elif protocol in KEYS[name].protocols:
                yield name

    def _lost(self, spec: RouteSpec) -> Iterator[str]:
        """Yield the fields of broken short keys that a route depends on."""
        for name in self._broken(spec.protocol):
            if not name or name in _ALL_HOLD | WHERE or not self._says(spec, name):
                yield name

    def _laid(self, spec: RouteSpec, name: str, value: Any) -> dict[str, Any]:
        """Return the fields that a short key sets on a route; raise BadValue if it cannot hold there."""
        if name in _RATE and spec.keys.rate_limit:
            return self._slower(spec, spec.keys.rate_limit)
        if name in _CONCURRENCY and spec.keys.max_concurrent:
            return self._fewer(spec, spec.keys.max_concurrent)
        if name in _ALL_HOLD:
            return {name: self._together(spec, name, value)}
        if name in WHERE:
            return {name: value}
        if isinstance(value, Mapping):
            return {name: {**value, **getattr(spec.keys, name)}}
        return {} if self._says(spec, name) else {name: value}

    def _together(self, spec: RouteSpec, name: str, value: Any) -> Any:
        mine, usual = getattr(spec.keys, name), FIELDS[name].default
        if mine == usual or value == usual:
            return value if mine == usual else mine
        both: tuple[str, ...] = ()
        if name == "allow_ip":
            both = in_both(mine, value)
        elif name == "listener":
            both = tuple(each for each in value if each in mine)
        elif name == "deny_ip":
            both = tuple(dict.fromkeys((*mine, *value)))
        elif name == "max_body":
            return min(mine, value)
        elif value == mine:
            return mine
        if not both:
            raise self._apart(spec, name)
        return both

    def _slower(self, spec: RouteSpec, mine: tuple[int, int]) -> dict[str, Any]:
        """Return the rate that lets through no more than a route's own, nor than that of the short keys."""
        other = self.short.fields.get("rate_limit", mine)
        assert isinstance(other, tuple)
        if mine[1] != other[1]:  # 1/s and 60/m both let through what the other one does not
            raise self._apart(spec, "rate_limit")
        short: Any = self.short.fields.get("rate_limit_burst")
        bursts = (mine[0], spec.keys.rate_limit_burst), (other[0], short)
        burst = min(count if burst is None else burst for count, burst in bursts)
        return {"rate_limit": (min(mine[0], other[0]), mine[1]), "rate_limit_burst": burst}

    def _fewer(self, spec: RouteSpec, mine: int) -> dict[str, Any]:
        """Return the smaller of two numbers of requests at once, if they are counted alike."""
        if (other := self.short.fields.get("max_concurrent")) is None:
            return {}
        assert isinstance(other, int)
        counted = self.short.fields.get("max_concurrent_by", FIELDS["max_concurrent_by"].default)
        if counted != spec.keys.max_concurrent_by:
            raise self._apart(spec, "max_concurrent")
        return {"max_concurrent": min(mine, other)}

    def _apart(self, spec: RouteSpec, name: str) -> BadValue:
        label = spec.written.get(name, ("", ""))[0]
        other = f"label {label}" if label in self.labels else "its own labels"
        return BadValue(f"cannot hold together with what {other} say of the route", "remove one of the two", name)

    def _says(self, spec: RouteSpec, name: str) -> bool:
        """Tell whether a route's own labels say something of a field."""
        if spec.written.get(name, ("", ""))[0] in self.labels:
            return True
        if name == _CHECK:
            return self._checks(spec)
        return name not in OTHER_DEFAULTS and getattr(spec.keys, name) != FIELDS[name].default

    def _checks(self, spec: RouteSpec) -> bool:
        """Tell whether a route's own labels ask for a health check."""
        return any(name.startswith(_CHECK) and written[0] in self.labels for name, written in spec.written.items())
