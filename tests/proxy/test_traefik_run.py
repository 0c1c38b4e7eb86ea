"""Targets on a real Traefik: over HTTP, by a directory, and run by lbgen; and `lbgen run` as a daemon."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lbgen.base.errors import SettingsError
from lbgen.daemon import assembly
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC
from lbgen.settings import ApplySettings, Settings, StatusSettings, TargetSettings
from lbgen.source import decode
from tests.support import json_log
from tests.support.builders import a_snapshot, cluster
from tests.support.clients import Client
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_traefik import BINARY, generation_of, pid_of
from tests.support.traefik_bench import Bench, bench, servers
from tests.support.wait import PATIENCE, wait_for

__all__ = ["bench", "servers"]  # fixtures
pytestmark = pytest.mark.proxy(BINARY)
DEPLOY = ROOT / "deploy"


WAYS: dict[str, dict[str, object]] = {"http": {"http": True}, "directory": {"directory": True}}


@pytest.fixture(params=sorted(WAYS))
def way(request) -> dict[str, object]:
    """Each way to give it the files."""
    return WAYS[request.param]


def broken(bench: Bench) -> None:
    """Have the template render a router that Traefik disables, past the check."""
    (bench.templates / "dynamic").mkdir(exist_ok=True)
    (bench.templates / DYNAMIC).with_suffix(".yml.j2").write_text(
        "{% extends 'traefik/dynamic/lbgen.yml.j2' %}{% block http_routers %}"
        '{{ super() }}    "web.bad":\n      entryPoints: ["web"]\n      service: "web"\n'
        '      rule: "PathRegexp(`[`)"\n{% endblock %}'
    )


def mended(bench: Bench) -> None:
    """Take that back."""
    (bench.templates / DYNAMIC).with_suffix(".yml.j2").unlink()


# ------------------------------------------------------------------------------------------------ changes


def test_publish(bench, way):
    """A change is published, proven by the generation that Traefik names, and reaches new requests."""
    target = bench.target(**way)
    assert not bench.bring(target, "127.1.0.1")  # nobody runs it yet: the files are there for when it starts
    assert "Traefik's API does not answer there" in str(bench.logs[0]["error"])
    bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1")
    assert bench.answer() == "127.1.0.1"
    assert bench.bring(target, "127.1.0.2", balance="source")
    assert bench.answer() == "127.1.0.2"
    assert [(entry["method"], entry["detail"]) for entry in bench.logs] == [
        ("publish", "dynamic/lbgen.yml: http services web")
    ]
    assert target.proxy.generation() == target.running.generation == generation_of(bench.output)
    assert bench.bring(target, "127.1.0.2", balance="source")
    assert bench.logs == []


def test_burst(bench, way):
    """Changes one right after the other are all live in the end, and no request fails meanwhile."""
    target = bench.target(**way)
    bench.bring(target, "127.1.0.1", "127.1.0.2")
    bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1", "127.1.0.2")
    statuses, done = set(), threading.Event()

    def ask() -> None:
        client = Client(bench.port)
        while not done.is_set():
            statuses.add(client.ask().status)

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(1, 11):
        assert bench.bring(target, f"127.1.0.{number}", f"127.1.0.{number + 1}")
    done.set()
    thread.join()
    assert statuses == {200}
    assert {bench.answer() for _ in range(4)} == {"127.1.0.10", "127.1.0.11"}


def test_lbgen_restarted(bench, way):
    """A new lbgen finds what its predecessor left running, publishes nothing, and goes on from there."""
    bench.bring(bench.target(**way), "127.1.0.1")
    process = bench.run()
    process.serves(generation_of(bench.output), "http" if "http" in way else "file")
    bench.unserve()
    target = bench.target(**way)
    assert target.running is not None
    assert bench.bring(target, "127.1.0.1")
    assert bench.logs == []
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"


def test_traefik_restarted_without_docker(bench, way):
    """Traefik and lbgen start anew, and there is no Docker: Traefik gets what was good last."""
    bench.bring(bench.target(**way), "127.1.0.1")
    bench.unserve()
    bench.target(**way)
    process = bench.run()
    process.serves(generation_of(bench.output), "http" if "http" in way else "file")
    assert bench.answer() == "127.1.0.1"


def test_two_traefiks(bench):
    """Two Traefiks that ask for the same both get every change."""
    target = bench.target(http=True)
    bench.bring(target, "127.1.0.1")
    bench.run()
    second = (free_port(), free_port())
    static = bench.texts()[STATIC].replace(f":{bench.port}", f":{second[0]}").replace(f":{bench.api}", f":{second[1]}")
    other = bench.run(static)
    target.schedule.retry.hasten()
    for address in ("127.1.0.2", "127.1.0.3", "127.1.0.4"):
        assert bench.bring(target, address)
        other.serves(target.running.generation, "http")
        assert (bench.answer(), bench.answer(second[0])) == (address, address)


def test_refused_by_traefik(bench, way):
    """What Traefik does not take of a change takes the change back; its own words say why."""
    bench.bring(bench.target(**way), "127.1.0.1")
    bench.run()
    target = bench.target(**way)
    before, serves = bench.texts(), target.proxy.generation()
    broken(bench)
    target.revise(target.renderer, lambda _: None, target.schedule.interval)
    assert not bench.bring(target, "127.1.0.2")
    assert [entry["event"] for entry in bench.logs] == ["apply_failed"]
    said = str(bench.logs[0]["error"])
    assert "http router web.bad to service web" in said
    assert "error parsing regexp: missing closing ]" in said
    assert bench.texts() == before
    assert target.proxy.generation() == serves
    assert bench.answer() == "127.1.0.1"
    mended(bench)
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"


def test_refused_by_the_check(bench, way):
    """The same is found before by a Traefik on trial: nothing of it is published, and the template before goes on."""
    target = bench.target(**way)
    bench.bring(target, "127.1.0.1")
    bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1")
    broken(bench)
    assert not bench.bring(target, "127.1.0.2")
    assert [entry["event"] for entry in bench.logs] == ["applied", "refused"]
    assert "http router web.bad to service web: " in str(bench.logs[1]["error"])
    assert not any("web.bad" in text for text in bench.texts().values())
    assert bench.answer() == "127.1.0.2"


def test_not_decoded(bench, way):
    """A document that Traefik cannot even read is taken back, and does not stay in the way of the next."""
    target = bench.target(**way)
    bench.bring(target, "127.1.0.1")
    bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1")
    (bench.templates / "dynamic").mkdir()
    (bench.templates / DYNAMIC).with_suffix(".yml.j2").write_text(
        "{% extends 'traefik/dynamic/lbgen.yml.j2' %}{% block http_extra %}  nonsense: 1\n{% endblock %}"
    )
    target.revise(target.renderer, lambda _: None, target.schedule.interval)
    assert not bench.bring(target, "127.1.0.2")
    assert "does not serve generation" in str(bench.logs[0]["error"])
    assert bench.answer() == "127.1.0.1"
    _, check = assembly.Assembly("edge", bench.target_settings, bench.settings).revision()
    target.revise(target.renderer, check, target.schedule.interval)
    target.schedule.retry.hasten()
    assert not bench.bring(target, "127.1.0.2")
    assert "http.nonsense is not a section" in str(bench.logs[-1]["error"])
    assert bench.answer() == "127.1.0.2"  # by the template before
    mended(bench)
    assert bench.bring(target, "127.1.0.3")
    assert bench.answer() == "127.1.0.3"


def test_missing_entry_point(bench, way):
    """A listener that the running Traefik has no entry point for: told once, and all others are served."""
    target = bench.target(**way)
    bench.bring(target, "127.1.0.1")
    bench.run()
    bench.more = {"late": {"bind": f"127.0.0.1:{free_port()}"}}
    target = bench.target(**way)
    assert bench.bring(target, "127.1.0.2", listener="web,late")
    told = [entry for entry in bench.logs if entry["event"] == "entry_points_missing"]
    assert [entry["entry_points"] for entry in told] == ["late"]
    assert bench.answer() == "127.1.0.2"
    assert bench.bring(target, "127.1.0.3", listener="web,late")
    assert [entry["event"] for entry in bench.logs] == ["applied"]


def test_load_balancers_that_it_does_not_know(bench, way):
    """A running Traefik that believes others than the settings say: told once; guards refuse, and nothing is open."""
    target = bench.target(**way)
    bench.bring(target, "127.1.0.1")
    bench.run()
    bench.more = {"web": {"bind": f"127.0.0.1:{bench.port}", "trusted_proxies": ["127.0.0.1/32"]}}
    target = bench.target(**way)
    keys = {"allow-ip": "127.0.0.1,10.0.0.0/8"}
    assert bench.bring(target, "127.1.0.2", **keys)
    told = [entry for entry in bench.logs if entry["event"] == "trusted_proxies_differ"]
    assert [entry["entry_points"] for entry in told] == ["web"]
    for headers in ({}, {"X-Forwarded-For": "10.0.0.1"}):
        connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/", headers={"Host": "web.test", **headers})
            assert connection.getresponse().status == 403
    assert bench.bring(target, "127.1.0.3", **keys)
    assert [entry["event"] for entry in bench.logs] == ["applied"]


def test_foreign_files(bench):
    """Somebody else's file in the directory is left alone, and what is wrong in it is not put on lbgen's account."""
    target = bench.target(directory=True)
    bench.bring(target, "127.1.0.1")
    foreign = bench.output / "dynamic/own.yml"
    foreign.write_text('http: {routers: {own: {rule: "Path(`/`", service: noop@internal}}}')
    process = bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"
    assert len(process.refused()) == 1
    assert foreign.exists()


def test_without_api(bench):
    """Without an API the proof is that Traefik came back for more after it was handed the generation."""
    target = bench.target(http=True, probe="off")
    assert "api" not in yaml.safe_load(bench.texts().get(STATIC, "{}"))
    assert not bench.bring(target, "127.1.0.1")
    assert "no Traefik has asked" in str(bench.logs[0]["error"])
    static = bench.texts()[STATIC]
    assert "api:" not in static
    with_api = static.replace("entryPoints:\n", f'entryPoints:\n  "traefik":\n    address: "127.0.0.1:{bench.api}"\n')
    bench.run(with_api + "api:\n  insecure: true\n")  # for the test's own eyes
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1")
    assert bench.bring(target, "127.1.0.2")
    wait_for(lambda: bench.answer() == "127.1.0.2")


def test_default_certificate(bench, way):
    """Traefik has a default certificate of lbgen's, made once: else it would make itself a key at every change."""
    target = bench.target(**way)
    bench.bring(target, "127.1.0.1")
    pem = bench.output / "default.pem"
    text = pem.read_text()
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    bench.run()
    target.schedule.retry.hasten()
    for address in ("127.1.0.1", "127.1.0.2"):
        assert bench.bring(target, address)
        assert ssl.get_server_certificate(("127.0.0.1", bench.port)) in text
    bench.target(**way)
    assert pem.read_text() == text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"apply": {"http": True}, "status": ""}, "status.bind, which is empty"),
        ({"probe": "off"}, "only with apply.http"),
        ({"probe": "nonsense"}, "is not ADDRESS:PORT"),
        ({"probe": "127.0.0.1:80"}, "listeners.web.bind: Traefik's API listens on 127.0.0.1:80"),
        ({"apply": {"pid_file": "/x"}}, "Traefik takes run, http or directory; not pid_file"),
        ({"name": "traefik"}, "call the listener something else"),
    ],
)
def test_settings(tmp_path, more, message):
    """Settings that cannot work are refused with what to do."""
    settings = Settings.model_validate(
        {
            "listeners": {more.pop("name", "web"): {"bind": ":80"}},
            "status": {"bind": more.pop("status", "127.0.0.1:9099")},
        }
    )
    target = TargetSettings.model_validate({"templates": ["traefik"], "output": str(tmp_path), **more})
    with pytest.raises(SettingsError, match=re.escape(message)):
        assembly.Assembly("edge", target, settings).target()


