"""What a real Nginx does with requests and answers on their way, however a request gets to its location.

What every proxy does is in tests/policies; here is what Nginx could get wrong in ways of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socketserver
import ssl
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import Fact, app
from tests.support.certificates import certificate
from tests.support.clients import Client, line, raw
from tests.support.conformance_traffic import stream
from tests.support.nginx_render import a_renderer, rendered
from tests.support.passwords import HASH
from tests.support.real_nginx import VERSIONS, Site, binary, site
from tests.support.real_servers import Servers, http_servers, tcp_servers
from tests.support.wait import PATIENCE

proxy = [pytest.mark.proxy("nginx"), pytest.mark.timeout(600)]
# The ways to a backend's servers: by its place, by a rule, by the path that has to be asked by name, by a time-out.
WAYS = [{}, {"method": "GET,POST,OPTIONS"}, {"path-exact": "/x/"}, {"timeout.idle": "1h"}]
WAYS_WITH_ALL = [*WAYS, {"method": "GET,POST,OPTIONS", "timeout.idle": "1h"}]
# What is syntax to Nginx somewhere.
ODD = [
    *(
        "$",
        "$$",
        "${x}",
        "$1",
        "$host$",
        "$lbgen_dollar",
        "\\",
        "\\$x",
        "\\Ex",
        '"',
        "'",
        ";",
        "{",
        "}",
        "#",
        "~",
        "%25",
    ),
    "a  b",
]
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}
ANNA = {"Authorization": "Basic YW5uYTpzZWNyZXQ="}


@pytest.fixture(params=[pytest.param(version, marks=proxy) for version in VERSIONS])
def nginx(request, short_dir) -> Iterator[Site]:
    """A site for each version of Nginx, whose workers may read the users."""
    (short_dir / "users").mkdir()
    short_dir.chmod(0o755)
    with site(binary(request.param), short_dir) as made:
        yield made


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


def users(nginx: Site, name: str, *lines: str) -> None:
    """Write a file of users."""
    (nginx.directory / "users" / name).write_text("".join(f"{each}\n" for each in lines))


def status(
    port: int, headers: dict[str, str], method: str = "GET", source: str = "127.0.0.1", host: str = "a.org"
) -> int:
    """Ask for /x/ and return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request(method, "/x/", headers={"Host": host, **headers})
        with connection.getresponse() as response:
            return response.status


# ------------------------------------------------------------------------------------------------ no way around


def by_every_way(ways: list[dict[str, str]], port: int, keys: dict[str, str]) -> list[Fact]:
    """A service with these keys for each way, each with a host of its own: w0.org, w1.org."""
    facts: list[Fact] = []
    for number, way in enumerate(ways):
        facts += app(f"web{number}", {"host": f"w{number}.org", **keys, **way}, port, "127.1.0.1")
    return facts


def test_no_way_around_the_guards(nginx, servers):
    """Addresses and passwords are asked for on every way, of requests that upgrade as well."""
    users(nginx, "staff", f"anna:{HASH}")
    facts = by_every_way(WAYS_WITH_ALL, servers.port, {"deny-ip": "127.0.0.9", "basic-auth": "staff"})
    port = nginx.start(*facts, *app("all", {}, servers.port, "127.1.0.2"))["web"]
    nginx.accepted()
    for number, way in enumerate(WAYS_WITH_ALL):
        host = f"w{number}.org"
        for more in ({}, UPGRADE):
            assert status(port, more, host=host) == 401, way
            assert status(port, more | ANNA, host=host) == 200, way
            assert status(port, more | ANNA, source="127.0.0.9", host=host) == 403, way


def test_no_way_around_the_rate(nginx, servers):
    """Requests are counted once on every way."""
    facts = by_every_way(WAYS_WITH_ALL, servers.port, {"rate-limit": "1/m", "rate-limit.burst": "2"})
    port = nginx.start(*facts)["web"]
    for place, way in enumerate(WAYS_WITH_ALL):
        for number, more in enumerate(({}, UPGRADE), 1):
            found = [status(port, more, source=f"127.0.0.{number}", host=f"w{place}.org") for _ in range(5)]
            assert found == [200, 200, 200, 429, 429], way


