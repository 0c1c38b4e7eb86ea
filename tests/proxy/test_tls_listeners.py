"""How listeners terminate TLS, every proxy: versions, suites, key exchanges, names, sessions that are resumed."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from lbgen.proxies.sockets import Socket
from tests.support import proxies
from tests.support.builders import a_service, a_task
from tests.support.certificates import certificate
from tests.support.clients import anybody
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.tls_site import EVERY, REFUSED, Site, app, ask
from tests.support.wait import PATIENCE

VERSIONS = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
GOOD_SUITES = [  # of TLS 1.2, for RSA certificates
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
BAD_SUITES = [
    "AES128-GCM-SHA256",  # static RSA: with the key one can read what was recorded
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA256",
    "ECDHE-RSA-AES128-SHA",  # CBC
    "ECDHE-RSA-AES256-SHA384",
    "DHE-RSA-AES128-GCM-SHA256",
    "AES128-CCM",
]


def able(version: ssl.TLSVersion, ciphers: str = "ALL") -> ssl.SSLContext:
    """A client of one version, which takes any certificate and any strength."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    made.minimum_version = made.maximum_version = version
    return made


def agreed(port: int, client: ssl.SSLContext, name: str = "a.org") -> bool:
    """Whether a handshake succeeds."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            client.wrap_socket(plain, server_hostname=name),
        ):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


def versions(port: int, name: str = "a.org") -> list[str]:
    """Those that a listener speaks."""
    return [version.name for version in VERSIONS if agreed(port, able(version), name)]


def suites(port: int) -> list[str]:
    """Those of TLS 1.2 that a listener accepts."""
    return [suite for suite in GOOD_SUITES + BAD_SUITES if agreed(port, able(ssl.TLSVersion.TLSv1_2, suite))]


@pytest.fixture
def port() -> Iterator[int]:
    """That of HTTP servers on every address."""
    with http_servers() as servers:
        yield servers.port


@pytest.fixture
def sites(kind, short_dir, port) -> Iterator[Callable[..., Site]]:
    """Make sites that serve a.org, and anything on a listener db; they end with the test."""
    made: list[Site] = []

    def make(tls: object, **more: object) -> Site:
        site = Site(kind, short_dir, tls=tls, more=more)
        made.append(site)
        certificate(site.certificates / "a.pem", "a.org", "b.org", by_rsa=True)
        site.target.start()
        database = {"tcp.db.port": port, "tcp.db.listener": "db", "tcp.db.health-check": "off"}
        facts = [
            a_service("db", database, networks=("edge-id",)),
            a_task("db", 1, addresses={"edge-id": "127.1.0.9"}),
        ]
        site.serve(*app("a", "127.1.0.1", port, host="a.org"), *(facts if "db" in more else ()))
        return site

    yield make
    for site in made:
        site.target.stop()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_the_client_itself(tmp_path):
    """What proxies refuse is not what the client cannot do."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.load_cert_chain(certificate(tmp_path / "a.pem", "a.org", by_rsa=True))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_shake_hands, args=(listener, server), daemon=True).start()
        number = listener.getsockname()[1]
        assert versions(number) == ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"]
        assert set(BAD_SUITES + GOOD_SUITES) - set(suites(number)) <= {"DHE-RSA-AES128-GCM-SHA256"}


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            context.wrap_socket(plain, server_side=True).close()
        except OSError:
            plain.close()


@EVERY
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_versions_and_suites(sites):
    """By default what Mozilla calls intermediate: TLS 1.2 and 1.3, with forward secrecy, without CBC."""
    tcp = {"bind": f"127.0.0.1:{free_port()}", "protocol": "tcp", "tls": True}
    site = sites(True, db=tcp)
    for listener in ("secure", "db"):
        assert versions(site.port(listener)) == ["TLSv1_2", "TLSv1_3"]
        assert suites(site.port(listener)) == GOOD_SUITES
    assert ask(site.port(), "a.org") == "127.1.0.1"


@EVERY
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_minimum(sites):
    """A listener with minimum 1.3 refuses TLS 1.2; another one of the same proxy does not."""
    other = {"bind": f"127.0.0.1:{free_port()}", "tls": True}
    site = sites({"minimum": "1.3"}, zz=other)
    site.settings.default_listeners.append("zz")
    site.again()
    assert versions(site.port()) == ["TLSv1_3"]
    assert versions(site.port(), "unknown.org") == ["TLSv1_3"]
    assert versions(site.port("zz")) == ["TLSv1_2", "TLSv1_3"]
    assert ask(site.port(), "a.org") == ask(site.port("zz"), "a.org") == "127.1.0.1"


@EVERY
def test_strict_sni(sites, port):
    """Handshakes for names that no certificate is for are refused, and only those."""
    site = sites({"strict_sni": True})
    certificate(site.certificates / "wild.pem", "*.wild.org")
    certificate(site.certificates / "default.pem", "default.example")
    site.serve(
        *app("a", "127.1.0.1", port, host="a.org,x.wild.org,none.org"),
        *app("named", "127.1.0.2", port, host="named.org", tls="a"),
        *app("all", "127.1.0.3", port, rule="PathPrefix(`/all`)"),
    )
    assert [ask(site.port(), name) for name in ("a.org", "x.wild.org")] == ["127.1.0.1"] * 2
    assert ask(site.port(), "b.org", path="/all") == "127.1.0.3"  # a certificate is for it, and no host of a route
    assert ask(site.port(), "default.example", path="/all") == "127.1.0.3"
    assert [ask(site.port(), name) for name in ("none.org", "unknown.org", "y.x.wild.org", None)] == [REFUSED] * 4
    if site.kind != "traefik":  # which chooses by names only
        assert ask(site.port(), "named.org") == "127.1.0.2"


@EVERY
def test_http3(kind, short_dir, port):
    """Where the program can: the UDP port is its own, and answers of the proxy and of servers tell of it."""
    binary = {"haproxy": proxies.haproxy, "nginx": proxies.nginx, "traefik": lambda: ""}[kind]()
    site = Site(kind, short_dir, str(binary), tls={"http3": True})
    certificate(site.certificates / "a.pem", "a.org")
    site.target.start()
    try:
        site.serve(*app("a", "127.1.0.1", port, host="a.org", path="/a", hsts="max-age=60"))
        assert [alternative(site.port(), path) for path in ("/a", "/none")] == [f'h3=":{site.port()}"'] * 2
        assert Socket("127.0.0.1", site.port(), udp=True).error()
    finally:
        site.target.stop()


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.proxy(kind)) for kind in ("haproxy", "nginx")])
def test_no_http3(sites):
    """Where it cannot the listener goes on without."""
    site = sites({"http3": True})
    assert alternative(site.port(), "/") == ""
    assert Socket("127.0.0.1", site.port(), udp=True).error() is None
    assert "HTTP/3" in site.told("a")


def alternative(port: int, path: str) -> str:
    """What an answer says of other protocols."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        anybody().wrap_socket(plain, server_hostname="a.org") as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a.org\r\n\r\n".encode())
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            return str(response.headers.get("alt-svc", "")).partition(";")[0]
