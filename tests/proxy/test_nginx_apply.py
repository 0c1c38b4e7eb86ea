"""Targets on a real Nginx: reloads in every way there is, what a failed one leaves, and what it proves."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import CheckFailed, ProxyUnreachable, VerifyFailed
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.proxies.nginx import apply as apply_nginx
from lbgen.proxies.nginx import error_log as nginx_log
from lbgen.proxies.nginx import processes as nginx_processes
from lbgen.proxies.nginx.check import check
from lbgen.proxies.nginx.kind import build_of
from lbgen.render.renderer import Files
from lbgen.render.templates import find
from lbgen.settings import ApplySettings, ListenerSettings, Settings
from tests.support.builders import a_snapshot, cluster
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_nginx import VERSIONS, Process, binary, end, end_all_in, target
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import wait_for

pytestmark = [pytest.mark.proxy("nginx"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


class Bench:
    """An Nginx that somebody else runs, and the target that feeds it."""

    def __init__(self, program: str, directory: Path, port: int) -> None:
        self.program, self.output, self.server_port = program, directory / "out", port
        self.port, self.probe = free_port(), f"127.0.0.1:{free_port()}"
        self.templates = directory / "templates"
        self.templates.mkdir()
        self.process: Process | None = None
        self.logs: list[dict[str, object]] = []

    def target(self, **apply: object) -> Target:
        """A target as the settings would make it, with this way to reload."""
        self.settings = Settings(
            listeners={"web": ListenerSettings(bind=f"127.0.0.1:{self.port}")}, min_reload_interval="0s"
        )
        made = target(self.program, self.output, self.templates, probe=self.probe, apply=ApplySettings(**apply))
        self.made = assembly.Assembly("edge", made, self.settings).target()
        self.made.start()
        return self.made

    def bring(self, target: Target, *addresses: str, **keys: object) -> bool:
        """Bring the target to a cluster."""
        facts = a_snapshot(*cluster(self.server_port, *addresses, **keys))
        with capture_logs() as logs:
            result = target.bring_to(build(facts, self.settings.rules()), facts)
        self.logs = [entry for entry in logs if entry["log_level"] != "debug"]
        return result

    def run(self) -> Process:
        """Start Nginx on whatever is on disk."""
        self.process = Process(self.program, self.output)
        (self.output / "their.pid").write_text(f"{self.process.pid}\n")
        return self.process

    def running(self, **apply: object) -> Target:
        """A target whose Nginx runs and serves 127.1.0.1."""
        self.bring(self.target(**apply), "127.1.0.1")
        self.run()
        made = self.target(**apply)
        assert self.bring(made, "127.1.0.1"), self.logs
        return made

    def answer(self) -> str:
        """The server that a new connection's request gets to."""
        client = Client(self.port)
        try:
            return client.ask().server
        finally:
            client.close()

    def override(self, block: str, text: str) -> None:
        """Replace a block of the built-in template."""
        lines = f"{{% extends 'nginx/nginx.conf.j2' %}}{{% block {block} %}}\n{text}\n{{% endblock %}}"
        (self.templates / "nginx.conf.j2").write_text(lines)

    def unchecked(self) -> None:
        """Have no file checked before it is applied, so that Nginx itself meets whatever is wrong."""
        (self.templates / "set.yml").write_text(
            (find(["nginx"]).directories[0] / "set.yml").read_text().replace("check: [", "check: [] # [")
        )

    def text(self) -> str:
        """The configuration on disk."""
        return (self.output / "nginx.conf").read_text()

    @property
    def error(self) -> str:
        """What the last attempt failed for."""
        errors = [str(entry["error"]) for entry in self.logs if entry["event"] == "apply_failed"]
        assert len(errors) == 1, self.logs
        return errors[0]


@pytest.fixture(params=VERSIONS)
def bench(request, short_dir, servers, monkeypatch) -> Iterator[Bench]:
    """A directory, a port and servers; whatever is run there is ended with the test."""
    monkeypatch.setattr(nginx_processes, "PATIENCE", 1.0)
    monkeypatch.setattr(apply_nginx, "PATIENCE", 0.5)
    real = nginx_processes.everyone

    def ours() -> list[nginx_processes.Process]:
        """No masters of tests beside this one: where there is no other, lbgen takes one of them for its own."""
        return [each for each in real() if not each.is_master or str(short_dir) in each.title]

    monkeypatch.setattr(nginx_processes, "everyone", ours)
    made = Bench(binary(request.param), short_dir, servers.port)
    yield made
    if made.process:
        made.process.stop()
    end_all_in(made.output)


