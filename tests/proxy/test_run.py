"""Targets on a real HAProxy: reloads in every way there is, what a failed one leaves, and `lbgen run` as a daemon."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import ApplyFailed, ProxyUnreachable
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.proxies import disk, reload_command
from lbgen.proxies.haproxy.apply import ask
from lbgen.render.templates import BUILTIN
from lbgen.settings import ApplySettings, ListenerSettings, Settings, TargetSettings
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task, cluster
from tests.support.certificates import certificate
from tests.support.clients import Client
from tests.support.daemon import Daemon, alive, master_of
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY, Process
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy(BINARY)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


def cluster_of(name: str, port: int) -> list[Fact]:
    """A service without label lbgen.enable, and its only task."""
    labels = {"lbgen.port": str(port), "lbgen.host": f"{name}.test"}
    service = a_service(name, labels=labels, networks=("edge-id",))
    return [a_node(), a_network(), service, a_task(name, 1, addresses={"edge-id": "127.1.0.1"})]


# What the checker accepts, and nobody but the HAProxy that loads it can tell that it will not work.
UNLOADABLE = """{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}
frontend x
    mode http
    bind /does/not/exist/x.sock
    timeout client 1s
{% endblock %}"""

# ------------------------------------------------------------------------------------------------ reloads


class Bench:
    """A HAProxy that somebody else runs, and the target that feeds it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.output, self.port, self.server_port = directory / "out", free_port(), port
        self.templates = directory / "templates"
        self.templates.mkdir()
        self.process: Process | None = None
        self.logs: list[dict[str, object]] = []

    def target(self, **apply: object) -> Target:
        """A target as the settings would make it, with this way to reload."""
        self.settings = Settings(
            listeners={"web": ListenerSettings(bind=f"127.0.0.1:{self.port}")}, min_reload_interval="0s"
        )
        target = TargetSettings(
            templates=[str(self.templates), "haproxy"],
            output=self.output,
            stats_socket=self.output / "haproxy.sock",
            binary=BINARY,
            apply=ApplySettings(**apply),
        )
        made = assembly.Assembly("edge", target, self.settings).target()
        made.start()
        return made

    def bring(self, target: Target, *addresses: str, **keys: object) -> bool:
        """Bring the target to a cluster."""
        facts = a_snapshot(*cluster(self.server_port, *addresses, **keys))
        with capture_logs() as logs:
            result = target.bring_to(build(facts, self.settings.rules()), facts)
        self.logs = [entry for entry in logs if entry["log_level"] != "debug"]
        return result

    def run(self) -> None:
        """Start HAProxy on whatever is on disk."""
        self.process = Process(self.output)
        (self.output / "haproxy.pid").write_text(f"{self.process.pid}\n")

    def answer(self) -> str:
        """The server that a new connection's request gets to."""
        client = Client(self.port)
        try:
            return client.ask().server
        finally:
            client.close()

    def texts(self) -> dict[str, str]:
        """The rendered files on disk."""
        return disk.read(self.output, ["haproxy.cfg", "names.map", "paths.map", "routes.map"])

    def reloads(self) -> int:
        """How often the master has reloaded."""
        return int(master_of(self.output).split()[2])


@pytest.fixture
def bench(short_dir, servers) -> Iterator[Bench]:
    """A directory, a port and servers; whatever is run there is ended with the test."""
    made = Bench(short_dir, servers.port)
    yield made
    if made.process:
        made.process.stop()


WAYS: dict[str, Callable[[Path], dict[str, object]]] = {
    "master_socket": lambda output: {"master_socket": output / "master.sock"},
    "pid_file": lambda output: {"pid_file": output / "haproxy.pid"},
    "command": lambda output: {"command": ["sh", "-c", f"kill -USR2 $(cat {output}/haproxy.pid)"]},
}


@pytest.fixture(params=sorted(WAYS))
def way(request, bench) -> dict[str, object]:
    """Each way to reload."""
    return WAYS[request.param](bench.output)


