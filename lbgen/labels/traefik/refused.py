"""Routers that cannot be honoured, as what they close; and services that Traefik refuses as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from lbgen.labels.foreign_options import Element, Options
from lbgen.labels.keys.table import FIELDS, GUARDS, RouteKeys
from lbgen.labels.match import ALWAYS, Match
from lbgen.labels.route_spec import ClosedSpec
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik import PREFIX
from lbgen.labels.traefik.entrypoints import Part
from lbgen.labels.traefik.middleware_effects import Effects
from lbgen.labels.traefik.middleware_options import guard_of

# Options of routers that are no field of `RouteKeys` -> one that is lost with them.
_FIELDS_OF = {"tls.options": "client_ca", "_tls_options": "client_ca", "_syntax": "rule"}
_LIST = "middlewares"


def closed_router(
    protocol: str, part: Part, match: Match | None, options: Options, own: Options, effects: Effects
) -> ClosedSpec | None:
    """Return what a router closes; None if it guards nothing, and nothing says which requests it wants, or where.

    Args:
        match: as far as it was read.
        options, own, effects: what the router, its service and its middlewares say, and what of it is lost.
    """
    guards = effects.options.broken
    broken = {_FIELDS_OF.get(name, name) for name in (*options.broken, *own.broken, *guards)} & FIELDS.keys()
    if match is None or "rule" in broken:
        broken, match = broken | {"rule"}, ALWAYS
    fields = {name: value for name, value in effects.fields.items() if name in GUARDS}
    if "listener" in options.fields:
        fields["listener"] = options.fields["listener"]
    keys = RouteKeys(**fields)
    lost = frozenset(guards - FIELDS.keys())
    origin, users = origin_of(part.router), effects.users
    spec = ClosedSpec(
        *(protocol, part.name, keys, match, frozenset(broken), "traefik", origin, lost),
        denies=bool(effects.denials),
        users=users,
    )
    return spec if spec.guarded or not (spec.unreadable or part.nowhere) else None


def origin_of(router: Element) -> str:
    """Return what a router is called in reports."""
    return f"router {router.name}" if router.name else "no router, by the default rule"


def looks_like_middlewares(word: str) -> bool:
    """Tell whether a word of a label was probably meant to be ``middlewares``."""
    return bool(alike(word, [_LIST], 0.7))


def whole_service(labels: Mapping[str, str]) -> Iterator[ClosedSpec]:
    """Yield what closes a service that Traefik takes nothing of: nothing, if no label names or defines a guard."""
    own = {tuple(label.lower().split(".")[1:]): value for label, value in labels.items() if _owned(label)}
    known = frozenset(words[2] for words in own if words[1:2] == (_LIST,) and len(words) > 3)
    guards = frozenset(guard for words, value in own.items() for guard in _guards_in(words, value, known))
    if guards:
        broken, lost = (guards & FIELDS.keys()) | {"rule"}, guards - FIELDS.keys()
        for protocol in ("http", "tcp"):  # its routes of other dialects, too
            yield ClosedSpec(protocol, "", RouteKeys(), ALWAYS, broken, "traefik", "", lost, whole=True)


def _owned(label: str) -> bool:
    return label.lower().startswith(PREFIX)


def _guards_in(words: tuple[str, ...], value: str, known: Collection[str]) -> Iterator[str]:
    """Yield the guards that a label names or defines.

    Args:
        known: names of middlewares, whose own labels say what they are.
    """
    if words[-2:] == ("tls", "options"):
        yield "client_ca"
    place = next((place for place, word in enumerate(words) if looks_like_middlewares(word)), None)
    if place is None:
        return
    defined = words[place + 1 :]
    if not defined and {name.strip() for name in value.lower().split(",")} <= set(known):
        return
    if len(defined) < 2:  # a router's list, or a definition without a kind
        yield _LIST
    elif defined[1] == "headers":
        yield from ["allowedhosts"] * ("allowedhosts" in defined)
    elif defined[1] != "chain" and (guard := guard_of(defined[1])):
        yield guard
