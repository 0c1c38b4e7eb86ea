"""The words of a Traefik rule: names, strings, operators, each with the place where it stands.

The words are Go's, since Traefik reads a rule as a Go expression: strings in backquotes keep every character, those
in double quotes know Go's escapes. Comments, which Go would allow too, are refused.

Source: The Go Programming Language Specification, "Lexical elements".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lbgen.base.problem import printable
from lbgen.labels.values.value_type import BadValue

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<operator>&&|\|\||[!(),])
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | `(?P<raw>[^`]*)`
      | "(?P<quoted>(?:[^"\\\n]|\\.)*)" """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\"])|(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9A-Fa-f]{2})
      |u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8}))|(?P<other>[^\\]+)""",
    re.VERBOSE,
)
_PLAIN = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a rule."""

    kind: str  # operator, name, string, end
    text: str  # a string's meaning, not its spelling
    at: int  # character of the rule, the first is 1

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"`{printable(self.text, 40)}`" if self.kind == "string" else printable(self.text, 40)


def bad(at: int, message: str, remedy: str) -> BadValue:
    """Return the error that names the place."""
    return BadValue(f"at character {at}: {message}", remedy)


def tokens(text: str) -> Iterator[Token]:
    """Yield the rule's words, then one of kind ``end``.

    Raises:
        BadValue: something is not a word of a rule.
    """
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise _unread(text, at)
        kind = match.lastgroup or ""
        if kind == "raw":
            # Go drops carriage returns, so that a rule means the same in a file with DOS line ends.
            yield Token("string", match[kind].replace("\r", ""), at + 1)
        elif kind == "quoted":
            yield Token("string", _unquoted(match[kind], at + 2), at + 1)
        elif kind != "space":
            yield Token(kind, match[kind], at + 1)
        at = match.end()
    yield Token("end", "", len(text) + 1)


def _unread(text: str, at: int) -> BadValue:
    char = text[at]
    if char in '`"':
        return bad(at + 1, f"the string {printable(text[at:], 40)} is never closed", f"close it with {char}")
    if char in "&|":
        return bad(at + 1, f"a single {char}", f"write {char * 2}")
    if char == "'":
        return bad(at + 1, "a string in single quotes", "write it in backquotes, such as Host(`shop.example.org`)")
    return bad(
        at + 1, f"unexpected {printable(char)!r}", "combine matchers such as Host(`shop.example.org`) with && || ! ( )"
    )


def _unquoted(inner: str, start: int) -> str:
    """Return the text of a double-quoted string; as in Go, ``\\x`` and octal escapes are UTF-8 bytes."""
    meant, at = b"", 0
    try:
        while at < len(inner):
            match = _ESCAPE.match(inner, at)
            if not match:
                raise bad(
                    start + at,
                    f"the escape {printable(inner[at : at + 2])} means nothing",
                    "write the string in backquotes, where a backslash stands for itself",
                )
            meant += _bytes(match.lastgroup or "", match[match.lastgroup or 0])
            at = match.end()
        return meant.decode()
    except UnicodeError:
        raise bad(start - 1, "the string is not text in UTF-8", "write the characters themselves") from None


def _bytes(kind: str, text: str) -> bytes:
    if kind in ("octal", "hex"):
        return bytes([int(text, 8 if kind == "octal" else 16)])
    if kind in ("short", "long"):
        code = int(text, 16)
        return chr(code).encode() if code <= 0x10FFFF else b"\xff"  # beyond Unicode: never UTF-8
    return (_PLAIN[text] if kind == "plain" else text).encode()
