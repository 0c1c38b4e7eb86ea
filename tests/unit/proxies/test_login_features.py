"""A program that cannot ask login services: what it says of itself, and what is written for it then."""

from __future__ import annotations

import pytest

from lbgen.model import build
from lbgen.proxies.haproxy.build import read
from lbgen.proxies.kind import AUTH_REQUEST, LUA
from lbgen.render.context import TargetContext
from lbgen.render.renderer import Renderer
from lbgen.render.templates import find
from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task

SAYS = "HAProxy version {version}-1 2026/10/17\nFeature list : +EPOLL {lua}LUA +THREAD\n"
WORDS = {"haproxy": ("lua.lbgen_login", "deny deny_status 403 if TRUE"), "nginx": ("auth_request ", "return 403 ")}


@pytest.mark.parametrize(
    ("version", "lua", "asks"), [("2.6.12", "+", True), ("2.6.12", "-", False), ("2.4.22", "+", False)]
)
def test_what_haproxy_says(version, lua, asks):
    """HAProxy asks with Lua, since 2.5."""
    assert (LUA in read(SAYS.format(version=version, lua=lua)).features) is asks


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize(("proxy", "feature"), [("haproxy", LUA), ("nginx", AUTH_REQUEST)])
def test_closed_without_it(proxy, feature, asks):
    """Where the program cannot ask, every request is answered 403, and nothing of it is loaded."""
    service = a_service("app", {"host": "a.org", "port": 80, "forward-auth": "http://app:80/"}, networks=("edge-id",))
    snapshot = a_snapshot(a_node(), a_network("edge"), service, a_task("app", addresses={"edge-id": "10.0.0.1"}))
    target = TargetContext("edge", "/out", {}, features=(feature,) if asks else ())
    renderer = Renderer(find([proxy]), target, Settings())
    text = renderer.render(build(snapshot, a_rules()), snapshot).texts[
        {"haproxy": "haproxy.cfg", "nginx": "nginx.conf"}[proxy]
    ]
    asking, refusing = WORDS[proxy]
    assert ((asking in text), (refusing in text), "lua-load" in text) == (asks, not asks, asks and proxy == "haproxy")