def test_reload(bench, way):
    """In every way a change is loaded, proven by the generation that HAProxy names, and reaches new requests."""
    target = bench.target(**way)
    assert not bench.bring(target, "127.1.0.1")  # nobody runs it yet: the files are there for when it starts
    bench.run()
    target = bench.target(**way)
    assert bench.bring(target, "127.1.0.1")
    assert bench.reloads() == 0
    assert bench.answer() == "127.1.0.1"
    assert bench.bring(target, "127.1.0.2", balance="source")
    assert bench.reloads() == 1
    assert bench.answer() == "127.1.0.2"
    assert target.proxy.generation() == target.running.generation
    assert target.running.generation in bench.texts()["haproxy.cfg"]


def test_live_change(bench):
    """Servers come and go without a reload, and are what a restarted HAProxy has."""
    way = WAYS["master_socket"](bench.output)
    bench.bring(bench.target(**way), "127.1.0.1")
    bench.run()
    target = bench.target(**way)
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"
    assert bench.bring(target, "127.1.0.2", "127.1.0.3")
    assert bench.reloads() == 0
    assert {bench.answer() for _ in range(4)} == {"127.1.0.2", "127.1.0.3"}
    assert [entry["method"] for entry in bench.logs] == ["runtime-api"]
    bench.process.stop()
    bench.run()
    assert {bench.answer() for _ in range(4)} == {"127.1.0.2", "127.1.0.3"}


def test_refused(bench):
    """A template that renders nonsense is refused: nothing on disk or in HAProxy changes, the log has file and line."""
    way = WAYS["master_socket"](bench.output)
    bench.bring(bench.target(**way), "127.1.0.1")
    bench.run()
    target = bench.target(**way)
    before = bench.texts()
    broken = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\nnonsense\n{% endblock %}"
    (bench.templates / "haproxy.cfg.j2").write_text(broken)
    assert not bench.bring(target, "127.1.0.1", balance="source")
    assert (bench.texts(), bench.reloads(), bench.answer()) == (before, 0, "127.1.0.1")
    assert re.search(r"\[haproxy\.cfg:\d+\].*unknown keyword 'nonsense'", str(bench.logs[0]["error"]))
    assert [path.name for path in bench.output.iterdir() if path.name.startswith(".lbgen")] == []


def test_reload_fails(bench, way):
    """If HAProxy refuses to load what its checker accepted, the files go back and it serves what it did before."""
    bench.bring(bench.target(**way), "127.1.0.1")
    bench.run()
    target = bench.target(**way)
    assert bench.bring(target, "127.1.0.1")
    before, serves = bench.texts(), target.proxy.generation()
    (bench.templates / "haproxy.cfg.j2").write_text(UNLOADABLE)
    assert not bench.bring(target, "127.1.0.1", balance="source")
    assert [entry["event"] for entry in bench.logs] == ["apply_failed"]
    assert bench.texts() == before
    assert target.proxy.generation() == serves
    assert bench.answer() == "127.1.0.1"
    (bench.templates / "haproxy.cfg.j2").unlink()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2", balance="source")
    assert bench.answer() == "127.1.0.2"


def test_port_in_use(bench):
    """A new listener on a port that somebody else has is refused before HAProxy would stop serving for seconds."""
    way = WAYS["master_socket"](bench.output)
    bench.bring(bench.target(**way), "127.1.0.1")
    bench.run()
    target = bench.target(**way)
    assert bench.bring(target, "127.1.0.1")
    before = bench.texts()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        extra = (
            f"{{% block extra %}}\nfrontend x\n    mode http\n    bind {where}\n    timeout client 1s\n{{% endblock %}}"
        )
        (bench.templates / "haproxy.cfg.j2").write_text("{% extends 'haproxy/haproxy.cfg.j2' %}" + extra)
        assert not bench.bring(target, "127.1.0.1")
    assert where in str(bench.logs[0]["error"])
    assert (bench.texts(), bench.reloads(), bench.answer()) == (before, 0, "127.1.0.1")


def test_cannot_be_started(bench):
    """If HAProxy cannot even start, that is an error; it is started as soon as it can be."""
    target = bench.target(run=True)
    (bench.templates / "haproxy.cfg.j2").write_text(UNLOADABLE)
    try:
        assert not bench.bring(target, "127.1.0.1")
        assert "cannot bind UNIX socket" in str(bench.logs[-1]["error"])
        (bench.templates / "haproxy.cfg.j2").unlink()
        target.schedule.retry.hasten()
        assert bench.bring(target, "127.1.0.1")
        assert bench.answer() == "127.1.0.1"
        assert bench.reloads() <= 1  # the supervisor may have tried again in the very moment between file and start
    finally:
        target.stop()


