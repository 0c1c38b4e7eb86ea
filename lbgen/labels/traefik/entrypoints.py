"""What entry points add to the routers on them: setting discovery.traefik.entrypoints, Traefik's static configuration.

A router whose entry points differ becomes several routes, one for each set of listeners that add the same.

Source: traefik 3.7 pkg/server/aggregator.go (applyModel, mergeConfiguration), pkg/config/runtime/runtime_http.go,
cmd/traefik/traefik.go (getDefaultsEntrypoints).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from lbgen.labels.context import EntryPoint, Listeners, Ports
from lbgen.labels.foreign_options import Element, Options, Written
from lbgen.labels.route_spec import sound
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue

SETTING = "discovery.traefik.entrypoints"
_LONGEST = 63  # of a route's name


@dataclass(frozen=True, slots=True)
class Part:
    """A router, as it is on those of its listeners that add the same to it."""

    name: str  # of the route
    router: Element  # with the TLS options of the entry points
    listeners: tuple[str, ...] | None = None  # None: as its labels say, or the default ones
    middlewares: tuple[tuple[str, Written], ...] = ()  # that go before its own, with the setting that names them
    unknown: tuple[str, ...] = ()  # entry points that it names, and that there are not
    nowhere: BadValue | None = None  # why it is on no listener at all


@dataclass(frozen=True, slots=True)
class EntryPoints:
    """The entry points, and the listeners that they are."""

    described: Mapping[str, EntryPoint]
    listeners: Listeners
    protocols: Mapping[str, str]  # of all listeners, by name; empty: nobody knows

    @classmethod
    def of(cls, described: Collection[EntryPoint], listeners: Listeners, ports: Ports) -> EntryPoints:
        """Return those of the settings."""
        protocols = {name: protocol for protocol, _, name in ports.names}
        return cls({item.name: item for item in described}, listeners, protocols)

    def parts(self, protocol: str, router: Element, taken: Collection[str]) -> list[Part]:
        """Return a router as it is on its listeners.

        Args:
            taken: names of all of the service's routers.
        """
        whole = Part(router.name, router)
        asked = _asked(router)
        known = tuple(name for name in asked if name in self.protocols or not self.protocols)
        unknown = tuple(name for name in asked if name not in known)
        if unknown and not known:
            bad = BadValue(f"names no entry point that there is: {', '.join(unknown)}", self._remedy(protocol))
            return [replace(whole, listeners=self._default(protocol), nowhere=bad)]
        if unknown:
            whole = replace(whole, listeners=known, unknown=unknown)
        if not self.described:
            return [whole]
        wanted = known or self._default(protocol)
        if protocol != "http" or not wanted:
            return [replace(whole, listeners=wanted)]
        # Where every request is redirected none reaches a router: there is nothing to say of that listener.
        wanted = tuple(name for name in wanted if name not in self.listeners.redirecting) or wanted
        return self._split(whole, wanted, taken, named=bool(known))

    def _split(self, whole: Part, wanted: tuple[str, ...], taken: Collection[str], *, named: bool) -> list[Part]:
        tls = asks_tls(whole.router)
        if tls and not named:  # it sees TLS requests alone; without a listener for these its label is to blame
            wanted = tuple(name for name in wanted if name in self.listeners.secure)
        elif not tls:
            without = wanted
            wanted = tuple(name for name in wanted if self._without_tls(name))
            if not wanted:
                bad = BadValue(
                    f"is without TLS, as entry point {', '.join(without)} is, which has TLS here",
                    f"add tls=true to the router, or http.tls to {SETTING}.{without[0]}",
                )
                return [replace(whole, listeners=without, nowhere=bad)]
        if not wanted:
            return [whole]
        sets: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for name in wanted:
            entry_point = self.described.get(name, EntryPoint(name))
            sets.setdefault((entry_point.middlewares, "" if tls else entry_point.tls_options), []).append(name)
        return list(self._named(whole, sets, taken))

    def _named(
        self, whole: Part, sets: Mapping[tuple[tuple[str, ...], str], list[str]], taken: Collection[str]
    ) -> Iterator[Part]:
        used = set(taken)
        for (middlewares, tls_options), listeners in sets.items():
            of = f"{SETTING}.{listeners[0]}.http"
            router = whole.router
            if tls_options:
                added = {"tls": Written(f"{of}.tls", "true"), "tls.options": Written(f"{of}.tls.options", tls_options)}
                router = replace(router, options={**router.options, **added})
            name = whole.name
            if len(sets) > 1 and (middlewares or tls_options):
                name = _free("-".join(filter(None, (*listeners, name))).lower(), used)
                used.add(name)
            before = tuple((each, Written(f"{of}.middlewares", each)) for each in middlewares)
            yield replace(whole, name=name, router=router, listeners=tuple(listeners), middlewares=before)

    def _without_tls(self, name: str) -> bool:
        """Tell whether a listener has a router that asks for no TLS: as far as lbgen can know."""
        described = self.described.get(name)
        return name not in self.listeners.secure or described is None or described.tls

    def _default(self, protocol: str) -> tuple[str, ...] | None:
        """Return the listeners of a router that names none; None: those of setting default_listeners."""
        chosen = [item.name for item in self.described.values() if item.default or protocol == "udp"]
        chosen = chosen or list(self.described)  # asDefault is not for UDP
        return tuple(name for name in sorted(chosen) if self.protocols.get(name) == protocol) or None

    def _remedy(self, protocol: str) -> str:
        carrying = [name for name, carried in self.protocols.items() if carried == protocol]
        return f"name one of {', '.join(carrying)}, or add it to setting listeners" if carrying else "add a listener"


def place(part: Part, options: Options) -> None:
    """Say on which listeners a part of a router is, and what of its entry points is not there."""
    if part.nowhere:
        options.fields.pop("listener", None)
        options.lose("listener", part.nowhere, "entrypoints")
    if part.listeners is not None:
        options.fields["listener"] = part.listeners
    if part.unknown:
        names = ", ".join(part.unknown)
        bad = BadValue(f"is taken without {names}, which is no listener", "remove it, or add it to setting listeners")
        options.leave("listener", bad)


def choose_listeners(router: Element, options: Options, known: Listeners, *, some_tls: bool) -> frozenset[str]:
    """Keep a router with TLS off the listeners without; return the listeners that it comes to.

    Args:
        some_tls: a router of the service sees TLS requests only.
    """
    asked, tls = options.fields.get("listener"), asks_tls(router)
    wanted: tuple[str, ...] = asked or known.default
    if tls and asked and (plain := known.plain.intersection(wanted)):
        options.lose(tls, BadValue(f"asks for TLS, which listener {min(plain)} does not have", "name one with tls"))
        # Requests without TLS are not for it.
        options.fields["listener"] = tuple(name for name in asked if name not in plain) or asked
    elif not tls and not asked and some_tls:
        # Beside routers with TLS, one without sees the other requests: the two may well have the same rule.
        wanted = tuple(name for name in wanted if name in known.plain) or wanted
        options.fields["listener"] = wanted
    elif tls and not asked:
        # Traefik would put it on every entry point, where it sees TLS requests alone.
        wanted = tuple(name for name in wanted if name in known.secure) or tuple(sorted(known.secure))
        if wanted:
            options.fields["listener"] = wanted
        else:
            options.lose(tls, BadValue("asks for TLS, and no HTTP listener has it", "give a listener tls: true"))
    return frozenset(wanted)


def asks_tls(router: Element) -> Written | None:
    """Return the label that has a router see TLS requests only, or None."""
    switch = router.options.get("tls")
    if switch:
        return switch if switch.value.strip().lower() == "true" else None
    return next((written for option, written in router.options.items() if option.startswith("tls.")), None)


def _asked(router: Element) -> tuple[str, ...]:
    """Return the entry points that a router names, if they can be read."""
    written = router.options.get("entrypoints")
    try:
        return basic.list_of(basic.name)(sound(written.value)) if written else ()
    except BadValue:  # it is a problem where all options are read
        return ()


def _free(name: str, used: Collection[str]) -> str:
    """Return a name that no other route has."""
    name = name[:_LONGEST].strip("-_")
    number, free = 2, name
    while free in used:
        free = f"{name[: _LONGEST - 4]}-{number}"
        number += 1
    return free