WAYS: dict[str, Callable[[Path], dict[str, object]]] = {
    "pid_file": lambda output: {"pid_file": output / "their.pid"},
    "process": lambda output: {"process": True},  # noqa: ARG005
    "command": lambda output: {"command": ["sh", "-c", f"kill -HUP $(cat {output}/their.pid)"]},
}


@pytest.fixture(params=sorted(WAYS))
def way(request, bench) -> dict[str, object]:
    """Each way to reload."""
    return WAYS[request.param](bench.output)


@pytest.fixture
def by_pid(bench) -> dict[str, object]:
    """One way to reload."""
    return WAYS["pid_file"](bench.output)


# ------------------------------------------------------------------------------------------------ reloads


def test_reload(bench, way):
    """In every way a change is loaded, proven by the generation that Nginx names, and reaches new requests."""
    target = bench.target(**way)
    assert not bench.bring(target, "127.1.0.1")  # nobody runs it yet: the files are there for when it starts
    process = bench.run()
    target = bench.target(**way)
    assert bench.bring(target, "127.1.0.1")
    assert process.reloads() == 0
    assert bench.answer() == "127.1.0.1"
    assert bench.bring(target, "127.1.0.2", balance="source")
    assert process.reloads() == 1
    assert [entry["detail"] for entry in bench.logs] == ["nginx.conf: upstream web"]
    assert bench.answer() == "127.1.0.2"
    assert target.proxy.generation() == target.running.generation
    assert target.running.generation in bench.text()


def test_reason(bench, by_pid):
    """What a reload is made for is told in the file's own words."""
    target = bench.running(**by_pid)
    assert bench.bring(target, "127.1.0.1", host="a.org", retries=0)
    assert [entry["detail"] for entry in bench.logs] == ['nginx.conf: server "", server a.org']


@pytest.mark.parametrize("visible", [True, False])
def test_first_new_answer_is_not_live(bench, by_pid, visible, monkeypatch):
    """A change counts as live only when no new connection is answered the old way any more."""
    target = bench.running(**(by_pid if visible else WAYS["command"](bench.output)))
    if not visible:
        monkeypatch.setattr(nginx_processes, "everyone", list)
    for number in range(2, 12):
        address = f"127.1.0.{number}"
        assert bench.bring(target, address)
        assert {bench.answer() for _ in range(20)} == {address}


def test_reload_loses_no_new_connection(bench, by_pid):
    """Clients that open a connection for each request notice nothing of twelve reloads."""
    target, stop = bench.running(**by_pid), threading.Event()
    statuses: list[int] = []
    errors: list[OSError] = []

    def ask() -> None:
        while not stop.is_set():
            client = Client(bench.port)
            try:
                statuses.append(client.ask().status)
            except OSError as error:
                errors.append(error)
            client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(12):
        assert bench.bring(target, f"127.1.0.{number + 2}")
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(statuses) == {200}


def test_idle_connection(bench, by_pid):
    """A reload closes idle client connections, and a request that is just under way on one gets no answer; since 1.27.4
    an old worker answers it."""
    target, client = bench.running(**by_pid), Client(bench.port)
    assert client.ask().status == 200
    assert bench.bring(target, "127.1.0.2")
    if build_of(bench.program).version >= (1, 27, 4):
        assert client.ask().status == 200
    else:
        assert client.connection.sock.recv(1) == b""
    client.close()


def test_port_in_use(bench, by_pid):
    """A new listener's port that somebody else has: the check does not see it, Nginx goes on serving, and says so."""
    target = bench.running(**by_pid)
    before, serves, workers = bench.text(), target.proxy.generation(), bench.process.workers()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        bench.override("http_extra", f"    server {{ listen {where}; }}")
        assert not bench.bring(target, "127.1.0.1")
        assert f"bind() to {where} failed (98: Address already in use)" in bench.error
        assert "Nginx did not take the new configuration" in bench.error
        assert (bench.text(), target.proxy.generation(), bench.process.workers()) == (before, serves, workers)
        assert bench.answer() == "127.1.0.1"
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"
    assert where in bench.text()


