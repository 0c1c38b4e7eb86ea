"""What a real HAProxy makes of the rendered files: what it accepts, and where it sends whom."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lbgen.base.errors import CheckFailed
from lbgen.model import Model, build
from lbgen.proxies import check_command as check
from lbgen.render.renderer import Files
from lbgen.settings import Settings
from tests.support import golden_cases, oracle
from tests.support.builders import (
    Fact,
    a_listener,
    a_network,
    a_node,
    a_renderer,
    a_rules,
    a_snapshot,
    a_task,
    app,
)
from tests.support.certificates import certificate
from tests.support.clients import Client, anybody, line, raw
from tests.support.ports import free_port
from tests.support.real_haproxy import BINARY, Process
from tests.support.real_haproxy import check as haproxy_check
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.routing_cases import random_requests, random_services, sni_services
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy(BINARY)
EDGE = a_network("edge")


def write(files: Files, directory: Path) -> None:
    """Put rendered files into a directory, with what they refer to."""
    for name, text in files.texts.items():
        (directory / name).write_text(text)
    (directory / "servers.state").write_text("1\n")


Start = Callable[..., tuple[Process, dict[str, int]]]


@pytest.fixture
def start(short_dir) -> Iterator[Start]:
    """Start a HAProxy for these facts, with one text of its file replaced; returns it and each listener's port."""
    running: list[Process] = []

    def start(
        *facts: Fact, protocols: dict[str, str] | None = None, replaced: tuple[str, str] = ("", "")
    ) -> tuple[Process, dict[str, int]]:
        listeners = []
        for name, protocol in (protocols or {"web": "http"}).items():
            kind, _, tls = protocol.partition("+")
            listeners.append(a_listener(name, free_port(), kind, address="127.0.0.1", tls=bool(tls)))
        if any(listener.tls for listener in listeners):
            certificate(short_dir / "certs/all.pem", "a.org", "*.a.org")
        snapshot = a_snapshot(a_node(), EDGE, *facts)
        model = build(snapshot, a_rules(*listeners))
        assert model.problems == ()
        settings = Settings(certificates=short_dir / "certs")
        files = a_renderer(output=short_dir, settings=settings).render(model, snapshot)
        assert replaced[0] in files.texts["haproxy.cfg"]
        write(Files.of({name: text.replace(*replaced) for name, text in files.texts.items()}), short_dir)
        running.append(Process(short_dir))
        return running[0], {listener.name: listener.port for listener in listeners}

    yield start
    for process in running:
        process.stop()


# ------------------------------------------------------------------------------------------------ accepted


@pytest.mark.parametrize("case", golden_cases.CASES, ids=lambda path: path.stem)
def test_golden_is_accepted(case, short_dir):
    """HAProxy accepts every golden file, without a warning."""
    certificate(short_dir / "certs/a.pem", "a.org")
    files = golden_cases.rendered(case, short_dir)
    write(files, short_dir)
    done = haproxy_check(short_dir)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "web",
        "global",
        "defaults",
        "frontend",
        "default_backend",
        "GLOBAL",
        "MASTER",
        "HTTPCLIENT",
        "1",
        "0",
        "none",
        "a" * 63,
    ],
)
def test_any_service_name(name, short_dir):
    """Whatever Swarm lets a service be called, a listener's name or a word of the grammar, HAProxy accepts it."""
    for listener in ("web", name[:60]):
        facts = a_snapshot(a_node(), EDGE, *app(name, {}, 80, "127.1.0.1"))
        model = build(facts, a_rules(a_listener(listener)))
        assert model.problems == ()
        write(a_renderer(output=short_dir).render(model, facts), short_dir)
        done = haproxy_check(short_dir)
        assert (done.returncode, "WARNING" in done.stdout + done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("path", ["/'", '/"', "/\\", "/$HOME", "/#x", "/a'b\"c\\d$e~%20!&()*+;=:@[]{}|^`<>"])
@pytest.mark.parametrize("key", ["path", "path-exact", "health-check.path", "rule"])
def test_any_path(key, path, short_dir):
    """Whatever characters a path holds, it stays one word wherever it is written."""
    keys = {"path": path, "method": "GET"} if key == "rule" else {key: path, "health-check": "http"}
    facts = a_snapshot(a_node(), EDGE, *app("web", keys, 80, "127.1.0.1"))
    model = build(facts, a_rules())
    if "#" in path:
        assert [problem.label for problem in model.problems] == [f"lbgen.{'path' if key == 'rule' else key}"]
        return
    assert model.problems == ()
    write(a_renderer(output=short_dir).render(model, facts), short_dir)
    done = haproxy_check(short_dir)
    assert (done.returncode, "WARNING" in done.stdout + done.stderr) == (0, False), done.stderr


def test_refused(short_dir, tmp_path):
    """The checker refuses what a broken template renders; the message has file, line and reason."""
    broken = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block http_frontend_extra %}\n    nonsense web\n{% endblock %}"
    (tmp_path / "haproxy.cfg.j2").write_text(broken)
    renderer = a_renderer(tmp_path, "haproxy", output=short_dir)
    files = renderer.render(build(a_snapshot(), a_rules()), a_snapshot())
    number = files.texts["haproxy.cfg"].splitlines().index("    nonsense web") + 1
    with pytest.raises(CheckFailed, match=rf"\[haproxy\.cfg:{number}\].*unknown keyword 'nonsense'"):
        check.check(files, renderer.templates.manifest.check, BINARY, short_dir)
    check.check(a_renderer(output=short_dir).render(Model(), a_snapshot()), renderer.templates.manifest.check, BINARY)