def test_answers_of_its_own_are_guarded(nginx, servers):
    """What Nginx answers itself, a redirect or that there is no server, waits for addresses, rates and passwords.

    Passwords never travel in the clear where a redirect leads to https.
    """
    users(nginx, "staff", f"anna:{HASH}")
    guards = {"allow-ip": "127.0.0.0/29", "basic-auth": "staff", "rate-limit": "1/m", "rate-limit.burst": "3"}
    answers: dict[str, int] = {}
    facts: list[Fact] = []
    for number, way in enumerate(WAYS):
        kinds: dict[str, tuple[dict[str, str], int]] = {
            "moved": ({"redirect": "https://b.org/"}, 302),
            "secure": ({"redirect-https": "true"}, 308),
            "some": ({"redirect-regex": f"^http://some{number}\\.org/x(.*) https://b.org$1"}, 302),
            "empty": ({"weight": "0"}, 503),
            "there": ({}, 200),
        }
        for kind, (keys, expected) in kinds.items():
            name = f"{kind}{number}"
            facts += app(name, {"host": f"{name}.org", **guards, **keys, **way}, servers.port, "127.1.0.1")
            answers[f"{name}.org"] = expected
    port = nginx.start(*facts)["web"]
    nginx.accepted()
    for host, expected in answers.items():
        assert status(port, ANNA, source="127.0.0.9", host=host) == 403, host
        assert status(port, {}, host=host) == (308 if expected == 308 else 401), host
        assert [status(port, ANNA, host=host) for _ in range(4)] == [expected] * 3 + [429], host


def test_preflight_requests_are_counted(nginx, servers):
    """The answer to a preflight request needs no password, but comes no more often than others."""
    users(nginx, "staff", f"anna:{HASH}")
    keys = {"cors.origins": "https://b.org", "basic-auth": "staff", "rate-limit": "1/m", "rate-limit.burst": "1"}
    asked = {"Origin": "https://b.org", "Access-Control-Request-Method": "PUT"}
    port = nginx.start(*by_every_way(WAYS, servers.port, keys))["web"]
    for number, way in enumerate(WAYS):
        host = f"w{number}.org"
        assert [status(port, asked, "OPTIONS", host=host) for _ in range(3)] == [204, 204, 429], way
        assert status(port, asked | {"Origin": "https://a.org"}, "OPTIONS", "127.0.0.2", host) == 401, way


def test_an_exhausted_rate_is_its_own_backends(nginx, servers):
    """One backend's clients are not counted for another."""
    keys = {"rate-limit": "1/m", "rate-limit.burst": "0"}
    facts: list[Fact] = []
    for number, host in enumerate(("a.org", "b.org"), 1):
        facts += app(host[0], {"host": host, **keys}, servers.port, f"127.1.0.{number}")
    port = nginx.start(*facts)["web"]
    assert [status(port, {}, host=host) for host in ("a.org", "a.org", "b.org", "b.org")] == [200, 429, 200, 429]


# ------------------------------------------------------------------------------------------------ passwords


def test_users_are_read_at_each_request(nginx, servers):
    """Who was taken out of the file stays out at once, and so does everybody once there is no file."""
    users(nginx, "staff", f"anna:{HASH}")
    port = nginx.start(*app("web", {"host": "a.org", "basic-auth": "staff"}, servers.port, "127.1.0.1"))["web"]
    assert status(port, ANNA) == 200
    users(nginx, "staff", f"bob:{HASH}")
    assert status(port, ANNA) == 401
    (nginx.directory / "users/staff").unlink()
    assert status(port, ANNA) == 403


def test_a_file_that_is_refused_lets_nobody_in(nginx, servers):
    """What lbgen does not take for a file of users, Nginx does not read."""
    refused = [["anna:{PLAIN}secret"], ["anna:"], [f"anna:{HASH}", "bob"], []]
    facts: list[Fact] = []
    for number, lines in enumerate(refused):
        users(nginx, f"staff{number}", *lines)
        keys = {"host": f"w{number}.org", "basic-auth": f"staff{number}"}
        facts += app(f"web{number}", keys, servers.port, "127.1.0.1")
    port = nginx.start(*facts)["web"]
    assert [status(port, ANNA, host=f"w{number}.org") for number in range(len(refused))] == [401] * len(refused)


def test_any_name_of_a_file(nginx, servers):
    """A name that means something to Nginx is a name: a realm "off" would let everybody in."""
    facts: list[Fact] = []
    names = ["off", "on", "default", "x.y_z-1"]
    for number, name in enumerate(names):
        users(nginx, name, f"anna:{HASH}")
        facts += app(f"web{number}", {"host": f"w{number}.org", "basic-auth": name}, servers.port, "127.1.0.1")
    port = nginx.start(*facts)["web"]
    for number, name in enumerate(names):
        assert [status(port, headers, host=f"w{number}.org") for headers in ({}, ANNA)] == [401, 200], name


