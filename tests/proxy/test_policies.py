"""What happens to requests and answers on their way: tests/policies/*.yml, every proxy, with real traffic.

A case asks (``ask: GET HOST/PATH``, with ``send`` headers, a ``body`` of so many bytes, ``from`` an address, ``times``,
``tls``, ``beside`` requests of others that have no answer yet) and says what it expects: the ``status``, the service
that answers (``service``), ``headers`` of the answer, those that it ``has`` whatever they say, texts that they are
``without``, and what the server ``sees``: its ``path`` and headers. ``null`` is a header that must not be there.
``not`` lists the proxies that cannot; then `lbgen lint` has to say so. What a file says of its ``listener`` are more
settings of the two for HTTP.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbgen.base.address import split_bind
from lbgen.model import build
from lbgen.report.limits import limits
from lbgen.settings import Settings
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task, lbgen_labels
from tests.support.certificates import certificate
from tests.support.clients import anybody
from tests.support.passwords import HASH
from tests.support.paths import TESTS
from tests.support.ports import free_port
from tests.support.real_servers import Servers, http_servers, tcp_servers
from tests.support.running import PROXIES, running
from tests.support.wait import PATIENCE, wait_for

FILES = sorted((TESTS / "policies").glob("*.yml"))


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    service: str
    headers: dict[str, str]  # names in lower case
    sees: dict[str, str]

    def differs(self, expected: dict[str, Any]) -> list[str]:
        """Say what is not as expected."""
        found = {"status": self.status, "service": self.service}
        wrong = [
            f"{key}: {found[key]}, not {value}" for key, value in expected.items() if found.get(key, value) != value
        ]
        wrong += [f"{name} is missing" for name in expected.get("has", ()) if name not in self.headers]
        wrong += [f"{text} is there" for text in expected.get("without", ()) if text in str(self.headers)]
        for key in ("headers", "sees"):
            for name, value in expected.get(key, {}).items():
                got = getattr(self, key).get(name)
                if got != (None if value is None else str(value)):
                    wrong.append(f"{key}: {name} is {got!r}, not {value!r}")
        return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_policy(proxy, path, short_dir):
    """The proxy does what the labels ask for, or lint has said that it cannot."""
    suite = yaml.safe_load(path.read_text())
    settings = settings_of(proxy, short_dir, suite)
    with servers_of(suite, short_dir) as servers:
        snapshot = cluster(suite, servers.port)
        model = build(snapshot, settings.rules())
        assert {problem.service for problem in model.problems} == set(suite.get("reported", ()))
        told = {limit.service for limit in limits(model, snapshot, "edge", proxy)}
        wrong = []
        with running(settings, snapshot):
            for case in suite["cases"]:
                with held(case.get("beside", ()), suite, settings, servers):
                    found = ask(case, suite, settings)
                bad = found.differs(case["expect"])
                if proxy in case.get("not", ()):
                    assert bad, f"{case}: {proxy} can do it after all"
                    assert told, f"{case}: lint says nothing about it"
                elif bad:
                    wrong.append(f"{case['ask']} {case.get('send', '')}: {'; '.join(bad)}")
    assert wrong == []


def test_every_key_has_cases():
    """Each key of a policy is asked for by some service of some file."""
    from lbgen.labels.keys.policy import PolicyKeys
    from lbgen.labels.keys.table import KEYS

    asked = {
        re.sub(r"^(request|response)-header\..*", r"\1-header.<name>", key)
        for path in FILES
        for service in yaml.safe_load(path.read_text())["services"].values()
        for key in service
    }
    elsewhere = {"redirect", "redirect.code", "tls", "client-ca", "client-ca.headers", "passthrough"}
    wanted = {KEYS[name].name for name in PolicyKeys.__annotations__} - elsewhere
    assert wanted <= asked


def settings_of(proxy: str, directory: Path, suite: dict[str, Any]) -> Settings:
    """A listener without TLS and one with it on free ports, and one proxy that lbgen runs."""
    certificate(directory / "certs" / "any.pem", "any.example.org")
    more = suite.get("listener", {})
    (directory / "users").mkdir()
    directory.chmod(0o755)  # Nginx's workers read it, on an account of their own
    for name, users in suite.get("users", {}).items():
        (directory / "users" / name).write_text("".join(f"{user}:{HASH}\n" for user in users))
    return Settings.model_validate(
        {
            "listeners": {
                "web": {"bind": f"127.0.0.1:{free_port()}", **more},
                "websecure": {"bind": f"127.0.0.1:{free_port()}", "tls": True, **more},
                "line": {"bind": f"127.0.0.1:{free_port()}", "protocol": "tcp"},
            },
            "default_listeners": ["web", "websecure", "line"],
            "status": {"bind": ""},
            "certificates": str(directory / "certs"),
            "users": str(directory / "users"),
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


def servers_of(suite: dict[str, Any], directory: Path) -> contextlib.AbstractContextManager[Servers]:
    """Run the servers behind, with TLS if the file says so."""

    @contextlib.contextmanager
    def served():
        context = None
        if suite.get("servers") == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(directory / "server.pem", "any.example.org"))
        with tcp_servers() if suite.get("servers") == "tcp" else http_servers(context) as made:
            yield made

    return served()


def cluster(suite: dict[str, Any], port: int):
    """The file's services, each with a task at 127.1.<number>.1."""
    facts: list[Fact] = [a_node(), a_network("edge")]
    for number, (name, given) in enumerate(suite["services"].items(), 1):
        keys = {"health-check": "off", "port": port, **given}
        facts.append(
            a_service(
                name,
                labels=lbgen_labels({key: "" if value is None else value for key, value in keys.items()}),
                networks=("edge-id",),
                created_at=f"2026-11-22T10:{number:02}:00Z",
            )
        )
        facts.append(a_task(name, 1, addresses={"edge-id": f"127.1.{number}.1"}))
    return a_snapshot(*facts)


