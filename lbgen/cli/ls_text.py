"""The routes as one table for a terminal. Pure; colours are left to `click.echo` to drop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import click

from lbgen.base.terminal import in_one
from lbgen.cli.explain_text import drain_text

Document = dict[str, Any]
LONGEST_MATCH = 60  # columns; --output json has all
_COLOURS = {"up": "green", "draining": "yellow", "only": "yellow", "drained": "yellow", "down": "red"}
_HEADINGS = ("ROUTE", "LISTENER", "MATCH", "SERVER", "ADDRESS", "NODE", "STATE", "PROXY")


def matching(document: Document, names: Sequence[str]) -> Document:
    """Return the listing with the routes of services, stacks and routes of these names alone; without names all."""
    if not names:
        return document

    def chosen(route: Document) -> bool:
        own = (route["service"], route["stack"], route["route"], *route["members"])
        return any(fnmatchcase(text, name) for text in own if text for name in names)

    return document | {"routes": [route for route in document["routes"] if chosen(route)]}


def listing_lines(document: Document) -> Iterator[str]:
    """Yield the table, what is drained, and a line that counts."""
    if document["routes"]:
        rows = [row for route in document["routes"] for row in _rows(route)]
        yield from _table(rows)
    if drains := document["drains"]:
        yield ""
        yield from (click.style(in_one(drain_text(drain)), "yellow") for drain in drains)
    servers = [server for route in document["routes"] for server in route["servers"]]
    up = sum(server["serves"] for server in servers)
    empty = sum(not route["answer"] and not any(map(_serves, route["servers"])) for route in document["routes"])
    routes = len(document["routes"])
    counted = [f"{routes} route{'' if routes == 1 else 's'}", f"{up} server{'' if up == 1 else 's'} up"]
    if leaving := sum(server["state"] == "drain" for server in servers):
        counted.append(f"{leaving} to go")
    if empty:
        counted.append(click.style(f"{empty} without any", "red"))
    yield ""
    yield ", ".join(counted)


def _serves(server: Document) -> bool:
    return bool(server["serves"])


def _rows(route: Document) -> Iterator[tuple[str, ...]]:
    """Yield a line for each server; the route stands in the first."""
    listeners = ",".join(listener["name"] for listener in route["listeners"])
    match = in_one(route["match"])
    match = match if len(match) <= LONGEST_MATCH else f"{match[: LONGEST_MATCH - 1]}…"
    head = (in_one(route["route"]), listeners, match)
    rows = [_server(server) for server in route["servers"]]
    rows += [(in_one(each["name"]), "", in_one(each["node"]), _absent(each), "") for each in route["absent"]]
    if not rows:
        rows = [("-", "", "", route["answer"] or "no server", "")]
    for number, row in enumerate(rows):
        yield (*(head if number == 0 else ("", "", "")), *row)


def _server(server: Document) -> tuple[str, ...]:
    leaving = server["state"] == "drain"
    state = ("only" if server["serves"] else "draining") if leaving else "up" if server["serves"] else "weight 0"
    state += " standby" if server["backup"] else ""
    why = f": {server['why']}" if server["why"] else ""
    return in_one(server["name"]), server["address"], in_one(server["node"]), f"{state}{why}", _seen(server["seen"])


def _absent(each: Document) -> str:
    why = "asked by an operator" if each["drain"] else each["why"]
    return in_one(f"{each['state']}: {why}" if why else each["state"])


def _seen(seen: Document) -> str:
    """Say how the proxies see a server: "up, 3 sessions", with the target's name where they differ."""
    said = {target: _by_proxy(each) for target, each in seen.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{target}: {text}" for target, text in said.items())


def _by_proxy(each: Document) -> str:
    sessions = each["sessions"]
    counted = "" if not sessions else f", {sessions} session{'' if sessions == 1 else 's'}"
    return in_one(f"{each['state']}{counted}")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the rows with their columns aligned, coloured by state; columns that are empty everywhere are left out."""
    kept = [index for index in range(len(_HEADINGS)) if any(row[index] for row in rows)]
    widths = {index: max(len(row[index]) for row in [_HEADINGS, *rows]) for index in kept}
    yield "  ".join(f"{_HEADINGS[index]:<{widths[index]}}" for index in kept).rstrip()
    for row in rows:
        cells = []
        for index in kept:
            text = row[index]
            colour = _colour(text) if text and index >= _HEADINGS.index("STATE") else None
            last = not any(row[other] for other in kept if other > index)
            space = "" if last else " " * (widths[index] - len(text))
            cells.append((click.style(text, colour) if colour else text) + space)
        yield "  ".join(cells).rstrip()


def _colour(text: str) -> str | None:
    """Return the colour of a state, of Swarm's or of the proxy's words; None: none."""
    if text == "no server":
        return "red"
    words = text.replace(":", " ").replace(",", " ").split()
    return next((colour for word, colour in _COLOURS.items() if words[:1] == [word]), None)
