"""`lbgen run` with a real HAProxy under traffic: what a mistake in a label does to the service that is served."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lbgen.base.errors import ProxyUnreachable
from tests.support.builders import a_network, a_node, app
from tests.support.clients import Client
from tests.support.daemon import Daemon, alive
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import http_servers
from tests.support.steady import Traffic, steady
from tests.support.wait import wait_for

pytestmark = pytest.mark.proxy(BINARY)

Keys = Mapping[str, object]
# What is wrong with the newest labels of services that have them; service "shop" is for all else.
DAMAGE: dict[str, Keys] = {
    "value": {"http.admin.allow-ip": "10.0.0.0/33"},
    "unknown": {"http.shop.hots": "b.org"},
    "path": {"http.admin.path": "admin"},
    "enable": {"enable": "ture"},
}
HOSTS = {"shop": "a.org", **{service: f"{service}.org" for service in DAMAGE}}


def keys_of(service: str) -> dict[str, object]:
    """An open route for the service's host, and one for /admin that nobody here may use."""
    host = HOSTS[service]
    admin = {"http.admin.host": host, "http.admin.path": "/admin", "http.admin.allow-ip": "10.0.0.0/8"}
    return {"http.shop.host": host, **admin}


class Shop:
    """Services with a guarded path each, and an lbgen that serves them."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def says(self, address: str, more: Mapping[str, Keys] | None = None) -> None:
        """Have services labelled so, all with their task at this address."""
        facts = [a_node(), a_network()]
        for service in HOSTS:
            keys = keys_of(service) | dict((more or {}).get(service, {}))
            facts += app(service, keys, self.daemon.server_port, address)
        self.daemon.write(facts)

    def asked(self, path: str = "/", host: str = "a.org") -> tuple[int, str]:
        """The status of one request, and the server that answered."""
        client = Client(self.daemon.port)
        with contextlib.closing(client):
            answer = client.ask(path, host)
            return answer.status, answer.server

    def wrong(self) -> str:
        """What is wrong with requests for each path; nothing if they are open, and closed, as they should be."""
        found = {host: (self.asked("/x", host)[0], self.asked("/admin", host)[0]) for host in HOSTS.values()}
        return "" if set(found.values()) == {(200, 403)} else f"{found}"

    def problems(self) -> list[dict[str, Any]]:
        """Those that the status API tells."""
        status, text = self.daemon.status("/api/v1/problems")
        return list(json.loads(text)["problems"]) if status == 200 else []

    def restart(self) -> None:
        """Kill lbgen, and start it again; HAProxy runs on."""
        assert self.daemon.end(signal.SIGKILL) == -signal.SIGKILL
        self.daemon.start()


@pytest.fixture
def shop(short_dir) -> Iterator[Shop]:
    """One that is served."""
    with http_servers() as servers:
        daemon = Daemon(short_dir, servers.port)
        made = Shop(daemon)
        made.says("127.1.0.1")
        daemon.start()
        try:
            daemon.answers("127.1.0.1")
            yield made
            print(daemon.log.read_text())
        finally:
            with contextlib.suppress(ProxyUnreachable, AssertionError):
                master = daemon.master()
                daemon.end()
                if alive(master):
                    os.kill(master, signal.SIGTERM)


def settled(shop: Shop, traffic: Traffic, address: str, problems: int) -> None:
    """Wait for the state in which tasks at this address serve, and so many problems are told; have traffic see it."""
    for host in HOSTS.values():
        wait_for(lambda host=host: shop.asked("/x", host) == (200, address), f"the task at {address} of {host}")
    wait_for(lambda: len(shop.problems()) == problems, f"{problems} problems")
    traffic.more(20)


def test_damaged_label(shop):
    """Traffic and guard stay, tasks are followed, a problem tells since when, over a restart too; then it is mended."""
    with steady(shop.wrong) as traffic:
        shop.says("127.1.0.2", DAMAGE)
        settled(shop, traffic, "127.1.0.2", len(DAMAGE))
        told = shop.problems()
        assert {problem["service"] for problem in told} == set(DAMAGE)
        for problem in told:
            assert "the service's previous labels stay in force, since " in problem["text"]
        shop.restart()
        shop.says("127.1.0.3", DAMAGE)
        settled(shop, traffic, "127.1.0.3", len(DAMAGE))
        assert shop.problems() == told
        for service in DAMAGE:
            assert "labels_kept" in shop.daemon.status(f"/api/v1/explain/{service}")[1]
        shop.says("127.1.0.1", {service: {"http.shop.host": f"{service}.org,new.{service}.org"} for service in DAMAGE})
        settled(shop, traffic, "127.1.0.1", 0)
        for service in DAMAGE:
            wait_for(lambda host=f"new.{service}.org": shop.asked(host=host)[0] == 200, "the new host")
    assert traffic.failed == []
    history = json.loads(shop.daemon.status("/api/v1/history")[1])["changes"]
    told_of = {change["detail"] for change in history if change["method"] == "labels"}
    assert {f"service {service}: its newest labels are in force" for service in DAMAGE} <= told_of
    solved = [line["problem"] for line in shop.daemon.said("problem_solved")]
    assert sorted(solved) == sorted(problem["text"] for problem in told)


def test_guard_is_not_put_off(shop):
    """A guard that is added and cannot be honoured closes what it is for at once, in spite of the service's past."""
    closed = {"http.secret.host": "a.org", "http.secret.path": "/secret", "http.secret.allow-ip": "10.0.0.0/33"}
    with steady(shop.wrong) as traffic:
        assert shop.asked("/secret")[0] == 200
        shop.says("127.1.0.1", {"shop": closed})
        wait_for(lambda: shop.asked("/secret")[0] == 403, "the path to be closed")
        assert "previous labels" not in shop.problems()[0]["text"]
        shop.restart()
        shop.says("127.1.0.2", {"shop": closed})
        settled(shop, traffic, "127.1.0.2", 1)
        assert shop.asked("/secret")[0] == 403
        shop.says("127.1.0.3", {"shop": {**closed, "http.secret.allow-ip": "127.0.0.0/8"}})
        settled(shop, traffic, "127.1.0.3", 0)
        assert shop.asked("/secret")[0] == 200
    assert traffic.failed == []
