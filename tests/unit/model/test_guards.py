"""Guards that add up: the sum refuses whatever one of its terms refuses."""

from __future__ import annotations

import ipaddress
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.labels.keys.table import KEYS
from lbgen.model import Backend
from lbgen.model.groups import OWN
from lbgen.model.guards import KEYS as GUARD_KEYS
from lbgen.model.guards import CannotAdd, Guards
from lbgen.model.policy import Concurrency, Policy, Rate

ADDRESSES = ["192.0.2.1", "192.0.2.9", "198.51.100.7", "2001:db8::1", "2001:db8:9::1"]
NETWORKS = ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.0/29", "192.0.2.9/32", "198.51.100.0/24", "::/0", "2001:db8::/48"]
LISTS = st.lists(st.sampled_from(NETWORKS), max_size=3, unique=True).map(tuple)
NAMES = st.sampled_from(["", "", "one", "two"])
RATES = st.none() | st.builds(Rate, st.integers(1, 9), st.sampled_from([1, 60, 3600]), st.integers(0, 9))
NUMBERS = st.none() | st.builds(Concurrency, st.integers(1, 4), st.sampled_from(["client", "host"]))
STATUSES = st.sampled_from([403, 404, 410])
GUARDS = st.builds(Guards, LISTS, LISTS, NAMES, NAMES, RATES, NUMBERS, st.none() | st.integers(1, 4), STATUSES)
# Of clients, and of the seconds at which each asked.
REQUESTS = st.tuples(
    st.sampled_from(ADDRESSES), NAMES, NAMES, st.integers(0, 5), st.lists(st.integers(0, 7200), min_size=1, max_size=40)
)


def refused(guards: Guards, request: tuple[str, str, str, int, list[int]]) -> set[str]:
    """The guards that refuse the last request of a client that has asked at these seconds."""
    address, user, authority, number, moments = request
    client, moments = ipaddress.ip_address(address), sorted(moments)
    inside = [any(client in ipaddress.ip_network(text) for text in texts) for texts in (guards.allow, guards.deny)]
    rate = guards.rate
    recent = sum(moment > moments[-1] - rate.period for moment in moments) if rate else 0
    found = {
        "allow": bool(guards.allow) and not inside[0],
        "deny": inside[1],
        "users": guards.users not in ("", user),
        "client_ca": guards.client_ca not in ("", authority),
        "window": bool(rate) and recent > rate.requests + rate.burst,
        "bucket": bool(rate) and empty(rate, moments),
        "most": bool(guards.concurrency) and number > guards.concurrency.most,
        "size": guards.max_body is not None and number > guards.max_body,
    }
    return {name for name, refuses in found.items() if refuses}


def empty(rate: Rate, moments: list[int]) -> bool:
    """Whether a bucket that fills at the rate has nothing for the last request; every request takes of it."""
    level, before = float(rate.burst + 1), moments[0]
    for moment in moments:
        level = min(rate.burst + 1, level + (moment - before) * rate.requests / rate.period) - 1
        before = moment
    return level < 0


@given(GUARDS, GUARDS, REQUESTS)
def test_the_sum_refuses_what_one_refuses(this, other, request):
    """Or there is no sum: for every kind of guard, however proxies count."""
    try:
        both = this + other
    except CannotAdd:
        return
    assert refused(this, request) | refused(other, request) <= refused(both, request)


@given(GUARDS, GUARDS)
def test_order_does_not_matter(this, other):
    """Nor does adding one twice, or nothing."""
    assert this + Guards() == this + this
    try:
        both = this + other
    except CannotAdd:
        with pytest.raises(CannotAdd):
            other + this
    else:
        assert set(both.allow) == set((other + this).allow)
        assert both.refusal == (other + this).refusal
        assert (both.rate, both.users, both.deny) == ((other + this).rate, (other + this).users, (other + this).deny)


@given(LISTS, LISTS, st.sampled_from(ADDRESSES))
def test_networks_intersect(this, other, address):
    """Nobody is refused whom both lists let in."""
    both = Guards(allow=this) + Guards(allow=other)
    client = (address, "", "", 0, [0])
    expected = refused(Guards(allow=this), client) | refused(Guards(allow=other), client)
    assert refused(both, client) == expected


@pytest.mark.parametrize(
    ("this", "other", "both"),
    [
        (Rate(10, 1, 10), Rate(5, 1, 20), Rate(5, 1, 10)),
        (Rate(10, 60, 5), Rate(20, 1, 20), Rate(10, 60, 5)),
        (Rate(60, 60, 60), Rate(1, 1, 1), None),
        (Rate(5, 60, 50), Rate(10, 1, 10), None),
    ],
)
def test_rates(this, other, both):
    """Of two rates of one period the smaller numbers; of others the one that lets through no more in a longer time."""
    for pair in ((this, other), (other, this)):
        if both is None:
            with pytest.raises(CannotAdd, match="rate-limit"):
                Guards(rate=pair[0]) + Guards(rate=pair[1])
        else:
            assert (Guards(rate=pair[0]) + Guards(rate=pair[1])).rate == both


@pytest.mark.parametrize(
    ("this", "other", "both"),
    [
        (Guards(allow=("::/0",), refusal=404), Guards(), 404),
        (Guards(allow=("::/0",), refusal=404), Guards(deny=("::/0",), refusal=404), 404),
        (Guards(allow=("::/0",), refusal=404), Guards(deny=("::/0",)), 403),
        (Guards(allow=("::/0",), refusal=404), Guards(deny=("::/0",), refusal=410), 403),
    ],
)
def test_refusals(this, other, both):
    """Who keeps nobody out by address has no say in the status; where statuses differ it is the usual one."""
    assert [(this + other).refusal, (other + this).refusal] == [both, both]


# Settings that are the leader's alone. What keeps requests out belongs to `Guards` instead.
LEADERS = {
    *("protocol", "balance", "health_check", "timeout_connect", "timeout_response", "timeout_idle", "retries"),
    *(
        "max_conn",
        "backup",
        "sticky_cookie",
        "cookie",
        "redirect",
        "redirect_https",
        "https_port",
        "scheme",
        "slow_start",
    ),
    "send_proxy",
    *("policy", "host_header", "redirects", "strip_prefixes", "strip_regexes", "replace_path", "replace_regex"),
    *("add_prefix", "request_headers", "response_headers", "cors", "hsts", "compress"),
    *("client_ca_headers", "secure_cookie", "error_pages", "page_services", "server_ca", "server_name", "server_tls"),
    "mirror",
}


def test_every_setting_is_a_guard_or_the_leaders():
    """A new field is added to one of them."""
    places = {"name", "service", "route", "via", "servers", "weight", "stack", "network", "members"}
    known = {item.name for of in (Policy, Backend) for item in fields(of)}
    assert known == LEADERS | places | {item.name for item in fields(Guards)}
    assert set(KEYS) >= GUARD_KEYS
    assert not GUARD_KEYS & OWN
