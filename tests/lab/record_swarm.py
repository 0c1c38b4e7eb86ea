"""``python -m tests.lab.record_swarm ENGINE DIRECTORY``: what the managers of a Swarm of one engine say and push.

Writes DIRECTORY/engine-ENGINE/*.json and DIRECTORY/watch-ENGINE.json.gz; what runs there: tests/fixtures/README.md.
Needs root and a minute; the three nodes are its own.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lbgen.base.errors import SourceError
from lbgen.snapshot import Snapshot
from lbgen.source import decode
from lbgen.source.engine.patch import patched
from lbgen.source.engine.source import EngineSource
from lbgen.source.facts import EMPTY, KINDS
from lbgen.source.swarmkit import objects
from lbgen.source.swarmkit.grpc import StreamCall
from lbgen.source.swarmkit.stream import METHOD, SERVER
from lbgen.source.swarmkit.watch import connect
from tests.lab.node import Node
from tests.lab.record_host import reduced, write
from tests.lab.service import host_port, ingress_port
from tests.lab.services import Lab
from tests.lab.settings import Settings


@contextmanager
def stream(node: Node) -> Iterator[list[bytes]]:
    """The messages of a manager's Watch stream as they come, without the first one, which is empty."""
    root = node.api("GET", "/swarm")["TLSInfo"]["TrustRoot"]
    call = StreamCall(connect(str(node.control_socket), 10, promised=True), root, SERVER)
    messages = call.messages(METHOD, objects.REQUEST)
    found: list[bytes] = []
    next(messages)

    def read() -> None:
        with suppress(SourceError, OSError):
            found.extend(messages)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        call.end()
        thread.join(10)


def play(lab: Lab) -> None:
    """Make, update and remove services of every sort, drain a node, and give labels."""
    lab.network("front")
    lab.network("back", True, "--label", "team=data")
    on = {"lbgen.enable": "true"}
    labels = on | {"lbgen.host": "shop.example.com", "lbgen.path": "/"}
    shop = lab.service("shop", replicas=2, publish=[ingress_port(8080, 8081)], networks=["front"], labels=labels)
    dyn = lab.service("dyn", replicas=2, publish=[host_port()], labels=on | {"lbgen.host": "dyn.example.com"})
    lab.service(
        "agent", mode="global", publish=[host_port(8080, 8090)], labels=on | {"lbgen.host": "agent.example.com"}
    )
    inner = on | {"lbgen.host": "inner.example.com", "lbgen.network": "back", "lbgen.port": "8080"}
    lab.service("inner", replicas=2, networks=["front", "back"], labels=inner)
    lab.service("rr", replicas=2, networks=["front"], endpoint_mode="dnsrr", labels=on | {"lbgen.port": "8080"})
    ports = [ingress_port(8080, 5432), ingress_port(8080, 5353, "udp")]
    lab.service("pg", publish=ports, labels=on | {"lbgen.tcp.pg.listener": "pg"})
    lab.service("healthy", image="app-health", networks=["front"])
    lab.service("zero", replicas=0, networks=["front"], labels=on)
    lab.service("plain")
    lab.service("hostnet", networks=["host"])
    lab.service("stuck", constraints=["node.labels.nowhere==1"], wait=False)
    gone = lab.service("gone", networks=["front"])
    for name, mode in (("job", "replicated-job"), ("gjob", "global-job")):
        flags = ("--name", name, "--mode", mode, "--restart-condition", "none")
        lab.docker("service", "create", "--detach", "--no-resolve-image", *flags, lab.images["app"], "--help")
    lab.node_update("n1", "--label-add", f"lbgen.address={lab.nodes['n1'].address}", "--label-add", "zone=eu")
    careless = ("--update-failure-action", "continue")
    shop.scale(3)
    shop.update(*careless, "--args", "--version v2", "--label-add", "rev=2")
    dyn.update(*careless, "--args", "--version v2")
    lab.node_update("n3", "--availability", "drain")
    gone.remove()
    shop.wait()
    dyn.wait()


def settled(lab: Lab, node: Node, messages: list[bytes]) -> tuple[Snapshot, list[bytes]]:
    """Wait until all that was pushed makes what is listed; return the listing and what was pushed till then."""

    def same() -> tuple[Snapshot, list[bytes]] | None:
        listed, so_far = EngineSource([f"unix://{node.socket}"]).take(), list(messages)
        changes = [change for message in so_far for change in objects.changes(message)]
        facts = patched(EMPTY, {kind: {} for kind in KINDS}, changes)
        equal = all(facts[kind] == getattr(listed, kind) for kind in ("services", "tasks"))
        return (listed, so_far) if equal else None

    found = lab.wait_for(same, 60, "what was pushed to be what is listed", 0.5)
    assert found
    return found


def record(engine: str, directory: Path) -> None:
    """Record everything."""
    lab = Lab(settings=Settings(3, 3, "lbgr-", Path("/var/lib/lbgen-record"), "192.168.228.0/24", (engine,)))
    with lab.claim(60):
        try:
            lab.up()
            leader, follower = lab.nodes["n1"], lab.nodes["n2"]
            with stream(follower) as messages:
                play(lab)
                with lab.attached("front"):
                    snapshot, pushed = settled(lab, follower, messages)
                    replies = {kind: leader.api("GET", f"/{kind}") for kind in KINDS}
                    attached = leader.api("GET", "/tasks", filters={"runtime": ["attachment"]})
                    replies["tasks-of-attachments"] = attached
                    replies |= {name: reduced(name, leader.api("GET", f"/{name}")) for name in ("info", "version")}
        finally:
            lab.down()
    write(directory / f"engine-{engine}", replies)
    texts = [base64.b64encode(message).decode() for message in pushed]
    said: dict[str, Any] = {"messages": texts, "snapshot": decode.document(snapshot)}
    # No name and no time in it: the same recording is the same file.
    (directory / f"watch-{engine}.json.gz").write_bytes(gzip.compress(json.dumps(said).encode(), mtime=0))


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]))
