"""Who has asked too often has so after a change, too: counters of requests and of wrong passwords outlive a reload."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbgen.model import build
from lbgen.proxies.haproxy import apply as haproxy
from lbgen.report.limits import limits
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.passwords import HASH
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import changing, ports_of
from tests.support.wait import PATIENCE, wait_for

RIGHT, WRONG = ({"Authorization": "Basic " + base64.b64encode(text).decode()} for text in (b"anna:secret", b"anna:no"))


class Site:
    """A proxy with a service that counts requests, one that asks for a password, and a third one that changes."""

    def __init__(self, proxy: str, directory: Path) -> None:
        (directory / "users").mkdir()
        (directory / "users" / "staff").write_text(f"anna:{HASH}\n")
        directory.chmod(0o755)  # Nginx's workers read the file, on an account of their own
        self.proxy = proxy
        self.stats_socket = directory / "out/haproxy.sock"
        target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
        self.settings = Settings.model_validate(
            {
                "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
                "default_listeners": ["web"],
                "status": {"bind": ""},
                "users": str(directory / "users"),
                "targets": {"edge": {**target, "apply": {"run": True}}},
            }
        )
        self.change: Callable[[], str]

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Run it; `change` has a label of the third service changed, and returns how that was brought in."""
        with http_servers() as servers, changing(self.settings, self.snapshot(servers.port, "0")) as bring_to:
            numbers = map(str, range(1, 100))
            self.change = lambda: bring_to(self.snapshot(servers.port, next(numbers)))
            yield

    def snapshot(self, port: int, other: str) -> Snapshot:
        """The cluster."""
        return a_snapshot(
            a_node(),
            a_network("edge"),
            *app("few", {"host": "few.org", "rate-limit": "2/h", "rate-limit.burst": "0"}, port, "127.1.0.1"),
            *app("staff", {"host": "staff.org", "basic-auth": "staff"}, port, "127.1.0.2"),
            *app("other", {"host": "other.org", "response-header.x-change": other}, port, "127.1.0.3"),
        )

    def ask(self, host: str, headers: dict[str, str] | None = None, source: str = "127.0.0.1") -> int:
        """Return the status of a request."""
        port = ports_of(self.settings)["web"]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
        with contextlib.closing(client):
            client.request("GET", "/", headers={"Host": host, **(headers or {})})
            with client.getresponse() as response:
                response.read()
                return response.status

    def begun(self) -> None:
        """Wait until nobody is expected any more to hand counters over, as in the first seconds after a start.

        Before that, HAProxy 2.6 does not hand on its own.
        """
        if self.proxy == "haproxy":
            wait_for(lambda: int(re.findall(r" flags=0x([0-9a-f]+)", self.told("show peers"))[0], 16) & 3 == 3)

    def taken_over(self, table: str) -> None:
        """Wait until the new worker has a table's entries from the old one, which hands them over beside its work."""
        if self.proxy == "haproxy":
            wait_for(lambda: "key=" in self.told(f"show table {table}"), f"entries in {table}", timeout=30)

    def told(self, command: str) -> str:
        """What HAProxy says."""
        return haproxy.ask(self.stats_socket, command, half_close=False)


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")])
def test_rates_outlive_changes(proxy, short_dir):
    """A client that has asked too often is refused after another service's change as before it; others are not."""
    site = Site(proxy, short_dir)
    with site.served():
        site.begun()
        assert [site.ask("few.org") for _ in range(4)][-1] == 429
        for _ in range(2):
            assert site.change() == "reload"
            site.taken_over("few")
            assert site.ask("few.org") == 429
        assert site.ask("few.org", source="127.0.0.2") == 200


@pytest.mark.proxy("haproxy")
def test_wrong_passwords_outlive_changes(short_dir):
    """No change lets a client guess on, and none locks out one whose password was right."""
    site = Site("haproxy", short_dir)
    with site.served():
        site.begun()
        assert site.ask("staff.org", RIGHT) == 200
        assert [site.ask("staff.org", WRONG) for _ in range(11)][-1] == 429
        assert site.change() == "reload"
        site.taken_over("staff:wrong")
        site.taken_over("staff:right")
        assert site.ask("staff.org", WRONG) == 429
        assert site.ask("staff.org", RIGHT) == 200


@pytest.mark.proxy("traefik")
def test_traefik_counts_anew(short_dir):
    """Traefik's counters begin anew at every change, which lint tells."""
    site = Site("traefik", short_dir)
    with site.served():
        assert [site.ask("few.org") for _ in range(4)][-1] == 429
        site.change()
        assert site.ask("few.org") == 200
    snapshot = site.snapshot(80, "0")
    told = limits(build(snapshot, site.settings.rules()), snapshot, "edge", "traefik")
    assert ("few", "counters") in {(limit.service, limit.feature) for limit in told}
