"""How large headers may be: the same with every proxy, of requests and of answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.builders import app
from tests.support.clients import Client, raw
from tests.support.real_servers import Servers, http_servers
from tests.support.running import PROXIES, serving

pytestmark = pytest.mark.timeout(600)
every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])


@pytest.fixture
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as made:
        yield made


@every_proxy
@pytest.mark.parametrize(("setting", "most"), [({}, 32 << 10), ({"max_headers": "64k"}, 64 << 10)])
def test_headers(proxy, setting, most, servers, short_dir):
    """What the setting says is accepted, in one cookie, in many headers or in the path; far more is refused."""
    room = most - 400  # for the other headers, and the request line
    many = {f"X-Header-{number}": "v" * (room // 80 - 20) for number in range(80)}
    with serving(proxy, short_dir, *app("web", {"host": "a.org"}, servers.port, "127.1.0.1"), **setting) as port:
        client = Client(port)
        assert client.ask(headers={"Cookie": "a" * 9000}).header("Cookie") == ["a" * 9000]
        assert client.ask(headers={"Cookie": "a" * room}).header("Cookie") == ["a" * room]
        assert client.ask(headers=many).header("X-Header-79") == [many["X-Header-79"]]
        assert client.ask("/?" + "a" * room).said["path"] == "/?" + "a" * room
        assert client.ask(headers={"X-Answer": "Set-Cookie: " + "a" * (room - 1000)}).status == 200
        client.close()
        cookies = "".join(f"X-Header-{number}: {'a' * (most // 2)}\r\n" for number in range(8))
        reply = raw(port, f"GET / HTTP/1.1\r\nHost: a.org\r\n{cookies}Connection: close\r\n\r\n")
    assert reply[9:12] in (b"400", b"413", b"431")
