"""Networks as Nginx's directive geo takes them."""

from __future__ import annotations

import pytest

from lbgen.render.nginx_networks import geo


@pytest.mark.parametrize(
    ("networks", "lines"),
    [
        (["10.0.0.0/8", "2001:db8::/32"], [("10.0.0.0/8", True), ("2001:db8::/32", True)]),
        (["0.0.0.0/0"], [("0.0.0.0/1", True), ("128.0.0.0/1", True)]),
        (["::/0", "::/1"], [("::/1", True), ("8000::/1", True)]),
        (["255.255.255.255/32"], [("255.255.255.254/31", True), ("255.255.255.254/32", False)]),
        (["255.255.255.255/32", "255.255.255.254/32"], [("255.255.255.254/32", True), ("255.255.255.254/31", True)]),
        (["255.255.255.255/32", "240.0.0.0/4"], [("240.0.0.0/4", True)]),
        (["255.255.255.255/32", "0.0.0.0/0"], [("0.0.0.0/1", True), ("128.0.0.0/1", True)]),
    ],
)
def test_geo(networks, lines):
    """All of them, and nothing else, in networks that Nginx takes."""
    assert list(geo(networks)) == lines
