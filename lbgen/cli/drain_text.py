"""What `lbgen drain` says, as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from lbgen.base.terminal import aligned, folded, in_one

Document = dict[str, Any]
MOST = 20  # servers of one name; the JSON has all


def still_served(document: Document) -> bool:
    """Tell whether something is served there on, or fails since it is not."""
    return bool(document.get("only") or document.get("others_down") or document.get("by_swarm"))


def written_lines(names: Sequence[str], path: Path, no_daemon: str) -> Iterator[str]:
    """Say that it is written, and who goes by it."""
    if no_daemon:
        yield f"{', '.join(map(in_one, names))}: written to {path}, unchecked; lbgen goes by it when it runs"
        yield from folded(f"no daemon was asked: {no_daemon}", "  ")


def asked_lines(documents: Sequence[Document], *, waited: bool) -> Iterator[str]:
    """Say what becomes of names that have just been drained."""
    for document in documents:
        name = in_one(document["name"])
        what = f"{document['kind']} {name}" if document["kind"] else f"{name}, which nothing has the name of now,"
        free = not still_served(document)
        state = "is drained: it can be stopped" if document["done"] and free and waited else "is drained"
        yield f"{what} {click.style(state, 'green' if free else 'yellow')}"
        yield from _rest(document)
        if not waited and not document["done"] and document["servers"]:
            yield from folded("sessions that it has go on; --wait waits for their end", "  ")


def listed_lines(documents: Sequence[Document], no_daemon: str) -> Iterator[str]:
    """List what is drained."""
    if no_daemon:
        yield from folded(f"no daemon was asked: {no_daemon}")
    if not documents:
        yield "nothing is drained"
        return
    rows = [("NAME", "SINCE (UTC)", "STATE")]
    rows += [(in_one(each["name"]), _time(each.get("since")), _state(each)) for each in documents]
    heading, *lines = aligned(rows)
    yield f"{heading}  REASON"
    for line, document in zip(lines, documents, strict=True):
        until = f" until {_time(document['until'])}" if document.get("until") else ""
        yield f"{line}  {in_one(document.get('reason') or '')}{until}".rstrip()
        yield from _rest(document)


def _rest(document: Document) -> Iterator[str]:
    """Say who is still there, and why."""
    rows = [_row(server) for server in document.get("servers", ())]
    yield from (f"  {line.rstrip()}" for line in aligned(rows[:MOST])) if rows else ()
    if rows[MOST:]:
        yield f"  and {len(rows) - MOST} more"
    if only := document.get("only"):
        text = f"{', '.join(only)}: no other server is up, so requests still go there, until it stops"
        yield from folded(text, f"  {click.style('!', 'yellow')} ", "    ")
    if down := document.get("others_down"):
        text = f"{', '.join(down)}: the proxy finds all other servers down, so requests fail until one is up"
        yield from folded(text, f"  {click.style('!', 'red')} ", "    ")
    if services := document.get("by_swarm"):
        text = (
            f"{', '.join(services)}: Swarm chooses the tasks by itself, there as well; 'docker node update "
            "--availability drain NODE' moves them"
        )
        yield from folded(text, f"  {click.style('!', 'yellow')} ", "    ")


def _row(server: Document) -> tuple[str, ...]:
    state = {"up": "about to drain", "only": "still served"}.get(server["state"], server["state"])
    sessions = sum(seen["sessions"] or 0 for seen in server["seen"].values())
    counted = any(seen["sessions"] is not None for seen in server["seen"].values())
    said = f", {sessions} session{'' if sessions == 1 else 's'}" if counted else ""
    return in_one(server["server"]), server["address"], f"{state}{said}"


def _state(document: Document) -> str:
    if not document.get("asked"):
        return "not drained"
    if "kind" not in document:
        return "written"
    if not document["kind"]:
        return "nothing has this name"
    if still_served(document):
        return "drained, still served"
    return "drained" if document["done"] else "draining"


def _time(stamp: str | None) -> str:
    return (stamp or "-").replace("T", " ").partition(".")[0]
