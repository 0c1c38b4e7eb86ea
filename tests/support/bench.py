"""A target on a fake proxy, with a clock of its own and a checker that refuses the word "broken"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from structlog.testing import capture_logs

from lbgen.base.errors import ProxyUnreachable, VerifyFailed
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.proxies import disk
from lbgen.proxies.check_command import check
from lbgen.proxies.haproxy import plan as haproxy_plan
from lbgen.proxies.plan import Live, Plan
from lbgen.proxies.proxy import Proxy, Workers
from lbgen.render.renderer import Files
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_renderer, a_rules, a_service, a_snapshot, a_task
from tests.support.clock import Clock

INTERVAL = 5.0


class FakeProxy(Proxy):
    """A proxy that serves whatever generation the files on disk name when it is told to load them."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.serves = ""
        self.did: list[str] = []
        self.reachable = True
        self.on_reload: Callable[[], None] = lambda: None  # may raise
        self.on_change: Callable[[], None] = lambda: None
        self.leftovers = 0
        self.crowd: Workers | None = None

    def plan(self, running: Files | None, desired: Files) -> Plan:
        return haproxy_plan.between(running, desired)

    def meanwhile(self, running: Files, desired: Files) -> Files:
        return haproxy_plan.meanwhile(running, desired)

    def change(self, live: Live, generation: str) -> None:
        assert isinstance(live, haproxy_plan.Commands)
        self.did.append(f"change +{len(live.added)} -{len(live.removed)}")
        self.on_change()
        self.serves = generation

    def tidy(self) -> bool:
        self.leftovers = max(0, self.leftovers - 1)
        return self.leftovers > 0

    def workers(self) -> Workers | None:
        return self.crowd

    def ready(self, output: Path) -> None:
        assert output == self.output

    def reload(self, _running: Files | None, _desired: Files) -> None:
        if not self.reachable:
            raise ProxyUnreachable("nobody there")
        self.did.append("reload")
        self.on_reload()
        self.serves = on_disk(self.output)

    def generation(self) -> str:
        if not self.reachable:
            raise ProxyUnreachable("nobody there")
        return self.serves

    def verify(self, generation: str) -> None:
        if self.generation() != generation:
            raise VerifyFailed(f"serves {self.serves}, not {generation}")


def on_disk(output: Path) -> str:
    """The generation that the files on disk name."""
    text = disk.read(output, ["haproxy.cfg"]).get("haproxy.cfg", "")
    return text.partition("lbgen_generation str(")[2][:12]


def a_cluster(servers: int = 2, balance: str = "round-robin", *more: str) -> Snapshot:
    """A service "web" with so many servers, and further services of these names."""
    services = [a_service("web", {"port": 80, "balance": balance}, networks=("edge-id",))]
    services += [a_service(name, {"port": 80, "host": f"{name}.org"}, networks=("edge-id",)) for name in more]
    tasks = [a_task("web", slot, addresses={"edge-id": f"10.0.0.{slot}"}) for slot in range(1, servers + 1)]
    return a_snapshot(a_node(), a_network(), *services, *tasks)


CHECKER = """#!/bin/sh
if grep -n broken "$1" | sed "s|^|$1:|" | grep .; then exit 1; fi
echo x >> {calls}
"""


class Bench:
    """A target on a fake proxy, with a checker that refuses whatever contains the word "broken"."""

    def __init__(self, directory: Path, supervisor=None, interval: float = INTERVAL) -> None:
        self.clock, self.interval = Clock(), interval
        self.output, self.calls = directory / "out", directory / "calls"
        self.templates = directory / "templates"
        self.templates.mkdir(exist_ok=True)
        self.checker = directory / "checker"
        self.checker.write_text(CHECKER.format(calls=self.calls))
        self.checker.chmod(0o755)
        (self.templates / "set.yml").write_text(
            "proxy: haproxy\nquote: haproxy\ncheck: ['{binary}', '{dir}/haproxy.cfg']\n"
            "options: {user: '', group: '', socket_group: '', chroot: '', maxconn: 0, hard_stop_after: 30m, "
            "keep_alive: 5s, client_timeout: 60s, log: '', access_log: false}\n"
        )
        self.proxy = FakeProxy(self.output)
        self.target = self.new_target(supervisor)
        self.logs: list[dict[str, object]] = []

    def new_target(self, supervisor=None) -> Target:
        """A target as a new lbgen would make it."""
        renderer = a_renderer(self.templates, "haproxy", output=self.output)
        made = Target(
            "edge",
            renderer,
            self.output,
            lambda files: check(files, renderer.templates.manifest.check, str(self.checker), self.output),
            self.proxy,
            supervisor=supervisor,
            min_reload_interval=self.interval,
            clock=self.clock,
        )
        made.start()
        return made

    def bring(self, *cluster) -> bool:
        """Bring the target to `a_cluster` of these."""
        return self.bring_to(a_cluster(*cluster))

    def bring_to(self, facts: Snapshot) -> bool:
        """Bring the target to these facts; `logs` is what it said."""
        with capture_logs() as logs:
            result = self.target.bring_to(build(facts, a_rules()), facts)
        self.logs = [entry for entry in logs if entry["log_level"] != "debug"]
        return result

    def spoil(self) -> None:
        """Have the templates, and no service, say what the checker refuses."""
        (self.templates / "haproxy.cfg.j2").write_text(
            '{% extends "haproxy/haproxy.cfg.j2" %}{% block extra %}backend broken\n{% endblock %}'
        )

    def mend(self) -> None:
        """Take that back."""
        (self.templates / "haproxy.cfg.j2").unlink(missing_ok=True)

    def texts(self) -> dict[str, str]:
        """Every file in the output directory."""
        return {
            str(path.relative_to(self.output)): path.read_text() for path in self.output.rglob("*") if path.is_file()
        }

    @property
    def checks(self) -> int:
        """How often the checker accepted something."""
        return self.calls.read_text().count("x") if self.calls.exists() else 0


class FakeSupervisor:
    """A supervisor of a fake proxy."""

    def __init__(self) -> None:
        self.alive = False
        self.starts = 0
        self.stopped = False
        self.down, self.ended_at = "", 0.0
        self.on_start: Callable[[], None] = lambda: None

    def start(self) -> None:
        self.alive = True
        self.starts += 1
        self.on_start()

    def stop(self) -> None:
        self.stopped = True
