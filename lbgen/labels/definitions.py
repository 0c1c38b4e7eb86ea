"""What Traefik's names mean: middlewares, services and routers that any Swarm service defines, or a setting.

Names are the provider's, not the service's: equal definitions are one. Of unequal ones the oldest Swarm service's keeps
the name; a service that defines it otherwise may not use it, since a guard may be meant.

Source: traefik 3.7 pkg/provider/merge.go, pkg/config/dynamic/http_config.go (ServersLoadBalancer.Merge),
pkg/server/provider/provider.go (GetQualifiedName).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.problem import printable
from lbgen.labels import suggestions
from lbgen.labels.foreign_options import Element
from lbgen.labels.route_spec import Use
from lbgen.labels.values.value_type import BadValue

SWARM, FILE = "swarm", "file"  # the providers of labels and of settings, as references have them after the @
_NOUNS = {"options": "TLS options", "serverstransports": "transport"}
Key = tuple[str, str, str]  # protocol, kind, name in lower case
# Of a load balancer's servers: two definitions that differ in these alone are one, with the servers of both.
_OF_SERVERS = "loadbalancer.server."


@dataclass(frozen=True, slots=True)
class Definition:
    """A router, a service or a middleware, and who defines it."""

    element: Element
    service: str = ""  # name of the Swarm service whose labels define it; empty: a setting
    general: Mapping[str, Any] = field(
        default_factory=dict
    )  # fields of `RouteKeys` that hold for all tasks of that one
    also: tuple[Definition, ...] = ()  # equal ones, of younger Swarm services that the asking one may use
    against: str = ""  # the oldest of the younger Swarm services that define it otherwise; empty: none does

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.element.protocol, self.element.kind, self.element.name

    @property
    def provider(self) -> str:
        """The provider that names in it are of, unless they say another one."""
        return SWARM if self.service else FILE

    @property
    def whose(self) -> str:
        """Who defines it, for messages."""
        return f"service {self.service}" if self.service else "setting discovery.traefik"

    def alike(self, other: Definition) -> bool:
        """Tell whether two definitions of a name are one."""
        return _said(self.element) == _said(other.element)


@dataclass(frozen=True, slots=True)
class Defined:
    """What the labels of one Swarm service define."""

    service: str
    definitions: tuple[Definition, ...] = ()
    absent: str = ""  # why the service takes no part, so that they count for nobody; empty: it does
    broken: bool = False  # it takes none since one of its labels cannot be read


class Undefined(BadValue):
    """A name that means nothing, or not the same for all: nobody defines it, or some do it in two ways."""

    def __init__(self, message: str, remedy: str, near: Definition | None = None) -> None:
        """
        Args:
            near: what was probably meant.
        """
        super().__init__(message, remedy)
        self.near = near


@dataclass(frozen=True, slots=True)
class Definitions:
    """All definitions there are. Equal ones are equal, so that what was read with them need not be read again."""

    named: Mapping[Key, tuple[Definition, ...]] = field(default_factory=dict)  # of Swarm services, the oldest first
    settings: Mapping[Key, Definition] = field(default_factory=dict)  # NAME@file
    absent: Mapping[Key, tuple[str, str]] = field(default_factory=dict)  # (Swarm service, why it takes no part)
    # Of setting claims, those that are for a Swarm service, by its name; None: there is no such setting.
    entries: Mapping[str, frozenset[int]] | None = None
    defined: Mapping[str, Defined] = field(default_factory=dict)  # what each Swarm service that takes part defines
    # Of Swarm services whose labels are broken, older than all others that define them: nobody else's take their place.
    withheld: Mapping[Key, Definition] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        defined: Iterable[Defined],
        elements: Mapping[Key, Element],
        entries: Mapping[str, frozenset[int]] | None = None,
    ) -> Definitions:
        """Return the definitions of all Swarm services, the oldest first, and of settings.

        Args:
            elements: of settings.
        """
        named: dict[Key, tuple[Definition, ...]] = {}
        absent: dict[Key, tuple[str, str]] = {}
        withheld: dict[Key, Definition] = {}
        by_service = {}
        for own in defined:
            if own.absent:
                for each in own.definitions:
                    absent.setdefault(each.key, (own.service, own.absent))
                    if own.broken and each.key not in named:
                        withheld.setdefault(each.key, each)
            else:
                by_service[own.service] = own
                for each in own.definitions:
                    named[each.key] = (*named.get(each.key, ()), each)
        settings = {key: Definition(element) for key, element in elements.items()}
        return cls(named, settings, absent, entries, by_service, withheld)

    def including(self, own: Defined) -> Definitions:
        """Return them with what a Swarm service defines in place of what it defined; the same where that is equal."""
        before = self.defined.get(own.service)
        if before == own:
            return self
        known = {each.key for each in before.definitions} if before else set()
        new = {each.key: each for each in own.definitions}
        named = dict(self.named)
        for key in known | new.keys():
            others = list(named.pop(key, ()))
            place = next((number for number, each in enumerate(others) if each.service == own.service), len(others))
            others[place : place + 1] = [new[key]] if key in new else []
            if others:
                named[key] = tuple(others)
        return replace(self, named=named, defined={**self.defined, own.service: own})

    def find(self, protocol: str, kind: str, reference: str, asking: str = "", provider: str = SWARM) -> Definition:
        """Return what a name means: ``NAME``, ``NAME@swarm``, ``NAME@docker``, ``NAME@file``.

        Args:
            asking: the Swarm service that the name is used for; empty: a setting.
            provider: of the definition that the name stands in, whose names need no ``@``.

        Raises:
            Undefined: it means nothing here.
        """
        name, at, written = reference.strip().lower().partition("@")
        where = {"": provider, "docker": SWARM}.get(written, written) if at else provider
        if where == FILE and (definition := self.settings.get((protocol, kind, name))):
            return definition
        candidates = self.named.get((protocol, kind, name), ()) if where == SWARM else ()
        if not candidates:
            raise self._undefined(protocol, kind, reference, name, where)
        usable = [each for each in candidates if self.share_an_entry(asking, each.service)]
        own = next((each for each in usable if each.service == asking), None)
        if kind == "middlewares":
            withheld = self.withheld.get((protocol, kind, name))
            if withheld and self.share_an_entry(asking, withheld.service) and not withheld.alike(candidates[0]):
                message = f"names middleware {name}, which service {withheld.service} defines, whose labels are broken"
                raise Undefined(message, "mend them there", withheld)
            return _middleware(usable or candidates, own, settle=bool(usable and asking))
        # A service or a router that is another one than the oldest of its name stays its owner's.
        first = next((each for each in usable if own is None or each.alike(own)), candidates[0])
        return replace(first, also=tuple(each for each in usable if each is not first and each.alike(first)))

    def answer(self, use: Use) -> Definition | tuple[str, str]:
        """Return what a use finds, or what is wrong with it: for comparison with what it found before."""
        try:
            return self.find(*use)
        except Undefined as bad:
            return bad.message, bad.remedy

    def share_an_entry(self, asking: str, service: str) -> bool:
        """Tell whether setting claims lets two Swarm services use each other; settings may use everything."""
        if self.entries is None or not asking or asking == service:
            return True
        return not self.entries.get(asking, frozenset()).isdisjoint(self.entries.get(service, frozenset()))

    def _undefined(self, protocol: str, kind: str, reference: str, name: str, where: str) -> Undefined:
        what = f"names {_NOUNS.get(kind, kind[:-1])} {printable(reference)}, which"
        if where == SWARM and (absent := self.absent.get((protocol, kind, name))):
            service, why = absent
            return Undefined(f"{what} service {service} defines, which takes no part: {why}", "have it take part")
        if where == "internal":
            return Undefined(f"{what} is Traefik's own", "leave it to Traefik, and remove it with it")
        if where not in (SWARM, FILE):
            return Undefined(f"{what} is of provider {printable(where)}, of which nothing is known here", _DEFINE)
        known = self.named if where == SWARM else self.settings
        names = [each for own, of, each in known if (own, of) == (protocol, kind)]
        nearest = suggestions.alike(name, names)
        if not nearest:
            return Undefined(f"{what} nothing defines", _DEFINE if where == SWARM else _SET)
        near = self.named[protocol, kind, nearest][0] if where == SWARM else self.settings[protocol, kind, nearest]
        return Undefined(f"{what} nothing defines", f"did you mean {nearest}, which {near.whose} defines?", near)


@dataclass(frozen=True, slots=True)
class DefinitionsByPart:
    """The definitions of each part: names in one's labels mean nothing in those of another one."""

    parts: Mapping[str, Definitions] = field(default_factory=dict)

    def of(self, part: str) -> Definitions:
        """Return those of a part."""
        return self.parts.get(part) or Definitions()


