"""How the options of another program's labels are read: by a table that says what each option means here.

Three kinds of options: taken (`Taken`), left out with a note because they only tune or observe (`Left`), and those that
cannot be left out without doing something else than asked (`Lost`), which close the route.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lbgen.base.problem import Problem
from lbgen.labels.route_spec import problem_of, sound
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue, Parser

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Written(NamedTuple):
    """A label as its owner wrote it; without a value where it was not written but could have been."""

    label: str
    value: str


@dataclass(slots=True)
class Element:
    """A router, a service or a middleware, with the labels that describe it."""

    protocol: str
    kind: str
    name: str  # in lower case
    options: dict[str, Written] = field(default_factory=dict)  # "loadbalancer.server.port", in lower case -> label


@dataclass(frozen=True, slots=True)
class Taken:
    """An option that is honoured."""

    parse: Parser[object]
    # Of RouteKeys, or a name of our own, which begins with "_"; empty: it changes nothing here. Of a row that ends in
    # <> it is a mapping: {the rest of the option: value}.
    field: str = ""
    secret: bool = False  # its value is not for logs
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """An option that is left out, without which the route still does what it is for."""

    message: str
    remedy: str = "remove it, or live without it"
    secret: bool = False  # its value is not for logs


@dataclass(frozen=True, slots=True)
class Lost(Left):
    """An option without which the route would do something else than asked."""

    remedy: str = "remove it, or leave the service to Traefik"


Table = Mapping[str, Taken | Left | Lost]  # option -> meaning; <> stands for any words, [n] for an index


@dataclass(slots=True)
class Options:
    """What the options of an element say for one route."""

    service: str
    route: str
    fields: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)  # by field, and by label
    lost: list[Problem] = field(default_factory=list)  # they close the route
    left: list[Problem] = field(default_factory=list)  # notes on what is left out
    broken: set[str] = field(default_factory=set)  # fields, or options that have none, of what is lost

    def lose(self, at: str | Written, bad: BadValue, *broken: str) -> None:
        """Close the route for a label, or for the one that a field was written in.

        Args:
            broken: what is lost by it; by default that field.
        """
        self.lost.append(self._problem(at, bad))
        self.broken.update(broken or ([at] if isinstance(at, str) else []))

    def leave(self, at: str | Written, bad: BadValue) -> None:
        """Note that a label is left out, or the one that a field was written in."""
        self.left.append(self._problem(at, bad))

    def missing(self, **labels: str) -> None:
        """Name the labels that could have set fields, for problems of those that none has set."""
        for key, label in labels.items():
            self.written.setdefault(key, Written(label, ""))

    def _problem(self, at: str | Written, bad: BadValue) -> Problem:
        label, value = self.written[at] if isinstance(at, str) else at
        return problem_of(self.service, label, value, bad, self.route)


def flag(text: str) -> bool:
    """A boolean as Go's strconv.ParseBool reads it."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise BadValue("is neither true nor false", "write true or false, without quotes")


def duration(low: float, high: float) -> Parser[float]:
    """A duration as Traefik reads it: Go's ``1m30s``, or a bare number of seconds."""

    def parse(text: str) -> float:
        parts = _PART.findall(text)
        if text.isascii() and text.isdecimal() and len(text) < 10:
            seconds = float(text)
        elif parts and "".join(map("".join, parts)) == text and len(text) < 40:
            seconds = round(sum(float(number) * _UNITS[unit] for number, unit in parts), 3)
        else:
            raise BadValue("is not a duration", "write a number with its unit, such as 500ms, 10s or 1m30s")
        if not low <= seconds <= high:
            bounds = f"{basic.spell_duration(low)} to {basic.spell_duration(high)}"
            raise BadValue(f"is outside {bounds}", f"write a duration of {bounds}")
        return seconds

    return parse


def only(wanted: str, message: str, remedy: str) -> Parser[str]:
    """A word that changes nothing; any other asks for too much."""

    def parse(text: str) -> str:
        if text.lower() == wanted:
            return text
        raise BadValue(message, remedy)

    return parse


def read(service: str, route: str, element: Element | None, table: Table, *, secret: bool = False) -> Options:
    """Read all options of one element for one route; without an element there are none.

    Args:
        secret: what an option that is not in the table says may be a secret.
    """
    options = Options(service, route)
    for option, written in element.options.items() if element else ():
        row, meaning = meaning_of(option, table, secret=secret)
        of = table.get(row)
        broken = of.field if isinstance(of, Taken) and of.field else row
        shown = Written(written.label, "") if meaning.secret else written
        try:
            if isinstance(meaning, Taken):
                value = meaning.parse(sound(written.value, may_be_empty=meaning.may_be_empty))
                key = meaning.field or option
                if row.endswith("<>"):
                    options.fields.setdefault(key, {})[option.removeprefix(row[:-2])] = value
                else:
                    options.fields[key] = value
                options.written[written.label] = options.written[key] = shown
                continue
            sound(written.value)
            bad = BadValue(meaning.message, meaning.remedy)
            if isinstance(meaning, Lost):
                raise bad
            options.leave(shown, bad)
        except BadValue as bad:
            options.lose(shown, bad, broken)
    return options


def meaning_of(option: str, table: Table, *, secret: bool = False) -> tuple[str, Taken | Left | Lost]:
    """Return the row of the table for an option, or the one that an unknown option looks like, and what it says."""
    pattern = re.sub(r"\[[0-9]+\]", "[n]", option)
    if pattern in table:
        return pattern, table[pattern]
    for row, meaning in table.items():
        if row.endswith("<>") and pattern.startswith(row[:-2]):
            return row, meaning
    close = difflib.get_close_matches(option, [known for known in table if "<" not in known], n=1)
    remedy = f"did you mean {close[0]}?" if close else "remove it, or correct its name"
    return close[0] if close else option, Lost("is an unknown option", remedy, secret)
