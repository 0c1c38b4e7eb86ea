"""The first start on a real proxy: what keeps it from starting is told at once, and what can be served is served."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from lbgen.daemon import assembly
from lbgen.daemon.loop import Loop
from lbgen.daemon.worker import Worker
from lbgen.proxies.haproxy import apply as haproxy
from lbgen.proxies.nginx import apply as nginx
from lbgen.proxies.nginx import kind as nginx_kind
from lbgen.proxies.nginx.kind import Build, build_of
from lbgen.proxies.traefik import apply as traefik
from lbgen.settings import ListenerSettings, Settings, TargetSettings
from lbgen.source import decode
from lbgen.status.metrics import registry_of
from lbgen.status.view import View
from tests.support import json_log, real_haproxy, real_traefik
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import Client
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.quiet_source import QuietSource
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

PROGRAMS = {"haproxy": real_haproxy.BINARY, "nginx": "nginx", "traefik": real_traefik.BINARY}
each_proxy = pytest.mark.parametrize(
    "proxy", [pytest.param(name, marks=pytest.mark.proxy(program)) for name, program in PROGRAMS.items()]
)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


@pytest.fixture(autouse=True)
def endless(monkeypatch) -> None:
    """Without its own end no test lives to see a proxy's time to start run out."""
    for module in (haproxy, nginx, traefik):
        monkeypatch.setattr(module, "VERIFY_TIMEOUT", 10 * PATIENCE)


