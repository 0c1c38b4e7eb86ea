"""The type of a label's value: how it is read, which texts it can be, and how a value is written again.

All three in one place, so that what is read, what `lbgen config schema --labels` allows and what documentation shows
are the same. A schema allows at least what is read; what no pattern can say (bounds of durations, say) it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Parser = Callable[[str], T]
_BLANK = r"[ \t\r\n]*"
ANYTHING = r"[^\u0000-\u001f\u007f]+"


class BadValue(ValueError):
    """A value that cannot be used: what is wrong with it, and what to write instead.

    ``key`` is the label key at fault (``network``), where the one who raises it knows better than the one who reads.
    """

    def __init__(self, message: str, remedy: str, key: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy, self.key = message, remedy, key


@dataclass(frozen=True, slots=True)
class ValueType(Generic[T]):
    """One type of value."""

    read: Parser[T]  # raises BadValue
    pattern: str = ANYTHING  # a regular expression, without anchors, that every text fits that is read
    item: str = ""  # the same for an item of a list, which has no comma, where `pattern` can have one
    spell: Callable[[T], str] = str  # a value as a label would say it
    words: tuple[str, ...] = ()  # all texts there are, if they are few
    types: tuple[str, ...] = ()  # JSON types beside string that YAML makes of such a text: "integer", "boolean"
    bounds: tuple[int, int] | None = None  # of an integer

    def __call__(self, text: str) -> T:
        """Read a text."""
        return self.read(text)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the label's value. Spaces and ends of lines around it do not count."""
        schema: dict[str, Any] = {"type": ["string", *self.types] if self.types else "string"}
        if self.words:
            schema["enum"] = list(self.words)
        else:
            schema["pattern"] = f"^{_BLANK}(?:{self.pattern}){_BLANK}$"
        if self.bounds:
            schema["minimum"], schema["maximum"] = self.bounds
        return schema


def value_type(
    pattern: str = ANYTHING, spell: Callable[[Any], str] = str, *, item: str = ""
) -> Callable[[Parser[T]], ValueType[T]]:
    """Make a type of a function that reads a text; for the arguments see `ValueType`."""
    return lambda read: ValueType(read, pattern, item, spell)


def matching(pattern: str, message: str, remedy: str, *, item: str = "") -> ValueType[str]:
    """The texts that a pattern fits, as they are."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if compiled.fullmatch(text):
            return text
        raise BadValue(message, remedy)

    return ValueType(read, pattern, item)


def list_pattern(parse: Parser[Any]) -> str:
    """Return the pattern of a comma-separated list of what is read so."""
    one = (parse.item or parse.pattern) if isinstance(parse, ValueType) else ANYTHING
    return f"(?:{one})(?: *, *(?:{one}))*" if one != ANYTHING else ANYTHING


def spelling_of(parse: Parser[Any]) -> Callable[[Any], str]:
    """Return how values of a type are written; of any other parser as Python does."""
    return parse.spell if isinstance(parse, ValueType) else str


def numbers(low: int, high: int) -> str:
    """Return a pattern of the whole numbers from ``low`` to ``high``: (1, 65535) -> ``0*(?:[1-9]|[1-9][0-9]|...)``."""
    signed = [f"-0*{_group(_counted(max(1, -high), -low))}"] if low < 0 else []
    if high >= 0:
        signed.append(f"0*{_group(_counted(max(0, low), high))}")
    return "|".join(signed) + ("|-0+" if low <= 0 <= high else "")


def _counted(low: int, high: int) -> list[str]:
    """Patterns of the numbers from low to high, both at least 0."""
    patterns = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first, last = max(low, 10 ** (digits - 1) if digits > 1 else 0), min(high, 10**digits - 1)
        patterns += _alike(str(first), str(last))
    return patterns


def _alike(low: str, high: str) -> list[str]:
    """Patterns of the numbers between two of the same number of digits."""
    if len(low) == 1 or low == high:
        return [low if low == high else f"[{low}-{high}]"]
    rest = len(low) - 1
    if low[0] == high[0]:
        return [low[0] + _group(_alike(low[1:], high[1:]))]
    first, last, patterns = int(low[0]), int(high[0]), []
    if low[1:] != "0" * rest:
        patterns.append(low[0] + _group(_alike(low[1:], "9" * rest)))
        first += 1
    if high[1:] != "9" * rest:
        patterns.append(high[0] + _group(_alike("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        patterns.append(f"[{first}-{last}][0-9]{{{rest}}}")
    return patterns


def _group(patterns: list[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"
