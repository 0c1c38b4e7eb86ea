"""Several sources in one HAProxy: an engine and a file, one of which goes away while the other one changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.source import decode
from tests.support.builders import a_snapshot, cluster
from tests.support.clients import Client
from tests.support.daemon import Daemon
from tests.support.fake_engine import FakeEngine
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import http_servers
from tests.support.steady import steady
from tests.support.wait import wait_for

pytestmark = pytest.mark.proxy(BINARY)
OF_ENGINE, OF_FILE = "127.1.0.1", ("127.1.0.2", "127.1.0.3")


@pytest.fixture
def daemon(short_dir: Path) -> Iterator[tuple[Daemon, FakeEngine]]:
    """lbgen with part swarm, whose service web is for a.org, and part file, whose service web is for b.org."""
    with http_servers() as servers:
        engine = FakeEngine(short_dir / "e.sock")
        made = Daemon(short_dir, servers.port)
        document = decode.document(a_snapshot(*cluster(servers.port, OF_ENGINE, host="a.org")))
        engine.replies |= {kind: document[kind] for kind in ("nodes", "services", "tasks", "networks")}
        made.cluster(OF_FILE[0], host="b.org")
        made.settings["source"] = [
            {"name": "swarm", "docker": {"endpoints": [engine.endpoint], "control_socket": "off"}},
            {"name": "file", "file": str(short_dir / "snapshot.json")},
        ]
        made.settings["state"] = str(short_dir / "state")
        made.save()
        try:
            yield made, engine
        finally:
            if made.process and made.process.poll() is None:
                made.end()
            engine.stop()


def server(port: int, host: str) -> str:
    """The server that a new connection's request gets to."""
    client = Client(port)
    try:
        return client.ask(host=host).server
    finally:
        client.close()


def test_part_that_is_away(daemon):
    """While the engine is away its service is served, and changes of the file arrive; so it is after a restart."""
    lbgen, engine = daemon
    lbgen.start()
    wait_for(lambda: server(lbgen.port, "a.org") == OF_ENGINE, "the engine's service", not_yet=(OSError,))
    wait_for(lambda: server(lbgen.port, "b.org") == OF_FILE[0], "the file's service", not_yet=(OSError,))
    with steady(lambda: "" if server(lbgen.port, "a.org") == OF_ENGINE else "another one's") as traffic:
        engine.stop()
        wait_for(lambda: lbgen.said("source_failed"), "the engine to be missed")
        lbgen.cluster(OF_FILE[1], host="b.org")
        wait_for(lambda: server(lbgen.port, "b.org") == OF_FILE[1], "the file's change")
    assert not traffic.failed
    status, text = lbgen.status("/metrics")
    assert status == 200
    assert 'lbgen_source_part_up{part="swarm"} 0.0' in text
    assert 'lbgen_source_part_up{part="file"} 1.0' in text
    assert lbgen.end() == 0
    lbgen.log.unlink()
    lbgen.start()
    wait_for(lambda: lbgen.said("source_away"), "the earlier facts")
    wait_for(lambda: server(lbgen.port, "a.org") == OF_ENGINE, "the engine's service", not_yet=(OSError,))
    with steady(lambda: "" if server(lbgen.port, "a.org") == OF_ENGINE else "another one's") as traffic:
        lbgen.cluster(OF_FILE[0], host="b.org")
        wait_for(lambda: server(lbgen.port, "b.org") == OF_FILE[0], "the file's change")
        engine.start()
        wait_for(lambda: lbgen.said("source_following"), "the engine")
    assert not traffic.failed
