"""The cookie that keeps a client with its server has the attributes that labels ask for, with every proxy."""

from __future__ import annotations

import http.client

import pytest

from lbgen.settings import Settings
from tests.support import proxies
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.certificates import certificate
from tests.support.clients import anybody
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import PROXIES, running
from tests.support.wait import PATIENCE

CASES = {
    "usual": ({}, {"path": "/", "httponly": "", "samesite": "lax"}),
    "secure": ({"secure": "true"}, {"path": "/", "httponly": "", "samesite": "lax", "secure": ""}),
    "strict": ({"same-site": "strict", "http-only": "false"}, {"path": "/", "samesite": "strict"}),
    "framed": ({"same-site": "none"}, {"path": "/", "httponly": "", "samesite": "none", "secure": ""}),
    "kept": ({"max-age": "1h"}, {"path": "/", "httponly": "", "samesite": "lax", "max-age": "3600"}),
    "open": ({"secure": "false"}, {"path": "/", "httponly": "", "samesite": "lax"}),
}
# By https, on a route that plain http leads to as well.
BY_HTTPS = {name: attributes | {"secure": ""} for name, (_, attributes) in CASES.items() if name != "open"}


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def test_attributes(proxy, short_dir):
    """Each attribute is there where it is asked for, and a client that has the cookie stays with its server."""
    certificate(short_dir / "certs/any.pem", "any.example.org")
    target = {"templates": [proxy], "output": str(short_dir / "out"), "probe": f"127.0.0.1:{free_port()}"}
    if proxy == "nginx":
        target["binary"] = proxies.newest(proxy)  # before 1.29.6 it keeps clients by their address
    settings = Settings.model_validate(
        {
            "listeners": {
                "web": {"bind": f"127.0.0.1:{free_port()}"},
                "websecure": {"bind": f"127.0.0.1:{free_port()}", "tls": True},
            },
            "default_listeners": ["web", "websecure"],
            "certificates": str(short_dir / "certs"),
            "status": {"bind": ""},
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )
    with http_servers() as servers:
        facts = [a_node(), a_network("edge")]
        for number, (name, (keys, _)) in enumerate(CASES.items(), 1):
            labels = {"host": f"{name}.org", "sticky": f"cookie:{name}"}
            labels |= {f"sticky.{key}": value for key, value in keys.items()}
            facts += app(name, labels, servers.port, f"127.1.{number}.1", f"127.1.{number}.2")
        with running(settings, a_snapshot(*facts)) as ports:
            plain = {name: attributes_of(name, ports["web"]) for name in CASES}
            assert plain == {name: attributes for name, (_, attributes) in CASES.items()}
            if proxy == "haproxy":  # lint tells of the others
                assert {name: attributes_of(name, ports["websecure"], tls=True) for name in BY_HTTPS} == BY_HTTPS
                assert "secure" not in attributes_of("open", ports["websecure"], tls=True)


def attributes_of(name: str, port: int, *, tls: bool = False) -> dict[str, str]:
    """Return the attributes of the cookie that a client gets, which stays with its server by it."""
    first, cookie = asked(name, port, tls=tls)
    value, *attributes = cookie.split(";")
    assert value.startswith(f"{name}=")
    assert {asked(name, port, value, tls=tls)[0] for _ in range(8)} == {first}
    said = dict(part.strip().partition("=")[::2] for part in attributes)
    return {key.lower(): text.lower() for key, text in said.items() if key.lower() != "expires"}


def asked(name: str, port: int, cookie: str = "", *, tls: bool) -> tuple[bytes, str]:
    """Ask; return what the server says and the cookie that is set."""
    client = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=anybody())
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    )
    try:
        client.request("GET", "/", headers={"Host": f"{name}.org", **({"Cookie": cookie} if cookie else {})})
        with client.getresponse() as response:
            assert response.status == 200
            return response.read().partition(b'"headers"')[0], response.headers.get("Set-Cookie", "")
    finally:
        client.close()
