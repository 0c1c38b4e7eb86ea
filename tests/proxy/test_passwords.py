"""What a wrong password costs a real proxy, and whom it keeps waiting: nobody, for long."""

from __future__ import annotations

import base64
import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import raw
from tests.support.passwords import BCRYPT_10, BCRYPT_12, HASH, SHA_100001
from tests.support.ports import free_port
from tests.support.processor import seconds_of_children
from tests.support.real_servers import http_servers
from tests.support.running import running
from tests.support.wait import PATIENCE

RIGHT, WRONG = "secret", "wrong"
waiting = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")]


class Site:
    """A proxy with a route for the users of a file, and another route for everybody."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, user: str = "", password: str = RIGHT, *, host: str = "staff.org", source: str = "127.0.0.1") -> int:
        """Return the status of a request, with a password if there is a user."""
        headers = {"Host": host}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE, source_address=(source, 0))
        with contextlib.closing(client):
            client.request("GET", "/", headers=headers)
            with client.getresponse() as response:
                response.read()
                return response.status


@contextlib.contextmanager
def site(proxy: str, directory: Path, own: Sequence[str] = (), **hashes: str) -> Iterator[Site]:
    """Run the proxy with these users."""
    directory.chmod(0o755)  # Nginx's workers read the file, on an account of their own
    (directory / "users").mkdir()
    (directory / "users" / "staff").write_text("".join(f"{user}:{hashed}\n" for user, hashed in hashes.items()))
    target = {"templates": [*own, proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "default_listeners": ["web"],
            "status": {"bind": ""},
            "users": str(directory / "users"),
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )
    with http_servers() as servers:
        snapshot = a_snapshot(
            a_node(),
            a_network("edge"),
            *app("staff", {"host": "staff.org", "basic-auth": "staff"}, servers.port, "127.1.0.1"),
            *app("open", {"host": "open.org"}, servers.port, "127.1.0.2"),
        )
        with running(settings, snapshot) as listeners:
            yield Site(listeners["web"])


@pytest.mark.parametrize(
    ("proxy", "statuses"),
    [
        pytest.param("haproxy", {"bob": 401, "eve": 401, "anna": 200}, marks=pytest.mark.proxy("haproxy")),
        pytest.param("nginx", {"bob": 401, "eve": 401, "anna": 401}, marks=pytest.mark.proxy("nginx")),
        # It compares beside its other requests, and knows no SHA-crypt.
        pytest.param("traefik", {"bob": 200, "eve": 401, "anna": 200}, marks=pytest.mark.proxy("traefik")),
    ],
)
def test_costly_hashes(proxy, statuses, short_dir):
    """A hash that takes too long to compare lets nobody in: HAProxy leaves its user out, Nginx the whole file."""
    with site(proxy, short_dir, bob=BCRYPT_12, eve=SHA_100001, anna=HASH) as made:
        assert {user: made.ask(user) for user in statuses} == statuses
        assert made.ask() == 401
        assert made.ask(host="open.org") == 200


@pytest.mark.parametrize("proxy", waiting)
def test_costly_hashes_cost_nothing(proxy, short_dir):
    """They are not compared: 40 wrong passwords, which would take 10 s of processor, take less than 2."""
    with site(proxy, short_dir, bob=BCRYPT_12) as made:
        before = seconds_of_children()
        statuses = Counter(made.ask("bob", WRONG, source=f"127.2.0.{1 + number}") for number in range(40))
        assert seconds_of_children() - before < 2
    assert statuses == {401: 40}


@pytest.mark.proxy("haproxy")
def test_wrong_passwords_are_counted(short_dir):
    """HAProxy compares 10 wrong passwords a minute of one address; right ones, and other requests, do not count."""
    with site("haproxy", short_dir, bob=HASH, anna=HASH) as made:
        assert [made.ask("bob") for _ in range(30)] == [200] * 30
        assert [made.ask() for _ in range(30)] == [401] * 30
        assert [made.ask("bob", WRONG) for _ in range(12)] == [401] * 10 + [429] * 2
        assert made.ask("bob") == 200  # right before
        assert made.ask("anna") == 429  # as right, but not before
        assert made.ask("anna", WRONG) == 429
        assert made.ask() == 401
        assert made.ask(host="open.org") == 200
        assert made.ask("anna", source="127.0.0.2") == 200
        assert made.ask("anna") == 200  # they are the same credentials, wherever they come from
        assert made.ask("anna", WRONG) == 429


@pytest.mark.proxy("haproxy")
def test_wrong_passwords_of_ipv6(short_dir):
    """Of IPv6 addresses those with the same first 64 bits are one: a client has all of them."""
    own = short_dir / "templates"
    own.mkdir()
    (own / "haproxy.cfg.j2").write_text(
        '{% extends "haproxy/haproxy.cfg.j2" %}{% block http_bind %} accept-proxy{% endblock %}'
    )
    key = base64.b64encode(f"bob:{WRONG}".encode()).decode()
    asked = f"GET / HTTP/1.1\r\nHost: staff.org\r\nAuthorization: Basic {key}\r\nConnection: close\r\n\r\n"
    with site("haproxy", short_dir, [str(own)], bob=HASH) as made:

        def status(address: str) -> int:
            return int(raw(made.port, f"PROXY TCP6 {address} 2001:db8::1 1000 80\r\n{asked}").split()[1])

        assert [status(f"2001:db8:0:1:{number}::1") for number in range(12)] == [401] * 10 + [429] * 2
        assert status("2001:db8:0:2::1") == 401


@pytest.mark.proxy("haproxy")
def test_flood_of_wrong_passwords(short_dir):
    """300 wrong passwords of the dearest sort from one address are compared 10 times, and keep nobody waiting.

    Without a limit they would take 18 s of processor.
    """
    with site("haproxy", short_dir, bob=BCRYPT_10) as made:
        before = seconds_of_children()
        flood: Counter[int] = Counter()

        def ask() -> None:
            flood.update([made.ask("bob", WRONG) for _ in range(75)])

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        innocent = Counter(made.ask(host="open.org", source="127.0.0.2") for _ in range(100))
        for thread in threads:
            thread.join()
        assert seconds_of_children() - before < 4
    assert innocent == {200: 100}
    # Each of its threads may have begun with one more.
    assert flood[401] in range(10, 10 + 16)
    assert flood[429] == 300 - flood[401]