def test_behind_a_name(tmp_path):
    """A name as a probe stands for all that are behind it."""
    target = TargetSettings(
        templates=["traefik"], output=tmp_path, probe="localhost:8080", apply=ApplySettings(http=True)
    )
    assert assembly.Assembly("edge", target, Settings()).target().name == "edge"


def test_stack_of_deploy(bench, tmp_path):
    """With the files of deploy/ Traefik sends its token, and its API answers lbgen's network alone.

    The stack's subnet is played by 127.0.0.0/30 here: lbgen asks from 127.0.0.1, and a container elsewhere from
    127.0.1.1.
    """
    token = "0123456789abcdef0123"
    (tmp_path / "token").write_text(token + "\n")
    api = (DEPLOY / "traefik-api.yml").read_text().replace("10.253.0.0/24", "127.0.0.0/30")
    (tmp_path / "api.yml").write_text(api)
    static = (DEPLOY / "traefik-static.yml").read_text()
    for there, here in (
        (':80"', f'127.0.0.1:{bench.port}"'),
        (":8080", f"127.0.0.1:{bench.api}"),
        ("lbgen:9099", f"127.0.0.1:{bench.status}"),
        ("/etc/traefik/api.yml", str(tmp_path / "api.yml")),
        ('{{ secret "traefik-token" }}', token),
    ):
        assert there in static
        static = static.replace(there, here)
    target = bench.target(serve=False, http=True)
    bench.serve(target, StatusSettings(bind=":9099", traefik_token=tmp_path / "token"))
    bench.bring(target, "127.1.0.1")
    bench.run(static)
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"
    asked = {source: asked_from(source, bench.api, "/api/rawdata") for source in ("127.0.0.1", "127.0.1.1")}
    assert asked == {"127.0.0.1": 200, "127.0.1.1": 404}
    # Another token: Traefik keeps what it has.
    bench.processes.pop().stop()
    bench.run(static.replace(token, token + "0"))
    assert asked_from("127.0.0.1", bench.status, "/traefik/edge") == 401
    target.schedule.retry.hasten()
    assert not bench.bring(target, "127.1.0.1")


