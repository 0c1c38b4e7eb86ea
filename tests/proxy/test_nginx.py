"""What a real Nginx makes of the rendered files: where it sends whom, and what a request meets on its way."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import socketserver
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lbgen.labels.match import Test
from lbgen.labels.values.http import LONGEST_PATH
from lbgen.proxies.nginx.kind import build_of
from tests.support import oracle
from tests.support.builders import Fact, a_snapshot, a_task, app
from tests.support.certificates import certificate
from tests.support.clients import Client, anybody, line, raw
from tests.support.ports import free_port
from tests.support.real_nginx import VERSIONS, Site, binary, renderer, site, target, write
from tests.support.real_servers import Servers, http_servers, tcp_servers
from tests.support.routing_cases import random_requests, random_services, sni_services
from tests.support.wait import PATIENCE

# The first time on a machine a Debian tree with the newer version is made, which takes a minute or two.
pytestmark = [pytest.mark.proxy("nginx"), pytest.mark.timeout(600)]


@pytest.fixture(params=VERSIONS)
def nginx(request, short_dir) -> Iterator[Site]:
    """A site for each version of Nginx."""
    with site(binary(request.param), short_dir) as made:
        yield made


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


@pytest.fixture(autouse=True)
def good_mood(servers) -> Iterator[None]:
    """Each test begins with well-behaved servers."""
    yield
    servers.moods.clear()
    servers.seen.clear()


# ------------------------------------------------------------------------------------------------ routing


def test_routing_is_the_oracles(nginx, servers):
    """For seventy routes and four hundred requests Nginx chooses the backend that asking every route would."""
    ports = nginx.start(*random_services(servers.port), faulty=True)
    model, client = nginx.model, Client(ports["web"])
    assert len(model.routes) >= 60
    assert len(model.listeners[0].rules) >= 20
    nginx.accepted()
    addresses = {server.address: backend.name for backend in model.backends for server in backend.servers}
    wrong, backends = [], Counter[str]()
    for request in random_requests():
        if not request.host:  # Nginx answers 400, see `test_host`
            continue
        answer = client.ask(request.path, request.host, request.method, request.headers)
        expected = oracle.decide(model.routes, request.matched)
        backends[expected] += 1
        if (answer.status, addresses.get(answer.server, "")) != ((200, expected) if expected else (404, "")):
            wrong.append((request, expected, answer))
        elif expected and answer.said["path"] != request.path:
            wrong.append((request, "the path as it was sent", answer))
    client.close()
    assert wrong == []
    assert len(backends) > 25  # the requests reach many routes
    assert backends[""] > 3  # and some none


def test_rule_beside_place(nginx, servers):
    """A match that needs a rule goes before a plain one of the same or a lower priority, not of a higher one."""
    facts: list[Fact] = []
    for priority in (8, 9, 10):
        host = f"p{priority}.org"
        facts += app(f"plain{priority}", {"host": host, "priority": 9}, servers.port, "127.1.0.1")
        keys = {"host": host, "method": "GET", "priority": priority}
        facts += app(f"rule{priority}", keys, servers.port, "127.1.0.2")
    client = Client(nginx.start(*facts)["web"])
    found = [client.ask(host=f"p{priority}.org").server for priority in (8, 9, 10)]
    assert found == ["127.1.0.1", "127.1.0.2", "127.1.0.2"]


def test_first_rule_that_holds(nginx, servers):
    """Of several rules that hold the first decides, with any number of them before and behind."""
    facts: list[Fact] = []
    for number in range(130):
        keys = {"header.x-a": f"{number},all", "priority": 1000 - number}
        facts += app(f"s{number}", keys, servers.port, f"127.1.2.{number + 1}")
    ports = nginx.start(*facts)
    client = Client(ports["web"])
    assert [client.ask(headers={"X-A": str(number)}).server for number in (0, 77, 129)] == [
        "127.1.2.1",
        "127.1.2.78",
        "127.1.2.130",
    ]
    assert client.ask(headers={"X-A": "all"}).server == "127.1.2.1"
    assert client.ask(headers={"X-A": "none"}).status == 404


TESTS: list[tuple[Test, dict[str, Any] | None, dict[str, Any] | None]] = [  # requests that it holds for, and does not
    (Test("host_regex", r"^[ab]\.o"), {"host": "B.org:80"}, {"host": "c.org"}),
    (Test("path_start", "/ab"), {"path": "/abc"}, {"path": "/a/b"}),
    (Test("path_regex", "^/v[0-9]+/$"), {"path": "/v12/?x"}, {"path": "/v12"}),
    (Test("header_regex", "^$|^b", "x-a"), {"headers": {"X-A": "blue"}}, {"headers": {}}),
    (Test("query", "a b&c", "Q"), {"path": "/?x=1&%51=a+%62%26c"}, {"path": "/?q=a+b%26c"}),
    (Test("query", "", "q"), {"path": "/?q&x"}, {"path": "/?q=1"}),
    (Test("query", "Z\u00fcrich", "q"), {"path": "/?q=Z%c3%BCrich"}, {"path": "/?q=Z%fcrich"}),
    (Test("client_ip", "127.0.0.0/8"), {}, None),
    (Test("client_ip", "192.0.2.0/24"), None, {}),
    (Test("query_regex", "x", "q"), None, {"path": "/?q=x"}),
]


def test_every_test(nginx, servers):
    """What a rule can test, and its opposite; what Nginx cannot test holds for no request."""
    nginx.write(*app("rule", {"method": "GET"}, servers.port, "127.1.0.1"), *app("web", {}, servers.port, "127.1.0.2"))
    (listener,), (rule, *_) = nginx.model.listeners, nginx.model.listeners[0].rules
    cases = [(test, negated, taken, left) for test, taken, left in TESTS for negated in (False, True)]
    # A rule of its own for each, which a header chooses.
    rules = [
        replace(rule, alternative=(Test("header", f"case{number}", "x-case"), replace(test, negated=negated)))
        for number, (test, negated, *_) in enumerate(cases)
    ]
    model = replace(nginx.model, listeners=(replace(listener, rules=tuple(rules)),))
    made = renderer(target(nginx.program, nginx.directory))
    write(made.render(model, a_snapshot()), nginx.directory)
    nginx.accepted()
    nginx.run()
    client = Client(nginx.ports["web"])
    for number, (test, negated, taken, left) in enumerate(cases):
        held, other = ("127.1.0.1", "127.1.0.2") if not negated else ("127.1.0.2", "127.1.0.1")
        for request, server in ((taken, held), (left, "127.1.0.2" if test.kind == "query_regex" else other)):
            if request is not None:
                asked = request | {"headers": {**request.get("headers", {}), "X-Case": f"case{number}"}}
                assert client.ask(**asked).server == server, (test, negated, request)


def test_rule_keeps_the_request(nginx, servers):
    """A request that a rule takes arrives as it was sent: method, path, query and body."""
    ports = nginx.start(
        *app("rule", {"header.x-a": "1"}, servers.port, "127.1.0.2"), *app("web", {}, servers.port, "127.1.0.1")
    )
    path = "/a%2Fb//c%20?d=%26&e"
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        body = "x" * 200_000 if method != "GET" else ""
        answer = Client(ports["web"]).ask(path, method=method, headers={"X-A": "1"}, body=body)
        assert (answer.server, answer.said["method"], answer.said["path"]) == ("127.1.0.2", method, path)
        assert answer.said["body"] == body


def test_expect_continue(nginx, servers):
    """A client that asks before it sends its body may go on, whichever server answers."""
    ports = nginx.start(*app("rule", {"method": "POST"}, servers.port, "127.1.0.2"))
    head = "POST / HTTP/1.1\r\nHost: a.org\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", ports["web"]), timeout=PATIENCE) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"hello")
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 200")
    assert b'"body": "hello"' in reply


HOSTS = {  # requests, each with the server that gets it
    "GET / HTTP/1.1\r\nHost: a.org\r\n": "127.1.0.1",
    "GET / HTTP/1.1\r\nHost: A.ORG\r\n": "127.1.0.1",
    "GET / HTTP/1.1\r\nHost: a.org:8080\r\n": "127.1.0.1",
    "GET / HTTP/1.0\r\nHost: a.org\r\n": "127.1.0.1",
    "GET / HTTP/1.0\r\n": "127.1.0.2",
    "GET / HTTP/1.1\r\nHost: b.org\r\n": "127.1.0.2",
    "GET / HTTP/1.1\r\nHost: [::1]:80\r\n": "127.1.0.2",
    "GET http://a.org/ HTTP/1.1\r\nHost: a.org\r\n": "127.1.0.1",
    "GET http://a.org?x=1 HTTP/1.1\r\nHost: a.org\r\n": "127.1.0.1",
    "GET http://a.org HTTP/1.1\r\nHost: a.org\r\n": "127.1.0.1",
    "GET /x?host=b.org HTTP/1.1\r\nHost: a.org\r\n": "127.1.0.1",
    "GET /a.org/ HTTP/1.1\r\nHost:\r\n": None,
    "OPTIONS * HTTP/1.1\r\nHost: a.org\r\n": None,
    "GET / HTTP/1.1\r\nHost: a.org\r\nHost: b.org\r\n": None,
    "GET / HTTP/1.1\r\n": None,
}


def test_host(nginx, servers):
    """Host is compared without port, in lower case; what Nginx takes for no proper request gets 400."""
    ports = nginx.start(
        *app("named", {"host": "a.org"}, servers.port, "127.1.0.1"), *app("any", {}, servers.port, "127.1.0.2")
    )
    for text, server in HOSTS.items():
        servers.seen.clear()
        reply = raw(ports["web"], f"{text}Connection: close\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 200" if server else b"HTTP/1.1 400"), text
        assert [where for where, _, _ in servers.seen] == [server] * bool(server), text


def test_host_is_no_path(nginx, servers):
    """A Host header with a path in it reaches no route by that path."""
    ports = nginx.start(
        *app("named", {"host": "a.org,*.org", "path": "/secret"}, servers.port, "127.1.0.1"),
        *app("any", {"path": "/secret"}, servers.port, "127.1.0.2"),
    )
    for host in ("a.org/secret", "a.org/secret/", "*/secret", "/secret", "*.org/secret/"):
        reply = raw(ports["web"], f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert reply.split()[1] in (b"400", b"404"), host
    assert servers.seen == []


def test_no_redirect_of_its_own(nginx, servers):
    """Nginx's own redirect from "/x" to "/x/" reaches nobody: who has no route gets 404."""
    ports = nginx.start(
        *app("exact", {"path-exact": "/x/"}, servers.port, "127.1.0.1"),
        *app("prefix", {"path": "/p"}, servers.port, "127.1.0.1"),
    )
    expected = {"/x/": 200, "/x": 404, "/x/y": 404, "/p": 200, "/p/": 200, "/p/y": 200, "/pq": 404, "/": 404}
    assert {path: Client(ports["web"]).ask(path).status for path in expected} == expected


