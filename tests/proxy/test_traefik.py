"""What a real Traefik makes of the rendered files: what it accepts, and where it sends whom."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from lbgen.base.errors import CheckFailed
from lbgen.labels.match import Test
from lbgen.model import build
from lbgen.model.entries import Rule
from lbgen.proxies.traefik import placeholder_certificate
from lbgen.proxies.traefik.check import Checker
from lbgen.render.templates import BUILTIN
from tests.support import oracle
from tests.support.builders import Fact, a_listener, a_node, a_rules, a_service, a_snapshot, a_task, app
from tests.support.certificates import certificate
from tests.support.clients import Client, anybody, line, raw
from tests.support.go_strings import SIGNS, unquoted
from tests.support.ports import free_port
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.real_traefik import BINARY, EDGE, Process, rendered, renderer, write
from tests.support.real_udp import udp_servers
from tests.support.routing_cases import random_requests, random_services
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy(BINARY)
Start = Callable[..., tuple[Process, dict[str, int]]]


@pytest.fixture
def start(short_dir) -> Iterator[Start]:
    """Start a Traefik for these facts; returns it and each listener's port."""
    running: list[Process] = []

    def start(*facts: Fact, protocols: dict[str, str] | None = None) -> tuple[Process, dict[str, int]]:
        listeners = []
        for name, protocol in (protocols or {"web": "http"}).items():
            kind, _, tls = protocol.partition("+")
            listeners.append(a_listener(name, free_port(), kind, address="127.0.0.1", tls=bool(tls)))
        if any(listener.tls for listener in listeners):
            certificate(short_dir / "certs/all.pem", "a.org", "*.a.org")
        api = free_port()
        placeholder_certificate.ensure(short_dir)  # as lbgen does before
        files = rendered(
            renderer(short_dir, probe=f"127.0.0.1:{api}", certificates=short_dir / "certs"), listeners, *facts
        )
        write(files, short_dir)
        running.append(Process(short_dir / "traefik.yml", api))
        running[0].serves(files.generation)
        assert running[0].refused() == []
        return running[0], {listener.name: listener.port for listener in listeners}

    yield start
    for process in running:
        process.stop()


# ------------------------------------------------------------------------------------------------ accepted


def test_any_service_name():
    """Whatever Swarm lets a service be called, Traefik accepts it, beside a route with a name of its own."""
    names = ["web", "http", "tcp", "lbgen", "retry", "https", "traefik", "noop", "1", "0", "null", "true", "a" * 63]
    facts = app("b", {"http.a.host": "a.org", "http.b.host": "b.org"}, 80)
    for number, name in enumerate(names):
        facts += app(name, {"host": f"n{number}.org"}, 80, "127.1.0.1")
    listeners = [a_listener(name[:60], 80 + number) for number, name in enumerate(names) if name != "traefik"]
    Checker(BINARY, always=True, needed=True)(rendered(renderer(), listeners, *facts))


@pytest.mark.parametrize("key", ["path", "path-exact", "health-check.path", "rule"])
def test_any_path(key):
    """Whatever characters a path holds, it stays one text wherever it is written."""
    paths = ["/'", '/"', "/\\", "/`", "/$HOME", "/${1}", "/{{env}}", "/%zz%2", "/a'b\"c\\d$e~%20!&()*+;=:@[]{}|^`<>"]
    facts: list[Fact] = []
    for number, path in enumerate(paths):
        keys = {"path": path, "method": "GET"} if key == "rule" else {key: path, "health-check": "http"}
        facts += app(f"web{number}", {"host": f"p{number}.org", **keys}, 80, "127.1.0.1")
    Checker(BINARY, always=True, needed=True)(rendered(renderer(), [a_listener()], *facts))