# ------------------------------------------------------------------------------------------------ routing


def test_routing_is_the_oracles(short_dir):
    """For seventy routes and four hundred requests HAProxy chooses the backend that asking every route would."""
    with http_servers() as servers:
        listener = a_listener("web", free_port(), address="127.0.0.1")
        snapshot = a_snapshot(a_node(), EDGE, *random_services(servers.port))
        model = build(snapshot, a_rules(listener))
        assert len(model.routes) >= 60
        assert len(model.listeners[0].rules) >= 20
        write(a_renderer(output=short_dir).render(model, snapshot), short_dir)
        process, client = Process(short_dir), Client(listener.port)
        addresses = {server.address: backend.name for backend in model.backends for server in backend.servers}
        wrong, backends = [], Counter[str]()
        try:
            for request in random_requests():
                answer = client.ask(request.path, request.host, request.method, request.headers)
                expected = oracle.decide(model.routes, request.matched)
                backends[expected] += 1
                if (answer.status, addresses.get(answer.server, "")) != ((200, expected) if expected else (404, "")):
                    wrong.append((request, expected, answer))
        finally:
            client.close()
            process.stop()
    assert wrong == []
    assert len(backends) > 25  # the requests reach many routes
    assert backends[""] > 3  # and some none


@pytest.mark.parametrize(("priority", "server"), [(8, "127.1.0.1"), (9, "127.1.0.2"), (10, "127.1.0.2")])
def test_rule_beside_place(start, priority, server):
    """A match that needs a rule goes before a plain one of the same or a lower priority, not of a higher one."""
    with http_servers() as servers:
        _, ports = start(
            *app("plain", {"host": "a.org", "priority": 9}, servers.port, "127.1.0.1"),
            *app("rule", {"method": "GET", "priority": priority}, servers.port, "127.1.0.2"),
        )
        assert Client(ports["web"]).ask().server == server


@pytest.mark.parametrize(
    ("request_text", "server"),
    [
        ("GET / HTTP/1.1\r\nHost: a.org\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: A.ORG\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: a.org:8080\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: a.org.\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: a.org.:8080\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: .\r\n", "127.1.0.2"),
        ("GET / HTTP/1.1\r\nHost: x.c.org.\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: .c.org\r\n", "127.1.0.2"),
        ("GET / HTTP/1.0\r\nHost: a.org\r\n", "127.1.0.1"),
        ("GET / HTTP/1.0\r\n", "127.1.0.2"),
        ("GET / HTTP/1.1\r\nHost: b.org\r\n", "127.1.0.2"),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n", "127.1.0.2"),
        ("GET http://a.org/ HTTP/1.1\r\nHost: a.org\r\n", "127.1.0.1"),
        ("GET /x?host=b.org HTTP/1.1\r\nHost: a.org\r\n", "127.1.0.1"),
        ("GET /a.org/ HTTP/1.1\r\nHost:\r\n", "127.1.0.2"),
        ("OPTIONS * HTTP/1.1\r\nHost: a.org\r\n", "127.1.0.1"),
        ("GET / HTTP/1.1\r\nHost: a.org\r\nHost: b.org\r\n", None),
    ],
)
def test_host(start, request_text, server):
    """Host is compared without port and final dot, in lower case; without one a request takes routes for any host."""
    with http_servers() as servers:
        _, ports = start(
            *app("named", {"host": "a.org,*.c.org"}, servers.port, "127.1.0.1"),
            *app("any", {}, servers.port, "127.1.0.2"),
        )
        reply = raw(ports["web"], f"{request_text}Connection: close\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200" if server else b"HTTP/1.1 400")
    assert [where for where, _, _ in servers.seen] == [server] * bool(server)


