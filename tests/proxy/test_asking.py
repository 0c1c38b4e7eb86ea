"""Who asks, where that is not what tests/policies can say: PROXY headers, upgrades and cookies, with real traffic."""

from __future__ import annotations

import contextlib
import json
import re
import socket

import pytest

from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task, lbgen_labels
from tests.support.certificates import certificate
from tests.support.clients import anybody
from tests.support.ports import free_port
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.running import PROXIES, running
from tests.support.wait import PATIENCE

EACH = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
BALANCER, SOMEBODY = "127.0.0.9", "127.0.0.1"
HELLO = b"GET / HTTP/1.1\r\nHost: web.example.org\r\nConnection: close\r\n\r\n"


def settings_of(proxy, directory, **listeners):
    """Settings with these listeners on free ports, and one proxy that lbgen runs."""
    certificate(directory / "certs" / "default.pem", "web.example.org")
    bound = {name: {"bind": f"127.0.0.1:{free_port()}", **given} for name, given in listeners.items()}
    target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    return Settings.model_validate(
        {
            "listeners": bound,
            "default_listeners": list(bound),
            "status": {"bind": ""},
            "certificates": str(directory / "certs"),
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )


def cluster(keys):
    """One service with a task at 127.1.0.1."""
    labels = lbgen_labels({"health-check": "off", **keys})
    service = a_service("web", labels=labels, networks=("edge-id",))
    return a_snapshot(a_node(), a_network("edge"), service, a_task("web", 1, addresses={"edge-id": "127.1.0.1"}))


def said(port, words, source=SOMEBODY, tls=False, proxy_header=b""):
    """Say this on a connection of its own, with a PROXY header before it; return what comes back."""
    with contextlib.suppress(ConnectionError), contextlib.ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0)))
        plain.sendall(proxy_header)
        connection = plain
        if tls:
            connection = stack.enter_context(anybody().wrap_socket(plain, server_hostname="web.example.org"))
        connection.sendall(words)
        answer = b""
        while not answer.endswith(b"}") and (more := connection.recv(65536)):
            answer += more
        return answer.decode("latin-1")
    return ""


def seen(answer):
    """The headers that the server saw, by name; None if no server was asked."""
    found = re.search(r"\{.*\}", answer)
    return {name: ", ".join(values) for name, values in json.loads(found[0])["headers"].items()} if found else None


V1 = b"PROXY TCP4 10.1.1.1 127.0.0.1 5555 80\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([10, 1, 1, 1, 127, 0, 0, 1]) + b"\x15\xb3\0\x50"


@EACH
def test_proxy_protocol(proxy, short_dir):
    """The client is whom the PROXY header names, for HTTP with and without TLS, whatever it says of itself."""
    settings = settings_of(proxy, short_dir, web={"proxy_protocol": True}, sec={"proxy_protocol": True, "tls": True})
    keys = {"host": "web.example.org", "allow-ip": "10.1.0.0/16"}
    with http_servers() as servers, running(settings, cluster({**keys, "port": servers.port})) as ports:
        for name, header in [("web", V1), ("web", V2), ("sec", V1), ("sec", V2)]:
            words = HELLO.replace(b"Host", b"X-Forwarded-For: 6.6.6.6\r\nHost")
            headers = seen(said(ports[name], words, tls=name == "sec", proxy_header=header))
            assert headers, (name, header)
            assert (headers["x-forwarded-for"], headers["x-real-ip"]) == ("10.1.1.1", "10.1.1.1")
        assert seen(said(ports["web"], HELLO)) is None
        assert seen(said(ports["web"], HELLO, proxy_header=V1.replace(b"10.1.", b"10.2."))) is None


@EACH
def test_proxy_protocol_of_some(proxy, short_dir):
    """Nobody but a trusted load balancer may say by a PROXY header who asks."""
    listener = {"proxy_protocol": True, "trusted_proxies": [f"{BALANCER}/32"]}
    keys = {"host": "web.example.org", "allow-ip": "10.1.0.0/16"}
    settings = settings_of(proxy, short_dir, web=listener)
    with http_servers() as servers, running(settings, cluster({**keys, "port": servers.port})) as ports:
        assert seen(said(ports["web"], HELLO, BALANCER, proxy_header=V1))["x-forwarded-for"] == "10.1.1.1"
        for header in (V1, V2, b""):
            assert seen(said(ports["web"], HELLO, SOMEBODY, proxy_header=header)) is None
        forged = HELLO.replace(b"Host", b"X-Forwarded-For: 10.1.1.1\r\nHost")
        assert seen(said(ports["web"], forged, BALANCER, proxy_header=V1.replace(b"10.1.", b"10.2."))) is None