def test_values_stay_in_their_place(short_dir):
    """Traefik reads back two hundred hostile values as they are, each in a rule of its own, and has no other rules."""
    draw = random.Random(20261123)
    values = ["x" + "".join(draw.choices(SIGNS, k=draw.randrange(1, 9))) for _ in range(200)]
    facts = [fact for number in range(len(values)) for fact in app(f"s{number}", {"host": f"s{number}.org"}, 80)]
    snapshot, api = a_snapshot(a_node(), EDGE, *facts), free_port()
    model = build(snapshot, a_rules(a_listener("web", free_port(), address="127.0.0.1")))
    rules = tuple(Rule((Test("header", value, "x-a"),), f"s{number}", 1) for number, value in enumerate(values))
    model = replace(model, listeners=(replace(model.listeners[0], cells=(), rules=rules),))
    files = renderer(short_dir, probe=f"127.0.0.1:{api}").render(model, snapshot)
    write(files, short_dir)
    process = Process(short_dir / "traefik.yml", api)
    try:
        process.serves(files.generation)
        assert process.refused() == []
        items, _ = process.api.get("http/routers?per_page=1000")
    finally:
        process.stop()
    routers = [item for item in items or () if item["provider"] == "file" and item["service"] != "noop@internal"]
    found = {router["service"]: router["rule"] for router in routers}
    assert len(routers) == len(values)
    for number, value in enumerate(values):
        rule = found[f"s{number}"]
        assert rule.startswith("Header(`x-a`, ")
        assert unquoted(rule[len("Header(`x-a`, ") : -1]) == value


# ------------------------------------------------------------------------------------------------ routing


def test_routing_is_the_oracles(short_dir):
    """For seventy routes and four hundred requests Traefik chooses the backend that asking every route would."""
    with http_servers() as servers:
        listener, api = a_listener("web", free_port(), address="127.0.0.1"), free_port()
        snapshot = a_snapshot(a_node(), EDGE, *random_services(servers.port))
        model = build(snapshot, a_rules(listener))
        assert len(model.routes) >= 60
        files = renderer(short_dir, probe=f"127.0.0.1:{api}").render(model, snapshot)
        write(files, short_dir)
        process, client = Process(short_dir / "traefik.yml", api), Client(listener.port)
        addresses = {server.address: backend.name for backend in model.backends for server in backend.servers}
        wrong, backends = [], Counter[str]()
        try:
            process.serves(files.generation)
            assert process.refused() == []
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


def test_hosts(start):
    """Names are compared without port and case; a star is one label; without a route the answer is 404."""
    with http_servers() as servers:
        _, ports = start(
            *app("shop", {"host": "shop.org"}, servers.port, "127.1.0.1"),
            *app("wild", {"host": "*.shop.org"}, servers.port, "127.1.0.2"),
        )
        client = Client(ports["web"])
        hosts = ["shop.org", "SHOP.org:8080", "a.shop.org", "b.a.shop.org", "xshop.org", "shop.orgx", "org"]
        found = {host: client.ask(host=host) for host in hosts}
    assert {host: (answer.status, answer.server) for host, answer in found.items()} == {
        "shop.org": (200, "127.1.0.1"),
        "SHOP.org:8080": (200, "127.1.0.1"),
        "a.shop.org": (200, "127.1.0.2"),
        "b.a.shop.org": (404, ""),
        "xshop.org": (404, ""),
        "shop.orgx": (404, ""),
        "org": (404, ""),
    }


def test_paths(start):
    """A prefix is one by segment, and a path that is percent-encoded in the label is so in the request."""
    with http_servers() as servers:
        _, ports = start(
            *app("api", {"path": "/api"}, servers.port, "127.1.0.1"),
            *app("odd", {"path": "/caf%C3%A9/x%20y,/a%2Fb"}, servers.port, "127.1.0.2"),
        )
        client = Client(ports["web"])
        paths = ["/api", "/api/", "/api/x?y", "/apix", "/caf%C3%A9/x%20y/z", "/caf%c3%a9/x%20y", "/a%2Fb", "/a/b"]
        found = {path: client.ask(path).server for path in paths}
    api, odd = "127.1.0.1", "127.1.0.2"
    assert list(found.values()) == [api, api, api, "", odd, odd, odd, ""]


def test_rule_beside_place(start):
    """A match that needs a rule goes before a plain one of the same or a lower priority, not of a higher one."""
    facts: list[Fact] = []
    with http_servers() as servers:
        for priority in (8, 9, 10):
            host = f"p{priority}.org"
            keys = {"host": host, "method": "GET", "priority": priority}
            facts += app(f"plain{priority}", {"host": host, "priority": 9}, servers.port, "127.1.0.1")
            facts += app(f"rule{priority}", keys, servers.port, "127.1.0.2")
        _, ports = start(*facts)
        client = Client(ports["web"])
        found = [client.ask(host=f"p{priority}.org").server for priority in (8, 9, 10)]
    assert found == ["127.1.0.1", "127.1.0.2", "127.1.0.2"]


