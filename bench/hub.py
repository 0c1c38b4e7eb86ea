"""How long a change takes from a hub to its edges, and what many edges cost the hub: ``python -m bench.hub``.

Hub and edges, each an `lbgen run`, beside an `lbgen run` without a hub (`hub_live`); the same over a way of 50 ms that
loses packets (`hub_loss`; root). Then edges that only read: how long until the last of them has a change, and what the
hub holds in memory. No Swarm.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from lbgen.base import logs
from lbgen.hub.authority import Authority, new_bundle
from lbgen.hub.ledger import Ledger
from lbgen.hub.registrar import Registrar
from lbgen.hub.server import HubServer
from lbgen.snapshot import Snapshot
from lbgen.source.hub import certificates
from lbgen.source.hub.certificates import EDGE, Holder
from lbgen.source.hub.facts import identical
from lbgen.source.hub.messages import MOST_DOWN, Changes, Hello, read, written
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task

SERVICES, TASKS = 200, 3


def facts(number: int) -> Snapshot:
    """A cluster in which one task is another each time."""
    items: list[object] = [a_node(), a_network()]
    for index in range(SERVICES):
        name = f"s{index}"
        items.append(a_service(name, {"port": 80, "host": f"{name}.test"}, networks=("edge-id",)))
        for slot in range(1, TASKS + 1):
            address = f"127.{1 + number % 200}.9.{slot}" if index == 0 and slot == 1 else f"127.1.{index}.{slot}"
            id_ = f"{name}-{slot}-{number}" if index == 0 and slot == 1 else f"{name}-{slot}"
            items.append(a_task(name, slot, id=id_, addresses={"edge-id": address}))
    return a_snapshot(*items)  # type: ignore[arg-type]


def contexts(authority: Authority, names: list[str]) -> dict[str, ssl.SSLContext]:
    """TLS for edges that the authority vouches for."""
    made = {}
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue(Holder(EDGE, name, time.time()), key.public_key())
        pair = certificates.key_pem(key) + certificates.pem(certificate)
        made[name] = certificates.client_context(authority.authorities, pair)
    return made


class Readers:
    """Edges that read what they are sent, and note when."""

    def __init__(self, url: str, contexts: dict[str, ssl.SSLContext]) -> None:
        self._url, self._contexts = url, contexts
        self.at: dict[str, tuple[int, float]] = {}  # name -> sequence number, and when
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for number, (name, context) in enumerate(self._contexts.items()):
            self._tasks.append(asyncio.create_task(self._keep_reading(name, context)))
            if number % 20 == 19:
                await asyncio.sleep(0.1)

    async def until(self, sequence: int) -> list[float]:
        """Wait until all are there; return when each was."""
        while len(self.at) < len(self._contexts) or any(each[0] < sequence for each in self.at.values()):
            await asyncio.sleep(0.005)
        return [at for _, at in self.at.values()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_reading(self, name: str, context: ssl.SSLContext) -> None:
        while True:  # a machine that makes a thousand handshakes on both sides may be too slow for some of them
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._read(name, context)
            await asyncio.sleep(1)

    async def _read(self, name: str, context: ssl.SSLContext) -> None:
        options = {"compression": None, "proxy": None, "ping_interval": None, "max_size": MOST_DOWN}
        async with connect(self._url, ssl=context, **options) as connection:  # type: ignore[arg-type]
            await connection.send(written(Hello("1.0")))
            async for data in connection:
                now = time.monotonic()
                if isinstance(data, bytes):  # the first snapshot: reading a thousand of them is not the hub's work
                    self.at[name] = 1, now
                elif isinstance(message := read(data, MOST_DOWN), Changes):
                    self.at[name] = message.sequence, now


def rss(pid: int) -> float:
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu(pid: int) -> float:
    """Processor time in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def forked_hub(directory: Path) -> Iterator[tuple[Authority, int, int, int]]:
    """A hub in a process of its own; give authority, port, pid, and the pipe on which it hears of changes."""
    authority = Authority(new_bundle(time.time()), "bench")
    port_reader, port_writer = os.pipe()
    order_reader, order_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        logs.configure("error", "text")
        registrar = Registrar(authority, Ledger(directory))
        hub = HubServer(("127.0.0.1", 0), authority, registrar, most_strangers=5000)
        hub.start()
        hub.listening.wait(30)
        os.write(port_writer, hub.port.to_bytes(4, "big"))
        last = Snapshot()
        while order := os.read(order_reader, 4):
            last = identical(last, facts(int.from_bytes(order, "big")))  # as sources give them
            hub.publish(last)
        os._exit(0)
    try:
        yield authority, int.from_bytes(os.read(port_reader, 4), "big"), pid, order_writer
    finally:
        os.kill(pid, 15)
        os.waitpid(pid, 0)


async def many(edges: int, rounds: int) -> dict[str, object]:
    """Measure a hub with so many edges."""
    with tempfile.TemporaryDirectory() as directory, forked_hub(Path(directory)) as (authority, port, pid, order):
        os.write(order, (0).to_bytes(4, "big"))
        made = contexts(authority, [f"e{number}" for number in range(edges)])
        alone, began, busy = rss(pid), time.monotonic(), cpu(pid)
        readers = Readers(f"wss://127.0.0.1:{port}/v1/edge", made)
        await readers.start()
        await readers.until(1)
        connected, connecting = time.monotonic() - began, cpu(pid) - busy
        firsts, lasts = [], []
        busy = cpu(pid)
        for number in range(1, rounds + 1):
            await asyncio.sleep(0.5)
            begun = time.monotonic()
            os.write(order, number.to_bytes(4, "big"))
            times = sorted(at - begun for at in await readers.until(number + 1))
            firsts.append(times[0] * 1000)
            lasts.append(times[-1] * 1000)
        result = {
            "edges": edges,
            "connected_s": round(connected, 2),
            "hub_cpu_per_connection_ms": round(connecting / edges * 1000, 2),
            "first_ms": spread(firsts),
            "last_ms": spread(lasts),
            "hub_cpu_per_change_ms": round((cpu(pid) - busy) / rounds * 1000, 1),
            "hub_rss_mb": [round(alone, 1), round(rss(pid), 1)],
            "rss_per_edge_kb": round((rss(pid) - alone) / edges * 1024, 1),
        }
        await readers.stop()
        return result


def spread(values: list[float]) -> str:
    """Median (min..max)."""
    return f"{statistics.median(values):.0f} ({min(values):.0f}..{max(values):.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, nargs="*", default=[1, 20, 1000], help="numbers of edges that only read")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--live", type=int, nargs="*", default=[1, 20], help="numbers of edges with a HAProxy each")
    parser.add_argument(
        "--services", type=int, default=SERVICES, help="of three containers each, for --live and --loss"
    )
    parser.add_argument("--loss", type=int, default=100, help="changes over a long way that loses packets; 0: none")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    from bench.hub_live import live
    from bench.hub_loss import loss

    for edges in options.live:
        print(json.dumps(live(edges, options.services, options.rounds)), flush=True)
    if options.loss:
        print(json.dumps(loss(options.loss, options.services)), flush=True)
    for edges in options.edges:
        print(json.dumps(asyncio.run(many(edges, options.rounds))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