@contextlib.contextmanager
def held(cases: list[dict[str, Any]], suite: dict[str, Any], settings: Settings, servers: Servers):
    """Have these asked by others, and answered when the block ends: they are all with the servers before it begins."""
    before = len(servers.seen) + len(servers.connected)
    servers.release.clear()
    threads = [threading.Thread(target=hold, args=(case, suite, settings, servers)) for case in cases]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(servers.seen) + len(servers.connected) >= before + len(threads), "the servers to be asked")
    try:
        yield
    finally:
        servers.release.set()
        for thread in threads:
            thread.join()


def hold(case: dict[str, Any], suite: dict[str, Any], settings: Settings, servers: Servers) -> None:
    """Ask, and have the answer late; of a TCP server by asking late."""
    if not case["ask"].startswith("TCP"):
        asked({**case, "send": {**case.get("send", {}), "X-Hold": "1"}}, suite, settings)
        return
    port = split_bind(settings.listeners["line"].bind)[1]
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (case.get("from", "127.0.0.1"), 0)):
        servers.release.wait(PATIENCE)


def ask(case: dict[str, Any], suite: dict[str, Any], settings: Settings) -> Answer:
    """Ask, as often as the case says; what came back the last time."""
    for _ in range(case.get("times", 1) - 1):
        asked(case, suite, settings)
    return asked(case, suite, settings)


def asked(case: dict[str, Any], suite: dict[str, Any], settings: Settings) -> Answer:
    """Ask once."""
    method, where = case["ask"].split(" ", 1)
    port = split_bind(settings.listeners[{"TCP": "line"}.get(method, "web")].bind)[1]
    source = (case.get("from", "127.0.0.1"), 0)
    if method == "TCP":
        return line(port, source, suite)
    host, slash, path = where.partition("/")
    if case.get("tls"):
        port = split_bind(settings.listeners["websecure"].bind)[1]
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=PATIENCE, source_address=source, context=anybody()
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=source)
    body = b"x" * case.get("body", 0)
    with contextlib.closing(connection):
        connection.putrequest(method, slash + path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in case.get("send", {}).items():
            for each in value if isinstance(value, list) else [value]:
                connection.putheader(name, each)
        if method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        with contextlib.suppress(ConnectionError):  # it may be refused before all of it is sent
            connection.send(body)
        with connection.getresponse() as response:
            return answered(response, suite)


def answered(response: http.client.HTTPResponse, suite: dict[str, Any]) -> Answer:
    """Read an answer: that of a server says what it saw."""
    text = response.read()
    headers = {name.lower(): ", ".join(response.headers.get_all(name, ())) for name in response.headers}
    if headers.get("content-encoding") == "gzip":
        text = gzip.decompress(text)
    if response.status != 200 or not text.startswith(b"{"):
        return Answer(response.status, "", headers, {})
    said = json.loads(text)
    sees = {"path": said["path"], **{name: ", ".join(values) for name, values in said["headers"].items()}}
    return Answer(response.status, list(suite["services"])[int(said["address"].split(".")[2]) - 1], headers, sees)


def line(port: int, source: tuple[str, int], suite: dict[str, Any]) -> Answer:
    """Say a line over TCP: the service that answers, none if the connection is closed."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=source) as connection:
            connection.sendall(b"hello\n")
            address = connection.makefile("r").readline().strip()
    except ConnectionError:
        address = ""
    return Answer(0, list(suite["services"])[int(address.split(".")[2]) - 1] if address else "", {}, {})