def test_rules_read_back(start):
    """A header value with quotes, backquotes and braces in it is matched as it is, and nothing else is."""
    with http_servers() as servers:
        value = 'it\'s `$HOME` "#" \\ {{ env "HOME" }} || Path(`/`)'
        _, ports = start(
            *app("odd", {"header.x-a": value}, servers.port, "127.1.0.1"), *app("web", {}, servers.port, "127.1.0.2")
        )
        client = Client(ports["web"])
        assert client.ask(headers={"X-A": value}).server == "127.1.0.1"
        assert client.ask(headers={"x-a": value + "x"}).server == "127.1.0.2"
        assert client.ask().server == "127.1.0.2"


# ------------------------------------------------------------------------------------------------ answers


def test_no_server(start):
    """A route whose service has no server answers 503, and so does weight 0; where all drain they serve."""
    with http_servers() as servers:
        _, ports = start(
            *app("empty", {"host": "empty.org"}, servers.port),
            *app("stopped", {"host": "stopped.org", "weight": 0}, servers.port, "127.1.0.1"),
            *app("web", {"host": "a.org"}, servers.port, "127.1.0.1"),
            a_service("ending", {"port": servers.port, "host": "ending.org"}, networks=("edge-id",)),
            a_task("ending", 1, addresses={"edge-id": "127.1.0.1"}, desired_state="shutdown"),
        )
        client = Client(ports["web"])
        hosts = ["empty.org", "stopped.org", "ending.org", "nobody.org", "a.org"]
        assert [client.ask(host=host).status for host in hosts] == [503, 503, 200, 404, 200]


def location(port: int, path: str, host: str, method: str = "GET", tls: ssl.SSLContext | None = None) -> str:
    """The status and where it leads."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, context=tls)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port)
    )
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    connection.close()
    return f"{answer.status} {answer.headers.get('Location', '')}".strip()


def test_redirects(start):
    """Redirects keep what they are to keep; Traefik chooses the status by method."""
    url = "https://new.org/x{path}?{query}&h={host}&d=%24"
    _, ports = start(
        *app("old", {"host": "old.org", "redirect": url}, 80),
        *app("gone", {"host": "gone.org", "redirect": "/new", "redirect.code": 308}, 80),
        protocols={"web": "http", "tls": "http+tls"},
    )
    assert location(ports["web"], "/a%20b/$1?c=$2", "old.org:80") == (
        "302 https://new.org/x/a%20b/$1?c=$2&h=old.org&d=%24"
    )
    assert location(ports["web"], "/a", "old.org", "POST") == "307 https://new.org/x/a?&h=old.org&d=%24"
    assert location(ports["web"], "/a?b", "gone.org") == "301 /new"
    assert location(ports["web"], "/a?b", "gone.org", "PUT") == "308 /new"


def test_redirect_https(start):
    """To https, on the listener without TLS only, whatever its port."""
    with http_servers() as servers:
        _, ports = start(
            *app("web", {"host": "a.org", "redirect-https": "true", "listener": "web,tls"}, servers.port, "127.1.0.1"),
            protocols={"web": "http", "tls": "http+tls"},
        )
        assert (
            location(ports["web"], "/x?y=1", f"a.org:{ports['web']}", "POST")
            == f"308 https://a.org:{ports['tls']}/x?y=1"
        )
        assert location(ports["web"], "/x?y=1", "a.org") == f"301 https://a.org:{ports['tls']}/x?y=1"
        assert location(ports["tls"], "/x", f"a.org:{ports['tls']}", tls=anybody()) == "200"


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


def test_certificates(start, short_dir):
    """Certificate and key come out of one file; who asks for no known name gets the first."""
    with http_servers() as servers:
        certificate(short_dir / "certs/other.pem", "b.org")
        _, ports = start(*app("web", {}, servers.port, "127.1.0.1"), protocols={"web": "http+tls"})
        found = {}
        for name in ("a.org", "x.a.org", "b.org", "unknown.org"):
            with socket.create_connection(("127.0.0.1", ports["web"]), timeout=PATIENCE) as plain:
                context = anybody()
                context.set_alpn_protocols(["h2", "http/1.1"])
                with context.wrap_socket(plain, server_hostname=name) as secure:
                    found[name] = ssl.DER_cert_to_PEM_cert(secure.getpeercert(True) or b"")
                    assert secure.selected_alpn_protocol() == "h2"
        a, b = ((short_dir / f"certs/{name}.pem").read_text() for name in ("all", "other"))
    assert [found[name] in a for name in found] == [True, True, False, True]
    assert found["b.org"] in b


# ------------------------------------------------------------------------------------------------ tcp and udp


@pytest.fixture(scope="module")
def tls_context(tmp_path_factory) -> ssl.SSLContext:
    """What a TLS server needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path_factory.mktemp("certs") / "server.pem", "db.org"))
    return context


