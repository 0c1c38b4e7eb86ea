"""An lbgen that is killed while it writes leaves files that HAProxy loads, and by which no request goes astray."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.daemon import assembly
from lbgen.model import build
from lbgen.proxies.haproxy import switch
from lbgen.settings import ListenerSettings, Settings, TargetSettings
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.clients import Client
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

WRITE = "lbgen.proxies.haproxy.switch:write"
pytestmark = pytest.mark.proxy(BINARY)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


class Bench:
    """Files of two clusters, and what became of a writer that was killed between them."""

    def __init__(self, directory: Path, servers: Servers) -> None:
        self.directory, self.output, self.port, self._servers = directory, directory / "out", free_port(), servers
        self.settings = Settings(listeners={"web": ListenerSettings(bind=f"127.0.0.1:{self.port}")})
        target = TargetSettings(templates=["haproxy"], output=self.output, binary=BINARY)
        self._renderer = assembly.Assembly("edge", target, self.settings).renderer()

    def texts(self, *facts: list[Fact]) -> dict[str, str]:
        """The files for such services."""
        snapshot = a_snapshot(a_node(), a_network("edge"), *(fact for each in facts for fact in each))
        return dict(self._renderer.render(build(snapshot, self.settings.rules()), snapshot).texts)

    def app(self, name: str, number: int, **labels: object) -> list[Fact]:
        """A service with one server."""
        keys = {"port": self._servers.port, "health-check": "off"}
        keys |= {key.replace("_", "-"): value for key, value in labels.items()}
        address = {"edge-id": f"127.1.0.{number}"}
        return [a_service(name, keys, networks=("edge-id",)), a_task(name, 1, addresses=address)]

    def killed(self, before: dict[str, str], after: dict[str, str]) -> Iterator[int]:
        """Have the output directory as a writer leaves it that is killed; one moment after the other, to the end."""
        old, left = self.directory / "before", self.directory / "left"
        for name, text in {**before, "servers.state": "1\n"}.items():
            (old / name).parent.mkdir(parents=True, exist_ok=True)
            (old / name).write_text(text)
        plan = {"write": WRITE, "texts": after, "remove": sorted(set(before) - set(after))}
        (self.directory / "plan.json").write_text(json.dumps({**plan, "before": str(old), "left": str(left)}))
        words = [sys.executable, "-m", "tests.support.killed", str(self.directory / "plan.json")]
        subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=PATIENCE, check=True)
        for number, directory in enumerate(sorted(left.iterdir()), 1):
            shutil.rmtree(self.output, ignore_errors=True)
            directory.rename(self.output)
            yield number

    def answers(self, *hosts: str) -> list[str]:
        """Start HAProxy on the files that are there; return the servers that answer, else the statuses."""
        words = [BINARY, "-db", "-f", str(self.output / "haproxy.cfg")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return [self._answer(process, host) for host in hosts]
        finally:
            process.kill()
            process.wait(PATIENCE)

    def _answer(self, process: subprocess.Popen[bytes], host: str) -> str:
        def ask() -> str:
            assert process.poll() is None, "HAProxy does not load the files"
            client = Client(self.port)
            try:
                answer = client.ask(host=host)
            finally:
                client.close()
            return answer.server or str(answer.status)

        return wait_for(ask, "HAProxy", not_yet=(OSError,))


def test_every_moment(short_dir, servers):
    """Whenever the writer is killed, a host of both states is served, by a server of one of them.

    One host moves to another backend, one keeps its own; a rule comes, by which the maps' values change their form; a
    service goes, and one comes.
    """
    bench = Bench(short_dir, servers)
    kept = bench.app("kept", 2, host="kept.org")
    before = bench.texts(kept, bench.app("old", 1, host="moved.org"), bench.app("gone", 4, host="gone.org"))
    ruled = bench.app("ruled", 5, host="kept.org", path_regex="^/v[12]/")
    after = bench.texts(kept, bench.app("new", 3, host="moved.org"), ruled)
    assert {name for name in after if before[name] != after[name]} == {"haproxy.cfg", "routes.map"}
    found = []
    for number in bench.killed(before, after):
        moved, same = bench.answers("moved.org", "kept.org")
        assert (moved in ("127.1.0.1", "127.1.0.3"), same) == (True, "127.1.0.2"), f"before change {number}: {moved}"
        found.append(moved)
    assert found[0] == "127.1.0.1"
    assert found[-1] == "127.1.0.3"
    assert sorted(path.name for path in bench.output.iterdir()) == sorted([*after, "haproxy.sock", "servers.state"])


def test_after_a_kill(short_dir, servers):
    """What a killed writer left is no obstacle to the next one, and is removed."""
    bench = Bench(short_dir, servers)
    before = bench.texts(bench.app("old", 1, host="moved.org"))
    after = bench.texts(bench.app("new", 3, host="moved.org"))
    for _ in bench.killed(before, after):
        switch.write(bench.output, after)
        names = {path.name for path in bench.output.iterdir() if not path.name.startswith(".lbgen-new-")}
        assert names == {*after, "servers.state"}
        assert {name: (bench.output / name).read_text() for name in after} == after
