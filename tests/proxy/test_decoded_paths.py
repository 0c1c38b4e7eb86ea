"""Tests of what a path may mean, asked of real proxies: all three decide as the expressions do in Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lbgen.daemon import assembly
from lbgen.labels.match import Test
from lbgen.model import build
from lbgen.model.entries import Rule
from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import PROXIES
from tests.support.wait import wait_for

# Rules by the header x-ask; each leads to the service "held" where it holds.
ASKED = {
    "admin": Test("path_decoded", "/admin"),
    "deep": Test("path_decoded", "/" + "/".join(["segment"] * 30)),
    "accent": Test("path_decoded", "/caf%C3%A9/x y".replace(" ", "%20")),
    "not-open": Test("path_decoded", "/open", negated=True),
    "odd": Test("path_odd", ""),
    "plain": Test("path_odd", "", negated=True),
    "all": Test("path_decoded", "/"),
}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def client(request, tmp_path_factory) -> Iterator[Client]:
    """A client of a proxy that has these rules."""
    directory = tmp_path_factory.mktemp("d")
    listener = {"bind": f"127.0.0.1:{free_port()}", "protocol": "http"}
    target = {"templates": [request.param], "output": str(directory / "o"), "probe": f"127.0.0.1:{free_port()}"}
    settings = Settings.model_validate(
        {
            "listeners": {"web": listener},
            "targets": {"edge": {**target, "apply": {"run": True}}},
            "status": {"bind": ""},
        }
    )
    with http_servers() as servers:
        facts = app("held", {"host": "other.org"}, servers.port, "127.1.0.1")
        snapshot = a_snapshot(a_node(), a_network("edge"), *facts, *app("web", {}, servers.port, "127.1.0.2"))
        model = build(snapshot, settings.rules())
        rules = tuple(Rule((test, Test("header", name, "x-ask")), "held", 9) for name, test in ASKED.items())
        model = replace(model, listeners=(replace(model.listeners[0], rules=rules),))
        made = assembly.Assembly("edge", settings.targets["edge"], settings).target()
        made.start()
        try:
            wait_for(lambda: made.bring_to(model, snapshot), "the proxy to serve the rules")
            yield Client(settings.rules().listeners[0].port)
        finally:
            made.stop()


@pytest.mark.parametrize(
    ("asked", "path", "holds"),
    [
        ("admin", "/admin", True),
        ("admin", "/admin/x?y", True),
        ("admin", "/admin%2fx", True),
        ("admin", "/admin%5Cx", True),
        ("admin", "/admin;v=1", True),
        ("admin", "/admin%3Bv=1", True),
        ("admin", "/%2Fadmin", True),
        ("admin", "/;a/admin", True),
        ("admin", "/%2561dmin", True),
        ("admin", "/static/..%2fadmin", True),
        ("admin", "/x/..;/y", True),
        ("admin", "/x\\..\\y", True),
        ("admin", "/adminx", False),
        ("admin", "/x/admin", False),
        ("admin", "/a%2Fb?/admin", False),
        ("deep", "/segment" * 20, True),
        ("deep", "/other/segment", False),
        ("accent", "/caf%C3%A9/x%20y", True),
        ("accent", "/caf%c3%a9%2Fx%20y", True),
        ("accent", "/caf%C3%A8/x%20y", False),
        ("not-open", "/open", False),
        ("not-open", "/open/a%2Fb/..c", False),
        ("not-open", "/open/..%2Fx", True),
        ("not-open", "/open;x/y", True),
        ("not-open", "/x", True),
        ("odd", "/a%2fb", True),
        ("odd", "/a\\b", True),
        ("odd", "/a%5cb", True),
        ("odd", "/a;b", True),
        ("odd", "/a%252Fb", True),
        ("odd", "/caf%C3%A9", False),
        ("plain", "/caf%C3%A9", True),
        ("plain", "/a;b", False),
        ("all", "/x/y", True),
    ],
)
def test_it_decides(client, asked, path, holds):
    """A rule holds for these paths, and not for those."""
    assert client.ask(path, headers={"x-ask": asked}).server == ("127.1.0.1" if holds else "127.1.0.2")
