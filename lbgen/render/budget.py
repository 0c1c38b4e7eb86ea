"""Keeps a template that loops without end, or makes gigabytes of text, from taking the process with it.

Time is looked at in every turn of a loop and at every call: the code that templates are compiled to does it. What could
take long or much in one step, a string repeated a billion times, is refused before it begins: see `Estimate`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from time import monotonic, thread_time
from typing import Any

from jinja2 import TemplateRuntimeError, nodes
from jinja2.compiler import CodeGenerator, Frame

from lbgen.labels.values.basic import spell_duration
from lbgen.render.limits import Limits

WAY = 8  # times the size of all files: what may be made on the way to them


class Exceeded(TemplateRuntimeError):
    """A template takes longer, or makes more, than it may."""


class Budget:
    """The limits of one rendering, from its beginning, in the thread that renders."""

    __slots__ = ("_clock", "_end", "_look", "_made", "_processor", "_timeout", "largest")

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = monotonic,
        processor: Callable[[], float] = thread_time,
    ) -> None:
        """
        Args:
            processor: the processor time that this thread has taken, in seconds.
        """
        self._timeout, self.largest = limits.timeout, limits.max_size
        self._clock, self._processor = clock, processor
        self._end = processor() + limits.timeout
        self._look = clock() + limits.timeout
        self._made = 0

    def tick(self) -> None:
        """Raise Exceeded once time is up."""
        if self._clock() > self._look:  # cheaper than the processor time, and never behind it
            left = self._end - self._processor()
            if left <= 0:
                raise Exceeded(
                    f"rendering had taken {spell_duration(self._timeout)} when it came here; is there an endless loop? "
                    "(targets.NAME.render.timeout)"
                )
            self._look = self._clock() + left

    def allow(self, size: int) -> None:
        """Raise Exceeded if a text, or all files together, may not have this many characters."""
        if size > self.largest:
            raise self.too_large(size)

    def made(self, size: int) -> None:
        """Count a value that is printed, or a text that is joined of such; nested macros make some of it twice.

        Raises:
            Exceeded: all of it is several times as much as there may be in the end.
        """
        self._made += size
        if self._made > WAY * self.largest:
            raise self.too_large(self._made)

    def too_large(self, size: int) -> Exceeded:
        """Return the error for a text of at least this many characters."""
        return Exceeded(
            f"this makes {size:,} characters or more, {self.largest:,} are allowed (targets.NAME.render.max_size)"
        )


class LimitedCodeGenerator(CodeGenerator):
    """Compiles templates to code that looks at the clock in every turn of a loop, and joins texts within limits."""

    def enter_frame(self, frame: Frame) -> None:
        """Begin a scope; of a loop, each turn."""
        super().enter_frame(frame)
        if frame.loop_frame:
            self.writeline("environment.budget.tick()")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """Write ``a ~ b``."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


LARGEST_NUMBER = 4096  # bits; a power takes as long as it has, and nothing can end it
_POINTER = 8  # bytes that a list takes for each item

Estimate = Callable[..., int]


def _size(value: object) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    return _POINTER * len(value) if isinstance(value, (list, tuple)) else 0


def product(left: Any, right: Any) -> int:
    """``left * right``"""
    if isinstance(left, int) and isinstance(right, int):
        return _number(left.bit_length() + right.bit_length())
    return max(
        _size(left) * right if isinstance(right, int) else 0, _size(right) * left if isinstance(left, int) else 0
    )


def total(left: Any, right: Any) -> int:
    """``left + right``"""
    return _size(left) + _size(right)


def power(left: Any, right: Any) -> int:
    """``left ** right``"""
    return _number(left.bit_length() * right) if isinstance(left, int) and isinstance(right, int) else 0


def _number(bits: int) -> int:
    if bits > LARGEST_NUMBER:
        raise Exceeded(f"this makes a number of {bits:,} bits, {LARGEST_NUMBER:,} are allowed")
    return 0


