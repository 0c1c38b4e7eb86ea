"""What `lbgen hub` prints: lines for a terminal, documents for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lbgen.base.terminal import aligned, in_one
from lbgen.cli.status_text import edge_state
from lbgen.hub.authority import Bundle
from lbgen.hub.ledger import Edge, Entries
from lbgen.hub.rotation import Step
from lbgen.source.hub.certificates import fingerprint

Live = Mapping[str, Mapping[str, Any]] | None
_NEXT = {
    Step.PREPARE: (
        "The old authority signs as before, the new one is trusted, too. When every edge has renewed with this file",
        "(within a day, or when it is back), give the command again.",
    ),
    Step.SWITCH: (
        "The new authority signs, the old one is still trusted. When every edge has renewed with this file,",
        "give the command again.",
    ),
    Step.FINISH: ("The old authority is trusted no more: the rotation is done.",),
}


def authority_document(path: Path, bundle: Bundle) -> dict[str, Any]:
    """Return what is told of an authority's file."""
    return {"file": str(path), "fingerprints": list(map(fingerprint, bundle.trusted))}


def made_lines(path: Path, bundle: Bundle) -> Iterator[str]:
    """Yield what to do with a new authority."""
    yield f"{path} is the authority of a new fleet; anyone who has the file can be a hub."
    yield f"SHA-256 fingerprint  {fingerprint(bundle.trusted[0])}"
    yield ""
    yield "Give it to all hubs (setting hub.authority), as a file that only lbgen may read, or as a Docker secret:"
    yield f"  docker secret create lbgen-hub {path}"
    yield "Then a token for each edge:"
    yield f"  lbgen hub token NAME --authority {path}"


def rotated_lines(path: Path, step: Step, bundle: Bundle) -> Iterator[str]:
    """Yield what to do after a step of a rotation."""
    signs, *others = map(fingerprint, bundle.trusted)
    yield f"{path}: step {list(Step).index(step) + 1} of {len(Step)} of the rotation"
    yield f"signs    {signs}"
    yield from (f"trusted  {each}" for each in others)
    yield ""
    yield "Give it to all hubs now. A hub notices a file by itself; in place of a Docker secret make another:"
    yield f"  docker secret create lbgen-hub-NEW {path}"
    yield "  docker service update --secret-rm lbgen-hub-OLD --secret-add source=lbgen-hub-NEW,target=lbgen-hub SERVICE"
    yield ""
    yield from _NEXT[step]


def edges_document(entries: Entries, live: Live) -> list[dict[str, Any]]:
    """Return the edges as plain data; times are seconds since 1970.

    Args:
        live: what the running hub's status says of each, by name; None: it was not asked.
    """
    return [
        {
            "name": name,
            "connected": None if live is None else bool(_now(live, name)),
            "ready": _now(live, name).get("ready"),
            "behind": _behind(_now(live, name)),
            "revoked": _revoked(entries, name),
            "labels": dict(edge.labels),
            "offer": edge.offer,
            "joined": edge.joined,
            "certificate_until": edge.until or None,
            "authority": edge.authorities.split(",")[0],
            "seen": edge.seen or None,
            "hub": edge.hub,
        }
        for name, edge in sorted(entries.edges.items())
    ]


def edges_lines(entries: Entries, now: float, live: Live) -> Iterator[str]:
    """Yield the edges as a table; `live` as for `edges_document`."""
    if not entries.edges:
        yield "no edge has joined: 'lbgen hub token NAME' makes a token for one"
        return
    rows = [
        _row(name, edge, _revoked(entries, name), now, _now(live, name), asked=live is not None)
        for name, edge in sorted(entries.edges.items())
    ]
    heading = ("NAME", "STATE", "FACTS", "CERTIFICATE UNTIL (UTC)", "SEEN (UTC)", "HUB", "OFFER", "LABELS")
    first, *lines = aligned([heading, *rows])
    yield first
    # Coloured once the columns are aligned, whose widths colours would count for.
    yield from (
        click.style(line, "red") if _revoked(entries, name) else line
        for name, line in zip(sorted(entries.edges), lines, strict=True)
    )


def _row(name: str, edge: Edge, revoked: bool, now: float, live: Mapping[str, Any], *, asked: bool) -> tuple[str, ...]:
    state = "revoked" if revoked else edge_state(live) if live else _absent(edge, now, asked=asked)
    labels = in_one(" ".join(f"{key}={value}" for key, value in sorted(edge.labels.items())))
    behind = _behind(live)
    facts = "-" if behind is None else f"{behind} behind" if behind else "newest"
    where = _time(edge.until), _time(edge.seen), edge.hub or "-", edge.offer or "-"
    return name, state, facts, *where, labels


def _absent(edge: Edge, now: float, *, asked: bool) -> str:
    """Return how it goes with an edge of which it is not known that it is connected."""
    if 0 < edge.until < now:
        return "expired"
    return "away" if asked and edge.seen else "joined"


def _now(live: Live, name: str) -> Mapping[str, Any]:
    """Return what the hub says of an edge that is connected to it; empty: it is not, or nobody knows."""
    found = (live or {}).get(name, {})
    return found if found.get("connected") else {}


def _behind(live: Mapping[str, Any]) -> int | None:
    """Return how many changes an edge that has reported has yet to bring into force; None: that is not known."""
    sent, in_force = live.get("sequence"), live.get("in_force")
    return None if sent is None or in_force is None else max(0, sent - in_force)


def _revoked(entries: Entries, name: str) -> bool:
    return entries.edges[name].joined <= entries.revoked.get(name, -1.0)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" if at else "-"
