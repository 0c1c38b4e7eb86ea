"""Regular expressions that HAProxy and Nginx (PCRE) and Traefik (Go's RE2) all read alike.

They are written by strangers and run on what other strangers send, so what is accepted is a grammar of its own:
printable ASCII; classes; groups without names; alternatives; the quantifiers ``* + ? {n} {n,} {n,m}``, lazy ones too;
the anchors ``^ $ \\b \\B``; ``(?i)`` at the beginning. A HAProxy built without PCRE reads a smaller one, and its
check says so.

Not a walk over Python's own tree of the expression: that one has alternatives already merged (``a|b|a`` is a class,
``ab|ac`` begins with an a outside of the choice), which hides what `regex_cost` looks for.

Source: re2 "Syntax", pcre2pattern(3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lbgen.labels.values.regex_cost import LONGEST_TEXT, refuse_explosive
from lbgen.labels.values.regex_tree import Chars, Choice, End, Node, Repeat, Sequence, Start
from lbgen.labels.values.value_type import BadValue

MAX_REGEX = 512  # characters
MAX_COUNT = 1000  # what Go allows, nested counts multiplied
MAX_DEPTH = 20

_ANY = (1 << 129) - 1  # a bit for each ASCII character, and one for all others
_QUANTIFIER = re.compile(r"[*+?]|\{([0-9]{1,4})(,?)([0-9]{0,4})\}")
_ENDLESS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def regex(text: str) -> str:
    """Return the expression as written, if every proxy reads it alike and none takes ages over it."""
    refuse_explosive(tree(text))
    return text


@lru_cache(maxsize=4096)
def longest_text(text: str) -> int | None:
    """Return how many characters a text may have that an accepted expression is asked about; None: any number."""
    return LONGEST_TEXT if refuse_explosive(tree(text)) else None


def tree(text: str) -> Node:
    """Return the syntax tree of an expression, however long it takes to match.

    Raises:
        BadValue: proxies read it differently, or one of them not at all.
    """
    if not text:
        raise BadValue("is an empty expression", "write one, such as ^/api/v[0-9]+/")
    if len(text) > MAX_REGEX:
        raise BadValue(f"is an expression of {len(text)} characters", f"keep it below {MAX_REGEX} characters")
    if not (text.isascii() and text.isprintable()):
        raise BadValue("has a control character or one outside ASCII in an expression", "write printable ASCII")
    return _Reader(text).whole()


def _mask(chars: str) -> int:
    return sum(1 << ord(char) for char in set(chars))


def _span(first: int, last: int) -> int:
    return sum(1 << code for code in range(first, last + 1))


_DIGIT = _span(ord("0"), ord("9"))
_LOWER, _UPPER = _span(ord("a"), ord("z")), _span(ord("A"), ord("Z"))
_WORD = _DIGIT | _LOWER | _UPPER | _mask("_")
_SPACE = _mask("\t\n\f\r ")
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE, "D": _ANY ^ _DIGIT, "W": _ANY ^ _WORD, "S": _ANY ^ _SPACE}


@dataclass(slots=True)
class _Reader:
    """Reads one expression from left to right."""

    text: str
    at: int = 0
    depth: int = 0
    folded: bool = False

    def whole(self) -> Node:
        """Read all of it."""
        if self.text.startswith("(?i)"):
            self.at, self.folded = 4, True
        node, _ = self._choice()
        if self.at < len(self.text):
            raise self._bad("a ) that nothing opens", r"write \) for the character itself")
        return node

    def _choice(self) -> tuple[Node, int]:
        """Read alternatives up to the end or a closing parenthesis; also return what their counts multiply to."""
        node, count = self._sequence()
        parts = [node]
        while self._peek() == "|":
            self.at += 1
            node, more = self._sequence()
            parts.append(node)
            count = max(count, more)
        return (Choice(tuple(parts)) if len(parts) > 1 else node), count

    def _sequence(self) -> tuple[Node, int]:
        parts, count = [], 1
        while self._peek() not in ("", "|", ")"):
            part, more = self._repeated()
            parts.append(part)
            count = max(count, more)
        return Sequence(tuple(parts)), count

    def _repeated(self) -> tuple[Node, int]:
        node, count = self._atom()
        start = self.at
        match = _QUANTIFIER.match(self.text, self.at)
        if not match:
            return node or Sequence(), count
        if node is None or isinstance(node, Start | End):
            raise self._bad("a quantifier after an anchor", "remove it")
        if match[0] in _ENDLESS:
            low, high = _ENDLESS[match[0]]
        else:
            low = int(match[1])
            high = int(match[3]) if match[3] else None if match[2] else low
        self.at = match.end() + self.text.startswith("?", match.end())
        if _QUANTIFIER.match(self.text, self.at):
            raise self._bad("a quantifier after a quantifier", "remove one, or put a group around the first")
        if (match[3] and not match[2]) or (high is not None and high < low) or high == 0:
            raise self._bad(f"the count {match[0]}", "write {2}, {2,} or {2,5}", start)
        count *= max(low if high is None else high, 1)
        if count > MAX_COUNT:
            raise self._bad(f"counts that multiply to more than {MAX_COUNT}", "repeat less often", start)
        return Repeat(node, low, high), count

    def _atom(self) -> tuple[Node | None, int]:
        """Read one character, class, group, or anchor (None)."""
        char = self._peek()
        if char == "(":
            return self._group()
        if char in "*+?":
            raise self._bad(f"a {char} with nothing to repeat before it", f"write \\{char} for the character itself")
        if char in "{}":  # a lone } ends a condition of HAProxy's, however it is quoted
            raise self._bad(
                f"a {char} that belongs to no count",
                f"write \\{char} for the character itself; there is no {{name:expression}}",
            )
        if char == "[":
            return Chars(self._class()), 1
        if char == "\\":
            mask = self._escape()
            return (Chars(self._fold(mask)) if mask else None), 1
        self.at += 1
        if char in "^$":
            return Start() if char == "^" else End(), 1
        return Chars(_ANY ^ _mask("\n") if char == "." else self._fold(_mask(char))), 1

    def _group(self) -> tuple[Node, int]:
        start = self.at
        if self.text.startswith("(?", start) and not self.text.startswith("(?:", start):
            raise self._bad(
                f"{self.text[start : start + 4]}, which not every proxy reads",
                "write groups as (...) or (?:...); (?i) may stand at the very beginning",
            )
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._bad(f"groups nested more than {MAX_DEPTH} deep", "write it flatter")
        self.at += 3 if self.text.startswith("(?", start) else 1
        node, count = self._choice()
        if self._peek() != ")":
            raise self._bad("a ( that is never closed", r"close it, or write \( for the character itself", start)
        self.at += 1
        self.depth -= 1
        return node, count

    def _escape(self, *, in_class: bool = False) -> int:
        """Read a backslash and what it means: a set of characters, or 0 for an anchor."""
        start = self.at
        char = self.text[start + 1 : start + 2]
        self.at += 2
        if not char:
            raise self._bad("a backslash with nothing after it", r"write \\ for the character itself", start)
        if not char.isalnum():
            return _mask(char)
        if char in "bB" and not in_class:
            return 0
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "123456789gk":
            raise self._bad(f"the backreference \\{char}", "write what it refers to once more", start)
        raise self._bad(
            f"\\{char}, which proxies read differently", r"write the character itself, \d, \w, \s, \b or a class", start
        )

    def _class(self) -> int:
        """Read ``[...]``."""
        start = self.at
        negated = self.text.startswith("^", start + 1)
        self.at += 2 if negated else 1
        mask = 0
        while (char := self._peek()) != "]" or not mask:
            if not char:
                raise self._bad("a [ that is never closed", r"close it, or write \[ for the character itself", start)
            if char in "[]":
                raise self._bad(f"a {char} in a class", f"write \\{char}; classes have no names, so a-z for [:lower:]")
            low = self._member()
            # A dash at either end stands for itself.
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self._member() if self._peek() != "[" else 0
                if low.bit_count() != 1 or high.bit_count() != 1 or high < low:
                    raise self._bad("a range without order", r"write it as a-z, and a dash itself as \-")
                low = _span(low.bit_length() - 1, high.bit_length() - 1)
            mask |= low
        self.at += 1
        mask = _ANY ^ self._fold(mask) if negated else self._fold(mask)
        if not mask:
            raise self._bad("a class of no character", "remove it", start)
        return mask

    def _member(self) -> int:
        if self._peek() == "\\":
            return self._escape(in_class=True)
        self.at += 1
        return _mask(self.text[self.at - 1])

    def _fold(self, mask: int) -> int:
        """Add the other case of every letter, where case is ignored."""
        distance = ord("a") - ord("A")
        return mask | (mask & _LOWER) >> distance | (mask & _UPPER) << distance if self.folded else mask

    def _peek(self) -> str:
        """Return the next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def _bad(self, what: str, remedy: str, at: int | None = None) -> BadValue:
        return BadValue(f"has, at character {(self.at if at is None else at) + 1} of the expression, {what}", remedy)