@pytest.mark.parametrize(
    ("query", "server"),
    [
        ("q", "127.1.0.1"),
        ("q=", "127.1.0.1"),
        ("a=1&q&b", "127.1.0.1"),
        ("a;q;b", "127.1.0.1"),
        ("q=1", "127.1.0.2"),
        ("xq", "127.1.0.2"),
        ("qx", "127.1.0.2"),
        ("a=q", "127.1.0.2"),
        ("", "127.1.0.2"),
    ],
)
def test_parameter_without_value(start, query, server):
    """A rule may ask for a parameter that has no value: ``?q``, ``?q=``."""
    with http_servers() as servers:
        _, ports = start(
            *app("flag", {"rule": "Query(`q`)"}, servers.port, "127.1.0.1"), *app("any", {}, servers.port, "127.1.0.2")
        )
        assert Client(ports["web"]).ask(path=f"/?{query}").server == server


@pytest.mark.parametrize("host", ["a.org/secret", "a.org/secret/", "*/secret", "/secret", "*.org/secret/"])
def test_host_is_no_path(start, host):
    """A Host header with a path in it reaches no route by that path: it is refused, or the path is cut off."""
    with http_servers() as servers:
        _, ports = start(
            *app("named", {"host": "a.org,*.org", "path": "/secret"}, servers.port, "127.1.0.1"),
            *app("any", {"path": "/secret"}, servers.port, "127.1.0.2"),
        )
        reply = raw(ports["web"], f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert reply.split()[1] in (b"400", b"404")
    assert servers.seen == []


def test_no_route_and_no_server(start):
    """Without a route the answer is 404; a route whose service has no server answers 503."""
    with http_servers() as servers:
        _, ports = start(
            *app("empty", {"host": "empty.org"}, servers.port),
            *app("web", {"host": "a.org"}, servers.port, "127.1.0.1"),
        )
        client = Client(ports["web"])
        assert client.ask(host="nobody.org").status == 404
        assert client.ask(host="empty.org").status == 503
        assert client.ask(host="a.org").status == 200


def test_listener_without_route(start):
    """A listener that no route names answers 404."""
    _, ports = start()
    assert raw(ports["web"], "GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_forwarded_headers(start):
    """Servers learn the client's address and the scheme, which a client cannot forge; Host comes as it was sent."""
    with http_servers() as servers:
        _, ports = start(
            *app("web", {"listener": "web,tls"}, servers.port, "127.1.0.1"),
            protocols={"web": "http", "tls": "http+tls"},
        )
        plain = Client(ports["web"]).ask(host="A.org:80", headers={"X-Forwarded-Proto": "https"})
        secure = Client(ports["tls"], tls=anybody()).ask(headers={"X-Forwarded-Proto": "http"})
    assert (plain.header("X-Forwarded-Proto"), secure.header("X-Forwarded-Proto")) == (["http"], ["https"])
    assert plain.header("X-Forwarded-For") == secure.header("X-Forwarded-For") == ["127.0.0.1"]
    assert plain.header("Host") == ["A.org:80"]


def test_http2(start):
    """A TLS listener offers HTTP/2 to those who know it."""
    with http_servers() as servers:
        _, ports = start(*app("web", {}, servers.port, "127.1.0.1"), protocols={"web": "http+tls"})
        context = anybody()
        context.set_alpn_protocols(["h2", "http/1.1"])
        connection = Client(ports["web"], tls=context)
        connection.connection.connect()
        assert isinstance(connection.connection.sock, ssl.SSLSocket)
        assert connection.connection.sock.selected_alpn_protocol() == "h2"
        connection.close()


# ------------------------------------------------------------------------------------------------ tcp


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory) -> ssl.SSLContext:
    """What a TLS server needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path_factory.mktemp("certs") / "server.pem", "db.org"))
    return context


@pytest.mark.parametrize("protocol", ["tcp", "tcp+tls"])
def test_sni(start, tls_context, protocol):
    """TLS clients are told apart by server name, whether the listener ends TLS or passes it on untouched."""
    with tcp_servers(tls_context if protocol == "tcp" else None) as servers:
        _, ports = start(*sni_services(servers.port), protocols={"web": "http", "pg": protocol})
        names = ["one.org", "ONE.org", "x.wild.org", "two.org", "wild.org", "y.x.wild.org", "other.org", None]
        found = {name: line(ports["pg"], name, tls=True) for name in names}
    assert found == {
        "one.org": "127.1.0.1",
        "ONE.org": "127.1.0.1",
        "x.wild.org": "127.1.0.2",
        "two.org": "127.1.0.2",
        "wild.org": "127.1.0.3",
        "y.x.wild.org": "127.1.0.3",
        "other.org": "127.1.0.3",
        None: "127.1.0.3",
    }


def test_sni_without_default(start, tls_context):
    """On a listener where every route has a name, a connection that asks for none of them is closed."""
    with tcp_servers(tls_context) as servers:
        _, ports = start(*sni_services(servers.port, default=False), protocols={"web": "http", "pg": "tcp"})
        assert line(ports["pg"], "one.org", tls=True) == "127.1.0.1"
        with pytest.raises(OSError):  # noqa: PT011 -- SSL's own words differ from version to version
            line(ports["pg"], "other.org", tls=True)
        assert raw(ports["pg"], "hello\n") == b""


def test_plain_tcp_beside_sni(start):
    """A connection without TLS goes to the default without waiting for a hello that will not come."""
    with tcp_servers() as servers:
        patient = ("inspect-delay 5s", "inspect-delay 1h")
        _, ports = start(*sni_services(servers.port), protocols={"web": "http", "pg": "tcp"}, replaced=patient)
        assert line(ports["pg"]) == "127.1.0.3"


def test_slow_hello(start, tls_context):
    """A TLS hello that comes in pieces is waited for."""
    with tcp_servers(tls_context) as servers:
        _, ports = start(*sni_services(servers.port), protocols={"web": "http", "pg": "tcp"})
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = anybody().wrap_bio(incoming, outgoing, server_hostname="one.org")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        with socket.create_connection(("127.0.0.1", ports["pg"]), timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (hello[:1], hello[1:9], hello[9:100], hello[100:]):
                connection.sendall(piece)
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))
            client.write(b"hello\n")
            connection.sendall(outgoing.read())
            answer = b""
            while not answer:
                incoming.write(connection.recv(65536))
                try:
                    answer = client.read()
                except ssl.SSLWantReadError:
                    continue
        assert answer == b"127.1.0.1\n"


@pytest.mark.parametrize("first", [False, True])
def test_plain_tcp(start, first):
    """A TCP listener without names passes everything on, whichever side speaks first."""
    with tcp_servers(first=first) as servers:
        _, ports = start(
            *app("mq", {"tcp.a.listener": "mq"}, servers.port, "127.1.0.1"), protocols={"web": "http", "mq": "tcp"}
        )
        assert line(ports["mq"], say=b"" if first else b"hello\n") == "127.1.0.1"


# ------------------------------------------------------------------------------------------------ servers


def test_round_robin(start):
    """Requests are spread evenly."""
    with http_servers() as servers:
        addresses = [f"127.1.0.{number}" for number in (1, 2, 3)]
        _, ports = start(*app("web", {}, servers.port, *addresses))
        client = Client(ports["web"])
        assert Counter(client.ask().server for _ in range(30)) == dict.fromkeys(addresses, 10)


def test_backup(start):
    """A service whose servers are backups is still served by them."""
    with http_servers() as servers:
        _, ports = start(*app("web", {"backup": "true"}, servers.port, "127.1.0.1", "127.1.0.2"))
        assert Client(ports["web"]).ask().status == 200


def test_dead_server_loses_nothing(start):
    """A server that refuses connections among live ones costs no request, GET or POST, checked or not."""
    with http_servers() as servers:
        facts = app("web", {}, servers.port, "127.1.0.1", "127.1.0.2")
        dead = a_task("web", 3, addresses={"edge-id": "240.0.0.1"})  # unroutable: refused at once
        _, ports = start(*facts, dead)
        client = Client(ports["web"])
        answers = [
            client.ask(method=method, body="x" if method == "POST" else "")
            for method in ("GET", "POST")
            for _ in range(30)
        ]
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ("method", "repeated"),
    [("GET", True), ("HEAD", True), ("PUT", True), ("DELETE", True), ("POST", False), ("PATCH", False)],
)
def test_empty_response(start, method, repeated):
    """A request that got no answer is sent to another server if it may safely be sent twice, and only then."""
    with http_servers() as servers:
        servers.moods["127.1.0.1"] = "empty"
        _, ports = start(*app("web", {}, servers.port, "127.1.0.1", "127.1.0.2"))
        statuses = [Client(ports["web"]).ask(f"/{number}", method=method).status for number in range(6)]
    sent = Counter(path for _, how, path in servers.seen if how == method)
    if repeated:
        assert set(statuses) == {200}
        assert max(sent.values()) == 2
    else:
        assert Counter(statuses) == {200: 3, 502: 3}
        assert set(sent.values()) == {1}


def test_retries_off(start):
    """With retries 0 a failed connect is the client's to see."""
    with http_servers() as servers:
        _, ports = start(
            *app("web", {"retries": 0}, servers.port, "127.1.0.1"), a_task("web", 2, addresses={"edge-id": "240.0.0.1"})
        )
        client = Client(ports["web"])
        assert Counter(client.ask().status for _ in range(6)) == {200: 3, 503: 3}


CHECKED = {"health-check.path": "/health", "health-check.interval": "100ms", "health-check": "http"}


@pytest.mark.parametrize("more", [{}, {"health-check.host": "check.org"}, {"health-check.method": "HEAD"}])
def test_health_check(start, more):
    """A server whose check answers another status than expected gets no requests until it does again."""
    with http_servers() as servers:
        process, ports = start(*app("web", {**CHECKED, **more}, servers.port, "127.1.0.1", "127.1.0.2"))
        servers.moods["127.1.0.1"] = "ill"
        wait_for(lambda: process.status("web").get("web.1") == "DOWN", "web.1 to be down")
        client = Client(ports["web"])
        assert {client.ask().server for _ in range(10)} == {"127.1.0.2"}
        servers.moods.clear()
        wait_for(lambda: process.status("web").get("web.1") == "UP", "web.1 to be up")
        assert {client.ask().server for _ in range(10)} == {"127.1.0.1", "127.1.0.2"}
    assert set(servers.asked(more.get("health-check.method", "GET"), "/health")) == {"127.1.0.1", "127.1.0.2"}


@pytest.mark.parametrize(("status", "up"), [("200-399", False), ("503", True), ("200,500-599", True)])
def test_expected_status(start, status, up):
    """Which statuses are good is the label's to say."""
    with http_servers() as servers:
        servers.moods["127.1.0.1"] = "ill"
        keys = {**CHECKED, "health-check.status": status, "health-check.rise": 1, "health-check.fall": 1}
        process, _ = start(*app("web", keys, servers.port, "127.1.0.1"))
        wait_for(lambda: servers.asked(path="/health").total() > 3)
        wait_for(lambda: process.status("web")["web.1"] == ("UP" if up else "DOWN"), f"web.1 to be {up=}")


def test_tcp_check(start):
    """Without a path the check is whether a connection opens."""
    with http_servers() as servers:
        keys = {"health-check": "tcp", "health-check.interval": "100ms"}
        process, _ = start(
            *app("web", keys, servers.port, "127.1.0.1"), a_task("web", 2, addresses={"edge-id": "240.0.0.1"})
        )
        wait_for(lambda: process.status("web") == {"web.1": "UP", "web.2": "DOWN"})


def test_draining(start):
    """A draining server gets no new requests."""
    with http_servers() as servers:
        _, ports = start(
            *app("web", {}, servers.port, "127.1.0.1", "127.1.0.2"),
            a_task("web", 3, addresses={"edge-id": "127.1.0.3"}, desired_state="shutdown"),
        )
        client = Client(ports["web"])
        assert {client.ask().server for _ in range(30)} == {"127.1.0.1", "127.1.0.2"}


def test_all_draining(start):
    """Where every server drains they serve until they are gone: nothing is gained by sending nobody there."""
    with http_servers() as servers:
        facts = [
            replace(fact, desired_state="remove") if hasattr(fact, "slot") else fact
            for fact in app("web", {}, servers.port, "127.1.0.1")
        ]
        _, ports = start(*facts)
        assert Client(ports["web"]).ask().status == 200


@pytest.mark.parametrize("balance", ["round-robin", "least-conn", "source", "random"])
def test_balance(start, balance):
    """Every way to spread requests works, and uses each server that it should."""
    with http_servers() as servers:
        _, ports = start(*app("web", {"balance": balance}, servers.port, "127.1.0.1", "127.1.0.2"))
        client = Client(ports["web"])
        used = {client.ask().server for _ in range(40)}
    assert len(used) == (1 if balance == "source" else 2)


# ------------------------------------------------------------------------------------------------ quoting

VALUES = [
    "plain",
    "two words",
    "  three  blanks",
    "it's",
    "'quoted'",
    '"double"',
    "back\\slash\\",
    "\\'",
    "$HOME ${PATH}",
    "#comment",
    "a # b",
    "~`!@^&*()_+-={}[]|:;<>?,./",
    "if unless { }",
    "-- -i -f /etc/passwd",
    "Z\u00fcrich",
    "'\\'' \"$(reboot)\" #",
]


def test_quoting(short_dir, tmp_path):
    """What the filter `quote` writes, HAProxy reads back as the very value: as an argument and as a pattern."""
    lines = "".join(
        f"    http-request set-header X-Value-{number} {{{{ values[{number}] | quote }}}}\n"
        f"    http-request set-header X-Is-{number} yes"
        f" if {{ req.fhdr(x-given-{number}) -m str -- {{{{ values[{number}] | quote }}}} }}\n"
        for number in range(len(VALUES))
    )
    template = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block http_frontend_extra scoped %}\n"
    template += "{% set values = snapshot.networks.values() | map(attribute='name') | list %}\n"
    (tmp_path / "haproxy.cfg.j2").write_text(template + lines + "{% endblock %}\n")
    with http_servers() as servers:
        listener = a_listener("web", free_port(), address="127.0.0.1")
        names = [a_network(name, id=f"v{number:02}") for number, name in enumerate(VALUES)]
        facts = a_snapshot(*names, a_node(), EDGE, *app("web", {}, servers.port, "127.1.0.1"))
        model = build(facts, a_rules(listener))
        write(a_renderer(tmp_path, "haproxy", output=short_dir).render(model, facts), short_dir)
        process = Process(short_dir)
        try:
            given = {f"X-Given-{number}": value.encode().decode("latin-1") for number, value in enumerate(VALUES)}
            answer = Client(listener.port).ask(headers=given)
        finally:
            process.stop()
    found = [answer.header(f"X-Value-{number}")[0].encode("latin-1").decode() for number in range(len(VALUES))]
    assert found == [value.strip() for value in VALUES]  # blanks around a header's value are no part of it
    matched = [VALUES[number] for number in range(len(VALUES)) if answer.header(f"X-Is-{number}") == ["yes"]]
    assert matched == [value for value in VALUES if value == value.strip()]


def test_rules_read_back(start):
    """A header value with quotes and dollars in it is matched as it is, and nothing else is."""
    with http_servers() as servers:
        value = 'it\'s $HOME "#" \\ %[src]'
        _, ports = start(
            *app("odd", {"header.x-a": value}, servers.port, "127.1.0.1"), *app("web", {}, servers.port, "127.1.0.2")
        )
        client = Client(ports["web"])
        assert client.ask(headers={"X-A": value}).server == "127.1.0.1"
        assert client.ask(headers={"X-A": value + "x"}).server == "127.1.0.2"
        assert client.ask().server == "127.1.0.2"


def test_version():
    """The binary that was asked is one that lbgen supports."""
    shown = subprocess.run([BINARY, "-v"], capture_output=True, text=True, check=True).stdout
    assert "HAProxy version" in shown
