"""Which services Traefik's provider looks at: ``Label(`k`,`v`)``, ``LabelRegex(`k`,`re`)``, &&, ||, ! and parentheses.

Names of labels have their case here, as in Traefik; a label that is missing counts as an empty one.

Source: traefik 3.7 pkg/provider/constraints/constraints_labels.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from lbgen.labels.rule.lexer import Token, bad, tokens
from lbgen.labels.values import basic
from lbgen.labels.values.basic import BadValue
from lbgen.labels.values.regex import regex

_Test = Callable[[Mapping[str, str]], bool]
_EXAMPLE = "write it as in Label(`traefik.constraint-label`, `public`)"
_MAX_DEPTH = 32


def hold(text: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a service's labels meet the constraints; empty ones hold for every service.

    Raises:
        BadValue: it is no such expression; the message begins with the place.
    """
    return not text.strip() or _parsed(text).test(labels)


def labels(text: str) -> frozenset[str]:
    """Return the labels that the constraints ask about."""
    return frozenset(_parsed(text).labels) if text.strip() else frozenset()


@dataclass(frozen=True, slots=True)
class _Constraints:
    test: _Test
    labels: frozenset[str]


@lru_cache(maxsize=8)  # one text for all services of a process
def _parsed(text: str) -> _Constraints:
    if len(text) > basic.MAX_VALUE:
        raise BadValue(f"is {len(text)} characters long", f"keep it below {basic.MAX_VALUE} characters")
    parser = _Parser(list(tokens(text)))
    test = parser.either()
    if parser.next.kind != "end":
        raise bad(parser.next.at, f"expected &&, || or the end, found {parser.next}", _EXAMPLE)
    return _Constraints(test, frozenset(parser.labels))


@dataclass(slots=True)
class _Parser:
    """Reads the expression from left to right; || binds less than &&, && less than !."""

    words: list[Token]
    index: int = 0
    depth: int = 0
    labels: set[str] = field(default_factory=set)

    @property
    def next(self) -> Token:
        return self.words[self.index]

    def takes(self, kind: str, text: str = "") -> Token | None:
        """Step over the next word if it is this one."""
        token = self.next
        if token.kind != kind or (text and token.text != text):
            return None
        self.index += 1
        return token

    def needs(self, kind: str, text: str, what: str) -> Token:
        token = self.takes(kind, text)
        if token is None:
            raise bad(self.next.at, f"expected {what}, found {self.next}", _EXAMPLE)
        return token

    def either(self) -> _Test:
        terms = [self.both()]
        while self.takes("operator", "||"):
            terms.append(self.both())
        return lambda labels: any(term(labels) for term in terms)

    def both(self) -> _Test:
        terms = [self.one()]
        while self.takes("operator", "&&"):
            terms.append(self.one())
        return lambda labels: all(term(labels) for term in terms)

    def one(self) -> _Test:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise bad(self.next.at, f"is nested more than {_MAX_DEPTH} deep", "write it flatter")
        if self.takes("operator", "!"):
            term = self.one()
            test: _Test = lambda labels: not term(labels)  # noqa: E731  # as short as its brothers
        elif self.takes("operator", "("):
            test = self.either()
            self.needs("operator", ")", "&&, || or )")
        else:
            test = self.label()
        self.depth -= 1
        return test

    def label(self) -> _Test:
        word = self.needs("name", "", "Label, LabelRegex, ! or (")
        if word.text not in ("Label", "LabelRegex"):
            raise bad(word.at, f"{word} is not known", "write Label or LabelRegex")
        self.needs("operator", "(", f"( after {word}")
        name = self.needs("string", "", "the name of a label in backquotes")
        self.needs("operator", ",", ",")
        wanted = self.needs("string", "", "a value in backquotes")
        self.needs("operator", ")", ")")
        self.labels.add(name.text)
        if word.text == "Label":
            return lambda labels: labels.get(name.text, "") == wanted.text
        try:
            pattern = re.compile(regex(wanted.text))
        except BadValue as problem:
            raise bad(wanted.at, f"{wanted} {problem}", problem.remedy) from None
        return lambda labels: bool(pattern.search(labels.get(name.text, "")))
