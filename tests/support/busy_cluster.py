"""A cluster with something of everything in it, and services with one thing wrong each.

`python -m tests.support.busy_cluster` prints the generation of its files, for another process to compare.
"""

from __future__ import annotations

from lbgen.model import build
from lbgen.snapshot import PublishedPort, Snapshot
from tests.support.builders import (
    a_listener,
    a_network,
    a_node,
    a_renderer,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    host_port,
    ingress,
)

WEB = a_service("web", {"host": "web.org"}, ports=(ingress(8080, 80),))
API = a_service("api", {"host": "web.org", "path": "/api", "port": 9000}, networks=("edge-id",))
DB = a_service("db", {"tcp.pg.sni": "db.org", "port": 5432}, networks=("edge-id",))
FACTS = [
    a_node("node1"),
    a_node("node2"),
    a_network("edge"),
    WEB,
    API,
    DB,
    *[a_task("web", slot, f"node{1 + slot % 2}") for slot in (1, 2, 10)],
    *[a_task("api", slot, addresses={"edge-id": f"10.0.1.{slot}"}) for slot in (1, 2, 10)],
    a_task("db", 1, addresses={"edge-id": "10.0.1.20"}),
]
RULES = a_rules(a_listener(), a_listener("pg", 5432, "tcp"))
BROKEN = [
    a_service("bad", {"port": "x"}),
    a_service("bad", {"prot": "80"}),
    a_service("bad", {"nodes": "nonsense"}, ports=(ingress(),)),
    a_service("bad", {"via": "vip", "port": 80}, networks=("edge-id",)),
    a_service("bad", {"via": "host", "port": 80}),
    a_service("bad", {"port": 80, "network": "gone"}),
    a_service("bad", {"listener": "gone"}, ports=(ingress(),)),
    a_service("bad", {"host": "web.org"}, ports=(ingress(),), created_at="2026-11-23T00:00:00Z"),
    a_service("bad", {"host": "a\nb"}),
    a_service("bad", mode="replicated-job", ports=(ingress(),)),
    a_service("bad", {f"header.x{index}": ",".join(map(str, range(9))) for index in range(6)}, ports=(ingress(),)),
    a_service("bad name", ports=(ingress(),)),
    a_service("bad\n", ports=(ingress(),)),
    a_service("", ports=(ingress(),)),
    a_service("b" * 64, ports=(ingress(),)),
    a_service("db.tcp.pg", {"port": 1}, networks=("edge-id",)),
    a_service("web", {"host": "other.org"}, id="zzz", ports=(ingress(),), created_at="2026-11-23T00:00:00Z"),
]
RENDERER = a_renderer()


def a_busy_cluster() -> Snapshot:
    """Services of every kind, with conflicts, overlaps, duplicate hostnames and problems among them."""
    bound = (PublishedPort(8080, 32768, mode="host"), PublishedPort(8080, 32769, mode="host"))
    return a_snapshot(
        *FACTS,
        a_node("node1", id="twin", address="192.168.1.77"),
        a_node("node5", availability="drain"),
        a_node("node6", address="127.0.0.1"),
        a_network("back"),
        a_service("dyn", {"host": "dyn.org", "via": "host"}, ports=(host_port(8080),)),
        *[a_task("dyn", slot, "node2", ports=bound, id=f"dyn-{slot}-{age}") for slot in (1, 2) for age in (1, 2)],
        a_service("glob", {"host": "glob.org", "port": 80}, mode="global", networks=("edge-id",)),
        *[a_task("glob", 0, node, addresses={"edge-id": f"10.0.2.{len(node)}"}) for node in ("node1", "node2")],
        a_task("glob", 0, "twin", id="x", node_id="twin", addresses={"edge-id": "10.0.2.9"}),
        a_service("two", {"port": 80}, networks=("edge-id", "back-id")),
        a_service("late", {"host": "web.org"}, ports=(ingress(),), created_at="2026-11-23T00:00:00Z"),
        a_service(
            "odd", {"http.a.method": "GET,POST", "http.b.header.x-a": "1", "http.c.port": "x"}, ports=(ingress(),)
        ),
        *BROKEN[:3],
    )


def fingerprint() -> str:
    """The generation of the busy cluster's files."""
    facts = a_busy_cluster()
    return RENDERER.render(build(facts, RULES), facts).generation


if __name__ == "__main__":
    print(fingerprint())
