"""What the middlewares of a Traefik router mean here; what cannot be honoured drops the router.

A missing basicauth must never expose a service, so an unknown middleware counts as one that guards.

Source: traefik 3.7 pkg/config/dynamic/middlewares.go, pkg/middlewares/redirect, pkg/middlewares/retry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lbgen.labels import values
from lbgen.labels.labelled import problem_of
from lbgen.labels.traefik_labels import Element, Written
from lbgen.labels.traefik_options import Left, Lost, Read, Table, Taken, flag, read
from lbgen.labels.values import BadValue
from lbgen.match import Alternative
from lbgen.problem import printable

TO_HTTPS = values.redirect("https://{host}{path}?{query}")
_GUARD = Lost("is a middleware that cannot be honoured, so the route is not served", secret=True)
_KINDS: Mapping[str, Table] = {
    "redirectscheme": {
        "scheme": Taken(values.choice("https"), "_scheme"),
        "port": Taken(values.choice("443"), ""),
        "permanent": Taken(flag, "_permanent"),
    },
    "redirectregex": {
        "regex": Taken(str, "_regex"),
        "replacement": Taken(str, "_replacement"),
        "permanent": Taken(flag, "_permanent"),
    },
    "retry": {
        "attempts": Taken(values.integer(1, 101), "_attempts"),
        "initialinterval": Left("is left out: the next server is tried at once", "remove it"),
        "timeout": Left("is left out: the time-outs of the route hold", "remove it"),
    },
    "chain": {"middlewares": Taken(values.listed(str), "_middlewares")},
    "compress": {"<>": Left("is left out: answers are not compressed", "let the application compress them")},
    "circuitbreaker": {"<>": Left("is left out: nothing takes the service out of use", "remove it")},
}
_MAX_DEPTH = 16
# A host as it stands in a regular expression, and the rest of the URL as group 1 or as none.
_URL = re.compile(r"\^https\?://((?:[A-Za-z0-9-]|\\\.)+)/(?:(\(\.\*\))|\.\*)\$?")
_ANYTHING = re.compile(r"\^?(?:\.\*|\.\+|\(\.\*\))\$?")
_REST = re.compile(r"(https?://[^/$]+)/(?:\$1|\$\{1\})")


@dataclass(slots=True)
class Effects:
    """What all middlewares of a router come to."""

    fields: dict[str, object] = field(default_factory=dict)
    read: Read = field(default_factory=Read)
    seen: set[str] = field(default_factory=set)  # a middleware counts once, however many chains lead to it


def local(reference: str) -> str:
    """Return the name that a reference to the same service's elements has; empty for another provider's."""
    name, at, provider = reference.strip().lower().partition("@")
    return name if not at or provider in ("docker", "swarm") else ""


@dataclass(slots=True)
class Middlewares:
    """The middlewares that a service's labels define."""

    service: str
    known: Mapping[str, Element]

    def of(self, route: str, names: tuple[str, ...], source: Written, alternatives: tuple[Alternative, ...]) -> Effects:
        """Return what these middlewares do to a route.

        Args:
            source: the label that names them.
            alternatives: what the route matches; a redirect has to be one for all of it.
        """
        effects = Effects()
        for name in names:
            self._add(effects, route, name, source, alternatives, ())
        return effects

    def _add(
        self,
        effects: Effects,
        route: str,
        reference: str,
        source: Written,
        alternatives: tuple[Alternative, ...],
        inside: tuple[str, ...],
    ) -> None:
        name = local(reference)
        try:
            if name in inside:
                raise BadValue(f"leads to middleware {name} again", "take it out of the chain")
            if len(inside) > _MAX_DEPTH:
                raise BadValue(f"nests chains more than {_MAX_DEPTH} deep", "name the middlewares themselves")
            if name not in self.known:
                raise BadValue(
                    f"names middleware {printable(reference)}, which is not among this service's labels",
                    "define it among the labels of this service",
                )
        except BadValue as bad:
            effects.read.lost.append(problem_of(self.service, source.label, source.value, bad, route))
            return
        if name in effects.seen:
            return
        effects.seen.add(name)
        kinds: dict[str, Element] = {}
        for option, written in self.known[name].options.items():
            kind, _, rest = option.partition(".")
            kinds.setdefault(kind, Element("http", kind, name)).options[rest] = written
        for kind, element in kinds.items():
            found = read(self.service, route, element, _KINDS.get(kind, {"<>": _GUARD}))
            effects.read.written.update({key: value for key, value in found.written.items() if key == value[0]})
            effects.read.lost += found.lost
            effects.read.left += found.left
            if not found.lost:
                self._apply(effects, route, kind, element, found, alternatives, (*inside, name))

    def _apply(
        self,
        effects: Effects,
        route: str,
        kind: str,
        element: Element,
        found: Read,
        alternatives: tuple[Alternative, ...],
        inside: tuple[str, ...],
    ) -> None:
        """Add what one middleware does; all its options are good."""
        fields, first = found.fields, next(iter(element.options.values()))
        try:
            if kind == "redirectscheme":
                if "_scheme" not in fields:
                    raise BadValue("is a redirect without a scheme", "add redirectscheme.scheme=https")
                effects.fields["redirect_https"] = True
            elif kind == "redirectregex":
                effects.fields.update(_redirect(fields, alternatives))
            elif kind == "retry" and "_attempts" in fields:
                attempts = fields["_attempts"]
                assert isinstance(attempts, int)
                effects.fields["retries"] = attempts - 1  # Traefik counts the first one too
            elif kind == "chain":
                names = fields.get("_middlewares", ())
                assert isinstance(names, tuple)
                for each in names:
                    self._add(effects, route, each, first, alternatives, inside)
        except BadValue as bad:
            effects.read.lost.append(problem_of(self.service, first.label, first.value, bad, route))


def _redirect(fields: Mapping[str, object], alternatives: tuple[Alternative, ...]) -> dict[str, object]:
    """Return the redirect that a regular expression over the whole URL means.

    Raises:
        BadValue: it would not redirect every request of the route, or takes the URL apart in another way.
    """
    regex, replacement = str(fields.get("_regex", "")), str(fields.get("_replacement", ""))
    url, rest = _URL.fullmatch(regex), _REST.fullmatch(replacement)
    if url:
        host = url[1].replace("\\.", ".").lower()
        hosts = [{test.value for test in tests if test.kind == "host" and not test.negated} for tests in alternatives]
        if "\\" in host or any(found != {host} for found in hosts):
            raise BadValue("redirects only some of the router's requests", f"give the router the rule Host(`{host}`)")
    if not (url or _ANYTHING.fullmatch(regex)) or ("$" in replacement and not (rest and url and url[2])):
        raise BadValue(
            "is a redirect that cannot be honoured",
            "write ^https?://NAME/(.*) and https://OTHER/${1}, or leave the service to Traefik",
        )
    # The methods are kept, as Traefik keeps those of all requests but GET.
    target = values.redirect(rest[1] + "{path}?{query}" if rest else replacement)
    return {"redirect": target, "redirect_code": 308 if fields.get("_permanent") else 307}