_DEFINE = "define it among the labels of this service, or of another one that takes part"
_SET = "define it in a file that setting discovery.traefik.files names"


def _middleware(candidates: Iterable[Definition], own: Definition | None, *, settle: bool) -> Definition:
    """Return the middleware that a name means; raise Undefined if that is not the same for all.

    Args:
        settle: where it is not, the oldest counts for those that do not define it.
    """
    first, *others = candidates
    if own and not own.alike(first):
        message = (
            f"names middleware {own.element.name}, which service {first.service}, which is older, defines otherwise"
        )
        raise Undefined(message, "give the two the same options, or rename one", own)
    unlike = next((each for each in others if not each.alike(first)), None)
    if unlike and not settle:
        message = f"names middleware {first.element.name}, which services {first.service} and {unlike.service} define"
        message += " in two ways, and neither is this service or of an entry of setting claims with it"
        raise Undefined(message, "define it in setting discovery.traefik, or have one of the two renamed", first)
    return replace(first, against=unlike.service) if unlike and not own else first


def _said(element: Element) -> dict[str, str]:
    """Return what an element says, for comparison."""
    skipped = _OF_SERVERS if element.kind == "services" else " "
    return {
        option: written.value.strip() for option, written in element.options.items() if not option.startswith(skipped)
    }