def test_a_file_that_workers_cannot_read_lets_nobody_in(nginx, servers):
    """Workers have an account of their own."""
    users(nginx, "staff", f"anna:{HASH}")
    (nginx.directory / "users/staff").chmod(0o600)
    port = nginx.start(*app("web", {"host": "a.org", "basic-auth": "staff"}, servers.port, "127.1.0.1"))["web"]
    assert [status(port, {}), status(port, ANNA)] == [401, 500]


# ------------------------------------------------------------------------------------------------ sizes


def test_size(nginx, servers):
    """A body that is too large is refused on every way, whether its length is told before or not."""
    port = nginx.start(*by_every_way(WAYS_WITH_ALL, servers.port, {"max-body": "1000"}))["web"]
    for number, way in enumerate(WAYS_WITH_ALL):
        host = f"w{number}.org"
        assert Client(port).ask("/x/", host, method="POST", body="x" * 1000).status == 200, way
        head = f"POST /x/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        for size in (1001, 10000):
            assert raw(port, f"{head}Content-Length: {size}\r\n\r\n").startswith(b"HTTP/1.1 413"), way
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n3e9\r\n{'x' * 1001}\r\n0\r\n\r\n"
        assert raw(port, chunked).startswith(b"HTTP/1.1 413"), way


def test_a_size_is_its_own_backends(nginx, servers):
    """A request that a rule sends on is not measured by the place it comes by, and no other by the rule's."""
    port = nginx.start(
        *app("small", {"host": "a.org", "max-body": "1000"}, servers.port, "127.1.0.1"),
        *app("free", {"host": "a.org", "header.x-to": "free"}, servers.port, "127.1.0.2"),
        *app("less", {"host": "a.org", "header.x-to": "less", "max-body": "10"}, servers.port, "127.1.0.3"),
    )["web"]
    client = Client(port)
    for to, size, expected in [
        ("", 1000, "127.1.0.1"),
        ("", 1001, ""),
        ("free", 100_000, "127.1.0.2"),
        ("less", 10, "127.1.0.3"),
        ("less", 11, ""),
    ]:
        answer = client.ask("/x", method="POST", headers={"X-To": to}, body="x" * size)
        assert (to, size, answer.server) == (to, size, expected)
        assert answer.status == (200 if expected else 413)


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 41))
@settings(deadline=None)
def test_larger(most, size):
    """The expression that compares a length with the limit holds for exactly the larger ones."""
    macro = (
        a_renderer()
        .loaded_templates()
        .environment.from_string('{% from "_policy.j2" import larger %}{{ larger(most) }}')
    )
    larger = re.compile(macro.render(most=str(most)))
    for number in (size, *range(max(most - 2, 0), most + 3)):
        assert bool(larger.search(str(number))) == (number > most)
        assert bool(larger.search(f"00{number}")) == (number > most)


# ------------------------------------------------------------------------------------------------ clients


NETWORKS: list[tuple[dict[str, str], bool]] = [  # what a service says, and whether 127.0.0.1 is let in
    ({"allow-ip": "0.0.0.0/0,::/0"}, True),
    ({"allow-ip": "0.0.0.0/0,0.0.0.0/1,127.0.0.0/8"}, True),
    ({"deny-ip": "0.0.0.0/0,::/0"}, False),
    ({"allow-ip": "::/0"}, False),
    ({"allow-ip": "127.0.0.1", "deny-ip": "127.0.0.0/8"}, False),
    ({"allow-ip": "127.0.0.0/8", "deny-ip": "127.0.0.2"}, True),
]


def test_networks(nginx, servers):
    """All of the addresses can be named, and what is denied stays so where something narrower is allowed."""
    facts: list[Fact] = []
    protocols = {"web": "http"}
    with tcp_servers() as behind:
        for number, (keys, _) in enumerate(NETWORKS):
            lines = {f"tcp.a.{key}": value for key, value in keys.items()} | {"tcp.a.listener": f"line{number}"}
            facts += app(f"web{number}", {"host": f"w{number}.org", **keys}, servers.port, "127.1.0.1")
            facts += app(f"pg{number}", lines, behind.port, "127.1.0.2")
            protocols[f"line{number}"] = "tcp"
        ports = nginx.start(*facts, protocols=protocols)
        nginx.accepted()
        for number, (keys, good) in enumerate(NETWORKS):
            assert status(ports["web"], {}, host=f"w{number}.org") == (200 if good else 403), keys
            assert stream(ports[f"line{number}"], None) == ("127.1.0.2" if good else ""), keys


