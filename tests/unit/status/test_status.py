"""`lbgen.status`: what a running lbgen tells over HTTP, and the commands that ask it."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click
import pytest
import structlog
from structlog.testing import capture_logs

import lbgen
from lbgen.base.problem import Problem
from lbgen.base.unexpected import KEEPS_FAILING, UNEXPECTED, Part
from lbgen.cli import status_text
from lbgen.daemon.bisection import Held
from lbgen.daemon.history import Change, Failure
from lbgen.daemon.loop import Loop
from lbgen.model import build
from lbgen.settings import Settings, load_settings
from lbgen.snapshot import Cause
from lbgen.status import client
from lbgen.status.server import StatusServer, serve_status
from lbgen.status.uvicorn_server import Server
from lbgen.status.view import STUCK, View
from tests.support.bench import INTERVAL, Bench
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, modelled
from tests.support.clock import Clock
from tests.support.command import run
from tests.support.golden_cases import GOLDEN
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY
from tests.support.wait import PATIENCE, wait_for
from tests.support.watched import AT, FakeFile, FakeLoop, FakeTarget

ANYWHERE = ("127.0.0.1", 0)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch) -> Iterator[None]:
    """No settings but the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lbgen.settings.loader.DEFAULT_FILES", (Path("lbgen.yml"),))
    for name in [name for name in os.environ if name.startswith(("LBGEN_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    yield
    structlog.reset_defaults()  # it holds a stream of the test's


class Served:
    """A status API, and a client of it."""

    def __init__(self, loop: object, targets: list, port: int) -> None:
        self.loop, self.targets, self.port = loop, targets, port
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Return status and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            self.headers = answer.headers
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def json(self, path: str) -> dict:
        """Return the document there."""
        status, body = self.get(path)
        assert status == 200, body
        assert self.headers["content-type"] == "application/json"
        return json.loads(body)


@contextmanager
def serving(loop: object, *targets: object) -> Iterator[Served]:
    """Serve the status of these on any free port."""
    with serve_status(ANYWHERE, View(loop, list(targets))) as port:
        yield Served(loop, list(targets), port)


@pytest.fixture
def api() -> Iterator[Served]:
    """The status API of a loop with two targets, neither of which has served anything."""
    with serving(FakeLoop(), FakeTarget("a"), FakeTarget("b")) as made:
        yield made


def a_model():
    """Two servers, one of which drains, and a problem."""
    model = modelled(
        a_node(),
        a_network(),
        a_service("web", {"port": 80, "host": "web.org"}, networks=("edge-id",)),
        a_task("web", 1, addresses={"edge-id": "10.0.0.1"}),
        a_task("web", 2, addresses={"edge-id": "10.0.0.2"}, desired_state="shutdown"),
    )
    problem = Problem("shop", "is not a port", "write a number", "lbgen.port", "x\x1b[31m")
    return replace(model, problems=(problem,))


# ------------------------------------------------------------------------------------------------ alive and ready


def test_alive(api):
    """200 while the loop lives: it waits, or is busy for as long as a checker may take."""
    assert api.get("/healthz") == (200, "alive\n")
    api.loop.busy_since = time.monotonic() - STUCK + 5
    assert api.get("/healthz")[0] == 200
    api.loop.busy_since = time.monotonic() - STUCK - 5
    assert api.get("/healthz") == (503, f"a round has been under way for {STUCK + 5:.0f} s\n")
    assert not api.json("/api/v1/status")["alive"]
    api.loop.busy_since = None
    assert api.get("/healthz") == (200, "alive\n")


def test_part_that_keeps_failing(api):
    """503 with its name and its error, till it works; in the status as well, for people too."""
    guard = UNEXPECTED.guard(Part.ROUND, "the newest snapshot")
    for _ in range(KEEPS_FAILING - 1):
        guard.failed(RuntimeError("a mistake"))
    assert api.get("/healthz") == (200, "alive\n")
    guard.failed(RuntimeError("a mistake"))
    told = f"round (the newest snapshot) has failed {KEEPS_FAILING} times in a row: RuntimeError: a mistake"
    assert api.get("/healthz") == (503, f"{told}\n")
    document = api.json("/api/v1/status")
    assert (document["alive"], document["keeps_failing"]) == (False, [told])
    lines = [click.unstyle(line) for line in status_text.status_lines(document, api.json("/api/v1/problems"))]
    assert lines[0].endswith(": failing")
    assert lines[1] == f"  {told}"
    guard.worked()
    assert api.get("/healthz") == (200, "alive\n")


def test_server_that_fails(monkeypatch):
    """A server that ends by itself is started again, at the same port; what is asked meanwhile is answered then."""
    mistakes = [RuntimeError("a mistake")]
    tick = Server.on_tick

    async def ticking(self: Server, counter: int) -> bool:
        if mistakes:
            raise mistakes.pop()
        return await tick(self, counter)

    monkeypatch.setattr(Server, "on_tick", ticking)
    with capture_logs() as logs, serving(FakeLoop()) as made:
        assert wait_for(lambda: made.get("/healthz"), not_yet=(OSError,)) == (200, "alive\n")
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["status_ended"]


def test_the_longest_round_counts():
    """The one that has been busy longest says whether lbgen lives: the loop, or any of the workers."""
    clock = Clock()
    loop, workers = FakeLoop(), [FakeLoop(), FakeLoop(), FakeLoop()]  # of which there is only to read when they began
    view = View(loop, [], workers, clock)
    assert view.stuck() == ""
    loop.busy_since, workers[0].busy_since = clock.now - 1, clock.now - 2
    workers[1].busy_since = clock.now - STUCK - 3
    assert view.stuck() == f"a round has been under way for {STUCK + 3:.0f} s"
    workers[1].busy_since = None
    assert view.stuck() == ""
    loop.busy_since = clock.now - STUCK - 4
    assert view.stuck() == f"a round has been under way for {STUCK + 4:.0f} s"


def test_ready(api):
    """503 with the reasons until every target has served a snapshot."""
    nothing = "no snapshot yet, source mode push"
    assert api.get("/readyz") == (503, f"a: {nothing}\nb: {nothing}\n")
    api.loop.busy_since = time.monotonic()
    waiting = "the first change is under way, or waits for min_reload_interval"
    assert api.get("/readyz") == (503, f"a: {waiting}\nb: {waiting}\n")
    api.loop.busy_since, api.loop.accepted = None, a_snapshot()
    a, b = api.targets
    a.ready = True
    b.failing, b.failure = True, Failure(AT, "refused", "haproxy: unknown keyword")
    assert api.get("/readyz") == (503, "b: haproxy: unknown keyword\n")
    status = api.json("/api/v1/status")
    assert (status["ready"], status["not_ready"]) == (False, ["b: haproxy: unknown keyword"])
    b.lock.holder = "lbgen with pid 7 on host edge1, since 2026-11-22 10:00:00 UTC"
    held = f"/out is in use: {b.lock.holder}; it is taken over when that one ends"
    assert api.get("/readyz") == (503, f"b: {held}\n")
    assert held in run("status", "--status", api.url).stdout
    b.lock.holder = ""
    b.ready, b.failing = True, False
    assert api.get("/readyz") == (200, "ready\n")
    assert api.json("/api/v1/status")["ready"]


def test_ready_is_for_good(api):
    """What fails later leaves the proxy serving: that is the target's trouble, not a reason to take it away."""
    for target in api.targets:
        target.ready = target.failing = True
        target.failure = Failure(AT, "refused", "no")
    assert api.get("/readyz") == (200, "ready\n")


def test_ready_only_after_verified(tmp_path):
    """A real target: files that were written and checked are not enough, the proxy has to prove that it serves them."""
    bench = Bench(tmp_path)
    with serving(FakeLoop(), bench.target) as api:
        bench.proxy.reachable = False
        assert not bench.bring()
        assert bench.texts()
        assert api.get("/readyz") == (503, "edge: nobody there\n")
        bench.proxy.reachable = True
        bench.clock.now += INTERVAL
        assert bench.bring()
        assert api.get("/readyz") == (200, "ready\n")


# ------------------------------------------------------------------------------------------------ documents


def test_status(api):
    """The whole document."""
    api.loop.model, api.loop.held, api.loop.accepted = a_model(), 3, replace(a_snapshot(), taken_at=AT)
    a, b = api.targets
    a.applied(60.0, Cause("task web.1: new", AT + 59.5))
    b.failing, b.failure = True, Failure(AT + 61.5, "apply_failed", "nobody there")
    status = api.json("/api/v1/status")
    assert 0 <= status.pop("uptime_seconds") < PATIENCE
    assert status.pop("started_at").endswith("Z")
    assert status == {
        "version": lbgen.__version__,
        "alive": True,
        "ready": False,
        "not_ready": ["b: nobody there"],
        "source": {
            "kind": "docker",
            "failing": None,
            "failing_since": None,
            "mode": "push",
            "no_push": "",
            "endpoint": "unix:///var/run/docker.sock",
            "cluster": "c1",
            "stream_age_seconds": 1.25,
            "drift": 3,
            "listings": 7,
            "reconnects": 2,
            "objects": 99,
            "snapshot_at": "2026-11-22T10:00:00.000Z",
        },
        "targets": [
            {
                "name": "a",
                "generation": "000000000000",
                "ready": True,
                "failing": False,
                "last_change": {
                    "at": "2026-11-22T10:01:00.000Z",
                    "target": "a",
                    "generation": "000000000000",
                    "method": "runtime-api",
                    "detail": "backend web: 1 added",
                    "duration_seconds": 0.02,
                    "lag_seconds": 0.5,
                    "causes": [{"text": "task web.1: new", "at": "2026-11-22T10:00:59.500Z", "lag_seconds": 0.5}],
                },
                "last_error": None,
            },
            {
                "name": "b",
                "generation": "",
                "ready": False,
                "failing": True,
                "last_change": None,
                "last_error": {"at": "2026-11-22T10:01:01.500Z", "kind": "apply_failed", "error": "nobody there"},
            },
        ],
        "servers": {"up": 1, "drain": 1},
        "keeps_failing": [],
        "servers_held": 3,
        "drains": [],
        "closed": [],
        "problems": 1,
    }


def test_status_of_a_file():
    """A file is followed too, but has no stream and no endpoint to tell of."""
    with serving(FakeLoop(FakeFile()), FakeTarget()) as api:
        assert api.json("/api/v1/status")["source"] == {
            "kind": "file",
            "failing": None,
            "failing_since": None,
            "mode": "file",
            "endpoint": "/etc/lbgen/snapshot.yml",
            "stream_age_seconds": None,
            "snapshot_at": None,
        }
        assert api.get("/readyz") == (503, "edge: no snapshot yet, source mode file\n")


def test_model(api):
    """The model as templates see it, field by field, and what each target has made of it."""
    api.loop.model = a_model()
    api.targets[0].applied(1.0, method="reload")
    found = api.json("/api/v1/model")
    wanted = json.loads(json.dumps(asdict(replace(api.loop.model, basis=None))))
    assert {name: found[name] for name in ("listeners", "routes", "backends")} == {
        name: wanted[name] for name in ("listeners", "routes", "backends")
    }
    assert [server["name"] for server in found["backends"][0]["servers"]] == ["web.1", "web.2"]
    assert found["targets"] == [
        {"name": "a", "generation": "000000000000", "method": "reload", "at": "2026-11-22T10:00:01.000Z"},
        {"name": "b", "generation": "", "method": None, "at": None},
    ]


def test_empty_model(api):
    """Before the first snapshot everything is there, and empty."""
    found = api.json("/api/v1/model")
    assert (found["listeners"], found["routes"], found["backends"]) == ([], [], [])
    assert api.json("/api/v1/problems") == {"problems": [], "left_out": []}
    assert api.json("/api/v1/history") == {"changes": []}


def test_problems(api):
    """Each problem by its parts, and as the log says it."""
    api.loop.model = a_model()
    (problem,) = api.loop.model.problems
    told = asdict(problem) | {"text": str(problem)}
    assert api.json("/api/v1/problems") == {"problems": [told], "left_out": []}


def test_notes_are_no_problems(api):
    """What a route goes without is told apart from problems, and no metric or state counts it as one."""
    model = a_model()
    api.loop.model = replace(model, problems=(replace(model.problems[0], note=True),))
    told = api.json("/api/v1/problems")
    assert (told["problems"], [note["note"] for note in told["left_out"]]) == ([], [True])
    assert api.json("/api/v1/status")["problems"] == 0


def test_explain_what_is_held(api):
    """A service that a proxy refuses is reported, with the target and the proxy's words."""
    explainable(api)
    api.targets[1].quarantine.held["web-id"] = Held("web", {}, None, "haproxy refused it:\nline 7")
    document = api.json("/api/v1/explain/web")
    assert document["why"][-1] == "target b refuses the configuration with it: it is left out"
    assert any("haproxy refused it: line 7" in problem["text"] for problem in document["problems"])


def test_quarantined(api):
    """A service that a target's proxy refuses is a problem as well, and counted."""
    api.targets[0].quarantine.held["id"] = Held("shop", {}, None, "haproxy refused it:\nline 7")
    (problem,) = api.json("/api/v1/problems")["problems"]
    assert (problem["service"], "haproxy refused it: line 7" in problem["text"]) == ("shop", True)
    assert api.json("/api/v1/status")["problems"] == 1
    metrics = api.get("/metrics")[1]
    assert f'lbgen_quarantined_services{{target="{api.targets[0].name}"}} 1.0' in metrics
    assert "lbgen_problems 1.0" in metrics


def explainable(api: Served) -> None:
    """Give the loop a snapshot with one service that has a problem, and a task whose time to drain is over."""
    api.loop.accepted = a_snapshot(
        a_node(),
        a_network(),
        a_service("web", {"port": 80, "host": "web.org", "http.b.weight": "x"}, networks=("edge-id",)),
        a_task("web", 1, addresses={"edge-id": "10.0.0.1"}),
        a_task("web", 2, addresses={"edge-id": "10.0.0.2"}, desired_state="shutdown"),
    )
    api.loop.model = build(api.loop.accepted, a_rules(), frozenset({"web-2-id"}))


def test_explain(api):
    """Why a service is served as it is: of the running model, with its drains, for this daemon's targets."""
    assert api.get("/api/v1/explain/web") == (503, "no snapshot yet\n")
    explainable(api)
    document = api.json("/api/v1/explain/web")
    assert document == api.json("/api/v1/explain/web-id")
    assert (document["service"], document["routed"], document["ok"]) == ("web", False, False)
    assert document["problems"][0]["label"] == "lbgen.http.b.weight"
    assert api.get("/api/v1/explain/wbe") == (404, "there is no service 'wbe': did you mean web?\n")


def test_history(api):
    """The changes of all targets, the newest first, each with its causes and how long after them it was live."""
    a, b = api.targets
    a.applied(1.0)
    b.applied(2.0, Cause("one", AT), Cause("two", AT + 1.5), method="reload", detail="backend web added")
    a.applied(3.0)
    changes = api.json("/api/v1/history")["changes"]
    assert [(change["target"], change["at"][-7:]) for change in changes] == [
        ("a", "03.000Z"),
        ("b", "02.000Z"),
        ("a", "01.000Z"),
    ]
    assert changes[1]["lag_seconds"] == 2.0
    assert [(cause["text"], cause["lag_seconds"]) for cause in changes[1]["causes"]] == [("one", 2.0), ("two", 0.5)]
    assert changes[0]["lag_seconds"] is None
    assert api.json("/api/v1/history?limit=2")["changes"] == changes[:2]
    api.loop.kept.changes.append(Change(AT + 4.0, "", "", "labels", "service web: its newest labels are in force", 0.0))
    assert api.json("/api/v1/history?limit=1")["changes"][0] == {
        "at": "2026-11-22T10:00:04.000Z",
        "target": "",
        "generation": "",
        "method": "labels",
        "detail": "service web: its newest labels are in force",
        "duration_seconds": 0.0,
        "lag_seconds": None,
        "causes": [],
    }


@pytest.mark.parametrize("limit", ["x", "-1", "", "1.5", "%C2%B2", "1" * 30])
def test_bad_limit(api, limit):
    """A limit that is no number is the client's mistake."""
    status, said = api.get(f"/api/v1/history?limit={limit}")
    assert status == 400
    assert "whole number" in said


def test_history_while_it_grows(api):
    """The loop goes on adding changes while somebody reads them."""
    target, done = api.targets[0], threading.Event()

    def grow() -> None:
        number = 0
        while not done.is_set():
            target.applied(number := number + 1)

    thread = threading.Thread(target=grow)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        view = View(api.loop, api.targets)
        for _ in range(2000):
            assert len(view.history(1)["changes"]) <= 1
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()


def test_metrics(api):
    """Prometheus gets its text format, or OpenMetrics if it asks for that."""
    api.targets[0].applied()
    status, body = api.get("/metrics")
    assert (status, api.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'lbgen_generation_info{generation="000000000000",target="a"} 1.0' in body
    status, body = api.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert api.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")


def test_other_addresses(api):
    """What is not there is not there, and nothing can be changed."""
    assert api.get("/")[0] == 404
    assert api.get("/api/v1/nope")[0] == 404
    for path in ("/healthz", "/metrics", "/api/v1/status"):
        assert api.get(path, "POST")[0] == 405


# ------------------------------------------------------------------------------------------------ the server


def test_port_in_use():
    """A port that somebody has costs the status, and a line that says what to do; nothing else."""
    with socket.create_server(ANYWHERE) as other:
        port = other.getsockname()[1]
        with capture_logs() as logs, serve_status(("127.0.0.1", port), View(FakeLoop(), [])) as got:
            assert got == 0
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("status_unavailable", "error")
    assert line["address"] == f"127.0.0.1:{port}"
    assert "in use" in line["error"]
    assert "status.bind" in line["remedy"]


def test_foreign_address():
    """So does an address that this machine does not have."""
    with capture_logs() as logs, serve_status(("192.0.2.1", 9099), View(FakeLoop(), [])) as got:
        assert got == 0
    assert [line["event"] for line in logs] == ["status_unavailable"]


def test_listening_that_raises():
    """So does anything else that listening raises: an OverflowError, say."""
    with serve_status(("127.0.0.1", 70_000), View(FakeLoop(), [])) as got:
        assert got == 0
        assert UNEXPECTED.counts()[Part.STATUS] >= 1


def test_off():
    """Turned off it is silent."""
    before = threading.active_count()
    with capture_logs() as logs, serve_status(None, View(FakeLoop(), [])) as got:
        assert (got, threading.active_count()) == (0, before)
    assert logs == []


@pytest.mark.parametrize("address", ["::1", "*"])
def test_addresses(address):
    """An IPv6 address is served, and every address."""
    with serve_status((address, 0), View(FakeLoop(), [])) as port:
        connection = http.client.HTTPConnection("::1" if address == "::1" else "127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_end():
    """When lbgen ends the port is free at once, also while a client is connected."""
    with serve_status(ANYWHERE, View(FakeLoop(), [])) as port:
        idle = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
    assert "status" not in {thread.name for thread in threading.enumerate()}
    idle.close()
    with capture_logs() as logs, serve_status(("127.0.0.1", port), View(FakeLoop(), [])) as again:
        assert again == port, logs


def test_ended_at_once():
    """An end before the server is up is an end."""
    with socket.create_server(ANYWHERE) as listening:
        server = StatusServer(View(FakeLoop(), []), listening)
        server.stop()
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_failure(api):
    """What cannot be told is logged and answered; the rest goes on."""
    api.loop.model = None
    with capture_logs() as logs:
        assert api.get("/api/v1/problems")[0] == 500
    assert [(line["event"], line["path"]) for line in logs] == [("status_failed", "/api/v1/problems")]
    assert api.get("/healthz")[0] == 200


def test_garbage(api, caplog):
    """What is no HTTP is refused without a word in the log."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE) as connection:
        connection.sendall(b"\x16\x03\x01\x00\x05hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert api.get("/healthz")[0] == 200
    assert caplog.records == []


class Hanging:
    """A target whose proxy does not come back."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def bring_to(self, _model, _snapshot) -> bool:
        self.reached.set()
        return self.go_on.wait(PATIENCE)


def test_answers_while_a_round_hangs():
    """Nothing is waited for: the loop's thread may be anywhere."""
    hanging = Hanging()
    loop = Loop(None, a_rules(), [hanging])
    loop.source = FakeFile()
    thread = threading.Thread(target=loop.round, args=[a_snapshot()])
    thread.start()
    try:
        assert hanging.reached.wait(PATIENCE)
        with serving(loop, FakeTarget()) as api:
            for path in ("/api/v1/status", "/api/v1/model", "/api/v1/problems", "/api/v1/history"):
                assert api.json(path)
            assert api.get("/healthz")[0] == api.get("/metrics")[0] == 200
    finally:
        hanging.go_on.set()
        thread.join()


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("bind", ["127.0.0.1:9099", ":9099", "[::1]:9099", ""])
def test_bind(bind):
    """The address is written as for listeners; an empty one turns it off."""
    assert load_settings(None, {}, {("status", "bind"): bind}).status.bind == bind
    assert load_settings(None, {"LBGEN_STATUS__BIND": bind}, {}).status.bind == bind


@pytest.mark.parametrize("bind", ["9099", "localhost:9099", ":0", ":99999"])
def test_bad_bind(bind):
    """Anything else is refused."""
    with pytest.raises(lbgen.base.errors.SettingsError, match=r"status\.bind"):
        load_settings(None, {}, {("status", "bind"): bind})


def test_default_bind():
    """By default only this machine can ask."""
    assert Settings().status.bind == "127.0.0.1:9099"


# ------------------------------------------------------------------------------------------------ commands


@pytest.fixture
def busy(api) -> Served:
    """A daemon that has something to tell."""
    api.loop.model = a_model()
    a, b = api.targets
    a.applied(1.0)
    b.applied(2.0, *(Cause(f"task web.{n}: new", AT + 1.962) for n in range(5)), method="reload", detail="web added")
    return api


def test_status_command(busy):
    """For people: version, source, servers, targets, problems."""
    result = run("status", "--status", busy.url)
    assert result.exit_code == 0, result.stderr
    head, source, more, servers, _, heading, a, b, _, count, problem = result.stdout.splitlines()
    assert head.startswith(f"lbgen {lbgen.__version__}, up ")
    assert head.endswith(": ready")
    assert source == "source    push, unix:///var/run/docker.sock, cluster c1, last word 1.2 s ago"
    assert more == "          listings: 7, missed by the stream: 3, reconnects: 2"
    assert servers == "servers   1 up, 1 drain"
    assert heading == "TARGET  GENERATION    CHANGED (UTC)            METHOD       STATE"
    assert a == "a       000000000000  2026-11-22 10:00:01.000  runtime-api  live"
    assert b == "b       000000000000  2026-11-22 10:00:02.000  reload       live"
    assert count == "1 problem:"
    assert problem.startswith("  service shop, label lbgen.port=")
    assert problem.endswith("is not a port; write a number")
    assert "\x1b" not in result.stdout


def test_status_command_with_trouble(busy):
    """What is wrong is said where it is."""
    a, b = busy.targets
    a.ready, a.failing, a.failure = False, True, Failure(AT, "refused", "haproxy refused:\n  bad \x1b[2J line")
    b.failure = Failure(AT, "apply_failed", "nobody there")
    busy.loop.held, busy.loop.busy_since = 6, 0.0
    busy.loop.source.stats = replace(busy.loop.source.stats, mode="none", no_push="no socket", stream_age=None)
    found = run("status", "--status", busy.url).stdout
    assert "stuck" in found.splitlines()[0]
    assert found.splitlines()[1:3] == ["  a: haproxy refused:", "    bad \\x1b[2J line"]
    assert "source    no endpoint answers, unix:///var/run/docker.sock, cluster c1\n" in found
    assert "          no push: no socket\n" in found
    assert "6 held until a second listing" in found
    assert "  failing\n    refused at 2026-11-22 10:00:00.000: haproxy refused:\n        bad \\x1b[2J line\n" in found
    assert "apply_failed at 2026-11-22 10:00:00.000, which is over: nobody there\n" in found
    assert "\x1b" not in found


def test_status_command_json(busy):
    """For programs: what the daemon says."""
    found, told = json.loads(run("status", "--status", busy.url, "--output", "json").stdout), None
    told = busy.json("/api/v1/status")
    assert found.pop("uptime_seconds") <= told.pop("uptime_seconds")
    assert found == told


def test_colours(busy):
    """Colours are made, and `click.echo` drops them unless a terminal reads."""
    document, problems = busy.json("/api/v1/status"), busy.json("/api/v1/problems")
    assert click.style("live", "green") in "\n".join(status_text.status_lines(document, problems))


def test_explain_command(api):
    """The daemon is asked what it decided; text, JSON and exit codes are those of the command without it."""
    silent = run("explain", "web", "--status", api.url)
    assert (silent.exit_code, silent.output) == (4, f"lbgen: {api.url}: no snapshot yet\n")
    explainable(api)
    done = run("explain", "web", "--status", api.url)
    assert done.exit_code == 5
    assert done.output.startswith("service web: not routed\n  - route b is closed")
    asked = run("explain", "web", "--status", api.url, "--output", "json")
    assert json.loads(asked.output) == api.json("/api/v1/explain/web")
    unknown = run("explain", "a/b c", "--status", api.url)
    assert (unknown.exit_code, unknown.output) == (
        2,
        "lbgen: there is no service 'a/b c': there is 1, 'docker service ls' lists them\n",
    )


def test_history_command(busy):
    """For people: one line for each change, its causes below."""
    result = run("history", "--status", busy.url)
    assert result.stdout.splitlines() == [
        "TIME (UTC)               TARGET  METHOD       LAG    WHAT",
        "2026-11-22 10:00:02.000  b       reload       38 ms  web added",
        "    task web.0: new",
        "    task web.1: new",
        "    task web.2: new",
        "    and 2 more",
        "2026-11-22 10:00:01.000  a       runtime-api  -      backend web: 1 added",
    ]


def test_history_command_limits(busy):
    """--limit says how many; JSON has everything of each."""
    result = run("history", "--status", busy.url, "--limit", 1, "--output", "json")
    assert json.loads(result.stdout) == busy.json("/api/v1/history?limit=1")
    assert len(json.loads(result.stdout)["changes"]) == 1
    assert run("history", "--status", busy.url, "--limit", 0).exit_code == 2


def test_history_command_without_changes(api):
    """Nothing is said in words."""
    assert run("history", "--status", api.url).stdout == "nothing was changed since this lbgen started\n"


def test_ready_command(api):
    """0 when ready, 1 with the reasons when not."""
    waiting = run("status", "--ready", "--status", api.url)
    assert (waiting.exit_code, waiting.stdout) == (1, "")
    assert waiting.stderr.startswith("a: no snapshot yet")
    for target in api.targets:
        target.ready = True
    ready = run("status", "--ready", "--status", api.url)
    assert (ready.exit_code, ready.stdout, ready.stderr) == (0, "ready\n", "")


@pytest.mark.parametrize("words", [["status"], ["history"], ["status", "--ready"]])
def test_nobody_there(words):
    """4, and what to look at, when no daemon answers."""
    url = f"http://127.0.0.1:{free_port()}"
    result = run(*words, "--status", url)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith(f"lbgen: {url}: lbgen does not answer there")
    assert "status.bind" in result.stderr


@pytest.mark.parametrize("words", [["status"], ["history"], ["status", "--ready"]])
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 404 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"SSH-2.0-x\r\n", b""]
)
def test_somebody_else_there(words, answer):
    """4 when what answers is no lbgen."""

    class Other(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(answer)

    with http.server.HTTPServer(ANYWHERE, Other) as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        result = run(*words, "--status", f"http://127.0.0.1:{other.server_address[1]}")
        other.shutdown()
    assert (result.exit_code, result.stdout) == (4, "")
    assert "lbgen" in result.stderr


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/", "127.0.0.1:{}"])
def test_forms_of_the_url(api, form):
    """What goes without saying may be left out."""
    assert run("history", "--status", form.format(api.port)).exit_code == 0


def test_url_of_the_settings(api, tmp_path):
    """Without --status the daemon is where these settings put it."""
    (tmp_path / "lbgen.yml").write_text(f"status: {{bind: '127.0.0.1:{api.port}'}}\n")
    assert run("history").exit_code == 0
    assert run("history", LBGEN_STATUS__BIND=f":{api.port}").exit_code == 0
    other = run("history", LBGEN_STATUS__BIND=f"127.0.0.1:{free_port()}")
    assert other.exit_code == 4
    off = run("history", LBGEN_STATUS__BIND="")
    assert off.exit_code == 2
    assert "--status URL" in off.stderr


@pytest.mark.parametrize(
    ("where", "url"),
    [
        (("127.0.0.1", 9099), "http://127.0.0.1:9099"),
        (("*", 9099), "http://127.0.0.1:9099"),
        (("0.0.0.0", 1), "http://127.0.0.1:1"),
        (("::", 1), "http://[::1]:1"),
        (("fd00::1", 1), "http://[fd00::1]:1"),
    ],
)
def test_url_of(where, url):
    """An address that stands for all is asked at the loopback."""
    assert client.url_of(where) == url


def test_no_proxy_between(api, monkeypatch):
    """A proxy of the environment is not asked."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert run("history", "--status", api.url).exit_code == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.0004, "0 ms"),
        (0.038, "38 ms"),
        (1.25, "1.2 s"),
        (59.9, "59.9 s"),
        (75, "1 min 15 s"),
        (3700, "1 h 1 min"),
        (100000, "1 d 3 h"),
    ],
)
def test_duration(seconds, said):
    """Durations are said in two units at most."""
    assert status_text.duration(seconds) == said


# ------------------------------------------------------------------------------------------------ the daemon


def daemon(tmp_path: Path, name: str, status: int, web: int) -> subprocess.Popen[str]:
    """``lbgen run`` with a HAProxy of its own, following a file."""
    words = ["run", "--from", str(GOLDEN / "mesh.yaml"), "--proxy", "haproxy", "-o", str(tmp_path / name)]
    environment = {
        "PYTHONPATH": str(ROOT),
        "LBGEN_STATUS__BIND": f"127.0.0.1:{status}",
        "LBGEN_LISTENERS__WEB__BIND": f"127.0.0.1:{web}",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "lbgen", *words],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stderr=(tmp_path / f"{name}.log").open("w"),
        text=True,
    )


@pytest.mark.proxy(BINARY)
def test_daemon(short_dir):
    """`lbgen run` serves its status; a second one on the same port says so and does its work all the same."""
    port, url = free_port(), ""
    url = f"http://127.0.0.1:{port}"
    first = daemon(short_dir, "one", port, free_port())
    second = None
    try:
        wait_for(lambda: run("status", "--ready", "--status", url).exit_code == 0, "the first to be ready")
        status = json.loads(run("status", "--status", url, "--output", "json").stdout)
        assert status["source"]["mode"] == "file"
        assert status["servers"]["up"] > 0
        (change,) = json.loads(run("history", "--status", url, "--output", "json").stdout)["changes"]
        assert change["generation"] == status["targets"][0]["generation"]
        assert change["causes"][0]["text"].startswith("first snapshot")
        second = daemon(short_dir, "two", port, free_port())
        log = short_dir / "two.log"
        wait_for(lambda: " applied " in log.read_text(), "the second to serve")
        assert f"error status_unavailable address=127.0.0.1:{port}" in log.read_text()
    finally:
        for process in (first, second):
            if process:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)
    assert first.returncode == second.returncode == 0


def test_hubs_in_reserve():
    """Of an edge's hubs those that it does not ask now are no failure; where none answers it says so."""
    common = {"kind": "hub", "stream_age_seconds": None, "failing": None}
    members = [
        common | {"name": "m1", "mode": "push", "endpoint": "https://m1:9443"},
        common | {"name": "", "mode": "none", "endpoint": "https://m2:9443"},
        common | {"name": "m3", "mode": "none", "endpoint": "https://m3:9443", "failing": "no answer"},
    ]
    source = common | {"mode": "none", "endpoint": "https://m1:9443", "failing": "no answer", "members": members}
    assert [click.unstyle(line) for line in status_text.source_lines(source)] == [
        "source    no hub answers, https://m1:9443",
        "          failing: no answer",
        "          m1: push, https://m1:9443",
        "          in reserve, https://m2:9443",
        "          m3: no hub answers, https://m3:9443",
        "          failing: no answer",
    ]
