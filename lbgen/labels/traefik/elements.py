"""A service's ``traefik.*`` labels, sorted by the router, service or middleware that they belong to.

Labels know no case, as in Traefik. What the values mean is not asked here.

Source: traefik 3.7 pkg/config/label/label.go (the four roots that are read), pkg/provider/docker/shared_labels.go;
traefik/paerser parser/ (names are compared without case).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.base.problem import Problem, printable
from lbgen.labels.foreign_options import Element, Written
from lbgen.labels.route_spec import ROUTE_NAME, problem_of
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik import PREFIX, first
from lbgen.labels.traefik.middleware_options import KINDS as HTTP_KINDS
from lbgen.labels.traefik.middleware_options import TCP_KINDS
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.values.value_type import BadValue

KINDS = {
    "http": ("routers", "services", "middlewares"),
    "tcp": ("routers", "services", "middlewares"),
    "udp": ("routers", "services"),
}
_LIKE = 0.75  # of two words: "auth" is not basicauth
MIDDLEWARES = {"http": HTTP_KINDS, "tcp": TCP_KINDS}
GENERAL = ("enable", "docker.network", "docker.lbswarm", "swarm.network", "swarm.lbswarm")


@dataclass(slots=True)
class Labels:
    """All ``traefik.*`` labels of a service."""

    general: dict[str, Written] = field(default_factory=dict)  # one of GENERAL -> label
    elements: dict[tuple[str, str, str], Element] = field(default_factory=dict)
    unread: list[Written] = field(default_factory=list)  # Traefik does not read them either
    broken: list[Problem] = field(default_factory=list)  # Traefik refuses the whole service for one of these

    _kinds: dict[tuple[str, str], dict[str, Element]] = field(default_factory=dict)

    def add(self, protocol: str, kind: str, name: str) -> Element:
        """Return the element of this name, a new one if there was none."""
        element = self.elements.setdefault((protocol, kind, name), Element(protocol, kind, name))
        return self._kinds.setdefault((protocol, kind), {}).setdefault(name, element)

    def of(self, protocol: str, kind: str) -> Mapping[str, Element]:
        """Return the elements of a kind by name."""
        return self._kinds.get((protocol, kind), {})


def sort(service: str, labels: Mapping[str, str]) -> Labels:
    """Sort a service's labels; those of other programs are left out."""
    own = Labels()
    for label, value in sorted(labels.items()):
        if label.lower().startswith(PREFIX):
            try:
                _sort(own, Written(label, value))
            except BadValue as bad:
                own.broken.append(problem_of(service, label, value, bad))
    return own


def _sort(own: Labels, written: Written) -> None:
    words = written.label.lower().split(".")[1:]
    option = ".".join(words)
    if option in GENERAL:
        _put(own.general, option, written)
    elif words[0] in ("docker", "swarm"):
        raise BadValue("is not an option of the Swarm provider", f"write one of {PREFIX}{f', {PREFIX}'.join(GENERAL)}")
    elif words[0] not in KINDS:
        own.unread.append(written)
    elif len(words) < 4 or words[1] not in KINDS[words[0]] or "" in words:
        kinds = ", ".join(KINDS[words[0]])
        if words[3:] and (near := alike(words[1], KINDS[words[0]])):
            raise BadValue(f"is of a kind {printable(words[1])}, which there is not", f"write {near} in its place")
        raise BadValue("names no option", f"write {PREFIX}{words[0]}.KIND.NAME.OPTION with one of the kinds {kinds}")
    elif not ROUTE_NAME.fullmatch(words[2]):
        raise BadValue("has no usable name", "use letters, digits, - and _, at most 63, within dashes or underscores")
    elif right := _without_dots(words):
        raise BadValue(f"has a dot in the name of the {words[1][:-1]}", f"write {right}")
    else:
        protocol, kind, name = words[:3]
        element = own.add(protocol, kind, name)
        _put(element.options, ".".join(words[3:]), written)


def _without_dots(words: Sequence[str]) -> str:
    """Return the label to write for one whose element has a name with dots; empty: it has none."""
    protocol, kind, *named = words
    tables = MIDDLEWARES[protocol] if kind == "middlewares" else TABLES[protocol, kind]
    known = {option.partition(".")[0] for option in tables}
    if named[1] in known or alike(named[1], known, _LIKE):
        return ""
    at = next((at for at, word in enumerate(named) if at > 1 and word in known), 0)
    return f"{PREFIX}{protocol}.{kind}.{'-'.join(named[:at])}.{'.'.join(named[at:])}" if at else ""


def _put(options: dict[str, Written], option: str, written: Written) -> None:
    if option in options:
        raise BadValue(f"says again what label {options[option].label} says", "remove one of the two")
    options[option] = written


def unread(service: str, written: Written) -> Problem:
    """Return the note about a label that nobody reads."""
    if first.is_first(written.label):
        shown = "" if first.guards(written.label) else written.value
        return problem_of(service, written.label, shown, first.advice(service, written))
    bad = BadValue("is not a label that routes", "remove it, or use it in discovery.traefik.constraints")
    return problem_of(service, written.label, written.value, bad)