def percent(pattern: Any, values: Any) -> int:
    """``pattern % values``"""
    if not isinstance(pattern, (str, bytes)):
        return 0
    listed = (
        values if isinstance(values, tuple) else list(values.values()) if isinstance(values, Mapping) else (values,)
    )
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    return _formatted(text, listed, _PERCENT, "*" in text)


def braces(pattern: str, *values: Any, **named: Any) -> int:
    """``pattern.format(...)``"""
    return _formatted(pattern, (*values, *named.values()), _BRACES, ":{" in pattern)


def braces_map(pattern: str, named: Mapping[str, Any]) -> int:
    """``pattern.format_map(...)``"""
    return braces(pattern, *named.values())


_PERCENT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\d*)(?:\.(\d*))?")
_BRACES = re.compile(r"\{[^{}:]*(?::[^{}]*?(\d*)(?:\.(\d*))?[^{}\d]*)?\}")


def _formatted(pattern: str, values: Iterable[Any], places: re.Pattern[str], given: bool) -> int:
    """Return a size for every value in every place, with the widths that are written, or ``given`` as values."""
    values = list(values)
    longest = max((len(value) if isinstance(value, str) else len(str(value)) for value in values), default=0)
    widths = [int(digits or 0) for place in places.findall(pattern) for digits in place]
    if given:
        widths += [abs(value) for value in values if isinstance(value, int)]
    return len(pattern) + len(widths) * longest + sum(widths)


def _replaced(text: str, old: str, new: str, count: int | None = None) -> int:
    occurrences = text.count(old)
    return len(text) + len(new) * (occurrences if count is None or count < 0 else min(occurrences, count))


def _lines(text: Any) -> int:
    return str(text).count("\n") + 1


def _width(width: Any) -> int:
    return len(width) if isinstance(width, str) else int(width)


METHODS: Mapping[str, Estimate] = {
    "center": lambda _, width, *__: width,
    "ljust": lambda _, width, *__: width,
    "rjust": lambda _, width, *__: width,
    "zfill": lambda _, width: width,
    "expandtabs": lambda text, tabsize=8: len(text) + len(text) * tabsize,
    "replace": _replaced,
    "join": lambda separator, parts: sum(map(len, parts)) + len(separator) * len(parts),
    "translate": lambda text, table: len(text) * max([1, *(_size(value) for value in table.values())]),
    "to_bytes": lambda _, length=1, *__, **___: length,
    "format": braces,
    "format_map": braces_map,
}
OPERATORS: Mapping[str, Estimate] = {"*": product, "+": total, "**": power, "%": percent}
FILTERS: Mapping[str, Estimate] = {
    "batch": lambda _, linecount, *__: linecount * _POINTER,
    "center": lambda _, width=80: width,
    "format": lambda pattern, *values, **named: percent(pattern, named or values),
    "indent": lambda text, width=4, *_, **__: len(str(text)) + _lines(text) * _width(width),
    "replace": lambda text, old, new, count=None: _replaced(str(text), str(old), str(new), count),
    "round": lambda _, precision=0, *__: _number(4 * abs(precision)),
    "slice": lambda _, slices, *__: slices * _POINTER,
    "tojson": lambda value, indent=None: len(str(value)) * (indent or 1),
    "wordwrap": lambda text, *_, wrapstring=None, **__: len(str(text)) * (1 + len(wrapstring or "\n")),
}


def guarded(filter_: Callable[..., Any], estimate: Estimate, budget: Callable[[], Budget]) -> Callable[..., Any]:
    """Refuse to begin what would be too large."""
    first = 1 if hasattr(filter_, "jinja_pass_arg") else 0  # what Jinja passes besides what authors write

    @wraps(filter_)
    def checked(*args: Any, **kwargs: Any) -> Any:
        allow_result(estimate, budget(), *args[first:], **kwargs)
        return filter_(*args, **kwargs)

    return checked


def allow_result(estimate: Estimate, budget: Budget, *args: Any, **kwargs: Any) -> None:
    """Raise Exceeded for arguments with which the result would be too large; wrong ones are told by what gets them."""
    try:
        size = int(estimate(*args, **kwargs))
    except (TypeError, ValueError, AttributeError):
        return
    budget.allow(size)
