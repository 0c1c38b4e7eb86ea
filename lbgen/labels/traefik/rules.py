"""In which syntax the rule of a Traefik router is written, and what it means.

A router says it by ``ruleSyntax``, or setting ``discovery.traefik.rule_syntax`` does for those that do not. Without
either it is Traefik 3's. A rule that means nothing there, and something in Traefik 2, was written for Traefik 2: it is
taken so, and noted, since a stack is to be served as it was.

Source: traefik 3.7 pkg/muxer/http/parser.go, pkg/config/static (core.defaultRuleSyntax).
"""

from __future__ import annotations

from lbgen.labels.match import Match
from lbgen.labels.rule import parser, v2
from lbgen.labels.values.value_type import BadValue

SYNTAXES = ("v2", "v3")
_NOTE = BadValue(
    "is taken as a rule of Traefik 2; Traefik 3 does not serve it without ruleSyntax=v2",
    "write one value in each matcher, and || between them, or add rulesyntax=v2 to the router",
)


def read_rule(rule: str, protocol: str, syntax: str, default: str) -> tuple[Match, BadValue | None]:
    """Return what a rule means, and what is to be noted of it.

    Args:
        syntax: what the router says; empty: nothing.
        default: what the setting says; empty: nothing.
    Raises:
        BadValue: it is no rule in that syntax.
    """
    wanted = syntax or default or "v3"
    if wanted == "v2":
        return v2.parse(rule, protocol), None
    try:
        return parser.parse(rule, protocol), None
    except BadValue as bad:
        if syntax:
            raise
        try:
            return v2.parse(rule, protocol), _NOTE
        except BadValue:
            raise bad from None
