"""Documents with a few places replaced by what nobody would write there, the same each time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

DEEP = "[" * 500 + "]" * 500  # can be parsed, and is too deep for most of what walks through it
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 10**30, 1.5, float("1e300"), "", "x", "8080:80", "80-", "\x00", "${", "$(x", "a=b"),
    *([], [1], [None], ["x", "x"], {}, {"a": 1}, {"": None}, {"name": ["x"]}, [[]], [{}], "1" * 5000),
)
HOSTILE = (*map(json.dumps, _VALUES), DEEP)


def mutants(document: Any, number: int, seed: int = 1) -> Iterator[Any]:
    """Yield so many copies of a document of dicts and lists, each with one to three places changed."""
    chance, text = random.Random(seed), json.dumps(document)
    for _ in range(number):
        mutant = json.loads(text)
        for _ in range(chance.randint(1, 3)):
            holder, key = chance.choice(list(_places(mutant)))
            if chance.random() < 0.15:
                del holder[key]
            elif chance.random() < 0.1 and isinstance(holder, dict):
                holder[chance.choice(("x", "", "ID", "Id", "name", "external"))] = holder.pop(key)
            else:
                holder[key] = json.loads(chance.choice(HOSTILE))
            if not mutant:
                break
        yield mutant


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Every place in the document: what holds it, and its key or index there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        if depth < 20:
            yield from _places(inner, depth + 1)
