"""The status API's documents as lines for a terminal. Pure; colours are left to `click.echo` to drop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from lbgen.base.terminal import aligned, in_one, plain

MOST_CAUSES = 3  # of a change; the JSON has all
Document = dict[str, Any]


def status_lines(document: Document, problems: Document) -> Iterator[str]:
    """Yield the lines of a daemon's state: of `/api/v1/status` and `/api/v1/problems`."""
    state = click.style("ready", "green") if document["ready"] else click.style("not ready", "red")
    if not document["alive"]:
        state = click.style("failing" if document["keeps_failing"] else "stuck", "red")
    yield f"lbgen {document['version']}, up {duration(document['uptime_seconds'])}: {state}"
    yield from (f"  {line}" for failure in document["keeps_failing"] for line in plain(failure))
    yield from (f"  {line}" for reason in document["not_ready"] for line in plain(reason))
    yield from source_lines(document["source"])
    servers = ", ".join(f"{number} {state}" for state, number in document["servers"].items())
    held = document["servers_held"]
    yield f"servers   {servers}" + (f"; {held} held until a second listing confirms that they are gone" if held else "")
    if document["targets"]:
        yield ""
        yield from _targets(document["targets"])
    if document.get("rollout"):
        yield ""
        yield _rollout(document["rollout"])
    if document.get("edges"):
        yield ""
        yield from _edges(document["edges"])
    listed, closed = problems["problems"], document["closed"]
    yield ""
    if closed:
        yield click.style(f"{len(closed)} closed route{'s' if closed[1:] else ''}:", "yellow")
        yield from (f"  {line}" for item in closed for line in plain(item["text"]))
        yield ""
    yield click.style(f"{len(listed)} problem{'s' if listed[1:] else ''}:", "yellow") if listed else "no problems"
    yield from (f"  {line}" for problem in listed for line in plain(problem["text"]))


def history_lines(document: Document) -> Iterator[str]:
    """Yield the lines of `/api/v1/history`: the last changes, newest first."""
    changes = document["changes"]
    if not changes:
        yield "nothing was changed since this lbgen started"
        return
    rows = [
        (_time(change["at"]), change["target"] or "-", change["method"], duration(change["lag_seconds"]))
        for change in changes
    ]
    heading, *lines = aligned([("TIME (UTC)", "TARGET", "METHOD", "LAG"), *rows])
    yield f"{heading}  WHAT"
    for line, change in zip(lines, changes, strict=True):
        yield f"{line}  {in_one(change['detail'])}"
        causes = change["causes"]
        yield from (f"    {in_one(cause['text'])}" for cause in causes[:MOST_CAUSES])
        if causes[MOST_CAUSES:]:
            yield f"    and {len(causes) - MOST_CAUSES} more"