class Start:
    """A target that runs its proxy, seen as `lbgen status`, /readyz and /metrics see it."""

    def __init__(
        self,
        proxy: str,
        directory: Path,
        server_port: int,
        *listeners: str,
        protocols: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.ports = {name: free_port() for name in listeners}
        settings = Settings(
            listeners={
                name: ListenerSettings(bind=f"127.0.0.1:{port}", protocol=(protocols or {}).get(name, "http"))
                for name, port in self.ports.items()
            },
            default_listeners=[name for name in listeners if name not in (protocols or {})],
            min_reload_interval="0s",
            status={"bind": ""},
        )
        probe = {} if proxy == "haproxy" else {"probe": f"127.0.0.1:{free_port()}"}
        made = {"templates": [proxy], "output": directory / "out", "binary": PROGRAMS[proxy], **probe, **more}
        self.target = assembly.Assembly("edge", TargetSettings(**made), settings).target()
        self._worker = Worker(self.target)
        self.loop = Loop(QuietSource(), settings.rules(), [self._worker])
        self.view = View(self.loop, [self.target], [self._worker])
        self._facts = a_snapshot(a_node(), a_network(), *app("web", {"host": "a.org"}, server_port, "127.1.0.1"))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Have it run meanwhile, on its first model."""
        self._worker.start()
        try:
            self.loop.round(self._facts)
            yield
        finally:
            self._worker.stop()

    def number(self, metric: str) -> float:
        """A metric of the target."""
        lines = generate_latest(registry_of(self.view)).decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f'{metric}{{target="edge"}}'))

    def told(self, *words: str) -> None:
        """Wait until everything that tells of it says these words."""
        documents = lambda: (self.view.unready(), self.view.status()["targets"][0]["last_error"])  # noqa: E731
        wait_for(lambda: all(word in str(each) for each in documents() for word in words), f"{words} to be told")
        assert self.number("lbgen_target_failing") == 1
        wait_for(lambda: self.number("lbgen_apply_failures_total") >= 1, "the failure to be counted")

    def answers(self, listener: str) -> bool:
        """Whether the service is served at this listener."""
        client = Client(self.ports[listener])
        try:
            return client.ask().server == "127.1.0.1"
        except OSError:
            return False
        finally:
            client.close()


@each_proxy
def test_port_taken(proxy, short_dir, servers):
    """If the only port is taken, the reason is told before anything is waited for; when it is free, it is served."""
    start = Start(proxy, short_dir, servers.port, "web")
    with socket.create_server(("127.0.0.1", start.ports["web"])) as taken, capture_logs() as logs, start.running():
        where = f"cannot bind socket (Address already in use) [127.0.0.1:{start.ports['web']}]"
        start.told(where, "another process has this port")
        assert where in next(str(entry["error"]) for entry in logs if entry["event"] == "apply_failed")
        assert not start.view.status()["ready"]
        taken.close()
        wait_for(lambda: start.answers("web"), "an answer")
        wait_for(lambda: start.number("lbgen_target_failing") == 0, "the end of the failure")
        assert start.view.unready() == []


@each_proxy
def test_one_port_taken(proxy, short_dir, servers):
    """A listener whose port is taken is left out and told; the others serve; it does once the port is free."""
    start = Start(proxy, short_dir, servers.port, "web", "more")
    with socket.create_server(("127.0.0.1", start.ports["more"])) as taken, capture_logs() as logs, start.running():
        wait_for(lambda: start.answers("web"), "the listener that can be served")
        start.told(f"listener more: cannot bind socket (Address already in use) [127.0.0.1:{start.ports['more']}]")
        (told,) = [entry for entry in logs if entry["event"] == "listeners_left_out"]
        assert told["listeners"] == "more"
        taken.close()
        wait_for(lambda: start.answers("more"), "the other one")
        wait_for(lambda: start.number("lbgen_target_failing") == 0, "the end of the failure")
        assert start.view.unready() == []
        assert start.answers("web")
        assert [entry["listeners"] for entry in logs if entry["event"] == "listeners_opened"] == ["more"]


@each_proxy
def test_program_missing(proxy, short_dir, servers):
    """A program that is not there is named."""
    start = Start(proxy, short_dir, servers.port, "web", binary="/does/not/exist")
    with start.running():
        start.told("/does/not/exist")


@pytest.mark.proxy("nginx")
def test_module_missing(short_dir, servers, monkeypatch):
    """Listeners for which this Nginx has no module are told of as well; the others serve."""
    monkeypatch.setattr(nginx_kind, "build_of", lambda binary: Build(build_of(binary).version, ""))
    start = Start("nginx", short_dir, servers.port, "web", "db", protocols={"db": "tcp"})
    with start.running():
        wait_for(lambda: start.answers("web"), "the listener that can be served")
        start.told("listener db: nginx has no stream module", "libnginx-mod-stream")


@pytest.mark.proxy(real_haproxy.BINARY)
def test_own_words(short_dir, servers):
    """What nobody but HAProxy itself can tell is told in its words, as soon as it has ended."""
    templates = short_dir / "templates"
    templates.mkdir()
    (templates / "haproxy.cfg.j2").write_text(
        "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\nfrontend x\n    mode http\n"
        "    bind /does/not/exist/x.sock\n    timeout client 1s\n{% endblock %}"
    )
    start = Start("haproxy", short_dir, servers.port, "web", templates=[str(templates), "haproxy"])
    with capture_logs() as logs, start.running():
        start.told("exit status 1", "cannot bind UNIX socket", "/does/not/exist/x.sock")
        assert any("cannot bind UNIX socket" in str(entry.get("reason")) for entry in logs)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give a right up")
@each_proxy
def test_no_right(proxy, short_dir):
    """Without the right to open port 80 that is said, with the remedy, and the other listener serves."""
    port = free_port()
    probe = {} if proxy == "haproxy" else {"probe": f"127.0.0.1:{free_port()}"}
    target = {"templates": proxy, "output": str(short_dir / "out"), "binary": PROGRAMS[proxy], **probe}
    settings = {
        "listeners": {"web": {"bind": "127.0.0.1:80"}, "more": {"bind": f"127.0.0.1:{port}"}},
        "source": {"file": str(short_dir / "snapshot.json")},
        "targets": {"edge": target},
        "log": {"format": "json"},
        "status": {"bind": f"127.0.0.1:{free_port()}"},
    }
    (short_dir / "lbgen.yml").write_text(yaml.safe_dump(settings))
    (short_dir / "snapshot.json").write_text(json.dumps(decode.document(a_snapshot(a_node()))))
    log = short_dir / "log"
    without = ["setpriv", "--bounding-set", "-net_bind_service"]
    words = [*without, sys.executable, "-m", "lbgen", "run", "--config", str(short_dir / "lbgen.yml")]
    with log.open("wb") as output:
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output)
    try:
        wait_for(lambda: connects(port), "the other listener")
        left_out = wait_for(lambda: [each for each in json_log.events(log) if each["event"] == "listeners_left_out"])
        assert "cannot bind socket (Permission denied) [127.0.0.1:80]" in str(left_out[0]["reason"])
        assert "CAP_NET_BIND_SERVICE" in str(left_out[0]["reason"])
    finally:
        process.terminate()
        process.wait(PATIENCE)
        print(log.read_text())


def connects(port: int) -> bool:
    """Whether something listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False
