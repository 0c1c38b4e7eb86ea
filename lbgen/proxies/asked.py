"""Tests for what routes and listeners ask for, of which the rows in `capabilities` are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lbgen.labels.keys.servers import LONGEST_WAIT
from lbgen.labels.match import Test
from lbgen.model import Backend, Listener, Route
from lbgen.model.policy import Policy


def has_check(kind: str) -> Callable[[Backend, Route], bool]:
    """Return the test for backends with a health check of this kind."""
    return lambda backend, _: backend.health_check is not None and backend.health_check.kind == kind


def has_other_check(attribute: str, usual: object) -> Callable[[Backend, Route], bool]:
    """Return the test for backends whose HTTP health check has another value of a field than the usual one."""
    return lambda backend, _: (
        backend.health_check is not None
        and backend.health_check.kind == "http"
        and getattr(backend.health_check, attribute) != usual
    )


def has_test(wanted: Callable[[Test], bool]) -> Callable[[Backend, Route], bool]:
    """Return the test for routes of whose match one test is like this."""
    return lambda _, route: any(wanted(test) for alternative in route.alternatives for test in alternative)


def has_wildcard(route: Route) -> bool:
    """Tell whether a route is for all hosts of a domain."""
    tests = (test for alternative in route.alternatives for test in alternative)
    return any(test.kind == "host" and test.value.startswith("*.") for test in tests)


def has_server_names(route: Route) -> bool:
    """Tell whether a route is for TLS server names."""
    return any(test.kind == "sni" for alternative in route.alternatives for test in alternative)


def limits_idle_streams(backend: Backend) -> bool:
    """Tell whether open streams end after another time than is usual, unless nothing is limited, as with Traefik."""
    return backend.timeout_idle != 60 and {backend.timeout_idle, backend.timeout_response} != {LONGEST_WAIT}


def is_long(policy: Policy) -> bool:
    """Tell whether something in a policy is longer than the Nginx set writes."""
    cors = ",".join(policy.cors.headers) if policy.cors else ""
    values = [cors, *(value for _, value in (*policy.request_headers, *policy.response_headers))]
    paths = [policy.replace_path, policy.add_prefix, *policy.strip_prefixes]
    return any(
        len(text) + 14 * text.count("$") > most for most, texts in ((600, paths), (1900, values)) for text in texts
    )


def trusts(listener: Listener) -> bool:
    """Tell whether a listener trusts load balancers before it."""
    return bool(listener.trusted_proxies)


def logs_to(listener: Listener, where: str = "") -> bool:
    """Tell whether a listener has an access log whose destination begins like this."""
    return listener.access_log is not None and listener.access_log.to.startswith(where)


def logs_differ(listeners: Iterable[Listener]) -> bool:
    """Tell whether listeners differ in how they log."""
    return len({each.access_log for each in listeners if each.access_log}) > 1


def has_strict_sni(listener: Listener) -> bool:
    """Tell whether a listener refuses handshakes for names that no certificate is for."""
    return listener.tls and listener.strict_sni


def handshakes_differ(listeners: Iterable[Listener]) -> bool:
    """Tell whether TLS listeners differ in whom they shake hands with."""
    return len({(each.tls_minimum, each.strict_sni) for each in listeners if each.tls}) > 1


def counts_clients(backend: Backend, _: Route) -> bool:
    """Tell whether requests are counted by client address."""
    by_client = backend.policy.concurrency is not None and backend.policy.concurrency.by == "client"
    return backend.policy.rate is not None or by_client


def sticks_over_http(backend: Backend, _: Route) -> bool:
    """Tell whether a sticky cookie is Secure for those clients only who come by https."""
    return bool(backend.sticky_cookie) and backend.cookie.secure == "https" and not backend.secure_cookie


def has_standbys(asked: Callable[[Backend], bool]) -> Callable[[Backend, Route], bool]:
    """Return the test for backends like this in which some servers stand by for others."""
    return lambda backend, _: not backend.backup and any(server.backup for server in backend.servers) and asked(backend)