def test_broken_file_is_put_back(bench, way):
    """A file that Nginx refuses to load goes back at once, whatever let it pass; Nginx's words are told."""
    bench.unchecked()
    target = bench.running(**way)
    before, serves, workers = bench.text(), target.proxy.generation(), bench.process.workers()
    bench.override("http_extra", "    bogus on;")
    assert not bench.bring(target, "127.1.0.1")
    assert re.search(r'unknown directive "bogus" in .*nginx\.conf:\d+', bench.error)
    assert (bench.text(), target.proxy.generation(), bench.process.workers()) == (before, serves, workers)
    assert bench.answer() == "127.1.0.1"
    (bench.templates / "nginx.conf.j2").unlink()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"


REFUSED = {  # what is put into the file, and what Nginx says to it
    "bogus on;": 'unknown directive "bogus"',
    "upstream x { server nowhere.invalid:80; }": "host not found in upstream",
    "upstream x { }": "no servers are inside upstream",
    "upstream x { hash $uri; server 127.0.0.1:1; server 127.0.0.1:2 backup; }": 'does not support parameter "backup"',
    "server { listen 127.0.0.1:1 default_server; } server { listen 127.0.0.1:1 default_server; }": "duplicate default",
    "upstream web { server 127.0.0.1:1; }": 'duplicate upstream "web"',
    "server { listen 127.0.0.1:1 ssl; }": 'no "ssl_certificate" is defined',
}


def test_refused(bench, by_pid):
    """What Nginx's check refuses never gets there; the log has file, line and reason; the template before goes on."""
    target = bench.running(**by_pid)
    for number, (text, said) in enumerate(REFUSED.items(), 1):
        address = f"127.1.0.{number + 1}"
        bench.override("http_extra", text)
        assert not bench.bring(target, address), text
        assert [entry["event"] for entry in bench.logs] == ["applied", "refused"], text
        assert said in str(bench.logs[1]["error"])
        assert str(bench.output) not in str(bench.logs[1]["error"]).partition("\n")[2].replace("spared", "")
        assert text not in bench.text()
        assert (bench.process.reloads(), bench.answer()) == (number, address), text
        assert [path.name for path in bench.output.iterdir() if path.name.startswith(".lbgen")] == []


def test_error_log_does_not_grow(bench, by_pid, monkeypatch):
    """A log that has grown is emptied before a reload; what a reload fails for is found in it all the same."""
    bench.unchecked()
    target = bench.running(**by_pid)
    monkeypatch.setattr(nginx_log, "MOST", 100)
    assert bench.bring(target, "127.1.0.2")
    log = (bench.output / "nginx-error.log").read_text()
    assert log.splitlines()[0].endswith("reconfiguring") or "SIGHUP" in log.splitlines()[0]
    bench.override("http_extra", "    bogus on;")
    assert not bench.bring(target, "127.1.0.1")
    assert "bogus" in bench.error


# ------------------------------------------------------------------------------------------------ who is who


@pytest.mark.parametrize("text", [None, "", "x\n", "99999999\n"])
def test_pid_file_leads_nowhere(bench, text):
    """A pid file that leads to nobody means that Nginx does not run: the files wait for it."""
    target = bench.target(pid_file=bench.output / "their.pid")
    if text is not None:
        (bench.output / "their.pid").write_text(text)
    assert not bench.bring(target, "127.1.0.1")
    assert f"{bench.output}/their.pid: " in bench.error
    assert "server 127.1.0.1:" in bench.text()


def test_pid_file_of_somebody_else(bench):
    """A leftover pid file whose number another program has now: that one is not sent a signal that would end it."""
    target = bench.target(pid_file=bench.output / "their.pid")
    with subprocess.Popen(["sleep", "600"]) as other:
        (bench.output / "their.pid").write_text(f"{other.pid}\n")
        assert not bench.bring(target, "127.1.0.1")
        assert f"process {other.pid} is not an Nginx master: a leftover" in bench.error
        assert other.poll() is None
        other.kill()


