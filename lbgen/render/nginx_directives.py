"""What an author's text for nginx.conf says, where what lbgen writes beside it depends on that.

Nginx inherits add_header, proxy_set_header and error_page from outside only where a location has none of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\#[^\n]*                                               # a comment
    | ("(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*'                    # a word in quotes
      | (?:\\. | \$\{ | [^\s;{}"'\\]) (?:\\. | \$\{ | [^\s;{\\])*)   # another one; "${" begins no block
    | [;{}]""",
    re.DOTALL | re.VERBOSE,
)
_QUOTES = "\"'"


class Directive(NamedTuple):
    """A directive."""

    name: str  # its first argument, in lower case and without quotes: the header's name
    text: str  # as it was written, on one line


def directives(text: object, kind: str) -> tuple[Directive, ...]:
    """Return the Nginx directives of this kind in a text, without those in blocks, each with its first argument."""
    if kind not in str(text):
        return ()
    found = ((words, outer) for words, outer, block in _statements(str(text)) if not block)
    return tuple(
        Directive(words[1].strip(_QUOTES).lower(), " ".join(words) + ";")
        for words, outer in found
        if not outer and len(words) > 1 and words[0] == kind
    )


def internal_locations(text: object) -> tuple[tuple[str, str], ...]:
    """Return the ``if`` operator and expression that match the paths of each ``internal`` location in a text."""
    if "internal" not in str(text):
        return ()
    places = (outer[0] for words, outer, _ in _statements(str(text)) if outer and words == ("internal",))
    paths = (words[1:] for words in places if words[0] == "location" and not words[-1].startswith("@"))
    return tuple(dict.fromkeys(_matching(*words) for words in paths if words))


def _matching(*words: str) -> tuple[str, str]:
    *modifier, pattern = (word.strip(_QUOTES) for word in words)
    if modifier in (["~"], ["~*"]):
        return modifier[0], pattern
    return "~", "^" + re.sub(r"([^A-Za-z0-9_/-])", r"\\\1", pattern) + ("$" if modifier == ["="] else "")


Words = tuple[str, ...]


def _statements(text: str) -> Iterator[tuple[Words, list[Words], bool]]:
    """Yield each directive's words, those of the blocks that it is in, and whether it is a block itself.

    Source: Nginx, src/core/ngx_conf_file.c, ngx_conf_read_token().
    """
    words, outer = list[str](), list[Words]()
    for token in _TOKEN.finditer(text):
        if token[1]:
            words.append(token[1])
        elif token[0] == "}":
            outer = outer[:-1]
        elif token[0] in ";{":
            yield tuple(words), outer, token[0] == "{"
            outer = [*outer, tuple(words)] if token[0] == "{" else outer
            words = []
