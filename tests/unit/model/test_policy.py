"""`lbgen.model.policy`: keys that only make sense together, and the order of what is written in no order."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.substitution import UrlRedirect, path_substitution, url_from
from lbgen.labels.values.value_type import BadValue
from lbgen.model.policy import NOTHING, Concurrency, Cors, Policy, Rate, policy_of

A_URL = url_from("^http://a/", "http://b/")
A_PATH = path_substitution("^/a /b")


def test_nothing_asked():
    """All of it is one object, so that templates and plans see no difference."""
    assert policy_of(RouteKeys()) is NOTHING


@pytest.mark.parametrize(
    ("keys", "policy"),
    [
        ({"rate_limit": (30, 60)}, Policy(rate=Rate(30, 60, 30))),
        ({"rate_limit": (30, 60), "rate_limit_burst": 0}, Policy(rate=Rate(30, 60, 0))),
        ({"strip_prefix": ("/a", "/a/b", "/")}, Policy(strip_prefixes=("/a/b", "/a"))),
        ({"add_prefix": "/"}, NOTHING),
        ({"max_concurrent": 5}, Policy(concurrency=Concurrency(5, "client"))),
        ({"max_concurrent": 5, "max_concurrent_by": "host"}, Policy(concurrency=Concurrency(5, "host"))),
        (
            {"redirect_regex": (UrlRedirect(A_URL, 0), UrlRedirect(A_URL, 307)), "redirect_code": 301},
            Policy(redirects=(UrlRedirect(A_URL, 301), UrlRedirect(A_URL, 307))),
        ),
        ({"request_header": {"b": "1", "a": ""}}, Policy(request_headers=(("a", ""), ("b", "1")))),
        (
            {"cors_origins": ("*",), "cors_max_age": 60.0},
            Policy(cors=Cors(("*",), ("GET", "HEAD", "POST"), (), 60, False)),
        ),
    ],
)
def test_policy(keys, policy):
    """Keys come to a policy."""
    assert policy_of(RouteKeys(**keys)) == policy


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"rate_limit_burst": 5}, "rate-limit.burst"),
        ({"max_concurrent_by": "host"}, "max-concurrent.by"),
        ({"strip_prefix": ("/a",), "strip_prefix_regex": ("/b",)}, "strip-prefix-regex"),
        ({"replace_path": "/a", "replace_path_regex": A_PATH}, "replace-path-regex"),
        ({"cors_credentials": True}, "cors.origins"),
        ({"cors_headers": ("x",)}, "cors.origins"),
        ({"cors_origins": ("*",), "cors_credentials": True}, "cors.credentials"),
        ({"cors_origins": ("https://a.org",), "cors_headers": ("*",), "cors_credentials": True}, "cors.credentials"),
    ],
)
def test_together(keys, key):
    """What makes no sense names the key at fault."""
    with pytest.raises(BadValue) as caught:
        policy_of(RouteKeys(**keys))
    assert caught.value.key == key


# Networks that lie in one another, and the addresses at their edges.
SAMPLES = (
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "11.0.0.0/8",
    "fd00::/8",
    "fd00:1::/32",
    "fd00:1::1/128",
)
EDGES = [edge for text in SAMPLES for edge in (ipaddress.ip_network(text)[0], ipaddress.ip_network(text)[-1])]


def inside(address: object, networks: tuple[str, ...]) -> bool:
    return any(address in ipaddress.ip_network(text) for text in networks)


@given(*[st.lists(st.sampled_from(SAMPLES), unique=True, max_size=4).map(tuple)] * 2)
@settings(deadline=None)
def test_admitted(allow, deny):
    """One list lets in who is allowed and not denied; nobody is another list than everybody."""
    admitted = Policy(allow=allow, deny=deny).admitted
    for address in [*EDGES, ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")]:
        wanted = (not allow or inside(address, allow)) and not inside(address, deny)
        assert (not admitted or inside(address, admitted)) is wanted
