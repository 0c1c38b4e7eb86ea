"""Everything at a time: every kind of traffic against each proxy, while services change every two seconds.

``python -m bench.mixed [--minutes 15] [PROXY...]``: a real ``lbgen run`` on a snapshot file, a real proxy, an
application whose tasks come and go as Swarm's do (wanted gone, 3 seconds later SIGTERM, then the end), and services
that appear, change and disappear beside it. No Swarm and no root. It prints what became of each kind of request, and
ends with 1 if one failed that should not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.mixed_application import Task as Application
from bench.mixed_clients import USER, Account, Clients
from tests.support.builders import Fact, a_network, a_node, a_service, a_task
from tests.support.daemon import Daemon
from tests.support.passwords import HASH
from tests.support.ports import free_port
from tests.support.wait import wait_for

PROXIES = ("haproxy", "nginx", "traefik")
EVERY = 2.0  # seconds between two changes
TERMINATED = 3.1  # seconds from "wanted gone" to SIGTERM, as in Swarm
TASKS = 3  # of each service
BESIDE = 12  # services that come and go beside those with traffic
NETWORK = "edge"


class Cluster:
    """The application's tasks, and the services around them."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._ports = free_port(), free_port()
        self._slots: dict[str, tuple[Application, bool]] = {}  # by address: the task, and whether it is wanted
        self._ends: set[asyncio.Task[None]] = set()
        self.changes = 0

    async def begin(self) -> None:
        """Start the first tasks."""
        for _ in range(TASKS):
            await self._join()
        self._write()

    async def change(self) -> None:
        """Replace a task, start-first; every other time a service beside it comes, changes or goes as well."""
        self.changes += 1
        await self._join()
        leaving = next(address for address, (_, wanted) in self._slots.items() if wanted)
        self._slots[leaving] = self._slots[leaving][0], False
        self._write()
        end = asyncio.create_task(self._terminate(leaving))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)

    async def end(self) -> None:
        """Stop everything."""
        await asyncio.gather(*self._ends, *(task.stop() for task, wanted in self._slots.values() if wanted))

    async def _join(self) -> None:
        address = next(f"127.9.0.{host}" for host in range(1, 255) if f"127.9.0.{host}" not in self._slots)
        task = Application(address, *self._ports)
        await task.start()
        self._slots[address] = task, True

    async def _terminate(self, address: str) -> None:
        await asyncio.sleep(TERMINATED)
        await self._slots[address][0].stop()
        del self._slots[address]

    def _write(self) -> None:
        facts: list[Fact] = [a_node(), a_network(NETWORK)]
        web = {
            "port": self._ports[0],
            "http.all.path": "/",
            "http.all.timeout.response": "2s",
            "http.private.path": "/private",
            "http.private.basic-auth": "staff",
        }
        talk = {"port": self._ports[1], "host": "talk.test", "scheme": "h2c"}
        for name, labels in (("web", web), ("talk", talk)):
            facts.append(a_service(name, labels, networks=(f"{NETWORK}-id",)))
            for address, (_, wanted) in self._slots.items():
                slot = int(address.rpartition(".")[2])
                task = a_task(name, slot, addresses={f"{NETWORK}-id": address})
                facts.append(task if wanted else replace(task, desired_state="shutdown"))
        half = self.changes // 2
        for number in range(BESIDE):
            if (half + number) % BESIDE < BESIDE // 2:
                labels = {"port": self._ports[0], "host": f"s{number}.test", "max-conn": 100 + half}
                facts.append(a_service(f"beside{number}", labels, networks=(f"{NETWORK}-id",)))
                first = next(iter(self._slots))
                facts.append(a_task(f"beside{number}", addresses={f"{NETWORK}-id": first}))
        self._daemon.write(facts)


def prepared(proxy: str, directory: Path) -> Daemon:
    """Return an lbgen with this proxy; nothing runs yet."""
    daemon = Daemon(directory, 0)
    users = directory / "users"
    users.mkdir()
    (users / "staff").write_text(f"{USER}:{HASH}\n")
    directory.chmod(0o755)  # Nginx's workers read users there, on an account of their own
    target = daemon.settings["targets"]["edge"]
    target |= {"templates": proxy, "binary": shutil.which(proxy) or proxy}
    if proxy != "haproxy":
        target["probe"] = f"127.0.0.1:{free_port()}"
    daemon.settings |= {"users": str(users), "min_reload_interval": "1s"}
    daemon.save()
    return daemon


async def run(proxy: str, seconds: float, directory: Path) -> tuple[dict[str, Account], str]:
    """Run the load against one proxy; return the accounts by kind, and what happened meanwhile."""
    daemon = prepared(proxy, directory)
    cluster = Cluster(daemon)
    await cluster.begin()
    clients = Clients(daemon.port, with_grpc=proxy != "nginx")  # Nginx speaks HTTP/1.1 to servers: docs/proxies.md
    try:
        daemon.start()
        await asyncio.to_thread(wait_for, lambda: daemon.status("/readyz")[0] == 200, "lbgen to be ready")
        load = asyncio.create_task(clients.run(seconds))
        ends = time.monotonic() + seconds
        while time.monotonic() + EVERY < ends and not load.done():
            await asyncio.sleep(EVERY)
            await cluster.change()
        await load
        applied = [entry for entry in daemon.events() if entry["event"] == "applied"]
        reloads = sum(entry.get("method") == "reload" for entry in applied)
        return clients.accounts, f"{cluster.changes} changes, {len(applied)} times applied, {reloads} reloads"
    finally:
        if daemon.process and daemon.process.poll() is None:
            daemon.process.terminate()
            await asyncio.to_thread(daemon.process.wait, 60)
        await cluster.end()


def report(proxy: str, accounts: dict[str, Account], happened: str) -> int:
    """Print what became of the load; return how much of it failed."""
    print(f"{proxy}: {happened}")
    for kind, account in accounts.items():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(account.statuses.items()))
        resent = f", {account.resent} sent again" if account.resent else ""
        print(f"  {kind:26} {account.done:7} done {account.failed:5} failed   {statuses}{resent}")
        for line in account.shown:
            print(f"      {line}")
    return sum(account.failed for account in accounts.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.mixed", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="of all proxies together")
    parser.add_argument("--keep", type=Path, help="directory for what lbgen and the proxies wrote")
    parser.add_argument("proxies", nargs="*", default=PROXIES)
    options = parser.parse_args(arguments)
    os.environ["PATH"] += os.pathsep + str(Path(sys.executable).parent)  # Traefik's package puts it beside Python
    failed = 0
    for proxy in options.proxies:
        with contextlib.ExitStack() as stack:
            directory = options.keep and options.keep / proxy
            if directory:
                directory.mkdir(parents=True)
            else:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp")))
            seconds = options.minutes * 60 / len(options.proxies)
            failed += report(proxy, *asyncio.run(run(proxy, seconds, directory)))
    print(f"{failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