def sni_services(port: int, *, default: bool = True) -> list[Fact]:
    """TCP services by TLS server name, and one for the rest."""
    return [
        *app("one", {"tcp.a.sni": "one.org,x.wild.org", "tcp.a.listener": "pg"}, port, "127.1.0.1"),
        *app("wild", {"tcp.a.sni": "*.wild.org,two.org", "tcp.a.listener": "pg"}, port, "127.1.0.2"),
        *(app("rest", {"tcp.a.listener": "pg"}, port, "127.1.0.3") if default else []),
    ]


@pytest.mark.parametrize("protocol", ["tcp", "tcp+tls"])
def test_sni(start, tls_context, protocol):
    """TLS clients are told apart by server name, whether the listener ends TLS or passes it on untouched."""
    with tcp_servers(tls_context if protocol == "tcp" else None) as servers:
        _, ports = start(*sni_services(servers.port), protocols={"web": "http", "pg": protocol})
        names = ["one.org", "ONE.org", "x.wild.org", "y.wild.org", "two.org", "wild.org", "y.x.wild.org", None]
        found = [line(ports["pg"], name, tls=True) for name in names]
    assert [address[-1] for address in found] == list("11122333")


def test_sni_without_default(start, tls_context):
    """On a listener where every route has a name, a connection that asks for none of them is closed."""
    with tcp_servers(tls_context) as servers:
        _, ports = start(*sni_services(servers.port, default=False), protocols={"web": "http", "pg": "tcp"})
        assert line(ports["pg"], "one.org", tls=True) == "127.1.0.1"
        with pytest.raises(OSError):  # noqa: PT011 -- SSL's own words differ from version to version
            line(ports["pg"], "other.org", tls=True)
        assert silent(ports["pg"])


@pytest.mark.parametrize("protocol", ["tcp", "tcp+tls"])
def test_listener_without_route(start, protocol):
    """A TCP listener that no route names closes every connection, where Traefik would answer as a web server."""
    _, ports = start(protocols={"web": "http", "pg": protocol})
    assert silent(ports["pg"])


def silent(port: int) -> bool:
    """Whether nothing comes back for a request."""
    try:
        return raw(port, "GET / HTTP/1.0\r\n\r\n") == b""
    except ConnectionError:
        return True


def test_plain_tcp_beside_sni(start):
    """A connection without TLS goes to the default."""
    with tcp_servers() as servers:
        _, ports = start(*sni_services(servers.port), protocols={"web": "http", "pg": "tcp"})
        assert line(ports["pg"]) == "127.1.0.3"


@pytest.mark.parametrize("first", [False, True])
def test_plain_tcp(start, first):
    """A TCP listener without names passes everything on, whichever side speaks first."""
    with tcp_servers(first=first) as servers:
        _, ports = start(
            *app("mq", {"tcp.a.listener": "mq"}, servers.port, "127.1.0.1"), protocols={"web": "http", "mq": "tcp"}
        )
        assert line(ports["mq"], say=b"" if first else b"hello\n") == "127.1.0.1"


def test_udp(start):
    """Datagrams reach the service's servers, and their answers the client."""
    with udp_servers() as servers:
        _, ports = start(
            *app("dns", {"udp.a.listener": "dns"}, servers.port, "127.1.0.1", "127.1.0.2"),
            protocols={"web": "http", "dns": "udp"},
        )
        found = set()
        for _ in range(4):  # each client is a session of its own
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.2)
                client.connect(("127.0.0.1", ports["dns"]))

                def asked(client: socket.socket = client) -> str:
                    try:
                        client.send(b"?")
                        return client.recv(100).decode()
                    except OSError:
                        return ""

                found.add(wait_for(asked, "an answer over UDP"))
    assert found == {"127.1.0.1", "127.1.0.2"}


# ------------------------------------------------------------------------------------------------ servers


@pytest.mark.parametrize("balance", ["round-robin", "least-conn", "source", "random"])
def test_balance(start, balance):
    """Every way to spread requests works, and uses each server that it should."""
    with http_servers() as servers:
        _, ports = start(*app("web", {"balance": balance}, servers.port, "127.1.0.1", "127.1.0.2"))
        client = Client(ports["web"])
        used = {client.ask().server for _ in range(40)}
    assert len(used) == (1 if balance == "source" else 2)


