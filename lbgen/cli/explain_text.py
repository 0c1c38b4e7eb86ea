"""An explanation as lines for a terminal. Pure; colours are left to `click.echo` to drop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from lbgen.base.address import host_port
from lbgen.base.terminal import aligned, folded, in_one
from lbgen.labels.values.basic import spell_duration

Document = dict[str, Any]
MOST = 10  # rows of one kind; the JSON has all
_COLOURS = {"closed route": "red", "problem": "red", "limit": "yellow", "note": "cyan"}
_HEAD = 13  # columns of what a line is about


def explanation_lines(document: Document) -> Iterator[str]:
    """Yield the lines of an explanation."""
    yield from _headline(document)
    for route in document["routes"]:
        yield ""
        yield from _route(route)
    yield from _names(document)
    yield from _items("closed route", document["closed"])
    yield from _items("problem", document["problems"])
    yield from _items("limit", document["limits"])
    yield from _items("note", [*document.get("left_out", ()), *document["remarks"], *document["doubts"]])
    yield from _labels(document["labels"])


def _headline(document: Document) -> Iterator[str]:
    word, colour = ("routed", "green") if document["routed"] else ("not routed", "red")
    if document["routed"] and document["why"]:
        word, colour = "routed in part", "yellow"
    of = f" (source {in_one(document['source'])})" if document.get("source") else ""
    yield f"service {in_one(document['service'])}{of}: {click.style(word, colour)}"
    for why in document["why"]:
        yield from folded(why, "  - ", "    ")
    ports = [
        f"{port['published'] or '*'}->{port['target']}/{port['protocol']} ({port['mode']})"
        for port in document["published"]
    ]
    replicas = f" x{document['replicas']}" if document["mode"] == "replicated" else ""
    said = f"{document['mode']}{replicas}; publishes {', '.join(ports) or 'no port'}; "
    yield from folded(f"{said}networks: {', '.join(document['networks']) or 'none'}", "  ")
    for drain in document.get("drains", ()):
        yield from folded(drain_text(drain), "  ")
    if kept := document["labels_kept"]:
        since = kept["since"].replace("T", " ").partition(".")[0]
        yield from folded(f"its previous labels are in force, since {since} UTC: the newest have a mistake", "  ")


def drain_text(drain: Document) -> str:
    """Return what is drained, since when, why, and how it is taken back."""
    since, until = (str(drain[key] or "").replace("T", " ").partition(".")[0] for key in ("since", "until"))
    why = f" ({drain['reason']})" if drain["reason"] else ""
    ends = f" until {until}" if until else ""
    return f"{drain['name']} is drained, asked by an operator since {since} UTC{ends}{why}; '{drain['undo']}' ends it"


def _route(route: Document) -> Iterator[str]:
    state = click.style("served", "green") if route["served"] else click.style("not served", "red")
    origin = f" ({route['origin']})" if route["origin"] else ""
    yield f"route {in_one(route['name'])}: {state}, {route['protocol']}, from {route['dialect']} labels{in_one(origin)}"
    yield from _field("why", [route["why"]] if route["why"] else [])
    yield from _field("match", [route["rule"]])
    yield from _field("priority", _priority(route))
    yield from _field("listener", [line for listener in route["listeners"] for line in _listener(listener)])
    yield from _field("certificate", [_certificate(certificate) for certificate in route["certificates"]])
    yield from _field("via", [f"{route['via']['value']}: {route['via']['why']}"] if route["via"] else [])
    yield from _field("port", [_port(route["port"])] if route["port"] else [])
    yield from _field("network", [_network(route["network"])] if route["network"] else [])
    yield from _field("nodes", _nodes(route["nodes"]))
    yield from _field("backend", [_backend(route)] if route["backend"] else [])
    yield from _field("check", [_check(route["health_check"])] if route["health_check"] else [])
    yield from _field("tls", [_server_tls(route["server_tls"])] if route["server_tls"] else [])
    yield from _field("settings", [f"{key}={value}" for key, value in route["settings"].items()])
    if route["via"] or route["servers"]:
        yield from (
            _table("servers", _servers(route["servers"]))
            if route["servers"]
            else _field("servers", ["none: requests are answered 503"])
        )
    yield from _table("no server", _not_servers(route["not_servers"]), len(route["not_servers"]))


def _names(document: Document) -> Iterator[str]:
    """Say what it shares with other services: routes, and names of its labels."""
    for each in document.get("joined", ()):
        yield ""
        yield f"route {in_one(each['route'])}: service {in_one(each['service'])}, which is older, asks for the same"
    uses, defines = document.get("uses", ()), document.get("defines", ())
    if uses:
        yield ""
        yield "what its labels use of others"
    for each in uses:
        by = f"of service {each['service']}" if each["service"] else "of a setting"
        also = f", and of {', '.join(each['also'])}" if each["also"] else ""
        yield from folded(f"{each['kind']} {each['name']}: {each['why'] or by + also}", "  - ", "    ")
    if defines := [each for each in defines if each["used_by"]]:
        yield ""
        yield "what its labels define for others; a change touches those who use it"
    for each in defines:
        used = ", ".join(each["used_by"][:MOST]) + (
            f" and {len(each['used_by']) - MOST} more" * (len(each["used_by"]) > MOST)
        )
        yield from folded(f"{each['kind']} {each['name']}: used by {used}", "  - ", "    ")


def _field(head: str, texts: Iterable[str]) -> Iterator[str]:
    for number, each in enumerate(each for each in texts if each):
        yield from folded(each, f"  {head if number == 0 else '':<{_HEAD - 3}} ")


def _table(head: str, rows: Sequence[tuple[str, ...]], total: int = 0) -> Iterator[str]:
    for number, line in enumerate(aligned(rows) if rows else []):
        yield f"  {head if number == 0 else '':<{_HEAD - 2}}{line.rstrip()}"
    if total > MOST:
        yield f"{'':<{_HEAD}}and {total - MOST} more"


def _priority(route: Document) -> list[str]:
    priorities = {match["priority"] for listener in route["listeners"] for match in listener["matches"]}
    if route["priority"] is not None:
        return [f"{route['priority']}"]
    if not priorities:
        return []
    low, high = min(priorities), max(priorities)
    return [f"{low if low == high else f'{low} to {high}'}, the length of what matches"]


def _listener(listener: Document) -> Iterator[str]:
    said = f"{listener['name']} {listener['bind']}{' tls' if listener['tls'] else ''}"
    said += "" if listener["by"] == "label" else ", by default"
    if listener["targets"]:
        said += f", target {', '.join(listener['targets'])}"
    yield said if listener["served"] else f"{said}: NOT served: {listener['why']}"
    lost = [match for match in listener["matches"] if match["why"]] if listener["served"] else []
    yield from (f"  without {match['match']}: {match['why']}" for match in lost[:MOST])
    if lost[MOST:]:
        yield f"  and {len(lost) - MOST} more"


def _certificate(certificate: Document) -> str:
    names = ", ".join(certificate["files"]) or ("none" if certificate["known"] else "the certificates are not at hand")
    authority = f"; clients need one of {certificate['client_ca']}" if certificate["client_ca"] else ""
    return f"{'any other host' if certificate['host'] == '*' else certificate['host']}: {names}{authority}"


def _port(port: Document) -> str:
    published = f", published as {port['published']}" if port["published"] else ""
    return f"{port['target']}/{port['protocol']}{published}: {port['why']}"


def _network(network: Document) -> str:
    others = [name for name in network["candidates"] if name != network["name"]]
    return f"{network['name']}: {network['why']}" + (f" (also there: {', '.join(others)})" if others else "")


def _nodes(nodes: Sequence[Document]) -> Iterator[str]:
    chosen = [node["node"] for node in nodes if node["chosen"]]
    if nodes:
        yield ", ".join(chosen) or "none"
    refused = [node for node in nodes if not node["chosen"]]
    yield from (f"not {node['node']}: {node['why']}" for node in refused[:MOST])
    if refused[MOST:]:
        yield f"and {len(refused) - MOST} more"


def _backend(route: Document) -> str:
    group = route["group"]
    if not group:
        return str(route["backend"])
    shares = ", ".join(f"{share['service']} {share['percent']:g} %" for share in group["shares"])
    return f"{route['backend']}: group {group['name']}, led by service {group['leader']}; shares: {shares or 'none'}"


def _check(check: Document) -> str:
    how = check["kind"]
    if check["kind"] == "http":
        how = f"{check['scheme']} {check['method']} {check['path']} of host {check['host'] or 'ADDRESS:PORT'}"
    elif check["scheme"] == "https":
        how = "tcp, with a TLS handshake"
    if check["scheme"] == "https" and check["server_name"]:
        how += f", by TLS name {check['server_name']}"
    return f"{how}, each {spell_duration(check['interval'])}, up after {check['rise']}, down after {check['fall']}"


def _server_tls(tls: Document) -> str:
    name = f"servers are asked for {tls['name'] or 'the host that the client asks for'}"
    if not tls["ca"]:
        return f"{name}; they are NOT verified"
    by = "the authorities that this machine trusts" if tls["ca"] == "system" else f"authority {tls['ca']}"
    return f"{name}, and verified by {by}"


def _servers(servers: Sequence[Document]) -> list[tuple[str, ...]]:
    return [
        (
            server["name"],
            host_port(server["address"], server["port"]),
            server["state"],
            f"weight {server['weight']}",
            in_one(f"on {server['node']}" if server["node"] else ""),
            server["why"],
        )
        for server in servers
    ]


def _not_servers(tasks: Sequence[Document]) -> list[tuple[str, ...]]:
    return [
        (
            f"task {task['slot'] or ''}{'.' if task['slot'] else ''}{task['task'][:12]}",
            in_one(f"on {task['node'] or 'no node'}" + (f" ({task['node_state']})" if task["node_state"] else "")),
            f"{task['state']}, wanted {task['desired_state']}",
            task["why"],
        )
        for task in tasks[:MOST]
    ]


def _items(kind: str, items: Sequence[Document]) -> Iterator[str]:
    if items:
        yield ""
        yield click.style(f"{len(items)} {kind}{'s' if items[1:] else ''}", _COLOURS[kind])
    for item in items:
        yield from folded(item["text"], "  - ", "    ")


def _labels(labels: Sequence[Document]) -> Iterator[str]:
    if not labels:
        return
    read = [label["label"] for label in labels if label["use"] == "read"]
    others = sum(label["use"] == "other" for label in labels)
    yield ""
    yield "labels"
    yield from _field("read", [", ".join(read) or "none"])
    reasons: dict[str, list[str]] = {}
    for label in labels:
        if label["use"] == "unused":
            reasons.setdefault(label["why"], []).append(label["label"])
    yield from _field("not read", [f"{', '.join(names)}: {why}" for why, names in reasons.items()])
    for use in ("problem", "note"):
        yield from _field(use, [", ".join(label["label"] for label in labels if label["use"] == use)])
    if others:
        yield from _field("", [f"{others} of other programs"])