def test_networks_by_server_name(nginx, tmp_path):
    """Of routes that share a listener each lets in its own clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "server.pem", "any.example.org"))
    with tcp_servers(context) as behind:
        keys = {name: {"tcp.a.sni": name, "tcp.a.listener": "line"} for name in ("a.org", "b.org")}
        keys["b.org"]["tcp.a.deny-ip"] = "127.0.0.0/8"
        port = nginx.start(
            *app("a", keys["a.org"], behind.port, "127.1.0.1"),
            *app("b", keys["b.org"], behind.port, "127.1.0.2"),
            protocols={"line": "tcp"},
        )["line"]
        nginx.accepted()
        assert [stream(port, name) for name in ("a.org", "b.org")] == ["127.1.0.1", ""]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [("100/s", "100r/s"), ("30/m", "30r/m"), ("600/h", "10r/m"), ("601/h", "11r/m"), ("2/h", "1r/m")],
)
def test_rate(rate, expected):
    """Rates in Nginx's words: whole numbers, rounded up, per second or minute."""
    text = rendered(*app("web", {"rate-limit": rate, "rate-limit.burst": "7"}, 80, "127.1.0.1"))
    assert f"zone=rate/web:10m rate={expected};" in text
    assert "limit_req zone=rate/web burst=7 nodelay;" in text


# ------------------------------------------------------------------------------------------------ servers


@pytest.mark.parametrize(
    ("keys", "host", "name"),
    [
        ({}, "a.org:8080", "a.org"),
        ({"host-header": "shop.internal:81"}, "shop.internal:81", "shop.internal"),
        ({"host-header": "server"}, "127.1.0.1:{port}", "a.org"),
    ],
)
def test_host_and_server_name(nginx, short_dir, keys, host, name):
    """Servers with TLS are asked by the name that stands in Host, or by the route's where that is an address."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(short_dir / "server.pem", "any.example.org"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.sni_callback = lambda _, found, __: names.append(found)
    with http_servers(context) as behind:
        port = nginx.start(*app("web", {"scheme": "https", **keys}, behind.port, "127.1.0.1", "127.1.0.2"))["web"]
        nginx.accepted()
        answer = Client(port).ask("/x?y", "a.org:8080")
        assert answer.said["headers"]["host"] == [host.format(port=behind.port)]
        assert answer.said["path"] == "/x?y"
    assert names == [name]


@contextlib.contextmanager
def heads() -> Iterator[tuple[int, list[str]]]:
    """A TCP server: its port, and the first lines that it was told, each of which it answers."""
    told: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            told.append(self.rfile.readline().decode())
            self.wfile.write(b"read\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("0.0.0.0", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1], told
        server.shutdown()


def test_proxy_protocol(nginx):
    """Servers of TCP routes are told the client's address, by version 1."""
    told = {"v1": "PROXY TCP4 127.0.0.1 ", "v2": "PROXY TCP4 127.0.0.1 ", "false": "hello"}
    facts: list[Fact] = []
    with heads() as (port, lines):
        for version in told:
            facts += app(version, {"tcp.a.listener": version, "tcp.a.send-proxy": version}, port, "127.1.0.1")
        listeners = nginx.start(*facts, protocols=dict.fromkeys(told, "tcp"))
        nginx.accepted()
        assert [line(listeners[version]) for version in told] == ["read"] * len(told)
        assert [said[: len(words)] for said, words in zip(lines, told.values(), strict=True)] == list(told.values())


