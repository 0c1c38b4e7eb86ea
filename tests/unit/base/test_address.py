"""ADDRESS:PORT and back, and where to dial what listens everywhere."""

from __future__ import annotations

import pytest

from lbgen.base.address import dialable, host_port, owner, split_bind


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        (":80", ("*", 80)),
        ("*:80", ("*", 80)),
        ("192.0.2.1:8443", ("192.0.2.1", 8443)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:80", ("::1", 80)),
        ("[::]:65535", ("::", 65535)),
        ("[fd00::1]:080", ("fd00::1", 80)),
    ],
)
def test_bind(bind, expected):
    """A bind is an address, or nothing for all of them, and a port."""
    assert split_bind(bind) == expected


NO_PORT = ["80", ":", ":0", ":65536", ":http", "[::1]", ":80 ", " :80", ":80\n", ":80 ssl", "", ":\u0663"]
NO_ADDRESS = ["localhost:80", "::1:80", "[]:80", "1.2.3:80", "1.2.3.4.5:80", "256.0.0.1:80", "[::g]:80", "22:22"]


@pytest.mark.parametrize("bind", [*NO_PORT, *NO_ADDRESS, "[1.2.3]:80", "[fe80::1%eth0]:80"])
def test_bad_bind(bind):
    """What is no address and port is refused."""
    with pytest.raises(ValueError, match="is not ADDRESS:PORT"):
        split_bind(bind)


@pytest.mark.parametrize(
    ("host", "written"),
    [("10.0.0.2", "10.0.0.2:80"), ("fd00::1", "[fd00::1]:80"), ("::", "[::]:80"), ("*", "*:80"), ("web", "web:80")],
)
def test_host_port(host, written):
    """Only what has colons of its own is put into brackets."""
    assert host_port(host, 80) == written


@pytest.mark.parametrize(
    ("listening", "dialed"),
    [("*", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "192.0.2.1"), ("fd00::1", "fd00::1")],
)
def test_dialable(listening, dialed):
    """What listens everywhere is dialed at the loopback of its family, all else where it listens."""
    assert dialable(listening) == dialed


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
    ],
)
def test_owner(address, expected):
    """One client may have all of a /64."""
    assert owner(address) == expected