def test_draining(start):
    """A draining server gets no new requests."""
    with http_servers() as servers:
        _, ports = start(
            *app("web", {}, servers.port, "127.1.0.1", "127.1.0.2"),
            a_task("web", 3, addresses={"edge-id": "127.1.0.3"}, desired_state="shutdown"),
        )
        client = Client(ports["web"])
        assert {client.ask().server for _ in range(30)} == {"127.1.0.1", "127.1.0.2"}


def test_sticky(start):
    """A client that has the cookie stays with its server, also when the other servers change."""
    with http_servers() as servers:
        addresses = [f"127.1.0.{number}" for number in range(1, 5)]
        _, ports = start(*app("web", {"sticky": "cookie:here"}, servers.port, *addresses))
        connection = http.client.HTTPConnection("127.0.0.1", ports["web"])
        connection.request("GET", "/", headers={"Host": "a.org"})
        answer = connection.getresponse()
        first, cookie = answer.read().decode(), answer.headers["Set-Cookie"]
        assert cookie.startswith("here=")
        assert "HttpOnly" in cookie
        assert not any(address in cookie for address in addresses)
        client = Client(ports["web"])
        used = {client.ask(headers={"Cookie": cookie.partition(";")[0]}).server for _ in range(20)}
        assert len(used) == 1
        assert used.pop() in first


def test_dead_server_loses_nothing(start):
    """A server that refuses connections among live ones costs no request, GET or POST: it is tried elsewhere."""
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


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_nothing_is_sent_twice(start, method):
    """A request that a server has seen and not answered is not sent to another one."""
    with http_servers() as servers:
        servers.moods["127.1.0.1"] = "empty"
        _, ports = start(*app("web", {}, servers.port, "127.1.0.1", "127.1.0.2"))
        for number in range(6):
            Client(ports["web"]).ask(f"/{number}", method=method, body="x")
    assert set(Counter(path for _, _, path in servers.seen).values()) == {1}


def test_retries_off(start):
    """With retries 0 a failed connect is the client's to see."""
    with http_servers() as servers:
        _, ports = start(
            *app("web", {"retries": 0}, servers.port, "127.1.0.1"), a_task("web", 2, addresses={"edge-id": "240.0.0.1"})
        )
        client = Client(ports["web"])
        assert Counter(client.ask().status for _ in range(6)) == {200: 3, 502: 3}


CHECKED = {"health-check.path": "/health", "health-check.interval": "100ms", "health-check": "http"}


@pytest.mark.parametrize(
    "more", [{}, {"health-check.host": "check.org"}, {"health-check.method": "HEAD"}, {"health-check.status": "200"}]
)
def test_health_check(start, more):
    """A server whose check answers another status than expected gets no requests until it does again."""
    with http_servers() as servers:
        process, ports = start(*app("web", {**CHECKED, **more}, servers.port, "127.1.0.1", "127.1.0.2"))
        servers.moods["127.1.0.1"] = "ill"
        url = f"http://127.1.0.1:{servers.port}"
        wait_for(lambda: process.health("web").get(url) == "DOWN", "web.1 to be down")
        assert process.api.statuses("file")["web", url] == "DOWN"
        client = Client(ports["web"])
        assert {client.ask().server for _ in range(10)} == {"127.1.0.2"}
        servers.moods.clear()
        wait_for(lambda: process.health("web").get(url) == "UP", "web.1 to be up")
        assert {client.ask().server for _ in range(10)} == {"127.1.0.1", "127.1.0.2"}
    assert set(servers.asked(more.get("health-check.method", "GET"), "/health")) == {"127.1.0.1", "127.1.0.2"}


def test_refused(tmp_path):
    """What Traefik itself would disable is refused before, in its words, naming router and service."""
    (tmp_path / "_http.j2").write_text((BUILTIN / "traefik/_http.j2").read_text().replace("Header(", "Nonsense("))
    facts = app("web", {"header.x-a": "1"}, 80, "127.1.0.1")
    files = rendered(renderer("/tmp/x", tmp_path), [a_listener()], *facts)
    with pytest.raises(CheckFailed, match=r"router web\.web: rule .*Nonsense is not a matcher"):
        Checker(BINARY, always=True, needed=True)(files)