def asked_from(source: str, port: int, path: str) -> int:
    """Ask from an address of this machine, return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


# ------------------------------------------------------------------------------------------------ lbgen run


class Daemon:
    """``lbgen run`` on a snapshot file, with a Traefik of its own."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.output, self.server_port = directory, directory / "out", port
        self.port, self.api, self.status = free_port(), free_port(), free_port()
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.settings()

    def settings(self, status: str = "127.0.0.1", **listeners: object) -> None:
        """Write the settings.

        Args:
            status: address of the status port; empty: none.
        """
        document = {
            "listeners": {"web": {"bind": f"127.0.0.1:{self.port}"}, **listeners},
            "source": {"file": str(self.directory / "snapshot.json")},
            "targets": {
                "edge": {
                    "templates": ["traefik"],
                    "output": str(self.output),
                    "binary": BINARY,
                    "probe": f"127.0.0.1:{self.api}",
                    "apply": {"run": True},
                }
            },
            "log": {"format": "json"},
            "status": {"bind": f"{status.replace('*', '')}:{self.status}" if status else ""},
        }
        (self.directory / "lbgen.yml").write_text(yaml.safe_dump(document))

    def cluster(self, *addresses: str, **keys: object) -> None:
        """Write the snapshot."""
        facts = decode.document(a_snapshot(*cluster(self.server_port, *addresses, **keys)))
        (self.directory / "new.json").write_text(json.dumps(facts))
        (self.directory / "new.json").replace(self.directory / "snapshot.json")

    def start(self) -> None:
        """Start lbgen."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lbgen", "run", "--config", str(self.directory / "lbgen.yml")],
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def answers(self, *addresses: str, port: int = 0) -> None:
        """Wait until new requests go to these servers, and to no others."""

        def asked() -> set[str]:
            found = set()
            with contextlib.suppress(OSError):
                for _ in range(2 * len(addresses)):
                    client = Client(port or self.port)
                    found.add(client.ask().server)
                    client.close()
            return found

        wait_for(lambda: asked() == set(addresses), f"answers of {addresses}")

    def traefik(self) -> int:
        """The pid of Traefik, 0 if it does not run."""
        return pid_of(self.output / STATIC)

    def said(self, event: str) -> list[dict[str, object]]:
        """The log lines of one event."""
        entries = json_log.events(self.log)
        return [entry for entry in entries if entry["event"] == event]

    def end(self, number: int = signal.SIGTERM) -> int:
        """End lbgen; return its exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def daemon(short_dir, servers) -> Iterator[Daemon]:
    """A daemon that is not started yet; Traefik is ended with the test, whatever runs it."""
    made = Daemon(short_dir, servers.port)
    yield made
    print(made.log.read_text() if made.log.exists() else "not started")  # pytest shows it with a failure
    if made.process and made.process.poll() is None:
        made.end()
    if pid := made.traefik():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("status", ["127.0.0.1", "*", ""])
