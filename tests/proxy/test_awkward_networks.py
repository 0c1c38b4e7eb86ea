"""Every network works in every key that takes one, with every proxy: those that proxies stumble over."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest

from tests.support.builders import Fact, app
from tests.support.clients import Client
from tests.support.real_servers import Servers, http_servers
from tests.support.running import PROXIES, serving

pytestmark = pytest.mark.timeout(600)
every_proxy = pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
NETWORKS = [
    "0.0.0.0/0", "::/0", "255.255.255.255/32", "255.255.255.254/31", "255.255.255.254,255.255.255.255",
    "255.255.255.255,255.255.255.0/24", "0.0.0.0/32", "128.0.0.0/1", "0.0.0.0/0,::/0", "::/96", "::/1", "::8000:0:0/81",
    "::fffe:0:0/95", "::ffff:0:0/96", "::ffff:10.0.0.0/104", "::ffff:192.0.2.1", "2001:db8::/32", "::1", "10.1.2.3",
]  # fmt: skip
CLIENTS = [
    "10.1.2.3",
    "192.0.2.1",
    "255.255.255.253",
    "255.255.255.254",
    "127.9.9.9",
    "2001:db8::1",
    "fe80::1",
    "1::ffff:a01:203",
]
OLD = ["::2", "2002:a01:203::1"]  # of IPv6: HAProxy takes them for 0.0.0.2 and 10.1.2.3, see docs/proxies.md


@pytest.fixture
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as made:
        yield made


@every_proxy
def test_every_network(proxy, servers, short_dir):
    """allow-ip, deny-ip and client-ip mean these addresses, of clients that a trusted proxy tells of, and no others."""
    facts: list[Fact] = []
    keys = ["allow-ip", "deny-ip"] + ["client-ip"] * (proxy != "traefik")  # which cannot match them there: lint tells
    for number, networks in enumerate(NETWORKS):
        for key in keys:
            labels = {"host": f"{key}-{number}.org", key: networks}
            facts += app(f"{key}-{number}", labels, servers.port, "127.1.0.1")
    trusted = {"trusted_proxies": ["127.0.0.1", "255.255.255.255", "2001:db8:ffff::/48"]}
    wrong = []
    with serving(proxy, short_dir, *facts, **trusted) as port:
        client = Client(port)
        for number, networks in enumerate(NETWORKS):
            for address in CLIENTS + OLD * (proxy != "haproxy"):
                within = is_within(address, networks)
                denied, unmatched = (200, 403)[within], (404, 200)[within]
                expected = {"allow-ip": (403, 200)[within], "deny-ip": denied, "client-ip": unmatched}
                for key in keys:
                    status = client.ask(host=f"{key}-{number}.org", headers={"X-Forwarded-For": address}).status
                    if status != expected[key]:
                        wrong.append((key, networks, address, status))
        client.close()
    assert wrong == []


def is_within(address: str, networks: str) -> bool:
    """Tell whether an address is in one of the networks; those of IPv6 that stand for IPv4 are IPv4's."""
    for network in map(ipaddress.ip_network, networks.split(",")):
        if mapped := getattr(network.network_address, "ipv4_mapped", None):
            network = ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
        if ipaddress.ip_address(address) in network:
            return True
    return False
