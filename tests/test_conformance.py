"""One set of expectations, every proxy: tests/conformance/*.yml, with real proxies and real traffic.

A case is a line: ``METHOD HOST/PATH [HEADER=VALUE] -> EXPECTED``, or ``TLS NAME``, ``TCP -``, ``UDP -`` in front of the
arrow. What is expected is the name of the service that answers, a status, a status with the address to go to, or
"refused". A case that ends in ``(not PROXY)`` is one that this proxy cannot fulfil; then `lbgen lint` has to say so.
With ``dialects`` the keys of a service are whole labels, and every service is exposed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbgen import config, wiring
from lbgen.lint import limits
from lbgen.model import build
from lbgen.render.templates import builtin_names
from lbgen.snapshot import Snapshot
from lbgen.target import Target
from tests.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task, lbgen_labels
from tests.real_haproxy import DEADLINE, anybody, certificate, eventually, free_port, http_servers, tcp_servers
from tests.real_udp import udp_servers

FILES = sorted((Path(__file__).parent / "conformance").glob("*.yml"))
PROXIES = [name for name in ("haproxy", "nginx", "traefik") if name in builtin_names()]
_CASE = re.compile(r"(\S+) (\S+)(?: ([A-Za-z-]+)=(.*))? -> (.*?)(?: \(not (.*)\))?")


@dataclass(frozen=True)
class Case:
    """One line of a file."""

    how: str  # method, or TLS, TCP, UDP
    where: str
    header: str
    value: str
    expected: str
    excused: tuple[str, ...]  # proxies that cannot

    @classmethod
    def of(cls, line: str) -> Case:
        found = _CASE.fullmatch(line)
        assert found, line
        how, where, header, value, expected, excused = (text or "" for text in found.groups())
        return cls(how, where, header, value, expected, tuple(excused.split(", ")) if excused else ())


@dataclass(frozen=True)
class Suite:
    """One file."""

    protocol: str
    services: dict[str, dict[str, Any]]
    cases: list[Case]
    dialects: tuple[str, ...] = ("lbgen",)

    @classmethod
    def read(cls, path: Path) -> Suite:
        document = yaml.safe_load(path.read_text())
        cases = [Case.of(line) for line in document["cases"]]
        dialects = tuple(document.get("dialects", ["lbgen"]))
        return cls(document.get("protocol", "http"), document["services"], cases, dialects)


def test_the_suite_is_complete():
    """There are enough cases, and every service answers some."""
    suites = [Suite.read(path) for path in FILES]
    assert sum(len(suite.cases) for suite in suites) >= 100
    for suite in suites:
        answered = {case.expected for case in suite.cases}
        silent = {name for name, keys in suite.services.items() if name not in answered and not keys.get("redirect")}
        # Those that only stand in another's way, or are told apart by a status.
        assert silent <= {
            "app",
            "front",
            "quiet",
            "outside",
            "v6",
            "remote",
            "not-local",
            "first",
            "empty",
            "empty-path",
            "stopped",
            "secure",
            "moved",
            "weak",
            "db",
        }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_conformance(proxy, path, short_dir):
    """The proxy decides every case as expected, or lint has said that it cannot."""
    suite = Suite.read(path)
    with servers_of(suite.protocol, short_dir) as port:
        snapshot = cluster(suite, port)
        settings = settings_of(proxy, suite, short_dir)
        model = build(snapshot, settings.rules())
        assert model.problems == ()
        told = {limit.service for limit in limits(model, snapshot, "edge", proxy)}
        with running(settings, snapshot) as listener:
            wrong = []
            for case in suite.cases:
                found = decided(case, suite, listener)
                if proxy in case.excused:
                    assert found != case.expected, f"{case}: {proxy} can do it after all"
                    assert told, f"{case}: lint says nothing about it"
                elif found != case.expected:
                    wrong.append(f"{case.how} {case.where} {case.header}: {found}, not {case.expected}")
    assert wrong == []


def cluster(suite: Suite, port: int) -> Snapshot:
    """The file's services, the first the oldest, each with a task at 127.1.<number>.1 and so on."""
    facts: list[Fact] = [a_node(), a_network("edge")]
    for number, (name, given) in enumerate(suite.services.items(), 1):
        keys = {key: str(value).replace("{port}", str(port)) for key, value in given.items() if key != "tasks"}
        usual = {"port": port} if suite.protocol != "udp" else {}
        if suite.protocol in ("http", "tls", "tcp"):
            usual["health-check"] = "off"
        created = f"2026-11-22T10:{number:02}:00Z"
        labels = lbgen_labels({**usual, **keys}) if suite.dialects == ("lbgen",) else keys
        facts.append(a_service(name, labels=labels, networks=("edge-id",), created_at=created))
        for slot in range(1, given.get("tasks", 1) + 1):
            facts.append(a_task(name, slot, addresses={"edge-id": f"127.1.{number}.{slot}"}))
    return a_snapshot(*facts)