def duration(seconds: float | None) -> str:
    """Return 0.038 as "38 ms", 75 as "1 min 15 s", None as "-"."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def source_lines(source: Document) -> Iterator[str]:
    """Yield the lines of the source, or of each of several."""
    parts = source.get("parts")
    if parts is None:
        yield from _one_source("source    ", source)
    for part in parts or ():
        yield from _one_source(f"source    {in_one(part['name'])}: ", part)
    if parts == []:
        yield "source    none"


def _one_source(head: str, source: Document, *, reserve: bool = False) -> Iterator[str]:
    """Yield the lines of one source. `reserve`: it is one of several hubs, of which an edge asks one at a time."""
    mode = source["mode"]
    none = "no hub answers" if source.get("kind") == "hub" else "no endpoint answers"
    shown = click.style(none, "red") if mode == "none" else mode
    if reserve and mode == "none" and not source.get("failing"):
        shown = "in reserve"
    age = source["stream_age_seconds"]
    said = [f"{head}{shown}", *filter(None, [in_one(source["endpoint"])])]
    if source.get("cluster"):
        said.append(f"cluster {in_one(source['cluster'])}")
    if age is not None:
        said.append(f"last word {duration(age)} ago")
    yield ", ".join(said)
    if source.get("no_push"):
        yield f"          no push: {in_one(source['no_push'])}"
    if source.get("failing"):
        since = f" since {_time(source['failing_since'])}" if source.get("failing_since") else ""
        kept = "" if source.get("facts", True) else "; nothing of it is known"
        yield click.style(f"          failing{since}: {in_one(source['failing'])}{kept}", "red")
    for member in source.get("members", ()):
        name = f"{in_one(member['name'])}: " if member["name"] else ""
        yield from _one_source(f"          {name}", member, reserve=source.get("kind") == "hub")
    if "drift" in source:
        counts = {"listings": "listings", "drift": "missed by the stream", "reconnects": "reconnects"}
        yield "          " + ", ".join(f"{word}: {source[key]}" for key, word in counts.items() if key in source)


def _targets(targets: Sequence[Document]) -> Iterator[str]:
    rows = [("TARGET", "GENERATION", "CHANGED (UTC)", "METHOD")]
    for target in targets:
        last = target["last_change"]
        changed = (
            (_time(last["at"]), last["method"]) if last else ("-", "found running" if target["generation"] else "-")
        )
        rows.append((target["name"], target["generation"] or "-", *changed))
    heading, *lines = aligned(rows)
    yield f"{heading}  STATE"
    for line, target in zip(lines, targets, strict=True):
        state, colour = ("live", "green") if target["ready"] else ("not live yet", "yellow")
        yield f"{line}  {click.style(*(('failing', 'red') if target['failing'] else (state, colour)))}"
        error = target["last_error"]
        if error:
            over = "" if target["failing"] else ", which is over"
            first, *more = plain(error["error"]) or [""]
            yield f"    {error['kind']} at {_time(error['at'])}{over}: {first}"
            yield from (f"      {further}" for further in more)


def _rollout(rollout: Document) -> str:
    phase = click.style(rollout["phase"], "red") if rollout["reason"] else rollout["phase"]
    said = [f"rollout   {phase}" + (f" since {_time(rollout['since'])}" if rollout["since"] else "")]
    if rollout["version"]:
        said += [
            f"version {rollout['version']}",
            f"{rollout['handed']} edges have got it, {rollout['ready']} are ready",
        ]
    return ", ".join(said) + (f": {in_one(rollout['reason'])}" if rollout["reason"] else "")


def _edges(edges: Sequence[Document]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("EDGE", "STATE", "SINCE (UTC)", "LBGEN", "SERVERS", "PROXY", "SEES", "GENERATION")]
    rows += [tuple(map(in_one, _edge_row(edge))) for edge in edges]
    heading, *lines = aligned(rows)
    yield heading
    for line, edge in zip(lines, edges, strict=True):
        yield line
        refused = [f"refused: {', '.join(target['refused'])}" for target in edge["targets"] if target["refused"]]
        errors = [target["error"] for target in edge["targets"] if target["error"]]
        yield from (f"    {in_one(text)}" for text in (*edge["not_ready"][:MOST_CAUSES], *refused, *errors))


def _edge_row(edge: Document) -> tuple[str, ...]:
    state = "revoked" if edge["revoked"] else edge_state(edge) if edge["connected"] else "away"
    if not edge["connected"] and edge["hub"]:
        state += f", last at {edge['hub']}"
    targets = edge["targets"]
    seen = Counter[str]()
    for target in targets:
        seen.update(target["servers"])
    proxies = ", ".join(f"{target['proxy']} {target['version']}".strip() for target in targets)
    since = edge["since"] or edge["seen_at"]
    return (
        edge["name"],
        state,
        _time(since) if since else "-",
        edge["lbgen"] or "-",
        _counted(edge["servers"]),
        proxies or "-",
        _counted(seen),
        ", ".join(target["generation"] or "-" for target in targets) or "-",
    )


def _counted(servers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in servers.items()) or "-"


def edge_state(edge: Mapping[str, Any]) -> str:
    """Return how it goes with an edge that is connected."""
    if edge["ready"] is None:
        return "connected"
    failing = any(target["failing"] for target in edge["targets"])
    return "failing" if failing else "ready" if edge["ready"] else "not ready"


def _time(stamp: str) -> str:
    return stamp.replace("T", " ").removesuffix("Z")