def test_run(daemon, status):
    """The daemon starts Traefik, follows changes, and ends both: over HTTP, and by the directory where others may ask.

    There the status answers nobody without a token, and none has to be configured.
    """
    daemon.settings(status)
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    process = daemon.traefik()
    daemon.cluster("127.1.0.1", "127.1.0.2")
    daemon.answers("127.1.0.1", "127.1.0.2")
    assert daemon.traefik() == process
    assert ("http" in yaml.safe_load((daemon.output / STATIC).read_text())["providers"]) is (status == "127.0.0.1")
    assert daemon.end() == 0
    assert daemon.traefik() == 0
    assert [entry for entry in daemon.said("applied") if entry["method"] == "start"]
    assert [daemon.said(event) for event in ("apply_failed", "refused", "proxy_ended")] == [[], [], []]


def test_run_restarts_traefik(daemon):
    """A Traefik that was killed is started again, and serves what it served last at once."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    process = daemon.traefik()
    os.kill(process, signal.SIGKILL)
    wait_for(lambda: daemon.said("proxy_ended"), "the end to be noticed")
    daemon.answers("127.1.0.1")
    assert daemon.traefik() not in (0, process)
    daemon.cluster("127.1.0.2")
    daemon.answers("127.1.0.2")


def test_run_takes_over(daemon):
    """A Traefik that a killed lbgen left serves on; the next lbgen takes it over, and ends it."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    process = daemon.traefik()
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    daemon.answers("127.1.0.1")
    daemon.start()
    wait_for(lambda: daemon.said("proxy_taken_over"), "the takeover")
    daemon.cluster("127.1.0.1", "127.1.0.2")
    daemon.answers("127.1.0.1", "127.1.0.2")
    assert daemon.traefik() == process
    assert len(daemon.said("proxy_started")) == 1
    daemon.end()
    wait_for(lambda: daemon.traefik() == 0, "traefik to end")


def test_run_with_new_listeners(daemon):
    """New listeners need new entry points: the Traefik that was left running is started anew with them."""
    daemon.cluster("127.1.0.1")
    daemon.start()
    daemon.answers("127.1.0.1")
    process = daemon.traefik()
    daemon.end(signal.SIGKILL)
    late = free_port()
    daemon.settings(late={"bind": f"127.0.0.1:{late}"})
    daemon.cluster("127.1.0.2", listener="web,late")
    daemon.start()
    daemon.answers("127.1.0.2", port=late)
    daemon.answers("127.1.0.2")
    assert daemon.traefik() not in (0, process)
    assert daemon.said("proxy_restarted")
    assert daemon.said("apply_failed") == []


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


def test_port_taken(daemon):
    """A Traefik that cannot start is an error that says so; it is started as soon as it can be."""
    daemon.cluster("127.1.0.1")
    with socket.create_server(("127.0.0.1", daemon.port)):
        daemon.start()
        wait_for(lambda: daemon.said("apply_failed"), "the failure")
    daemon.answers("127.1.0.1")
