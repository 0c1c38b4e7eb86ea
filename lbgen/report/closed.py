"""Closed routes for people: which requests a service refuses, how, and where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lbgen.base.problem import printable
from lbgen.model.types import Closed

MOST = 5  # alternatives that the text names; the document has all


def closed_text(closed: Closed) -> str:
    """Return what is refused: ``route admin, listener web: host(a.org) && path_prefix(/admin) is answered 403``."""
    matches = _matches(closed)
    named = " or ".join(matches[:MOST]) + (f" or {len(matches) - MOST} more" if matches[MOST:] else "")
    if closed.protocol == "http":
        answer = f"answered {closed.status}"
        if closed.unclaimed not in (0, closed.status):
            answer += f", or {closed.unclaimed} where no route takes it"
    else:
        answer = "refused"
    return printable(f"{_where(closed)}: {named} is {answer}", 800)


def closed_documents(closed: Iterable[Closed]) -> list[dict[str, Any]]:
    """Return closed routes as JSON has them; docs/ci.md describes them."""
    return [
        {
            "service": item.service,
            "route": item.name,
            "protocol": item.protocol,
            "listeners": list(item.listeners),
            "matches": _matches(item),
            "status": item.status if item.protocol == "http" else None,
            "unclaimed": item.unclaimed if item.protocol == "http" else None,
            "text": f"service {item.service}, {closed_text(item)}",
        }
        for item in closed
    ]


def _where(closed: Closed) -> str:
    name = closed.name.removeprefix(f"{closed.service}.{closed.protocol}.")
    route = f"route {name}, " if name != closed.service else ""
    return f"{route}listener {', '.join(closed.listeners)}"


def _matches(closed: Closed) -> list[str]:
    return [" && ".join(map(str, tests)) or "every request" for tests in closed.alternatives]
