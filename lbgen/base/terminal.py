"""Lines for a terminal: columns, folded texts, and what others wrote made harmless. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from lbgen.base.problem import printable

WIDTH = 100  # columns to which texts are folded; one word may be longer
LONGEST = 1000  # characters of one line of what others wrote


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def folded(text: str, before: str = "", indent: str | None = None) -> list[str]:
    """Return a text in lines of at most `WIDTH` columns.

    Args:
        before: what the first line begins with.
        indent: what the others begin with; None: spaces, as wide as `before`.
    """
    rest = " " * len(before) if indent is None else indent
    wrapped = textwrap.wrap(
        in_one(text),
        WIDTH,
        initial_indent=before,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped or [before.rstrip()]


def in_one(text: str) -> str:
    """Return a text that others wrote as one line."""
    return " ".join(plain(text))


def plain(text: str) -> list[str]:
    """Return the lines of what others wrote, without anything that a terminal would act upon."""
    return [printable(line, LONGEST) for line in text.splitlines()]