def test_probe_of_somebody_else(bench, by_pid, servers, monkeypatch):
    """Another program on the probe's port is told from Nginx, and the remedy is named."""
    bench.probe = f"127.0.0.1:{servers.port}"
    target = bench.target(**by_pid)
    assert not bench.bring(target, "127.1.0.1")  # no pid file yet
    assert target.proxy.generation() == ""
    monkeypatch.setattr(apply_nginx, "VERIFY_TIMEOUT", 0.2)
    with pytest.raises(VerifyFailed, match=r"another program may have this port; .* targets\.NAME\.probe"):
        target.proxy.verify("0" * 12)


def test_nobody_answers(bench, by_pid):
    """Without an Nginx there is nobody to ask."""
    with pytest.raises(ProxyUnreachable, match=rf"{bench.probe}: Nginx does not answer there: .*targets\.NAME\.probe"):
        bench.target(**by_pid).proxy.generation()


def test_no_master_or_several(bench, short_dir):
    """Without a master, or with several and none that reads our file, the error says what to do."""
    conf = bench.output / "nginx.conf"
    with pytest.raises(ProxyUnreachable, match=f"no Nginx master .* nginx -c {conf}"):
        nginx_processes.master_by_name(conf)
    started = []
    try:
        for name in ("a", "b"):
            (short_dir / name).mkdir()
            (short_dir / name / "nginx.conf").write_text(f"pid {short_dir}/{name}/pid;\nevents {{}}\n")
            started.append(Process(bench.program, short_dir / name))
            if name == "a":
                assert nginx_processes.master_by_name(conf) == started[0].pid  # the only one
        with pytest.raises(ProxyUnreachable, match=r"several Nginx masters: .*apply\.pid_file"):
            nginx_processes.master_by_name(conf)
        assert nginx_processes.master_by_name(short_dir / "b/nginx.conf") == started[1].pid
    finally:
        for process in started:
            process.stop()


# ------------------------------------------------------------------------------------------------ run by lbgen


@pytest.fixture
def supervised(bench) -> Iterator[Bench]:
    """A bench whose targets are stopped with the test."""
    yield bench
    bench.made.stop()


def master_of(bench: Bench) -> int:
    """The pid of the master that lbgen runs."""
    return nginx_processes.master_by_file(bench.output / "nginx.pid")


def test_run(supervised):
    """lbgen starts Nginx, reloads it, and ends it gracefully."""
    target = supervised.target(run=True)
    assert supervised.bring(target, "127.1.0.1"), supervised.logs
    master = master_of(supervised)
    assert supervised.bring(target, "127.1.0.2")
    assert (supervised.answer(), master_of(supervised)) == ("127.1.0.2", master)
    target.stop()
    wait_for(lambda: nginx_processes.find(master) is None, "nginx to end")
    assert "signal 3 (SIGQUIT) received" in (supervised.output / "nginx-error.log").read_text()


def test_run_takes_over(supervised):
    """An Nginx that a killed lbgen left is taken over without a reload; its files are recognised."""
    first = supervised.target(run=True)
    assert supervised.bring(first, "127.1.0.1")
    master, abandoned = master_of(supervised), supervised.made
    second = supervised.target(run=True)
    assert second.running is not None
    assert supervised.bring(second, "127.1.0.1")
    assert supervised.bring(second, "127.1.0.2")
    assert (supervised.answer(), master_of(supervised)) == ("127.1.0.2", master)
    log = (supervised.output / "nginx-error.log").read_text()
    assert log.count("signal 1 (SIGHUP) received") == 1
    second.stop()
    wait_for(lambda: nginx_processes.find(master) is None, "nginx to end")
    abandoned.stop()


def test_run_and_a_stale_pid_file(supervised):
    """A pid file that another Nginx's master, or another program, has the number of now is not believed."""
    supervised.output.mkdir()
    with subprocess.Popen(["sleep", "600"]) as other:
        (supervised.output / "nginx.pid").write_text(f"{other.pid}\n")
        target = supervised.target(run=True)
        assert supervised.bring(target, "127.1.0.1"), supervised.logs
        assert master_of(supervised) != other.pid
        assert other.poll() is None
        other.kill()
    assert supervised.answer() == "127.1.0.1"