def test_failed_command(bench):
    """A command that fails is told with its words, and the files go back."""
    bench.bring(bench.target(master_socket=bench.output / "master.sock"), "127.1.0.1")
    bench.run()
    target = bench.target(command=["sh", "-c", "echo no such unit >&2; exit 5"])
    before = bench.texts()
    assert not bench.bring(target, "127.1.0.1", balance="source")
    assert "exit status 5: no such unit" in str(bench.logs[0]["error"])
    assert bench.texts() == before


@pytest.mark.parametrize("words", [["/does/not/exist"], ["false"], ["sh", "-c", "kill -9 $$"]])
def test_command(words):
    """A command that cannot be run, or fails, is a failed apply."""
    with pytest.raises(ApplyFailed, match=re.escape(words[0])):
        reload_command.Command(words).reload()


@pytest.mark.parametrize("text", [None, "", "x\n", "0x1\n", "99999999\n"])
def test_pid_file(tmp_path, text):
    """A pid file that leads to nobody means that the proxy does not run."""
    if text is not None:
        (tmp_path / "pid").write_text(text)
    with pytest.raises(ProxyUnreachable, match="does not lead to a running proxy"):
        reload_command.Signal(lambda: reload_command.running_pid_in(tmp_path / "pid"), signal.SIGUSR2).reload()


def test_nobody_there(tmp_path):
    """A socket where nobody listens, or that is not there, means that the proxy does not run."""
    with pytest.raises(ProxyUnreachable, match="does not answer there"):
        ask(tmp_path / "no.sock", "show info")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(ProxyUnreachable, match="Connection refused"):
        ask(tmp_path / "dead.sock", "show info")


# ------------------------------------------------------------------------------------------------ lbgen run


@pytest.fixture
def daemon(short_dir, servers) -> Iterator[Daemon]:
    """A daemon that is not started yet; HAProxy is ended with the test, whatever runs it."""
    made = Daemon(short_dir, servers.port)
    yield made
    print(made.log.read_text() if made.log.exists() else "not started")  # pytest shows it with a failure
    if made.process and made.process.poll() is None:
        made.end()
    with contextlib.suppress(ProxyUnreachable, ProcessLookupError):
        found = re.search(r"^(\d+)\s+master", ask(made.output / "master.sock", "show proc"), re.MULTILINE)
        if found:
            os.kill(int(found[1]), signal.SIGTERM)


def test_run(daemon):
    """The daemon starts HAProxy, follows changes, and ends both gracefully."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    master = daemon.master()
    daemon.cluster("127.1.0.1", "127.1.0.2")
    daemon.answers("127.1.0.1", "127.1.0.2")
    daemon.cluster("127.1.0.2", balance="least-conn")
    daemon.answers("127.1.0.2")
    assert daemon.master() == master
    assert daemon.end() == 0
    assert not alive(master)
    assert [entry["level"] for entry in daemon.events() if entry["level"] in ("warning", "error")] == []
    assert stat.S_IMODE((daemon.output / "master.sock").stat().st_mode) == 0o600


def test_run_restarts_haproxy(daemon):
    """A HAProxy whose master was killed is started again, on what it served last."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    master = daemon.master()
    os.kill(master, signal.SIGKILL)
    wait_for(lambda: daemon.said("proxy_ended"), "the end to be noticed")
    daemon.answers("127.1.0.1")
    assert daemon.master() != master
    daemon.cluster("127.1.0.2")
    daemon.answers("127.1.0.2")


