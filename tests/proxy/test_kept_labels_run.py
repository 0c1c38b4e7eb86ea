"""`lbgen run` with a real HAProxy under traffic: what a mistake in a label does to the service that is served."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
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

# An open route for the host, and one for /admin that nobody here may use.
KEYS: dict[str, object] = {
    "http.shop.host": "a.org",
    "http.admin.host": "a.org",
    "http.admin.path": "/admin",
    "http.admin.allow-ip": "10.0.0.0/8",
}
DAMAGE: dict[str, dict[str, object]] = {
    "the guard's value": {"http.admin.allow-ip": "10.0.0.0/33"},
    "an unknown key": {"http.shop.hots": "b.org"},
    "a bad path": {"http.admin.path": "admin"},
    "enable": {"enable": "ture"},
}


class Shop:
    """A service with a guarded path, and an lbgen that serves it."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def says(self, address: str, **more: object) -> None:
        """Have the service labelled so, with its task at this address."""
        facts = app("shop", {**KEYS, **more.get("keys", {})}, self.daemon.server_port, address)  # type: ignore[dict-item]
        self.daemon.write([a_node(), a_network(), *facts])

    def asked(self, path: str = "/", host: str = "a.org") -> tuple[int, str]:
        """The status of one request, and the server that answered."""
        client = Client(self.daemon.port)
        with contextlib.closing(client):
            answer = client.ask(path, host)
            return answer.status, answer.server

    def wrong(self) -> str:
        """What is wrong with a request for each path; nothing if they are open, and closed, as they should be."""
        statuses = self.asked("/x")[0], self.asked("/admin")[0]
        return "" if statuses == (200, 403) else f"{statuses}"

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
    """Wait for the state in which a task at this address serves, and so many problems are told; have traffic see it."""
    wait_for(lambda: shop.asked("/x") == (200, address), f"the task at {address}")
    wait_for(lambda: len(shop.problems()) == problems, f"{problems} problems")
    traffic.more(20)


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_label(what, shop):
    """Traffic and guard stay, tasks are followed, a problem tells since when, over a restart too; then it is mended."""
    with steady(shop.wrong) as traffic:
        shop.says("127.1.0.2", keys=DAMAGE[what])
        settled(shop, traffic, "127.1.0.2", 1)
        (told,) = shop.problems()
        assert "the service's previous labels stay in force, since " in told["text"]
        shop.restart()
        shop.says("127.1.0.3", keys=DAMAGE[what])
        settled(shop, traffic, "127.1.0.3", 1)
        assert shop.problems() == [told]
        assert "labels_kept" in shop.daemon.status("/api/v1/explain/shop")[1]
        shop.says("127.1.0.1", keys={"http.shop.host": "a.org,b.org"})
        settled(shop, traffic, "127.1.0.1", 0)
        wait_for(lambda: shop.asked(host="b.org")[0] == 200, "the new host")
    assert traffic.failed == []
    history = json.loads(shop.daemon.status("/api/v1/history")[1])["changes"]
    told_of = [change["detail"] for change in history if change["method"] == "labels"]
    assert told_of[0] == "service shop: its newest labels are in force"
    (line,) = shop.daemon.said("problem_solved")
    assert line["problem"] == told["text"]


def test_guard_is_not_put_off(shop):
    """A guard that is added and cannot be honoured closes what it is for at once, in spite of the service's past."""
    closed = {"http.secret.host": "a.org", "http.secret.path": "/secret", "http.secret.allow-ip": "10.0.0.0/33"}
    with steady(shop.wrong) as traffic:
        assert shop.asked("/secret")[0] == 200
        shop.says("127.1.0.1", keys=closed)
        wait_for(lambda: shop.asked("/secret")[0] == 403, "the path to be closed")
        assert "previous labels" not in shop.problems()[0]["text"]
        shop.restart()
        shop.says("127.1.0.2", keys=closed)
        settled(shop, traffic, "127.1.0.2", 1)
        assert shop.asked("/secret")[0] == 403
        shop.says("127.1.0.3", keys={**closed, "http.secret.allow-ip": "127.0.0.0/8"})
        settled(shop, traffic, "127.1.0.3", 0)
        assert shop.asked("/secret")[0] == 200
    assert traffic.failed == []
