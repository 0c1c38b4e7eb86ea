"""Which services Traefik's provider looks at: ``Label(`k`,`v`)``, ``LabelRegex(`k`,`re`)``, &&, ||, ! and parentheses.

Names of labels have their case here, as in Traefik; a label that is missing counts as an empty one.

Source: traefik 3.7 pkg/provider/constraints/constraints_labels.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from lbgen.labels.match import ALWAYS, All, AnyOf, Match, Not, Test, tests_of
from lbgen.labels.rule import expression
from lbgen.labels.rule.expression import Language, Matcher
from lbgen.labels.values.regex import regex

# Tests of two kinds that no request has: of a service's label ``name``.
_LANGUAGE = Language(
    "constraints",
    {
        "Label": Matcher((2,), lambda name, value: Test("label", value, name), may_be_empty=True),
        "LabelRegex": Matcher((2,), lambda name, value: Test("label_regex", regex(value), name), may_be_empty=True),
    },
    "Label(`traefik.constraint-label`, `public`)",
    lambda _: "write Label or LabelRegex",
)


def meets_constraints(text: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a service's labels meet the constraints; empty ones hold for every service.

    Raises:
        BadValue: it is not such an expression; the message begins with the place.
    """
    return _holds(_parsed(text), labels)


def constrained_labels(text: str) -> frozenset[str]:
    """Return the labels that the constraints ask about."""
    return frozenset(test.name for test in tests_of(_parsed(text)))


@lru_cache(maxsize=8)  # one text for all services of a process
def _parsed(text: str) -> Match:
    return expression.parse(text, _LANGUAGE) if text.strip() else ALWAYS


def _holds(match: Match, labels: Mapping[str, str]) -> bool:
    match match:
        case Test("label", value, name):
            return labels.get(name, "") == value
        case Test(_, value, name):
            return bool(re.search(value, labels.get(name, "")))
        case Not(term):
            return not _holds(term, labels)
        case All(terms):
            return all(_holds(term, labels) for term in terms)
        case AnyOf(terms):
            return any(_holds(term, labels) for term in terms)