def test_run_takes_over(daemon):
    """A HAProxy that a killed lbgen left serves on; the next lbgen takes it over, without a reload, and ends it."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    master, reloads = daemon.master(), daemon.reloads()
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    daemon.answers("127.1.0.1")
    daemon.start()
    wait_for(lambda: daemon.said("proxy_taken_over"), "the takeover")
    daemon.cluster("127.1.0.1", "127.1.0.2")
    daemon.answers("127.1.0.1", "127.1.0.2")
    assert (daemon.master(), daemon.reloads()) == (master, reloads)
    assert len(daemon.said("proxy_started")) == 1
    assert daemon.said("apply_failed") == []
    daemon.end()
    wait_for(lambda: not alive(master), "haproxy to end")


def test_run_that_ends_by_an_error(daemon):
    """An lbgen that dies of what it cannot catch leaves HAProxy running, and the next lbgen takes it over."""
    daemon.cluster("127.1.0.1")
    daemon.start(raising={"lbgen.daemon.loop.Loop.round": "SystemExit"})
    daemon.answers("127.1.0.1")
    master = daemon.master()
    daemon.faults("lbgen.daemon.loop.Loop.round")
    daemon.cluster("127.1.0.1", "127.1.0.2")
    assert daemon.process.wait(PATIENCE) != 0
    daemon.answers("127.1.0.1")
    assert daemon.master() == master
    daemon.start()
    daemon.answers("127.1.0.1", "127.1.0.2")
    assert (daemon.master(), len(daemon.said("proxy_taken_over"))) == (master, 1)
    assert daemon.end() == 0
    wait_for(lambda: not alive(master), "haproxy to end")


def test_run_on_last_good_files(daemon):
    """Without its source the daemon serves what it served last, from the start."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    daemon.end()
    (daemon.directory / "snapshot.json").unlink()
    daemon.start()
    daemon.answers("127.1.0.1")
    daemon.cluster("127.1.0.2")
    daemon.answers("127.1.0.2")


def test_run_again(daemon):
    """A second start on the files of the first goes without an error and without a reload."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    daemon.end()
    daemon.log.write_text("")
    daemon.start()
    daemon.answers("127.1.0.1")
    daemon.cluster("127.1.0.2")
    daemon.answers("127.1.0.2")
    assert daemon.said("apply_failed") == []
    assert daemon.reloads() == 0


def test_run_and_a_broken_template(daemon):
    """A template that breaks while lbgen runs is refused, once; when it is mended, it is applied."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    (daemon.templates / "haproxy.cfg.j2").write_text("{{ nope }}")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.said("refused"), "the refusal")
    assert "haproxy.cfg.j2:1: 'nope' is undefined" in str(daemon.said("refused")[0]["error"])
    daemon.answers("127.1.0.1")
    mended = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\n# mended\n{% endblock %}"
    (daemon.templates / "haproxy.cfg.j2").write_text(mended)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "# mended" in (daemon.output / "haproxy.cfg").read_text(), "the mended template")
    daemon.answers("127.1.0.1")


def extra(text: str) -> str:
    """A template that adds these lines to the built-in one."""
    return f"{{% extends 'haproxy/haproxy.cfg.j2' %}}{{% block extra %}}\n{text}\n{{% endblock %}}"


