"""Traefik v3's rules, such as ``Host(`a.org`) && !PathPrefix(`/admin`)``, as match expressions.

What is accepted means what it means in Traefik. Refused are, beyond what Traefik refuses, rules that never match there
(a path that Traefik would have decoded, the header Host) and those that not every proxy can have: expressions outside
`regex`, IPv6 literals as a host, characters that are syntax to one of them. Comments are refused too. One liberty:
lines may end anywhere, while Go ends an expression with the line.

Source: traefik 3.7 pkg/rules/parser.go, pkg/muxer/http and pkg/muxer/tcp (matcher.go, mux.go); vulcand/predicate 1.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.match import ALWAYS, All, AnyOf, Match, Not
from lbgen.labels.rule.lexer import Token, bad, tokens
from lbgen.labels.rule.matchers import EXAMPLES, MATCHERS, SPELLINGS, instead
from lbgen.labels.values import basic
from lbgen.labels.values.basic import BadValue

MAX_DEPTH = 32  # parentheses and negations


def parse(text: str, protocol: str = "http") -> Match:
    """Return the expression that a rule of an ``http`` or ``tcp`` route means.

    Raises:
        BadValue: it is no such rule; the message begins with the place, "at character 14: ".
    """
    if len(text) > basic.MAX_VALUE:
        raise BadValue(f"is {len(text)} characters long", f"keep it below {basic.MAX_VALUE} characters")
    if not text.strip():
        raise BadValue("is empty", f"write a matcher such as {EXAMPLES[protocol]}")
    return _Parser(list(tokens(text)), protocol).whole()


def default_priority(text: str, protocol: str = "http") -> int:
    """Return what Traefik gives a rule that `parse` accepts: its length in bytes; -1 for a sole HostSNI(`*`).

    Routes of higher priority are asked first. The length is that of the rule as written, spaces included.
    """
    if protocol == "tcp":
        match = parse(text, protocol)
        while isinstance(match, Not):  # Traefik's own look at the rule forgets the negation
            match = match.term
        if match == ALWAYS:
            return -1
    return len(text.encode())


@dataclass(slots=True)
class _Parser:
    """Reads one rule from left to right; || binds less than &&, && less than !."""

    tokens: list[Token]
    protocol: str
    index: int = 0
    depth: int = 0

    def whole(self) -> Match:
        """Read all of it."""
        match = self._any()
        if self._next.kind != "end":
            raise self._expected("&&, || or the end")
        return match

    @property
    def _next(self) -> Token:
        return self.tokens[self.index]

    def _takes(self, operator: str) -> bool:
        """Step over the operator if it is the next word."""
        found = self._next.kind == "operator" and self._next.text == operator
        self.index += found
        return found

    def _any(self) -> Match:
        terms = [self._all()]
        while self._takes("||"):
            terms.append(self._all())
        return AnyOf(tuple(terms)) if len(terms) > 1 else terms[0]

    def _all(self) -> Match:
        terms = [self._one()]
        while self._takes("&&"):
            terms.append(self._one())
        return All(tuple(terms)) if len(terms) > 1 else terms[0]

    def _one(self) -> Match:
        token = self._next
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise bad(token.at, f"parentheses and negations are nested more than {MAX_DEPTH} deep", "write it flatter")
        if self._takes("!"):
            match: Match = Not(self._one())
        elif self._takes("("):
            match = self._any()
            if not self._takes(")"):
                raise self._expected(f"&&, || or the ) for the ( at character {token.at}")
        elif token.kind == "name":
            self.index += 1
            match = self._matcher(token)
        else:
            raise self._expected("a matcher, ! or (")
        self.depth -= 1
        return match

    def _matcher(self, name: Token) -> Match:
        spellings = SPELLINGS[self.protocol]
        if name.text not in spellings:
            raise bad(name.at, f"{name} is no matcher of {self.protocol} rules", instead(name.text, self.protocol))
        matcher = MATCHERS[self.protocol][spellings[name.text]]
        arguments = self._arguments(name)
        if len(arguments) not in matcher.counts:
            counts = " or ".join(map(str, matcher.counts)) + (" argument" if matcher.counts == (1,) else " arguments")
            raise bad(
                name.at,
                f"{name} takes {counts}, not {len(arguments)}",
                f"write {name} once for each value, with || between them",
            )
        for argument in arguments:
            if not argument.text:
                raise bad(argument.at, f"{name} has an empty argument", "give it a value")
        try:
            return matcher.read(*(argument.text for argument in arguments))
        except BadValue as problem:
            raise bad(arguments[-1].at, f"{name}({', '.join(map(str, arguments))}) {problem}", problem.remedy) from None

    def _arguments(self, name: Token) -> list[Token]:
        if not self._takes("("):
            raise self._expected(f"( after {name}")
        arguments: list[Token] = []
        while not self._takes(")"):
            if self._next.kind != "string":
                raise self._expected("a string in backquotes" + ("" if arguments else " or )"))
            arguments.append(self._next)
            self.index += 1
            if not self._takes(",") and not (self._next.kind == "operator" and self._next.text == ")"):
                raise self._expected(", or )")
        return arguments

    def _expected(self, what: str) -> BadValue:
        return bad(self._next.at, f"expected {what}, found {self._next}", f"write it as in {EXAMPLES[self.protocol]}")
