"""TCP routes by server name on a listener of HTTP: what HTTP keeps with them, and while they come and go."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.support.builders import Fact, a_service, a_task
from tests.support.certificates import certificate
from tests.support.clients import anybody
from tests.support.conformance_traffic import stream
from tests.support.ports import free_port
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.tls_site import Authority, Site, app
from tests.support.wait import PATIENCE, wait_for

BOTH = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.proxy(kind)) for kind in ("haproxy", "traefik")]
)
DB = "127.1.0.9"


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Those of servers of HTTP and of TCP."""
    with http_servers() as web, tcp_servers() as tcp:
        yield web.port, tcp.port


@pytest.fixture
def sites(kind, short_dir) -> Iterator[Callable[..., Site]]:
    """Make sites; they end with the test."""
    made: list[Site] = []

    def make(**more: object) -> Site:
        site = Site(kind, short_dir, more={"all": {"bind": f"127.0.0.1:{free_port()}", "tls": True, **more}})
        made.append(site)
        certificate(site.certificates / "a.pem", "a.org", "db.org")
        site.target.start()
        return site

    yield make
    for site in made:
        site.target.stop()


def database(port: int, **keys: object) -> list[Fact]:
    """A service of TCP for db.org."""
    labels = {"port": port, "listener": "all", "sni": "db.org", "health-check": "off", **keys}
    return [
        a_service(
            "db", {f"tcp.db.{key.replace('_', '-')}": value for key, value in labels.items()}, networks=("edge-id",)
        ),
        a_task("db", 1, addresses={"edge-id": DB}),
    ]


def asked(port: int, host: str = "a.org", source: str = "", before: bytes = b"", **headers: str) -> dict[str, object]:
    """Ask over HTTP: the status, and the headers that the server saw.

    Args:
        source: the client's address.
        before: what is sent before TLS begins.
    """
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0) if source else None)
    plain.sendall(before)
    connection = http.client.HTTPConnection(host)
    connection.sock = anybody().wrap_socket(plain, server_hostname=host)
    with closing(connection):
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        return {"status": answer.status, **(json.loads(text)["headers"] if answer.status == 200 else {})}


def agreed(port: int, name: str, source: str) -> str | None:
    """The protocol that a client is given who offers HTTP/2."""
    context = anybody()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0)) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        return connection.selected_alpn_protocol()


@BOTH
def test_http_stays_as_it_was(sites, ports):
    """Clients' addresses, HTTP/2, client certificates: with TCP routes on the listener as without."""
    site = sites()
    authority = Authority(site.client_cas, "ours")
    pair = authority.client(site.directory)
    web = [
        *app("a", "127.1.0.1", ports[0], host="a.org", listener="all", allow_ip="127.0.0.5"),
        *app("c", "127.1.0.2", ports[0], host="c.org", listener="all", client_ca="ours"),
    ]
    for beside in ([], database(ports[1], allow_ip="127.0.0.6")):
        site.serve(*web, *beside)
        assert site.model.problems == ()
        port = site.port("all")
        assert asked(port, source="127.0.0.5")["x-forwarded-for"] == ["127.0.0.5"]
        assert asked(port, source="127.0.0.6")["status"] == 403
        assert agreed(port, "a.org", "127.0.0.5") == "h2"
        context = anybody()
        context.load_cert_chain(pair)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
            connection = http.client.HTTPConnection("c.org")
            connection.sock = context.wrap_socket(plain, server_hostname="c.org")
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()
        if not beside:
            continue
        assert agreed(port, "db.org", "127.0.0.6") is None or site.kind == "traefik"
        assert stream(port, "db.org", "127.0.0.6") == DB
        assert stream(port, "db.org", "127.0.0.5") == ""


@BOTH
def test_load_balancers_before_it(sites, ports):
    """A PROXY header and X-Forwarded-For of those who are trusted, and of nobody else."""
    site = sites(trusted_proxies=["127.0.0.5/32", "127.0.0.7/32"], proxy_protocol=True)
    site.serve(*app("a", "127.1.0.1", ports[0], host="a.org", listener="all"), *database(ports[1]))
    port = site.port("all")
    header = b"PROXY TCP4 %s 127.0.0.1 5000 443\r\n"
    said = {"X-Forwarded-For": "192.0.2.1"}
    assert asked(port, source="127.0.0.5", before=header % b"192.0.2.9")["x-forwarded-for"] == ["192.0.2.9"]
    assert asked(port, source="127.0.0.6", **said)["x-forwarded-for"] == ["127.0.0.6"]
    if site.kind == "haproxy":
        through = asked(port, source="127.0.0.5", before=header % b"127.0.0.7", **said)
        assert through["x-forwarded-for"] == ["192.0.2.1"]


@BOTH
def test_nothing_is_lost(sites, ports):
    """No request is lost when TCP routes come to a listener, and change."""
    site = sites()
    web = app("a", "127.1.0.1", ports[0], host="a.org", listener="all")
    site.serve(*web)
    port, over, failures, count = site.port("all"), threading.Event(), [], [0]

    def client() -> None:
        while not over.is_set():
            try:
                assert asked(port)["status"] == 200
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(repr(error))
            count[0] += 1

    def more_requests() -> None:
        enough = count[0] + 5
        wait_for(lambda: count[0] > enough, "requests")

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    try:
        for keys in ({}, {"passthrough": "true"}, {"sni": "db.org,other.org"}):
            more_requests()
            site.serve(*web, *database(ports[1], **keys))
            more_requests()
    finally:
        over.set()
        thread.join()
    assert failures == []
    assert stream(port, "db.org") == DB