def test_run_and_saved_templates(daemon):
    """A template, a partial and a manifest that are saved are live; nobody has to send a signal."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    template, partial = daemon.templates / "haproxy.cfg.j2", daemon.templates / "_mine.j2"
    partial.write_text("# first\n")
    template.write_text(extra("{% include '_mine.j2' %}"))
    wait_for(lambda: "# first" in daemon.file(), "the template")
    partial.with_name("new").write_text("# second\n")
    partial.with_name("new").replace(partial)
    wait_for(lambda: "# second" in daemon.file(), "the partial")
    template.write_text(extra("nonsense"))
    wait_for(lambda: daemon.said("refused"), "the refusal")
    assert "unknown keyword 'nonsense'" in str(daemon.said("refused")[0]["error"])
    template.unlink()
    wait_for(lambda: "# second" not in daemon.file(), "the built-in template")
    manifest = (BUILTIN / "haproxy/set.yml").read_text()
    (daemon.templates / "set.yml").write_text(manifest.replace("maxconn: 0 ", "maxconn: 77 "))
    wait_for(lambda: "maxconn 77" in daemon.file(), "the manifest")
    (daemon.templates / "set.yml").write_text("proxy: ]")
    wait_for(lambda: daemon.said("templates_refused"), "the refusal of the manifest")
    assert "set.yml:1:" in str(daemon.said("templates_refused")[0]["error"])
    daemon.cluster("127.1.0.2")
    daemon.answers("127.1.0.2")
    assert "maxconn 77" in daemon.file()


def test_run_and_saved_settings(daemon, tmp_path):
    """What can change while it runs does, by a reload; what cannot is named; what is wrong changes nothing."""
    daemon.cluster("127.1.0.1", listener="web,secure")
    daemon.settings["listeners"]["secure"] = {"bind": f"127.0.0.1:{free_port()}", "tls": True}
    daemon.settings["certificates"] = str(tmp_path / "certs")  # not there yet
    daemon.save()
    daemon.start()
    daemon.answers("127.1.0.1")
    master, first = daemon.master(), daemon.port
    client = Client(daemon.port)
    assert client.ask().server == "127.1.0.1"
    certificate(tmp_path / "certs/shop.pem", "shop.test")
    wait_for(lambda: "shop.pem" in daemon.file("certificates.list"), "the certificate")

    (daemon.directory / "lbgen.yml").write_text("log: {format: json}\ndiscovery:\n  drain_grace: 10\n  nope: 1\n")
    wait_for(lambda: daemon.said("settings_refused"), "the refusal")
    refused = str(daemon.said("settings_refused")[0]["error"])
    assert "lbgen.yml:3: discovery.drain_grace" in refused
    assert "lbgen.yml:4: discovery.nope: unknown key" in refused
    daemon.answers("127.1.0.1")

    daemon.port = daemon.settings["listeners"]["web"]["bind"] = free_port()
    daemon.settings["listeners"]["web"]["bind"] = f"127.0.0.1:{daemon.port}"
    daemon.settings["targets"]["edge"]["options"] = {"maxconn": 1234}
    daemon.settings["status"]["bind"] = "127.0.0.1:1"
    daemon.save()
    daemon.answers("127.1.0.1")
    assert "maxconn 1234" in daemon.file()
    wait_for(lambda: daemon.said("restart_needed"), "what waits for a restart")
    assert daemon.said("restart_needed")[0]["settings"] == "status.bind"
    changed = "listeners.web.bind, targets.edge.options"
    assert [entry["changed"] for entry in daemon.said("settings_taken")] == [changed]
    with contextlib.suppress(ConnectionError):  # the old worker answers once more, then ends the connection
        assert client.ask().server == "127.1.0.1"
    client.close()
    assert daemon.master() == master
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", first), 5)

    # Services without label are in now: more than half of all servers may come and go, if settings say so.
    facts = [fact for name in "abcdef" for fact in cluster_of(name, daemon.server_port)]
    daemon.write(facts)
    daemon.settings["discovery"] = {"expose_by_default": True}
    daemon.save()
    wait_for(lambda: "backend f" in daemon.file(), "the services without label")
    daemon.settings["discovery"] = {"expose_by_default": False}
    daemon.save()
    wait_for(lambda: "backend f" not in daemon.file(), "the services to be gone")
    assert daemon.said("held") == []

    (daemon.directory / "lbgen.yml").unlink()
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(daemon.said("settings_refused")) == 2, "the missing file")
    daemon.save()
    wait_for(lambda: daemon.said("usable_again"), "the file to be back")
    assert daemon.said("apply_failed") == []


def test_run_without_its_templates(daemon):
    """Without its directory of templates lbgen does not fall back to the built-in ones; it uses it once it is back."""
    daemon.cluster("127.1.0.1")
    (daemon.templates / "haproxy.cfg.j2").write_text(extra("# mine"))
    daemon.start()
    daemon.answers("127.1.0.1")
    daemon.templates.rename(daemon.directory / "away")
    wait_for(lambda: daemon.said("refused"), "the refusal")
    assert "templates: is missing" in str(daemon.said("refused")[0]["error"])
    daemon.cluster("127.1.0.2")
    assert "# mine" in daemon.file()
    (daemon.directory / "away").rename(daemon.templates)
    (daemon.templates / "haproxy.cfg.j2").write_text(extra("# back"))
    daemon.answers("127.1.0.2")
    wait_for(lambda: "# back" in daemon.file(), "the template")
