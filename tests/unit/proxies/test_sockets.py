"""`proxies.sockets`: where proxies listen, by their own files, and whether anybody could."""

from __future__ import annotations

import errno
import socket

import pytest

from lbgen.proxies import sockets
from lbgen.proxies.haproxy.apply import HAProxy
from lbgen.proxies.nginx.apply import Nginx
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.sockets import Socket
from lbgen.proxies.traefik.apply import Traefik
from lbgen.render.renderer import Files
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":80", Socket("*", 80)),
        ("*:80", Socket("*", 80)),
        ("0.0.0.0:80", Socket("*", 80)),
        ("127.0.0.1:80", Socket("127.0.0.1", 80)),
        ("[::]:80", Socket("::", 80)),
        ("[::1]:80", Socket("::1", 80)),
        ("unix:/run/x.sock", None),
        ("/run/x.sock", None),
    ],
)
def test_of(text, expected):
    """An address is read as any proxy writes it."""
    assert Socket.of(text) == expected


HAPROXY = "frontend a\n    bind :80\n    bind [::]:80 v6only\n    bind 127.0.0.1:443 ssl\n    bind /run/x.sock\n"
NGINX = """\
http {
    server {
        listen 80 default_server;
        listen [::]:80 default_server;
        listen 127.0.0.1:443 ssl http2;
        listen unix:/run/x.sock;
    }
}
stream {
    server {
        listen [::1]:53 udp;
    }
}
"""
ALL = {Socket("*", 80), Socket("::", 80)}
TRAEFIK = "entryPoints:\n  web: {address: ':80'}\n  dns: {address: '[::1]:53/udp'}\n"


@pytest.mark.parametrize(
    ("proxy", "name", "text", "expected"),
    [
        (HAProxy, "haproxy.cfg", HAPROXY, {*ALL, Socket("127.0.0.1", 443)}),
        (Nginx, "nginx.conf", NGINX, {*ALL, Socket("127.0.0.1", 443), Socket("::1", 53, udp=True)}),
        (Traefik, "traefik.yml", TRAEFIK, {*ALL, Socket("::1", 53, udp=True)}),
    ],
)
def test_by_files(proxy: type[Proxy], name, text, expected):
    """Each proxy's files say where it listens."""
    made = proxy.__new__(proxy)
    assert made.sockets(Files.of({name: text})) == expected


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("own", ["127.0.0.1", "*"])
def test_taken(kind, own):
    """A port that somebody listens on is taken, on its address and on all; that of the other protocol is not."""
    udp = kind == socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(not udp))
        other.bind(("127.0.0.1", free_port()))
        if not udp:
            other.listen()
        where = Socket(own, other.getsockname()[1], udp)
        (why,) = sockets.closed([where]).values()
        said = "0.0.0.0" if own == "*" else own
        assert why.startswith(f"cannot bind socket (Address already in use) [{said}:{where.port}]; another process")
        assert sockets.taken([where]) == [why]
        assert sockets.closed([Socket(own, where.port, not udp)]) == {}
    assert sockets.closed([where]) == {}


def test_families():
    """A port of one family is taken by who has it there, and free for the other; Traefik has it in both."""
    with socket.create_server(("::1", free_port()), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        assert set(sockets.closed([Socket("*", port), Socket("::", port)])) == {Socket("::", port)}
    with socket.create_server(("", port)):
        assert set(sockets.closed([Socket("*", port), Socket("::", port)])) == {Socket("*", port)}
    made = Traefik.__new__(Traefik)
    for text in ("[::]:80", "0.0.0.0:80"):
        assert made.sockets(Files.of({"traefik.yml": f"entryPoints:\n  web: {{address: '{text}'}}\n"})) == ALL
    assert sockets.has_ipv6() is True


def test_not_ours():
    """An address of another machine is a reason where lbgen starts the proxy, and none where somebody else does."""
    elsewhere = Socket("192.0.2.1", 8080)
    assert elsewhere.error().errno == errno.EADDRNOTAVAIL
    assert "this machine has no such address" in sockets.closed([elsewhere])[elsewhere]
    assert sockets.taken([elsewhere]) == []
