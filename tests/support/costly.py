"""Labels that are meant to be a burden: the worst that is known of each kind, just within the limits."""

from __future__ import annotations

import random
from collections.abc import Mapping

from lbgen.model import limits

Labels = Mapping[str, str]


def values(number: int, pattern: str = "v{}") -> str:
    """A list of so many values."""
    return ",".join(pattern.format(index) for index in range(number))


def routes(number: int, **keys: str) -> dict[str, str]:
    """Named routes with these keys each; ``{}`` is the route's number."""
    return {
        f"lbgen.http.r{index}.{key.replace('_', '-')}": value.replace("{}", str(index))
        for index in range(number)
        for key, value in keys.items()
    }


WORST: Mapping[str, Labels] = {
    "values of a header": {"lbgen.header.x-a": values(limits.RULES)},
    "headers": {f"lbgen.http.r{number}.header.x-{number}": values(limits.RULES // 16) for number in range(16)},
    "headers in one rule": {f"lbgen.header.x-{number}": f"v{number}" for number in range(50)},
    "parameters": {"lbgen.query.p": values(limits.RULES)},
    "networks": {"lbgen.client-ip": values(limits.RULES, "192.0.{}.0/24")},
    "methods": routes(limits.RULES // 2, method="GET,PUT", path="/{}"),
    "expressions": {"lbgen.path-regex": values(limits.REGEXES, "^/a*a*{}"), "lbgen.method": "GET,POST"},
    "expressions on cookies": {"lbgen.header-regex.cookie": values(limits.REGEXES, "a.*b{}")},
    "rules of its host": {"lbgen.header.x-a": values(limits.RULES), "lbgen.host": "evil.test"},
    "hosts": {"lbgen.host": values(250, "h{}.org"), "lbgen.path": "/a,/b,/c,/d"},
    "domains": {"lbgen.host": values(250, "*.h{}.org"), "lbgen.header.x-a": "1"},
    "paths": {"lbgen.path": values(500, "/{}")},
}

_FAMILIES = ("header.x-{}", "query.q{}")
_EXPRESSIONS = ("^/a*a*{}", "a.*b{}", "[a-z]+x{}$", "(a|b|c){}", "(?i)^/x{}/.*y.*z", "(en|de|fr)?/?(x|y)?{}[0-9]+$")


def random_labels(chance: random.Random) -> dict[str, str]:
    """Labels of a service at random, of a size near the limits."""
    labels: dict[str, str] = {}
    for number in range(chance.choice((1, 1, 2, 5, 20, 100))):
        scope = f"lbgen.http.r{number}."
        if chance.random() < 0.3:
            labels[f"{scope}host"] = chance.choice(("evil.test", "*.evil.test", f"h{number}.evil.test"))
        for family in chance.sample(_FAMILIES, chance.randint(0, 2)):
            count = chance.choice((1, 2, 4, 16, 64))
            labels[scope + family.format(number)] = values(count, f"v{number}-{{}}")
        if chance.random() < 0.4:
            labels[f"{scope}path"] = values(chance.choice((1, 4, 30)), f"/{number}/{{}}")
        if chance.random() < 0.3:
            labels[f"{scope}path-regex"] = chance.choice(_EXPRESSIONS).format(number % 10)
        if chance.random() < 0.3:
            labels[f"{scope}header-regex.cookie"] = chance.choice(_EXPRESSIONS).format(number % 10)
        if chance.random() < 0.3:
            labels[f"{scope}method"] = chance.choice(("GET", "GET,POST", "DELETE"))
        if not any(label.startswith(scope) for label in labels):
            labels[f"{scope}query.q"] = str(number)
    return labels
