"""What Traefik's file provider would define, as elements: middlewares, services, TLS options, transports.

The nested options of such a file become the flat ones that labels have, so that the same tables read both; what a label
is called in messages is the option's place in the settings or in the file. As in Traefik, options and kinds know no
case, an option without a value is not there, and an empty section counts as ``true``.

Source: traefik 3.7 pkg/config/dynamic, pkg/provider/file; traefik/paerser file/raw_node.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.foreign_options import Element, Written
from lbgen.labels.route_spec import problem_of
from lbgen.labels.suggestions import alike
from lbgen.labels.values.value_type import BadValue

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?")
_MAX_DEPTH = 12
TEMPLATE = BadValue(
    "has a Go template ({{ }}), which only Traefik evaluates", "write the value itself, as Traefik has it in the end"
)
Keys = tuple[str | int, ...]
# Sections of a file that define what labels can name.
_DEFINE = {
    *(("http", "services"), ("http", "middlewares"), ("http", "serverstransports")),
    *(("tcp", "services"), ("tcp", "middlewares"), ("tcp", "serverstransports")),
    *(("udp", "services"), ("tls", "options")),
}
_ROUTERS = BadValue(
    "is left out: lbgen routes what services ask for",
    "write each router as labels of a Swarm service, with traefik.http.routers.NAME.service=SERVICE@file",
)
_CERTIFICATES = BadValue(
    "is left out: certificates are files in the directory of setting certificates", "put them there, with their keys"
)
# Other ones, in lower case -> what becomes of them.
_OTHERS = {
    **{(protocol, "routers"): _ROUTERS for protocol in ("http", "tcp", "udp")},
    ("tls", "certificates"): _CERTIFICATES,
    ("tls", "stores"): _CERTIFICATES,
    ("http", "models"): BadValue("is left out: only Traefik itself writes such a section", "remove it"),
}


def place(keys: Keys) -> str:
    """Return what the place of a value is called: ``http.middlewares.auth.basicAuth.users[0]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


@dataclass(slots=True)
class FileElements:
    """The elements of some sections, and what of the text means none."""

    elements: dict[tuple[str, str, str], Element] = field(default_factory=dict)
    places: dict[tuple[str, str, str], str] = field(default_factory=dict)  # what an element is called in messages
    from_files: set[tuple[str, str, str]] = field(default_factory=set)  # elements that the settings do not hold
    mistakes: list[Problem] = field(default_factory=list)  # Traefik would take nothing of such a file either
    notes: list[Problem] = field(default_factory=list)  # what is left out
    items: dict[str, tuple[Written, ...]] = field(default_factory=dict)  # of a list, by what its option is called

    def add(self, protocol: str, kind: str, section: object, where: str) -> None:
        """Add the elements of one section, such as ``http.middlewares``.

        Args:
            where: what the section is called in messages.
        """
        if section is None:
            return
        if not isinstance(section, Mapping):
            self._mistake(where, section, BadValue("is not a section", "write NAME: and its options below"))
            return
        for name, body in section.items():
            self._element(protocol, kind, str(name), body, f"{where}.{name}")

    def add_file(self, content: Mapping[str, object], name: str) -> None:
        """Add the elements of a whole file.

        Args:
            name: of the file, for messages.
        """
        for root, kinds in content.items():
            where = f"{name}:{root}"
            if root.lower() not in ("http", "tcp", "udp", "tls"):
                bad = BadValue("is left out: it is no part of a dynamic configuration", "remove it")
                self.notes.append(problem_of("", where, "", bad))
            elif isinstance(kinds, Mapping):
                for kind, section in kinds.items():
                    self._section((root.lower(), str(kind).lower()), section, f"{where}.{kind}")
            elif kinds is not None:
                self._mistake(where, kinds, BadValue("is not a section", "write its kinds of elements below it"))

    def _section(self, key: tuple[str, str], section: object, where: str) -> None:
        if key in _OTHERS:
            if section:
                self.notes.append(problem_of("", where, "", _OTHERS[key]))
        elif key in _DEFINE:
            before = set(self.elements)
            self.add(*key, section, where)
            self.from_files |= self.elements.keys() - before
        else:
            known = sorted(kind for protocol, kind in {*_DEFINE, *_OTHERS} if protocol == key[0])
            close = alike(key[1], known)
            remedy = f"did you mean {close}?" if close else f"write one of {', '.join(known)}"
            self._mistake(where, "", BadValue("is no section of such a file", remedy))

    def _element(self, protocol: str, kind: str, name: str, body: object, where: str) -> None:
        key = protocol, kind, name.lower()
        if not _NAME.fullmatch(key[2]):
            bad = BadValue("has no usable name", "use letters, digits, -, _ and ., at most 63")
            self._mistake(where, "", bad)
        elif key in self.elements:
            self._mistake(where, "", BadValue("has the name of another one, since case does not count", "rename one"))
        elif not isinstance(body, Mapping):
            self._mistake(where, body, BadValue("is not a section", "write its options below the name"))
        else:
            element = self.elements[key] = Element(protocol, kind, key[2])
            self.places[key] = where
            self._options(element, "", body, where, 0)

    def _options(self, element: Element, before: str, section: Mapping[object, object], where: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            self._mistake(where, "", BadValue(f"is nested more than {_MAX_DEPTH} deep", "check its indentation"))
            return
        for key, value in section.items():
            option, at = f"{before}{str(key).lower()}", f"{where}.{key}"
            if "{{" in str(key):
                self._mistake(at, "", TEMPLATE)
            elif option in element.options:
                self._mistake(at, "", BadValue("is there twice, since case does not count", "remove one of the two"))
            elif isinstance(value, Mapping) and value:
                self._options(element, f"{option}.", value, at, depth + 1)
            elif isinstance(value, Mapping):
                element.options[option] = Written(at, "true")
            elif isinstance(value, Sequence) and not isinstance(value, str):
                self._list(element, option, value, at, depth)
            elif value is not None:
                self._put(element, option, at, value)

    def _list(self, element: Element, option: str, values: Sequence[object], at: str, depth: int) -> None:
        texts = []
        for number, value in enumerate(values):
            if isinstance(value, Mapping):
                self._options(element, f"{option}[{number}].", value, f"{at}[{number}]", depth + 1)
            elif isinstance(value, Sequence) and not isinstance(value, str):
                self._mistake(f"{at}[{number}]", "", BadValue("is a list within a list", "write its items one by one"))
            elif value is not None:
                texts.append(Written(f"{at}[{number}]", _text(value)))
        for written in texts:
            if "{{" in written.value:
                self._mistake(written.label, "", TEMPLATE)
            elif "," in written.value and option.endswith("regex"):
                bad = BadValue("has a comma, which separates expressions here", "write it without one")
                self._mistake(*written, bad)
        if texts or not values:
            self.items[at] = tuple(texts)
            element.options[option] = Written(at, ",".join(text.value for text in texts))

    def _put(self, element: Element, option: str, at: str, value: object) -> None:
        text = _text(value)
        if "{{" in text:
            self._mistake(at, "", TEMPLATE)
        element.options[option] = Written(at, text)

    def _mistake(self, label: str, value: object, bad: BadValue) -> None:
        self.mistakes.append(problem_of("", label, "" if value == "" else _text(value)[:80], bad))


def _text(value: object) -> str:
    """Return a scalar as a label would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)
