"""Requests that no route may see, byte by byte: hosts that are none, two hosts in one request, paths that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lbgen.base.address import split_bind
from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import raw
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import PROXIES, running


class Site:
    """A proxy with an open host, a closed one, and a listener that takes no encoded slashes."""

    def __init__(self, proxy: str, ports: dict[str, int]) -> None:
        self.proxy, self.ports = proxy, ports

    def ask(self, head: str, listener: str = "web") -> tuple[int, dict[str, object]]:
        """Send these lines; return the status, and what a server says that it got."""
        reply = raw(self.ports[listener], head.replace("\n", "\r\n") + "\r\nConnection: close\r\n\r\n")
        text = reply[reply.find(b"{") : reply.rfind(b"}") + 1]
        return int(reply[9:12]), json.loads(text) if text else {}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def site(request, tmp_path_factory) -> Iterator[Site]:
    """One for each proxy."""
    directory = tmp_path_factory.mktemp("r")
    listeners = {
        "web": {"bind": f"127.0.0.1:{free_port()}"},
        "strict": {"bind": f"127.0.0.1:{free_port()}", "encoded_slashes": "reject"},
    }
    target = {"templates": [request.param], "output": str(directory / "o"), "probe": f"127.0.0.1:{free_port()}"}
    settings = Settings.model_validate(
        {
            "listeners": listeners,
            "default_listeners": ["web", "strict"],
            "targets": {"edge": {**target, "apply": {"run": True}}},
            "status": {"bind": ""},
        }
    )
    with http_servers() as servers:
        snapshot = a_snapshot(
            a_node(),
            a_network("edge"),
            *app("open", {"host": "www.test"}, servers.port, "127.1.0.1"),
            *app("closed", {"host": "intern.test", "allow-ip": "192.0.2.1"}, servers.port, "127.1.0.2"),
            *app("admin", {"host": "www.test", "path": "/admin"}, servers.port, "127.1.0.4"),
            *app("rest", {}, servers.port, "127.1.0.3"),
        )
        with running(settings, snapshot):
            yield Site(request.param, {name: split_bind(each["bind"])[1] for name, each in listeners.items()})


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("www.test", "127.1.0.1"),
        ("WWW.test:8080", "127.1.0.1"),
        ("www.test.", "127.1.0.1"),
        ("www.test.:80", "127.1.0.1"),
        ("www.test:", "127.1.0.1"),
        ("x_y.test", "127.1.0.3"),
        ("192.0.2.7:80", "127.1.0.3"),
        ("[::1]", "127.1.0.3"),
        ("[2001:DB8::1]:8080", "127.1.0.3"),
    ],
)
def test_hosts(site, host, address):
    """A name or an address, with a port or without, is a host."""
    status, said = site.ask(f"GET / HTTP/1.1\nHost: {host}")
    assert (status, said["address"]) == (200, address)


@pytest.mark.parametrize("path", ["/", "/x"])
def test_no_host(site, path):
    """A client of HTTP/1.0 names none; it gets what is for every host."""
    status, said = site.ask(f"GET {path} HTTP/1.0")
    assert (status, said["address"]) == (200, "127.1.0.3")


@pytest.mark.parametrize(
    "host",
    [
        "www.test:80@evil.test",
        "www.test:evil.test",
        "www.test/x",
        "www.test, evil.test",
        "www.test@evil.test",
        "a\\b",
        "[x",
    ],
)
def test_no_hosts(site, host):
    """What is more than a name and a port is refused; Traefik takes some of it, and passes it on."""
    status, said = site.ask(f"GET / HTTP/1.1\nHost: {host}")
    if site.proxy == "traefik":
        assert status == 400 or said["address"] == "127.1.0.3" or host in ("www.test:evil.test", "www.test/x")
    else:
        assert status == 400


def test_another_host_in_the_line(site):
    """A request for one host with another one in the header Host: nobody is told a host that was not judged."""
    status, said = site.ask("GET http://www.test/ HTTP/1.1\nHost: intern.test")
    if site.proxy == "traefik":
        assert (status, said["headers"]["host"]) == (200, ["www.test"])
    else:
        assert status == 400


@pytest.mark.parametrize("host", ["www.test", "www.test:80", "WWW.TEST"])
def test_the_same_host_in_the_line(site, host):
    """A request as it is sent to proxies is one for its host."""
    status, said = site.ask(f"GET http://www.test/x HTTP/1.1\nHost: {host}")
    if site.proxy == "haproxy" and host != "www.test":
        assert status in (200, 400)  # HAProxy compares them as they are
    else:
        assert (status, said["address"]) == (200, "127.1.0.1")


def test_the_path_of_such_a_line(site):
    """It is matched in normal form as well."""
    status, said = site.ask("GET http://www.test//%61dmin/x HTTP/1.1\nHost: www.test")
    assert (status, said["address"]) == (200, "127.1.0.4")


@pytest.mark.parametrize("path", ["/%00", "/x%00y", "/%", "/%4", "/%zz/x", "/x%2", "/a#b", "/a%20b%0g"])
def test_no_paths(site, path):
    """What applications could cut off, or read each in its own way."""
    assert site.ask(f"GET {path} HTTP/1.1\nHost: www.test")[0] == 400


@pytest.mark.parametrize("path", ["/?%00", "/x?100%", "/a%20b?%zz#x", "/?a=//b/../%2f"])
def test_queries(site, path):
    """A query is the application's own business."""
    if "#" in path:
        path = path.partition("#")[0]
    status, said = site.ask(f"GET {path} HTTP/1.1\nHost: www.test")
    assert (status, said["path"]) == (200, path)


@pytest.mark.parametrize("path", ["/a%2fb", "/a%2Fb", "/a%5Cb", "/a%5cb/x", "/a\\b", "//a%2Fb/../c%2F"])
def test_encoded_slashes(site, path):
    """They reach the application by a listener that lets them pass, and not by one that rejects them."""
    ask = f"GET {path} HTTP/1.1\nHost: www.test"
    assert site.ask(ask)[0] == 200
    assert site.ask(ask, "strict")[0] == 400


@pytest.mark.parametrize("path", ["/a/b", "/a%20b", "/caf%C3%A9//x", "/a%25b", "/?x=%2F"])
def test_no_encoded_slashes(site, path):
    """Other paths are as good there as elsewhere."""
    assert site.ask(f"GET {path} HTTP/1.1\nHost: www.test", "strict")[0] == 200
