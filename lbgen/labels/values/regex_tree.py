"""The syntax tree of a regular expression."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set."""

    mask: int  # bit n: the character n; never 0


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of the text: ``^``."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of the text: ``$``."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One part after the other; without parts the empty text, which ``\\b`` and ``\\B`` count as."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part, from ``low`` to ``high`` times."""

    part: Node
    low: int
    high: int | None  # None: without end


Node = Chars | Start | End | Sequence | Choice | Repeat