def settings_of(proxy: str, suite: Suite, directory: Path) -> config.Settings:
    """One listener on a free port, and one proxy that lbgen runs."""
    return config.Settings.model_validate(
        {
            "listeners": {
                "web": {
                    "bind": f"127.0.0.1:{free_port()}",
                    "protocol": {"tls": "tcp"}.get(suite.protocol, suite.protocol),
                }
            },
            "discovery": {"dialects": list(suite.dialects), "expose_by_default": suite.dialects != ("lbgen",)},
            "status": {"bind": ""},
            "certificates": str(directory / "certs"),
            "targets": {
                "edge": {
                    "templates": [proxy],
                    "output": str(directory / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                }
            },
        }
    )


@contextlib.contextmanager
def running(settings: config.Settings, snapshot: Snapshot) -> Iterator[int]:
    """Have the proxy serve the snapshot, brought there as `lbgen run` does; give the listener's port."""
    target: Target = wiring.target_of("edge", settings.targets["edge"], settings)
    target.start()
    try:
        model = build(snapshot, settings.rules())
        eventually(lambda: target.bring_to(model, snapshot), "the proxy to serve the snapshot")
        yield config.split_bind(settings.listeners["web"].bind)[1]
    finally:
        target.stop()


@contextlib.contextmanager
def servers_of(protocol: str, directory: Path) -> Iterator[int]:
    """Run servers of this protocol on all addresses; give their port."""
    if protocol == "http":
        made: contextlib.AbstractContextManager[Any] = http_servers()
    elif protocol == "udp":
        made = udp_servers()
    else:
        context = None
        if protocol == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(directory / "server.pem", "any.example.org"))
        made = tcp_servers(context)
    with made as servers:
        yield servers.port


def decided(case: Case, suite: Suite, port: int) -> str:
    """What comes back, in the words of a case."""
    if case.how in ("TLS", "TCP"):
        address = stream(port, case.where if case.how == "TLS" else None)
    elif case.how == "UDP":
        address = datagram(port)
    else:
        status, location, address = request(case, port)
        if not address:
            return f"{status} {location}".strip()
    return list(suite.services)[int(address.split(".")[2]) - 1] if address else "refused"


def request(case: Case, port: int) -> tuple[int, str, str]:
    """Ask over HTTP: the status, where it leads, and the address of the server that answered."""
    host, slash, path = case.where.partition("/")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.putrequest(case.how, slash + path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host)
    if case.header:
        connection.putheader(case.header, case.value)
    if case.how in ("POST", "PUT"):
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    with contextlib.closing(connection), connection.getresponse() as response:
        text = response.read()
        address = json.loads(text)["address"] if response.status == 200 and text.startswith(b"{") else ""
        return response.status, response.headers.get("Location", ""), address


def stream(port: int, name: str | None) -> str:
    """Say a line over TCP, with TLS for this name if there is one; return the address that answers, empty if none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain:
            connection = anybody().wrap_socket(plain, server_hostname=name) if name else plain
            connection.sendall(b"hello\n")
            return connection.makefile("r").readline().strip()
    except (ConnectionError, ssl.SSLError):
        return ""


def datagram(port: int) -> str:
    """Send a datagram; return the address that answers, empty if none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(1.0)
        for _ in range(5):
            probe.sendto(b"hello", ("127.0.0.1", port))
            with contextlib.suppress(TimeoutError, ConnectionError):
                return probe.recv(1024).decode()
    return ""
