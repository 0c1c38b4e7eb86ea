"""Traefik v3's rules, such as ``Host(`a.org`) && !PathPrefix(`/admin`)``, as match expressions.

What is accepted means what it means in Traefik. Refused are, beyond what Traefik refuses, rules that never match there
(a path that Traefik would have decoded, the header Host) and those that not every proxy can express: expressions
outside `regex`, IPv6 literals as a host, characters that are syntax to one of them. Comments are refused too. One
liberty: lines may end anywhere, while Go ends an expression with the line.

Source: traefik 3.7 pkg/rules/parser.go, pkg/muxer/http and pkg/muxer/tcp (matcher.go, mux.go); vulcand/predicate 1.3.
"""

from __future__ import annotations

from functools import partial

from lbgen.labels.match import ALWAYS, Match, Not
from lbgen.labels.rule import expression
from lbgen.labels.rule.expression import Language, Matcher
from lbgen.labels.rule.matchers import EXAMPLES, MATCHERS, SPELLINGS, instead
from lbgen.labels.values.value_type import BadValue

_RULES = {
    protocol: Language(
        f"{protocol} rules",
        {spelling: known[name] for spelling, name in SPELLINGS[protocol].items()},
        EXAMPLES[protocol],
        partial(instead, protocol=protocol),
    )
    for protocol, known in MATCHERS.items()
}
# What Traefik can read, whatever lbgen thinks of the arguments.
_READABLE = {
    protocol: Language(
        rules.name,
        {name: Matcher(matcher.counts, lambda *_: ALWAYS) for name, matcher in MATCHERS[protocol].items()},
        rules.example,
        rules.instead,
    )
    for protocol, rules in _RULES.items()
}


def parse(text: str, protocol: str = "http") -> Match:
    """Return the expression that a rule of an ``http`` or ``tcp`` route means.

    Raises:
        BadValue: it is not such a rule; the message begins with the place, "at character 14: ".
    """
    if not text.strip():
        raise BadValue("is empty", f"write a matcher such as {EXAMPLES[protocol]}")
    return expression.parse(text, _RULES[protocol])


def check(text: str, protocol: str) -> None:
    """Check that Traefik can read a rule: one that it cannot read costs a router, after it was published.

    Arguments are taken as they are; only Traefik itself can tell whether its regexp package reads an expression.

    Raises:
        BadValue: as `parse`.
    """
    expression.parse(text, _READABLE[protocol], longest=len(text))


def default_priority(text: str, protocol: str = "http", match: Match | None = None) -> int:
    """Return the priority that Traefik gives a good rule: its length in bytes; -1 for a sole HostSNI(`*`).

    Routes of higher priority are asked first. The length is that of the rule as written, spaces included.

    Args:
        match: what the rule means, where that is known.
    """
    if protocol == "tcp":
        match = parse(text, protocol) if match is None else match
        while isinstance(match, Not):  # Traefik's own look at the rule forgets the negation
            match = match.term
        if match == ALWAYS:
            return -1
    return len(text.encode())
