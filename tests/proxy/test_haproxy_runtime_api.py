"""Live changes on real HAProxy processes: Debian bookworm's 2.6 and trixie's 3.0."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lbgen.base.errors import ApplyFailed
from lbgen.proxies.haproxy import apply as haproxy
from lbgen.proxies.haproxy.apply import HAProxy, Master
from lbgen.proxies.haproxy.plan import Commands
from lbgen.proxies.haproxy.runtime_api import Runtime, read_state
from lbgen.render.renderer import PLACEHOLDER, Files
from tests.lab import probe
from tests.lab.settings import LabError
from tests.support import proxies
from tests.support.wait import PATIENCE, wait_for

BUSY = threading.Event()  # a slow request has reached an application

# The first time on a machine a Debian tree with the newer version is made, which takes a minute or two.
pytestmark = [pytest.mark.proxy("haproxy"), pytest.mark.timeout(600)]


def binary(version: str) -> str:
    """The program of that version; skips (in CI: fails) where it cannot be installed."""
    if version == "2.6":
        return shutil.which("haproxy") or ""
    try:
        if os.geteuid() != 0:
            raise LabError("making it needs root")
        return str(proxies.haproxy())
    except LabError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no HAProxy {version}: {error}")


@pytest.fixture(scope="module")
def applications() -> Iterator[dict[str, int]]:
    """Five applications that answer with their name: {name: port on 127.0.0.1}."""
    servers = {}
    for name in "abcde":

        class Application(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            who = name

            def do_GET(self) -> None:
                if self.path.startswith("/slow"):
                    BUSY.set()
                    time.sleep(0.5)
                self.send_response(200)
                self.send_header("X-App", self.who)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        servers[name] = ThreadingHTTPServer(("127.0.0.1", 0), Application)
        threading.Thread(target=servers[name].serve_forever, daemon=True).start()
    yield {name: server.server_address[1] for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()


class Running:
    """A HAProxy process on files that a test changes."""

    def __init__(self, directory: Path, program: str) -> None:
        self.directory = directory
        with socket.socket() as probe_:
            probe_.bind(("127.0.0.1", 0))
            self.port = probe_.getsockname()[1]
        master = directory / "m"
        self.proxy = HAProxy(directory / "s", Master(master).reload, directory / "servers.state")
        self.proxy.ready(directory)
        self.files: Files | None = None
        self._command = [program, "-W", "-S", str(master), "-f", str(directory / "haproxy.cfg")]
        self._process: subprocess.Popen[bytes] | None = None

    def of(self, servers: str, routes: str = "a.test b\n", more: str = "", extra: str = "check inter 60s") -> Files:
        """Files with one backend of these servers: "a=8001 b=8002*", where * is weight 0."""
        lines = []
        for item in servers.split():
            name, where = item.split("=")
            weight = " weight 0" if where.endswith("*") else ""
            lines.append(f"    server {name} 127.0.0.1:{where.rstrip('*')} {extra}{weight}\n")
        text = f"""\
global
    description lbgen-{PLACEHOLDER}
    set-var proc.lbgen_generation str({PLACEHOLDER})
    default-path config
    stats socket {self.directory}/s mode 600 level admin expose-fd listeners
    server-state-file {self.directory}/servers.state
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s
    retries 2
    option redispatch 1
    load-server-state-from-file global