def test_run_after_the_master_was_killed(supervised):
    """Workers outlive a killed master and keep its ports: they are ended, and Nginx is started again."""
    target = supervised.target(run=True)
    assert supervised.bring(target, "127.1.0.1")
    master = master_of(supervised)
    workers = nginx_processes.workers(master)
    os.kill(master, signal.SIGKILL)

    def new_master() -> bool:
        with contextlib.suppress(ProxyUnreachable):
            return master_of(supervised) != master  # which may be on its way out still
        return False

    wait_for(new_master, "another master")
    wait_for(lambda: not nginx_processes.accepting(workers), "the old workers to end")
    wait_for(lambda: supervised.bring(target, "127.1.0.2"), "the next change")
    assert {supervised.answer() for _ in range(10)} == {"127.1.0.2"}
    end(list(workers))


def test_run_cannot_start(supervised):
    """If Nginx cannot be started, the reason is told, and it is started as soon as it can be."""
    with socket.create_server(("127.0.0.1", supervised.port)):
        target = supervised.target(run=True)
        assert not supervised.bring(target, "127.1.0.1")
        assert f"cannot bind socket (Address already in use) [127.0.0.1:{supervised.port}]" in supervised.error
    target.schedule.retry.hasten()

    def serves() -> bool:
        target.schedule.retry.hasten()
        return supervised.bring(target, "127.1.0.1")

    wait_for(serves, "nginx to start")
    assert supervised.answer() == "127.1.0.1"


def test_two_on_one_probe(supervised, by_pid):
    """A second Nginx whose probe's port the first one has is not started, and that is told."""
    supervised.running(**by_pid)
    first, supervised.output = supervised.output, supervised.output.parent / "second"
    supervised.port = free_port()
    target = supervised.target(run=True)
    try:
        assert not supervised.bring(target, "127.1.0.1")
        assert f"cannot bind socket (Address already in use) [{supervised.probe}]" in supervised.error
    finally:
        end_all_in(supervised.output)
        supervised.output = first


# ------------------------------------------------------------------------------------------------ check


def checked(program: str, output: Path, text: str, *, beside: Path | None = None) -> None:
    """Check one file."""
    spared = [f"{output}/nginx-error.log", f"{output}/nginx.pid"]
    command = ["{binary}", "-t", "-q", "-c", "{dir}/nginx.conf"]
    check(Files({"nginx.conf": text}, "0" * 12), command, program, output, spared, beside)


@pytest.mark.parametrize("version", VERSIONS)
def test_check_sees_what_is_beside(version, short_dir):
    """Files that the rendered one includes by a relative path are found, as they will be in the output directory."""
    program, output = binary(version), short_dir / "out"
    (output / "more").mkdir(parents=True)
    (output / "more/extra.conf").write_text("server { listen 127.0.0.1:1; }\n")
    text = f"pid {output}/nginx.pid;\nevents {{}}\nhttp {{ include more/*.conf; include more/extra.conf; }}\n"
    checked(program, output, text, beside=output)
    checked(program, output, text)
    (output / "more/extra.conf").write_text("bogus;\n")
    with pytest.raises(CheckFailed, match=r'unknown directive "bogus" in more/extra\.conf:1'):
        checked(program, output, text, beside=output)


@pytest.mark.parametrize("version", VERSIONS)
def test_check_touches_nothing(version, short_dir):
    """Nginx's check would write a pid file and open logs: not those of the Nginx that runs, nor where there is none."""
    program, output = binary(version), short_dir / "out"
    text = f"pid {output}/nginx.pid;\nerror_log {output}/nginx-error.log notice;\nevents {{}}\n"
    checked(program, output, text)
    assert not output.exists()
    output.mkdir()
    checked(program, output, text, beside=output)
    checked(program, output, "events {}\n", beside=output)
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_check_minds_no_address(version, short_dir):
    """An address that is not this machine's says nothing about the file; anything else does."""
    checked(binary(version), short_dir, "events {}\nhttp { server { listen 192.0.2.1:80; } }\n")
    with pytest.raises(CheckFailed, match="bogus"):
        checked(binary(version), short_dir, "events {}\nhttp { server { listen 192.0.2.1:80; bogus; } }\n")
