"""How the options of another program's labels are read: by a table that says what each option means here.

Three kinds of options: taken (`Taken`), left out with a note because they only tune or observe (`Left`), and those that
cannot be left out without doing something else than asked (`Lost`), which close the route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from lbgen.base.problem import Problem
from lbgen.labels.route_spec import problem_of, sound
from lbgen.labels.suggestions import Vocabulary
from lbgen.labels.synonyms import FOREIGN
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue, Parser

# Both letters that Unicode has for micro.
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SHORTEST = 1_000_000  # nanoseconds: no proxy is told less than a millisecond
_INDEX = re.compile(r"\[([0-9]{1,6})\]")


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
    # <> it is a mapping: {the rest of the option: value}; of one that has [n] likewise: {the number: value}.
    field: str = ""
    secret: bool = False  # its value is not for logs
    may_be_empty: bool = False
    lines: bool = False  # its words may stand on several lines


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
    otherwise: bool = False  # of a row with <>: it is for what is in no other row, and may be misspelt


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
        self.left.append(replace(self._problem(at, bad), note=True))

    def noted(self, at: str | Written, value: object) -> object:
        """Return a value, and note it if it is not the one that was written."""
        if isinstance(value, Noted):
            self.leave(at, value.note)
            return value.value
        return value

    def add(self, other: Options) -> None:
        """Add what another element says for the same route, but for its fields."""
        self.written.update(other.written)
        self.lost += other.lost
        self.left += other.left
        self.broken |= other.broken

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


@dataclass(frozen=True, slots=True)
class Noted:
    """A value that is taken otherwise than it was written, and what is said of that."""

    value: object
    note: BadValue


def duration(low: float, high: float, *, usual: float | None = None) -> Parser[float | Noted]:
    """A duration as Traefik reads it: Go's ``1m30s``, or a bare number of seconds.

    Args:
        usual: what Traefik takes in place of none and less than none. With it, what is too short or too long is taken
            as the shortest or the longest there is here, and noted.
    """

    def parse(text: str) -> float | Noted:
        meant = _nanoseconds(text)
        if meant <= 0 and usual is not None:
            return Noted(
                usual, BadValue(f"is taken as {basic.spell_duration(usual)}, as by Traefik", "write a duration")
            )
        seconds = -(-abs(meant) // _SHORTEST) / 1000
        bounds = f"{basic.spell_duration(low)} to {basic.spell_duration(high)}"
        if meant >= 0 and low <= seconds <= high:
            return seconds
        if usual is None:
            raise BadValue(f"is outside {bounds}", f"write a duration of {bounds}")
        nearest = min(max(seconds, low), high)
        message = f"is taken as {basic.spell_duration(nearest)}, since there is {bounds} here"
        return Noted(nearest, BadValue(message, f"write a duration of {bounds}"))

    return parse


def _nanoseconds(text: str) -> int:
    """Read a duration of Go's, or a bare number of seconds."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if len(rest) < 40 and rest.isascii() and rest.isdecimal():
        return sign * int(rest) * _UNITS["s"]
    parts = _PART.findall(rest)
    if not parts or "".join(map("".join, parts)) != rest or len(rest) > 40:
        raise BadValue("is not a duration", "write a number with its unit, such as 500ms, 10s or 1m30s")
    return sign * int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))


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
                text = sound(written.value, may_be_empty=meaning.may_be_empty, lines=meaning.lines)
                shown = Written(written.label, "" if meaning.secret else text)
                value = options.noted(shown, meaning.parse(text))
                key = meaning.field or option
                if index := _INDEX.search(option) if "[n]" in row else None:
                    options.fields.setdefault(key, {})[int(index[1])] = value
                elif row.endswith("<>"):
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
            if isinstance(meaning, Lost) and meaning.otherwise and (near := _vocabulary(table).nearest(option)):
                return near, Lost(meaning.message, f"did you mean {near}?", meaning.secret)
            return row, meaning
    nearest = _vocabulary(table).nearest(option)
    remedy = f"did you mean {nearest}?" if nearest else "remove it, or correct its name"
    return nearest or option, Lost("is an unknown option", remedy, secret)


def _vocabulary(table: Table) -> Vocabulary:
    known = [option for option in table if option and "<" not in option]
    meant = {word: next((each for each in options if each in table), "") for word, options in FOREIGN.items()}
    return Vocabulary(known, {word: option for word, option in meant.items() if option})
