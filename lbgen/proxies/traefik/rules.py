"""Whether Traefik can read a rule (syntax v3): a text that it cannot read costs a router, after it was published.

Expressions are taken as they are; only Traefik itself can tell whether its regexp package reads them.

Source: Traefik 3, "HTTP Routers: rule" and "TCP Routers: rule"; a rule is an expression of Go's.
"""

from __future__ import annotations

import re

# Matchers and how many arguments each takes.
HTTP: dict[str, tuple[int, ...]] = {
    "ClientIP": (1,),
    "Header": (2,),
    "HeaderRegexp": (2,),
    "Host": (1,),
    "HostRegexp": (1,),
    "Method": (1,),
    "Path": (1,),
    "PathPrefix": (1,),
    "PathRegexp": (1,),
    "Query": (1, 2),
    "QueryRegexp": (1, 2),
}
TCP: dict[str, tuple[int, ...]] = {"ALPN": (1,), "ClientIP": (1,), "HostSNI": (1,), "HostSNIRegexp": (1,)}

_ESCAPE = r"""\\(?:[abfnrtv\\"]|x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_TOKEN = re.compile(rf"""\s*(?:(\w+)|(`[^`]*`|"(?:[^"\\\n]|{_ESCAPE})*")|(&&|\|\||[!(),]))""")


class BadRule(ValueError):
    """What is wrong with a rule."""


def check(rule: str, matchers: dict[str, tuple[int, ...]]) -> None:
    """Raise BadRule unless this is a rule."""
    reader = _Reader(rule, matchers)
    reader.whole()


class _Reader:
    """Reads a rule from left to right."""

    def __init__(self, rule: str, matchers: dict[str, tuple[int, ...]]) -> None:
        self._matchers = matchers
        self._tokens: list[tuple[str, str]] = []  # kind ("name", "text", or the sign itself), text
        at, end = 0, len(rule.rstrip())
        while at < end:
            found = _TOKEN.match(rule, at)
            if not found:
                raise BadRule(f"cannot be read from here on: {rule[at : at + 40]!r}")
            name, text, sign = found.groups()
            self._tokens.append(("name", name) if name else ("text", text) if text else (sign, sign))
            at = found.end()
        self._tokens.append(("end", "the end"))
        self._at = 0

    def whole(self) -> None:
        self._any()
        self._expect("end")

    def _any(self) -> None:
        """``a && !b || (c)``: which binds more does not matter here."""
        while True:
            while self._next("!"):
                pass
            if self._next("("):
                self._any()
                self._expect(")")
            else:
                self._matcher()
            if not (self._next("&&") or self._next("||")):
                return

    def _matcher(self) -> None:
        name = self._expect("name")
        if name not in self._matchers:
            raise BadRule(f"{name} is no matcher; there are {', '.join(self._matchers)}")
        self._expect("(")
        arguments = [self._expect("text")]
        while self._next(","):
            arguments.append(self._expect("text"))
        self._expect(")")
        if len(arguments) not in self._matchers[name]:
            raise BadRule(f"{name} takes {self._matchers[name][-1]}, not {len(arguments)} arguments")
        if any(len(argument) == 2 for argument in arguments):
            raise BadRule(f"{name} has an empty argument")

    def _next(self, kind: str) -> bool:
        found = self._tokens[self._at][0] == kind
        self._at += found
        return found

    def _expect(self, kind: str) -> str:
        found, text = self._tokens[self._at]
        if found != kind:
            raise BadRule(f"has {text} where {'the end' if kind == 'end' else kind} should be")
        self._at += 1
        return text
