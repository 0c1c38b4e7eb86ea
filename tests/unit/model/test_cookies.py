"""`lbgen.model.cookies`: what the cookie is like that keeps a client with its server."""

from __future__ import annotations

import pytest

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue
from lbgen.model import build
from lbgen.model.cookies import USUAL, Cookie, cookie_of
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_snapshot, app


@pytest.mark.parametrize(
    ("keys", "cookie"),
    [
        ({}, USUAL),
        ({"sticky_secure": True}, Cookie(secure="always")),
        ({"sticky_secure": False}, Cookie(secure="never")),
        ({"sticky_same_site": "strict"}, Cookie(same_site="strict")),
        ({"sticky_same_site": "none"}, Cookie(secure="always", same_site="none")),
        ({"sticky_same_site": "none", "sticky_secure": True}, Cookie(secure="always", same_site="none")),
        ({"sticky_http_only": False}, Cookie(http_only=False)),
        ({"sticky_max_age": 90.5}, Cookie(max_age=90)),
    ],
)
def test_cookie(keys, cookie):
    """Keys come to attributes; browsers take a cookie for other sites only if it is Secure."""
    assert cookie_of(RouteKeys(sticky="id", **keys)) == cookie


@pytest.mark.parametrize(
    ("keys", "blamed"),
    [
        ({"sticky": "id", "sticky_same_site": "none", "sticky_secure": False}, "sticky.same-site"),
        ({"sticky_secure": True}, "sticky.secure"),
        ({"sticky_same_site": "none"}, "sticky.same-site"),
        ({"sticky": "source", "sticky_http_only": False}, "sticky.http-only"),
        ({"sticky_max_age": 60.0}, "sticky.max-age"),
    ],
)
def test_contradictions(keys, blamed):
    """Attributes of a cookie that is not there, or that no browser takes, are a problem of the key that asks."""
    with pytest.raises(BadValue) as error:
        cookie_of(RouteKeys(**keys))
    assert error.value.key == blamed


@pytest.mark.parametrize(
    ("keys", "secure"),
    [
        ({"listener": "web,websecure"}, False),
        ({"listener": "websecure"}, True),
        ({"listener": "web,websecure", "redirect-https": "true"}, True),
        ({"listener": "web", "sticky.secure": "true"}, True),
        ({"listener": "websecure", "sticky.secure": "false"}, False),
        ({"listener": "web", "sticky.same-site": "none"}, True),
        ({"listener": "web", "sticky.secure": "true", "group": "g"}, True),
        ({"listener": "websecure", "sticky.secure": "false", "group": "g"}, False),
    ],
)
def test_secure(keys, secure):
    """Proxies that cannot tell by the request are told whether all clients of the route come by https."""
    rules = a_rules(a_listener(), a_listener("websecure", 443, tls=True))
    labels = {"host": "a.org", "sticky": "cookie", **keys}
    model = build(a_snapshot(a_node(), a_network("edge"), *app("web", labels, 80, "10.0.0.1")), rules)
    assert model.problems == ()
    assert [backend.secure_cookie for backend in model.backends] == [secure]