@EACH
@pytest.mark.parametrize("trusted", [[], [f"{BALANCER}/32"]], ids=["anybody", "one"])
def test_proxy_protocol_over_tcp(proxy, trusted, short_dir):
    """TCP routes judge whom the PROXY header names."""
    settings = settings_of(
        proxy, short_dir, line={"protocol": "tcp", "proxy_protocol": True, "trusted_proxies": trusted}
    )
    with tcp_servers() as servers:
        keys = {"tcp.line.port": servers.port, "tcp.line.allow-ip": "10.1.0.0/16"}
        with running(settings, cluster(keys)) as ports:
            assert said(ports["line"], b"hello\n", BALANCER, proxy_header=V1) == "127.1.0.1\n"
            assert said(ports["line"], b"hello\n", BALANCER, proxy_header=V2) == "127.1.0.1\n"
            assert said(ports["line"], b"hello\n", BALANCER, proxy_header=V1.replace(b"10.1.", b"10.2.")) == ""
            if trusted:
                assert "127.1.0.1" not in said(ports["line"], b"hello\n", SOMEBODY, proxy_header=V1)


@EACH
def test_upgrades(proxy, short_dir):
    """WebSockets are asked for at the server; HTTP/2 by an upgrade is not, since it would go around all guards."""
    settings = settings_of(proxy, short_dir, web={})
    keys = {"host": "web.example.org"}
    asks = (
        "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    with http_servers() as servers, running(settings, cluster({**keys, "port": servers.port})) as ports:
        for upgrade in ("h2c", "H2C", "websocket, h2c", "h2c, websocket"):
            words = f"{asks}\r\nUpgrade: {upgrade}".encode()
            headers = seen(said(ports["web"], HELLO.replace(b"Connection: close", words)))
            assert headers is None or "h2c" not in headers.get("upgrade", "").lower(), upgrade
        words = f"{asks}\r\nUpgrade: websocket".encode()
        headers = seen(said(ports["web"], HELLO.replace(b"Connection: close", words)))
        assert headers["upgrade"] == "websocket"
        assert "upgrade" in headers["connection"].lower().split(", ")


@EACH
@pytest.mark.parametrize("listeners", [["web", "sec"], ["sec"]], ids=["both", "tls"])
def test_sticky_cookies(proxy, listeners, short_dir):
    """Cookies that keep a client with its server are for https alone where that is spoken."""
    if proxy == "nginx":
        pytest.skip("before 1.29.6 it has no cookies")
    settings = settings_of(proxy, short_dir, web={}, sec={"tls": True})
    keys = {"host": "web.example.org", "sticky": "cookie:SID", "listener": ",".join(listeners)}
    with http_servers() as servers, running(settings, cluster({**keys, "port": servers.port})) as ports:
        for name in listeners:
            words = HELLO.replace(b"Host", b"X-Answer: Set-Cookie: own=1; SameSite=Lax\r\nHost")
            answer = said(ports[name], words, tls=name == "sec")
            [cookie] = re.findall(r"(?im)^set-cookie: (SID.*?)\r$", answer)
            words = cookie.lower().split("; ")
            assert "samesite=lax" in words
            assert ("secure" in words) == (name == "sec" and (proxy == "haproxy" or listeners == ["sec"]))
            assert re.findall(r"(?im)^set-cookie: (own.*?)\r$", answer) == ["own=1; SameSite=Lax"]


@EACH
def test_denied_without_tls(proxy, short_dir):
    """What docker-flow-proxy's denyHttp refuses is what came by plain HTTP, as a trusted load balancer says."""
    behind = {"trusted_proxies": [f"{BALANCER}/32"]}
    settings = settings_of(proxy, short_dir, web=behind, sec={**behind, "tls": True}, alone={})
    settings = settings.model_copy(
        update={"discovery": settings.discovery.model_copy(update={"dialects": ["dockerflow"]})}
    )
    with http_servers() as servers:
        labels = {"notify": "true", "port": servers.port, "servicePath": "/", "denyHttp": "true"}
        written = {f"com.df.{name}": str(value) for name, value in labels.items()}
        service = a_service("web", labels=written, networks=("edge-id",))
        task = a_task("web", 1, addresses={"edge-id": "127.1.0.1"})
        with running(settings, a_snapshot(a_node(), a_network("edge"), service, task)) as ports:
            for name, source, scheme, served in [
                ("web", BALANCER, "https", True),
                ("web", BALANCER, "http", False),
                ("web", BALANCER, "", False),
                ("web", SOMEBODY, "https", False),
                ("sec", SOMEBODY, "http", True),
                ("sec", BALANCER, "", True),
                ("alone", BALANCER, "https", False),
            ]:
                said_of_it = f"X-Forwarded-Proto: {scheme}\r\n".encode() if scheme else b""
                answer = said(ports[name], HELLO.replace(b"Host", said_of_it + b"Host"), source, tls=name == "sec")
                assert (seen(answer) is not None) == served, (name, source, scheme, answer)
                assert served or answer.startswith("HTTP/1.1 403"), answer
