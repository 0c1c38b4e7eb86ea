"""What the values of most labels are made of: numbers, words, durations, networks, lists; with a message to act on."""

from __future__ import annotations

import ipaddress
import re
from typing import TypeVar

from lbgen.labels.values.value_type import BadValue, Parser, ValueType, list_pattern, numbers, spelling_of, value_type

T = TypeVar("T")

MAX_VALUE = 4096  # characters; a longer label value is a mistake or an attack
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DURATION = r"([0-9]{1,9})(ms|s|m|h)"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def any_case(*words: str) -> str:
    """Return a pattern of the words, in whatever case."""
    return "|".join("".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in word) for word in words)


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _YES:
        return True
    if lowered in _NO:
        return False
    raise BadValue("is neither true nor false", "write true or false")


# ``true`` or ``false``, and the other spellings Compose users know.
boolean = ValueType(_boolean, any_case(*_YES, *_NO), spell=lambda value: str(value).lower(), types=("boolean",))


text = ValueType(str)  # what is read elsewhere: a rule, placement constraints


def integer(low: int, high: int) -> ValueType[int]:
    """A whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,10}", text) and low <= int(text) <= high:
            return int(text)
        raise BadValue(f"is not a whole number from {low} to {high}", f"write a number from {low} to {high}")

    return ValueType(parse, numbers(low, high), types=("integer",), bounds=(low, high))


port = integer(1, 65535)


def choice(*allowed: str) -> ValueType[str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text in allowed:
            return text
        raise BadValue("is not one of " + ", ".join(allowed), "write one of " + ", ".join(allowed))

    return ValueType(parse, "|".join(map(re.escape, allowed)), words=allowed)


def duration(low: float, high: float) -> ValueType[float]:
    """``500ms``, ``2s``, ``1m`` as seconds, bounded by ``low`` and ``high`` seconds."""

    def parse(text: str) -> float:
        match = re.fullmatch(_DURATION, text)
        if not match:
            raise BadValue("is not a duration", "write a number with its unit, such as 500ms, 2s or 1m")
        seconds = round(int(match[1]) * _UNITS[match[2]], 3)
        if not low <= seconds <= high:
            bounds = f"{spell_duration(low)} to {spell_duration(high)}"
            raise BadValue(f"is outside {bounds}", f"write a duration of {bounds}")
        return seconds

    return ValueType(parse, _DURATION, spell=spell_duration)


def spell_duration(seconds: float) -> str:
    """Return the shortest spelling that `duration` reads back: 0.5 -> ``500ms``, 90.0 -> ``90s``, 60.0 -> ``1m``."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def list_of(parse: Parser[T], *, outside: bool = False) -> ValueType[tuple[T, ...]]:
    """A comma-separated list without empty or repeated items, in the order written.

    Args:
        outside: only commas outside of brackets separate, as in ``^/v[1,2],^/a{1,3}``; a backslash takes any away.
    """

    def parse_all(text: str) -> tuple[T, ...]:
        items = [item.strip() for item in (_outside(text) if outside else text.split(","))]
        if "" in items:
            raise BadValue("has an empty item", "separate the items by single commas")
        return tuple(dict.fromkeys(parse(item) for item in items))

    spell = spelling_of(parse)
    return ValueType(parse_all, list_pattern(parse), spell=lambda items: ",".join(map(spell, items)))


def _outside(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    items, depth, plain = [""], 0, True
    for char in text:
        if plain and char in "([{":
            depth += 1
        elif plain and char in ")]}":
            depth = max(0, depth - 1)
        if char == "," and plain and not depth:
            items.append("")
        else:
            items[-1] += char
        plain = not plain or char != "\\"
    return items


@value_type(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3}|/[0-9.]+)?")
def network(text: str) -> str:
    """A network in canonical form: ``192.0.2.0/24``; one address is a /32 or /128, one like ::ffff:192.0.2.1 IPv4's."""
    try:
        # Python reads "fe80::%eth0", and takes any text for the name of an interface: a sentence of Nginx's, say.
        if "%" in text:
            raise ValueError("an interface")
        found = ipaddress.ip_network(text)
        if found.version == 6 and found.prefixlen >= 96 and (last := found.network_address.ipv4_mapped):
            return f"{last}/{found.prefixlen - 96}"
        return str(found)
    except ValueError as error:
        raise BadValue("is not a network", "write an address or a network such as 192.0.2.0/24") from error


@value_type(_NAME.pattern)
def name(text: str) -> str:
    """A name as Swarm and lbgen write them (networks, listeners)."""
    if len(text) <= 128 and _NAME.fullmatch(text):
        return text
    raise BadValue("is not a name", "write letters, digits, dots, dashes and underscores only")


def number(*allowed: int) -> ValueType[int]:
    """One of a few numbers."""
    words = choice(*map(str, allowed))
    return ValueType(lambda text: int(words(text)), words.pattern, types=("integer",))