frontend web
    bind 127.0.0.1:{self.port}
    http-request set-var(txn.backend) req.hdr(host),map(routes.map)
    use_backend %[var(txn.backend)]
{more}backend b
    balance roundrobin
    default-server rise 2 fall 2
{"".join(lines)}"""
        return Files.of({"haproxy.cfg": text, "routes.map": routes})

    def start(self, files: Files) -> None:
        self.write(files)
        self._process = subprocess.Popen(self._command)
        self.proxy.verify(files.generation)
        self.files = files

    def write(self, files: Files) -> None:
        for name, text in files.texts.items():
            (self.directory / name).write_text(text)

    def change(self, files: Files) -> Commands:
        """Bring it to these files live; fails if that takes a reload."""
        step = self.proxy.plan(self.files, files)
        assert isinstance(step, Commands), step
        self.proxy.change(step, files.generation)
        self.files = files
        return step

    def answered_by(self, requests: int = 12, host: str = "a.test") -> set[str]:
        return {probe.get("127.0.0.1", self.port, host=host).app for _ in range(requests)}

    def state(self) -> dict[str, dict[str, str]]:
        return read_state(haproxy.ask(self.directory / "s", "show servers state b"))

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(PATIENCE)


@pytest.fixture(params=["2.6", "3.0"])
def running(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Running]:
    """A HAProxy of each version."""
    made = Running(short_dir, binary(request.param))
    yield made
    made.stop()


def test_servers_come_move_and_go(running: Running, applications: dict[str, int]) -> None:
    """Added, moved, drained and removed without a reload; the process says which generation it has."""
    a, b, c = (applications[name] for name in "abc")
    running.start(running.of(f"s1={a}"))
    pid = re.search(r"^Pid: (\d+)", haproxy.ask(running.directory / "s", "show info"), re.MULTILINE)
    assert running.answered_by() == {"a"}
    running.change(running.of(f"s1={a} s2={b}"))
    assert running.answered_by() == {"a", "b"}
    running.change(running.of(f"s1={a} s2={c}"))
    assert running.answered_by() == {"a", "c"}
    running.change(running.of(f"s1={a}* s2={c}"))
    assert running.answered_by() == {"c"}
    running.change(running.of(f"s2={c}"))
    assert running.answered_by() == {"c"}
    wait_for(lambda: not running.proxy.tidy(), "the removed server to be deleted")
    assert set(running.state()) == {"s2"}
    assert running.proxy.generation() == running.files.generation
    assert pid[0] in haproxy.ask(running.directory / "s", "show info")


def test_a_new_server_is_checked(running: Running, applications: dict[str, int]) -> None:
    """A server that was added live is found dead by its check, as one of the file would be."""
    running.start(running.of(f"s1={applications['a']}"))
    live = running.of(f"s1={applications['a']}", extra="check inter 100ms")
    running.write(live)
    running.proxy.reload(running.files, live)
    running.proxy.verify(live.generation)
    running.files = live
    running.change(running.of(f"s1={applications['a']} s2=1", extra="check inter 100ms"))
    wait_for(lambda: running.state()["s2"]["srv_op_state"] == "0", "the dead server to be found")


def test_a_request_under_way_ends_well(running: Running, applications: dict[str, int]) -> None:
    """Removing a server cuts no answer off; the server is deleted when the answer is out."""
    running.start(running.of(f"s1={applications['a']}"))
    answers = []
    BUSY.clear()
    slow = threading.Thread(
        target=lambda: answers.append(probe.get("127.0.0.1", running.port, "/slow", host="a.test", timeout=PATIENCE))
    )
    slow.start()
    assert BUSY.wait(PATIENCE)
    running.change(running.of(f"s2={applications['b']}"))
    assert running.answered_by() == {"b"}
    slow.join()
    assert (answers[0].status, answers[0].app) == (200, "a")
    wait_for(lambda: not running.proxy.tidy(), "the removed server to be deleted")


def test_a_name_in_use_is_taken_up_again(running: Running, applications: dict[str, int]) -> None:
    """A server comes back under a name whose predecessor still answers somebody."""
    running.start(running.of(f"s1={applications['a']} s2={applications['b']}"))
    slow = [
        threading.Thread(target=probe.get, args=("127.0.0.1", running.port, "/slow"), kwargs={"host": "a.test"})
        for _ in range(4)
    ]
    BUSY.clear()
    for thread in slow:
        thread.start()
    assert BUSY.wait(PATIENCE)
    running.change(running.of(f"s2={applications['b']}"))
    running.change(running.of(f"s1={applications['c']} s2={applications['b']}"))
    assert running.answered_by() == {"b", "c"}
    for thread in slow:
        thread.join()


def test_routes_change_live(running: Running, applications: dict[str, int]) -> None:
    """Map entries are added, changed and deleted without a reload."""
    other = f"backend c\n    server s1 127.0.0.1:{applications['e']}\n"
    running.start(running.of(f"s1={applications['a']}", more=other))
    running.change(running.of(f"s1={applications['a']}", "a.test c\nb.test b\n", more=other))
    assert running.answered_by(host="a.test") == {"e"}
    assert running.answered_by(host="b.test") == {"a"}
    running.change(running.of(f"s1={applications['a']}", "a.test c\n", more=other))
    assert probe.get("127.0.0.1", running.port, host="b.test").status == 503


def test_what_haproxy_will_not_do_is_found_out(running: Running, applications: dict[str, int]) -> None:
    """A change that did not take effect is an error, whatever the replies were."""
    running.start(running.of(f"s1={applications['a']}"))
    haproxy.ask(running.directory / "s", f"add server b/s9 127.0.0.1:{applications['b']};enable server b/s9")
    desired = running.of(f"s1={applications['a']} s2={applications['b']}")
    step = running.proxy.plan(running.files, desired)
    with pytest.raises(ApplyFailed, match="backend b still has server s9"):
        running.proxy.change(step, desired.generation)
    assert running.proxy.generation() == running.files.generation


def test_many_servers_at_once(running: Running, applications: dict[str, int]) -> None:
    """Hundreds of commands go through in batches that every version takes."""
    first = running.of(" ".join(f"s{n}={applications['a']}" for n in range(20)))
    running.start(first)
    many = " ".join(f"s{n}={applications['bc'[n % 2]]}" for n in range(400))
    running.change(running.of(many))
    assert len(running.state()) == 400
    assert running.answered_by(40) == {"b", "c"}


def test_an_address_that_is_taken_up_late(running: Running, applications: dict[str, int]) -> None:
    """From 3.0 on a moved server can show its old address for a moment: that is waited for, not reloaded."""
    running.start(running.of(f"s1={applications['a']}"))
    before = haproxy.ask(running.directory / "s", "show servers state b")
    asked = []

    def late(line: str) -> str:
        reply = haproxy.ask(running.directory / "s", line, half_close=False)
        asked.append(line)
        return before if asked.count("show servers state b") == 1 and line.startswith("show servers") else reply

    desired = running.of(f"s1={applications['b']}")
    step = running.proxy.plan(running.files, desired)
    assert isinstance(step, Commands)
    Runtime(late).change(step, desired.generation)
    assert asked.count("show servers state b") == 2
    assert running.answered_by() == {"b"}


def test_an_address_that_is_not_taken_up(running: Running, applications: dict[str, int]) -> None:
    """What never shows is said, so that a reload follows."""
    running.start(running.of(f"s1={applications['a']}"))
    before = haproxy.ask(running.directory / "s", "show servers state b")
    step = running.proxy.plan(running.files, running.of(f"s1={applications['b']}"))
    assert isinstance(step, Commands)
    with pytest.raises(ApplyFailed, match=f"srv_port is {applications['a']}, not {applications['b']}"):
        Runtime(lambda _: before).change(step, "0")


def test_a_reload_keeps_what_is_down(running: Running, applications: dict[str, int]) -> None:
    """A server found dead before a reload is dead after it: no request has to find that out again."""
    dead = f"s1={applications['a']} s2=1"
    running.start(running.of(dead, extra="check inter 200ms"))
    wait_for(lambda: running.state()["s2"]["srv_op_state"] == "0", "the dead server to be found")
    desired = running.of(dead, extra="check inter 200ms", more="backend new\n    balance random\n")
    running.write(desired)
    running.proxy.reload(running.files, desired)
    running.proxy.verify(desired.generation)
    assert running.state()["s2"]["srv_op_state"] == "0"


def test_a_moved_server_is_not_taken_for_dead(running: Running, applications: dict[str, int]) -> None:
    """What was found out about an address is not held against another one under the same name."""
    running.start(running.of(f"s1={applications['a']} s2=1", extra="check inter 200ms"))
    wait_for(lambda: running.state()["s2"]["srv_op_state"] == "0", "the dead server to be found")
    running.change(running.of(f"s1={applications['a']} s2={applications['b']}", extra="check inter 200ms"))
    assert running.answered_by() == {"a", "b"}


def test_a_port_in_use_stops_no_traffic(running: Running, applications: dict[str, int]) -> None:
    """A new listener whose port another process has is found before the reload that would refuse connections."""
    running.start(running.of(f"s1={applications['a']}"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"    bind 127.0.0.1:{other.getsockname()[1]}\n"
        desired = running.of(f"s1={applications['a']}", more=f"frontend second\n{taken}    default_backend b\n")
        running.write(desired)
        with pytest.raises(ApplyFailed, match="another process has this port"):
            running.proxy.reload(running.files, desired)
    assert running.answered_by() == {"a"}
    assert running.proxy.generation() == running.files.generation