def test_proxy_protocol_is_the_listeners(nginx, short_dir):
    """Where not every route of a listener asks for it, no server is told something that it would not understand."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(short_dir / "server.pem", "any.example.org"))
    with tcp_servers(context) as behind:
        keys = {name: {"tcp.a.sni": name, "tcp.a.listener": "line"} for name in ("a.org", "b.org")}
        keys["b.org"]["tcp.a.send-proxy"] = "v1"
        port = nginx.start(
            *app("a", keys["a.org"], behind.port, "127.1.0.1"),
            *app("b", keys["b.org"], behind.port, "127.1.0.2"),
            protocols={"line": "tcp"},
        )["line"]
        assert [line(port, name, tls=True) for name in ("a.org", "b.org")] == ["127.1.0.1", "127.1.0.2"]


def test_upgraded_connection_keeps_its_headers(nginx, servers):
    """A request that upgrades is told the same as others, and still upgrades."""
    keys = {"request-header.x-a": "b", "strip-prefix": "/x", "timeout.idle": "1h"}
    port = nginx.start(*app("web", {"host": "a.org", **keys}, servers.port, "127.1.0.1"))["web"]
    said = Client(port).ask("/x/y", headers={"Upgrade": "websocket", "Connection": "Upgrade"}).said
    assert said["path"] == "/y"
    assert {name: said["headers"][name] for name in ("x-a", "x-forwarded-prefix", "upgrade", "connection")} == {
        "x-a": ["b"],
        "x-forwarded-prefix": ["/x"],
        "upgrade": ["websocket"],
        "connection": ["upgrade"],
    }


# ------------------------------------------------------------------------------------------------ values


def test_values_arrive_literally(nginx, servers):
    """Whatever a value or a path is, servers and clients are told that."""
    facts: list[Fact] = []
    for number, odd in enumerate(ODD):
        path = f"/{odd.replace(' ', '').replace('#', '')}"
        keys = {"request-header.x-a": odd, "response-header.x-b": odd, "add-prefix": path, "strip-prefix": f"/s{path}"}
        facts += app(f"s{number}", {"host": f"h{number}.org", **keys}, servers.port, "127.1.0.1")
        keys = {"replace-path": path}
        facts += app(f"r{number}", {"host": f"r{number}.org", **keys}, servers.port, "127.1.0.1")
    port = nginx.start(*facts)["web"]
    nginx.accepted()
    for number, odd in enumerate(ODD):
        path = f"/{odd.replace(' ', '').replace('#', '')}".rstrip("/")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", f"/s{path}/y?z", headers={"Host": f"h{number}.org"})
            with connection.getresponse() as response:
                assert response.headers["x-b"] == odd
                said = json.load(response)
        assert said["headers"]["x-a"] == [odd]
        assert said["headers"]["x-forwarded-prefix"] == [f"/s{path}"]
        assert said["path"] == f"{path}/y?z"
        assert Client(port).ask("/any?z", f"r{number}.org").said["path"] == f"/{path[1:]}?z"


def test_longest_values(nginx):
    """Values that are longer than a word of Nginx's may be are left out, and hold nobody back."""
    long = {"$": "$" * 4000, '"': '"' * 4000, "fits": "\\" * 1900, "dollars": "$" * 126}
    facts: list[Fact] = []
    for number, value in enumerate(long.values()):
        keys = {"request-header.x-a": value, "response-header.x-b": value, "strip-prefix": f"/{value[:599]}"}
        facts += app(f"h{number}", {"host": f"h{number}.org", **keys}, 80, "127.1.0.1")
        facts += app(f"a{number}", {"host": f"a{number}.org", "add-prefix": f"/{value[:599]}"}, 80, "127.1.0.1")
        facts += app(f"r{number}", {"host": f"r{number}.org", "replace-path": f"/{value[:599]}"}, 80, "127.1.0.1")
    cors = {"cors.origins": "https://a.org", "cors.headers": ",".join(f"x-{number}" for number in range(500))}
    longest = {"strip-prefix": "/" + "\\E" * 299, "add-prefix": "/" + "\\" * 599, "replace-path": "/" + '"' * 599}
    text = nginx.write(
        *facts,
        *app("cors", {"host": "cors.org", **cors}, 80, "127.1.0.1"),
        *app("fits", {"host": "fits.org", **longest}, 80, "127.1.0.1"),
        *app("name", {"host": "name.org", f"request-header.{'x' * 128}": "a"}, 80, "127.1.0.1"),
    ).texts["nginx.conf"]
    nginx.accepted()
    found = re.findall(r"# Left out: the (value|prefix|path|headers)", text)
    assert Counter(found) == {"headers": 1, "path": 4, "prefix": 2, "value": 4}


def test_many_policies(nginx):
    """Nginx accepts policies by the hundred, of services with long names."""
    everything = {
        "allow-ip": "10.0.0.0/8",
        "deny-ip": "10.0.0.1",
        "rate-limit": "1/s",
        "cors.origins": "https://a.org",
        "cors.credentials": "true",
        "strip-prefix": "/a",
    }
    facts: list[Fact] = []
    for number in range(150):
        keys = {"host": f"h{number}.org", f"response-header.x-{number}": "a", **everything}
        facts += app(f"{'a-' * 29}a{number}", keys, 80, "127.1.0.1")
    guarded = {
        "tcp.a.sni": "a.org",
        "tcp.a.listener": "pg",
        "tcp.a.allow-ip": "10.0.0.0/8",
        "tcp.a.deny-ip": "10.0.0.1",
    }
    nginx.write(*facts, *app("a-" * 31 + "a", guarded, 80, "127.1.0.1"), protocols={"web": "http", "pg": "tcp"})
    nginx.accepted()