def test_path_is_the_clients(nginx, servers):
    """A path is passed on as the client wrote it, neither decoded nor tidied up, whatever it is matched as."""
    paths = ["/a/../b", "/%61", "/a%2fb", "/a//b", "/./a", "/a/%2e%2e/b"]
    facts: list[Fact] = []
    for number, path in enumerate(paths):
        host = f"p{number}.org"
        facts += app(f"exact{number}", {"host": host, "path-exact": path}, servers.port, "127.1.0.1")
        facts += app(f"rest{number}", {"host": host}, servers.port, "127.1.0.2")
    ports = nginx.start(*facts)
    for number, path in enumerate(paths):
        answer = Client(ports["web"]).ask(path, f"p{number}.org")
        assert (answer.server, answer.said["path"]) == ("127.1.0.1", path)


def test_long_path_of_escapes(nginx, servers):
    """The expression for the longest path, all of escapes, is one that Nginx reads."""
    ports = nginx.start(*app("web", {"path": "/" + "%C3%A9" * ((LONGEST_PATH - 1) // 6)}, servers.port, "127.1.0.1"))
    nginx.accepted()
    assert Client(ports["web"]).ask("/" + "%c3%A9" * ((LONGEST_PATH - 1) // 6)).status == 200


def test_internal_redirects(nginx, tmp_path):
    """A page of one's own for an error is found by its own path: the client's is computed once."""
    (tmp_path / "nginx.conf.j2").write_text(
        "{% extends 'nginx/nginx.conf.j2' %}{% block http_server_extra %}"
        'error_page 502 /mine; location = /mine { return 502 "mine, not $lbgen_path"; }{% endblock %}'
    )
    nginx.write(*app("web", {"path": "/a"}, free_port(), "127.1.0.1"))
    made = renderer(target(nginx.program, nginx.directory, tmp_path))
    (nginx.directory / "nginx.conf").write_text(made.render(nginx.model, a_snapshot()).texts["nginx.conf"])
    nginx.run()
    reply = raw(nginx.ports["web"], "GET //a/%62 HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n").decode()
    assert reply.startswith("HTTP/1.1 502")
    assert reply.endswith("\r\n\r\nmine, not /a/b")


def test_no_route_and_no_server(nginx, servers):
    """Without a route it is 404; with no server, or weight 0, 503; where all leave they serve until then."""
    leaving = a_task("leaving", 1, addresses={"edge-id": "127.1.0.2"}, desired_state="remove")
    ports = nginx.start(
        *app("empty", {"host": "empty.org"}, servers.port),
        *app("weightless", {"host": "weightless.org", "weight": 0}, servers.port, "127.1.0.3"),
        *app("leaving", {"host": "leaving.org"}, servers.port),
        leaving,
        *app("web", {"host": "a.org"}, servers.port, "127.1.0.1"),
    )
    nginx.accepted()
    client = Client(ports["web"])
    hosts = ["nobody.org", "empty.org", "weightless.org", "leaving.org", "a.org"]
    assert [client.ask(host=host).status for host in hosts] == [404, 503, 503, 200, 200]
    assert {where for where, _, _ in servers.seen} == {"127.1.0.1", "127.1.0.2"}


def test_listener_without_route(nginx):
    """A listener that no route names answers 404."""
    ports = nginx.start()
    assert raw(ports["web"], "GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404")


# ------------------------------------------------------------------------------------------------ on the way


def test_forwarded_headers(nginx, servers):
    """Servers learn the client's address and the scheme, which a client cannot forge; Host comes as it was sent."""
    ports = nginx.start(
        *app("web", {"listener": "web,tls"}, servers.port, "127.1.0.1"), protocols={"web": "http", "tls": "http+tls"}
    )
    forged = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.org", "X-Forwarded-For": "192.0.2.9"}
    plain = Client(ports["web"]).ask(host="A.org:80", headers=forged)
    secure = Client(ports["tls"], tls=anybody()).ask(headers={"X-Forwarded-Proto": "http"})
    assert (plain.header("X-Forwarded-Proto"), secure.header("X-Forwarded-Proto")) == (["http"], ["https"])
    assert plain.header("X-Forwarded-For") == secure.header("X-Forwarded-For") == ["127.0.0.1"]
    assert plain.header("Host") == plain.header("X-Forwarded-Host") == ["A.org:80"]
    assert secure.header("Host") == ["a.org"]


def test_http2(nginx, servers):
    """A TLS listener offers HTTP/2 to those who know it."""
    ports = nginx.start(*app("web", {}, servers.port, "127.1.0.1"), protocols={"web": "http+tls"})
    nginx.accepted()
    context = anybody()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", ports["web"])) as plain,
        context.wrap_socket(plain, server_hostname="a.org") as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"


def test_certificates(nginx, servers):
    """A host gets the certificate of its name, one label below a domain that domain's, anybody else the first."""
    certificate(nginx.directory / "certs/b.org.pem", "b.org")
    certificate(nginx.directory / "certs/_.c.org.pem", "*.c.org")
    ports = nginx.start(
        *app("web", {"host": "b.org,x.c.org,*.c.org,d.org"}, servers.port, "127.1.0.1"), protocols={"web": "http+tls"}
    )

    def shown(name: str) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", ports["web"])) as plain,
            anybody().wrap_socket(plain, server_hostname=name) as connection,
        ):
            return connection.getpeercert(binary_form=True) or b""

    def kept(name: str) -> bytes:
        text = (nginx.directory / "certs" / f"{name}.pem").read_text()
        return ssl.PEM_cert_to_DER_cert(text[: text.index("-----BEGIN PRIVATE")])

    names = {"b.org": "b.org", "x.c.org": "_.c.org", "y.c.org": "_.c.org", "d.org": "_.c.org", "e.org": "_.c.org"}
    assert {name: shown(name) == kept(file) for name, file in names.items()} == dict.fromkeys(names, True)


REDIRECTS = [  # the label, the path that is asked for, the Location
    ("https://new.org/x", "/a?b=c", "https://new.org/x"),
    ("https://{host}{path}?{query}", "/a%0d%0ab?c=%0a", "https://r1.org/a%0d%0ab?c=%0a"),
    ("https://{host}/old{path}", "//b;c", "https://r2.org/old/b;c"),
    ("/old{path}/", "//evil.org/x", "/old/evil.org/x/"),
    ("/new?from={path}&{query}", "/a", "/new?from=/a&"),
]


def test_redirect(nginx, servers):
    """A redirect is made of what the client sent, byte for byte, and leads nowhere else than its owner wrote."""
    facts: list[Fact] = []
    for number, (redirect, _, _) in enumerate(REDIRECTS):
        facts += app(f"r{number}", {"host": f"r{number}.org", "redirect": redirect, "redirect.code": 307}, servers.port)
    ports = nginx.start(*facts)
    nginx.accepted()
    for number, (_, path, location) in enumerate(REDIRECTS):
        host = f"r{number}.org"
        reply = raw(ports["web"], f"GET {path} HTTP/1.1\r\nHost: {host}:80\r\nConnection: close\r\n\r\n").decode()
        head = dict(text.split(": ", 1) for text in reply.partition("\r\n\r\n")[0].splitlines()[1:])
        assert reply.startswith("HTTP/1.1 307")
        assert head["Location"].removeprefix(f"http://{host}:{ports['web']}") == location


def test_redirect_https(nginx, servers):
    """A listener without TLS sends to https with the same method, path and query; one with TLS serves."""
    ports = nginx.start(
        *app("web", {"redirect-https": "true", "listener": "web,tls"}, servers.port, "127.1.0.1"),
        protocols={"web": "http", "tls": "http+tls"},
    )
    reply = raw(ports["web"], "POST /a%20b?c=d HTTP/1.1\r\nHost: A.org:8080\r\nConnection: close\r\n\r\n").decode()
    assert reply.startswith("HTTP/1.1 308")
    assert f"Location: https://a.org:{ports['tls']}/a%20b?c=d\r\n" in reply
    assert Client(ports["tls"], tls=anybody()).ask().server == "127.1.0.1"


@contextlib.contextmanager
def upgraded_servers() -> Iterator[int]:
    """Servers that switch protocols where they are asked to, and then say every line again."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n")).lower()
            if b"upgrade: websocket\r\n" not in head or b"connection: upgrade\r\n" not in head:
                self.wfile.write(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
                return
            self.wfile.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
            for text in self.rfile:
                self.wfile.write(text)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("0.0.0.0", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


def test_upgrade(nginx):
    """A connection that switches protocols is passed through in both directions, wherever its request was matched."""
    ways = [{}, {"timeout.idle": "1h"}, {"method": "GET", "timeout.idle": "1h"}, {"path-exact": "/ws/"}]
    with upgraded_servers() as port:
        facts: list[Fact] = []
        for number, keys in enumerate(ways):
            facts += app(f"web{number}", {"host": f"w{number}.org", **keys}, port, "127.1.0.1")
        ports = nginx.start(*facts)
        nginx.accepted()
        for number in range(len(ways)):
            upgrades(ports["web"], f"w{number}.org")


def upgrades(port: int, host: str) -> None:
    """Fail unless connections for a host switch to websocket, and to nothing else."""
    head = f"GET /ws/ HTTP/1.1\r\nHost: {host}\r\nUpgrade: {{}}\r\nConnection: Upgrade\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head.format("websocket").encode())
        file = connection.makefile("rb")
        assert file.readline().startswith(b"HTTP/1.1 101"), host
        assert b"\r\n" in iter(file.readline, b"")
        for text in (b"one\n", b"two\n"):
            connection.sendall(text)
            assert file.readline() == text
    other = head.format("h2c").replace("Upgrade\r\n\r\n", "close\r\n\r\n")
    assert raw(port, other).startswith(b"HTTP/1.1 426"), host


def test_idle_time_out(nginx):
    """An answer has `timeout.response` to come, an upgraded connection `timeout.idle` between two bytes."""
    nginx.write(*app("web", {"timeout.idle": "1h", "timeout.response": "5s"}, 80, "127.1.0.1"))
    text = (nginx.directory / "nginx.conf").read_text()
    plain, upgraded = text.partition("location / {")[2].split("location @upgraded/web {")
    assert "proxy_read_timeout 5s;" in plain
    assert "proxy_read_timeout 1h;" in upgraded


def test_big_requests_and_answers(nginx, servers):
    """No size of a body is too big, nor headers of some kilobytes."""
    ports = nginx.start(*app("web", {}, servers.port, "127.1.0.1"))
    answer = Client(ports["web"]).ask(method="POST", body="x" * 3_000_000, headers={"X-Long": "y" * 7000})
    assert (answer.status, len(answer.said["body"]), answer.header("X-Long")) == (200, 3_000_000, ["y" * 7000])


def test_underscores(nginx, servers):
    """A header with an underscore in its name is none that a rule can be about, least of all its twin with a dash."""
    ports = nginx.start(
        *app("rule", {"header.x_a": "1"}, servers.port, "127.1.0.2"), *app("web", {}, servers.port, "127.1.0.1")
    )
    client = Client(ports["web"])
    assert [client.ask(headers={name: "1"}).server for name in ("X-A", "X_A")] == ["127.1.0.1", "127.1.0.1"]


# ------------------------------------------------------------------------------------------------ servers


def test_round_robin(nginx, servers):
    """Requests are spread evenly, by all workers together."""
    addresses = [f"127.1.0.{number}" for number in (1, 2, 3)]
    ports = nginx.start(*app("web", {}, servers.port, *addresses))
    found = Counter[str]()
    for _ in range(30):
        client = Client(ports["web"])
        found[client.ask().server] += 1
        client.close()
    assert found == dict.fromkeys(addresses, 10)


BALANCES = ["round-robin", "least-conn", "source", "random"]


def test_balance(nginx, servers):
    """Every way to spread requests works with everything that may come with it."""
    mores: list[dict[str, object]] = [{}, {"backup": "true"}, {"weight": 7}, {"max-conn": 100}]
    cases = [(balance, more) for balance in BALANCES for more in mores]
    facts: list[Fact] = []
    for number, (balance, more) in enumerate(cases):
        keys = {"host": f"b{number}.org", "balance": balance, **more}
        facts += app(f"web{number}", keys, servers.port, "127.1.0.1", "127.1.0.2")
    ports = nginx.start(*facts)
    nginx.accepted()
    client = Client(ports["web"])
    for number, (balance, more) in enumerate(cases):
        used = {client.ask(host=f"b{number}.org").server for _ in range(40)}
        assert len(used) == (1 if balance == "source" else 2), (balance, more)


def test_sticky(nginx, servers):
    """A client stays with its server: by a cookie where Nginx has one (1.29.6 and later), else by its address."""
    facts: list[Fact] = []
    for balance in BALANCES:
        keys = {"host": f"{balance}.org", "balance": balance, "sticky": "cookie:who"}
        facts += app(balance, keys, servers.port, "127.1.0.1", "127.1.0.2")
    ports = nginx.start(*facts)
    nginx.accepted()
    for balance in BALANCES:
        servers.seen.clear()
        request = f"GET / HTTP/1.1\r\nHost: {balance}.org\r\nConnection: close\r\n\r\n"
        found = re.search(r"^Set-Cookie: (who=[^;\r]+)", raw(ports["web"], request).decode(), re.MULTILINE)
        assert bool(found) == (build_of(nginx.program).version >= (1, 29, 6))
        client, cookie = Client(ports["web"]), {"Cookie": found[1]} if found else {}
        kept = {client.ask(host=f"{balance}.org", headers=cookie).server for _ in range(20)}
        assert kept == {servers.seen[0][0]}, balance


@pytest.mark.parametrize("keys", [{"balance": "source"}, {"sticky": "cookie:who"}])
def test_shares_of_clients(nginx, servers, keys):
    """Where Nginx chooses by a client's address, the members of a group have their shares of the clients."""
    ports = nginx.start(
        *app("old", {"host": "a.org", "group": "a", "weight": 100, **keys}, servers.port, "127.1.0.1"),
        *app("new", {"group": "a", "weight": 256, **keys}, servers.port, "127.1.0.2"),
    )
    nginx.accepted()
    for number in range(300):
        client = http.client.HTTPConnection(
            "127.0.0.1", ports["web"], timeout=PATIENCE, source_address=(f"127.9.{number // 200}.{1 + number % 200}", 0)
        )
        with contextlib.closing(client):
            client.request("GET", "/", headers={"Host": "a.org"})
            client.getresponse().read()
    counts = Counter(address for address, *_ in servers.seen)
    # 84 of 300, by how the addresses and the servers' ports happen to fall; with shares that are equal it is 150.
    assert 45 <= counts["127.1.0.1"] <= 120, counts
    assert sum(counts.values()) == 300


def test_connections_to_servers_are_kept(nginx, servers):
    """Requests share connections to their server."""
    ports = nginx.start(*app("web", {}, servers.port, "127.1.0.1"))
    answers = [Client(ports["web"]).ask() for _ in range(3)]
    assert {answer.status for answer in answers} == {200}
    assert [answer.header("Connection") for answer in answers] == [[]] * 3


def test_dead_server_loses_nothing(nginx, servers):
    """A server that refuses connections among live ones costs no request, GET or POST, checked or not."""
    dead = a_task("web", 3, addresses={"edge-id": "240.0.0.1"})  # unroutable: refused at once
    ports = nginx.start(*app("web", {}, servers.port, "127.1.0.1", "127.1.0.2"), dead)
    client = Client(ports["web"])
    answers = [
        client.ask(method=method, body="x" if method == "POST" else "") for method in ("GET", "POST") for _ in range(30)
    ]
    assert {answer.status for answer in answers} == {200}


REPEATED = {"GET": True, "HEAD": True, "PUT": True, "DELETE": True, "POST": False, "PATCH": False}


def test_empty_response(nginx, servers):
    """A request that got no answer is sent to another server if it may safely be sent twice, and only then."""
    servers.moods["127.1.0.1"] = "empty"
    facts: list[Fact] = []
    for method in REPEATED:
        facts += app(method.lower(), {"host": f"{method}.org"}, servers.port, "127.1.0.1", "127.1.0.2")
    port = nginx.start(*facts)["web"]
    for method, repeated in REPEATED.items():
        paths = [f"/{number}" for number in range(6)]
        statuses = [Client(port).ask(path, f"{method}.org", method=method).status for path in paths]
        sent = Counter(path for _, how, path in servers.seen if how == method)
        if repeated:
            assert set(statuses) == {200}, method
            assert max(sent.values()) == 2
        else:
            assert Counter(statuses) == {200: 3, 502: 3}, method
            assert set(sent.values()) == {1}


def test_retries_off(nginx, servers):
    """With retries 0 a failed connect is the client's to see."""
    ports = nginx.start(
        *app("web", {"retries": 0}, servers.port, "127.1.0.1"), a_task("web", 2, addresses={"edge-id": "240.0.0.1"})
    )
    client = Client(ports["web"])
    assert Counter(client.ask().status for _ in range(6)) == {200: 3, 502: 3}


def test_draining(nginx, servers):
    """A draining server gets no new requests."""
    ports = nginx.start(
        *app("web", {}, servers.port, "127.1.0.1", "127.1.0.2"),
        a_task("web", 3, addresses={"edge-id": "127.1.0.3"}, desired_state="shutdown"),
    )
    client = Client(ports["web"])
    assert {client.ask().server for _ in range(30)} == {"127.1.0.1", "127.1.0.2"}


def test_no_way_in_by_an_answer(nginx):
    """A server's answer cannot lead a request on to another service's servers."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            b"".join(iter(self.rfile.readline, b"\r\n"))
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Accel-Redirect: @other\r\nContent-Length: 4\r\n\r\nmine")

    with socketserver.ThreadingTCPServer(("0.0.0.0", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        ports = nginx.start(*app("other", {"method": "PUT"}, port, "127.1.0.1"), *app("web", {}, port, "127.1.0.2"))
        connection = http.client.HTTPConnection("127.0.0.1", ports["web"], timeout=PATIENCE)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"mine"
        connection.close()
        server.shutdown()


# ------------------------------------------------------------------------------------------------ names


def test_names_alike_but_for_case(nginx, servers):
    """Services whose names differ only in case are two to Nginx as well."""
    ports = nginx.start(
        *app("web", {"host": "a.org"}, servers.port, "127.1.0.1"),
        *app("Web", {"host": "b.org"}, servers.port, "127.1.0.2"),
        *app("WEB", {"host": "c.org", "method": "GET"}, servers.port, "127.1.0.3"),
    )
    nginx.accepted()
    client = Client(ports["web"])
    assert [client.ask(host=host).server for host in ("a.org", "b.org", "c.org")] == [
        "127.1.0.1",
        "127.1.0.2",
        "127.1.0.3",
    ]


def test_any_service_name(nginx, servers):
    """Whatever Swarm lets a service be called, a word of the grammar or what looks like an address, it is served."""
    names = ["web", "http", "server", "upstream", "default", "1", "0", "none", "unix", "lbgen", "a" * 63]
    facts = app("x", {"method": "PUT"}, servers.port)
    for number, name in enumerate(names):
        facts += app(name, {"host": f"n{number}.org"}, servers.port, f"127.1.0.{number + 1}")
    ports = nginx.start(*facts)
    nginx.accepted()
    client = Client(ports["web"])
    found = {name: client.ask(host=f"n{number}.org").server for number, name in enumerate(names)}
    assert found == {name: f"127.1.0.{number + 1}" for number, name in enumerate(names)}


# ------------------------------------------------------------------------------------------------ tcp and udp


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory) -> ssl.SSLContext:
    """What a TLS server needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path_factory.mktemp("certs") / "server.pem", "db.org"))
    return context


def closed(port: int) -> bool:
    """Whether a connection ends without an answer, politely or not."""
    try:
        return raw(port, "hello\n") == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("protocol", ["tcp", "tcp+tls"])
def test_sni(nginx, tls_context, protocol):
    """TLS clients are told apart by server name, whether the listener ends TLS or passes it on untouched."""
    with tcp_servers(tls_context if protocol == "tcp" else None) as running:
        ports = nginx.start(*sni_services(running.port), protocols={"web": "http", "pg": protocol})
        nginx.accepted()
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


def test_sni_without_default(nginx, tls_context):
    """On a listener where every route has a name, a connection that asks for none of them is closed."""
    with tcp_servers(tls_context) as running:
        ports = nginx.start(*sni_services(running.port, default=False), protocols={"web": "http", "pg": "tcp"})
        assert line(ports["pg"], "one.org", tls=True) == "127.1.0.1"
        with pytest.raises(OSError):  # noqa: PT011 -- SSL's own words differ from version to version
            line(ports["pg"], "other.org", tls=True)
        assert closed(ports["pg"])


def test_any_server_name(nginx, tls_context):
    """Names that are words of a map to Nginx, and long ones, are names."""
    names = ["default", "hostnames", "include", "volatile", "x" * 60 + "." + "y" * 60]
    with tcp_servers(tls_context) as running:
        facts = app("rest", {"tcp.a.listener": "pg"}, running.port, "127.1.0.9")
        for number, name in enumerate(names):
            keys = {"tcp.a.sni": name, "tcp.a.listener": "pg"}
            facts += app(f"s{number}", keys, running.port, f"127.1.0.{number + 1}")
        ports = nginx.start(*facts, protocols={"web": "http", "pg": "tcp"})
        nginx.accepted()
        found = [line(ports["pg"], each, tls=True) for each in (*names, "other.org")]
        assert found == [*(f"127.1.0.{number + 1}" for number in range(len(names))), "127.1.0.9"]


def test_plain_tcp_beside_sni(nginx):
    """A connection without TLS goes to the default at once."""
    with tcp_servers() as running:
        ports = nginx.start(*sni_services(running.port), protocols={"web": "http", "pg": "tcp"})
        assert line(ports["pg"]) == "127.1.0.3"


@pytest.mark.parametrize("first", [False, True])
def test_plain_tcp(nginx, first):
    """A TCP listener without names passes everything on, whichever side speaks first."""
    with tcp_servers(first=first) as running:
        ports = nginx.start(
            *app("mq", {"tcp.a.listener": "mq"}, running.port, "127.1.0.1"), protocols={"web": "http", "mq": "tcp"}
        )
        assert line(ports["mq"], say=b"" if first else b"hello\n") == "127.1.0.1"


def test_tcp_without_server(nginx):
    """A TCP listener closes connections that it has no server, or no route, for."""
    ports = nginx.start(*app("mq", {"tcp.a.listener": "mq"}, 80), protocols={"web": "http", "mq": "tcp", "idle": "tcp"})
    nginx.accepted()
    assert closed(ports["mq"])
    assert closed(ports["idle"])


def test_tcp_dead_server(nginx):
    """A TCP connection is opened to another server where one cannot be reached."""
    with tcp_servers() as running:
        dead = a_task("mq", 2, addresses={"edge-id": "240.0.0.1"})
        ports = nginx.start(
            *app("mq", {"tcp.a.listener": "mq"}, running.port, "127.1.0.1"),
            dead,
            protocols={"web": "http", "mq": "tcp"},
        )
        assert {line(ports["mq"]) for _ in range(6)} == {"127.1.0.1"}


def test_tcp_server_is_left_alone(nginx):
    """With a check a server that nobody can connect to is left alone after so many failures as the check may count."""
    keys = {"tcp.a.listener": "mq", "health-check": "tcp", "health-check.fall": 3, "health-check.interval": "30s"}
    with tcp_servers() as running:
        dead = a_task("mq", 2, addresses={"edge-id": "240.0.0.1"})
        ports = nginx.start(*app("mq", keys, running.port, "127.1.0.1"), dead, protocols={"web": "http", "mq": "tcp"})
        assert {line(ports["mq"]) for _ in range(30)} == {"127.1.0.1"}
    log = nginx.running[0].log.read_text()
    assert log.count("connect() failed") == 3, log


def test_udp(nginx):
    """A UDP listener passes datagrams on, and the answers back, to each client its own."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.1.0.1", 0))
        server.settimeout(PATIENCE)
        ports = nginx.start(
            *app("dns", {"udp.a.listener": "dns"}, server.getsockname()[1], "127.1.0.1"),
            protocols={"web": "http", "dns": "udp"},
        )
        nginx.accepted()
        clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for round_ in (b"a", b"b"):
            for number, client in enumerate(clients):
                client.settimeout(PATIENCE)
                client.sendto(round_ + str(number).encode(), ("127.0.0.1", ports["dns"]))
            for _ in clients:
                data, sender = server.recvfrom(100)
                server.sendto(data.upper(), sender)
            answers = [client.recv(100) for client in clients]
            assert answers == [round_.upper() + str(number).encode() for number in range(3)]
