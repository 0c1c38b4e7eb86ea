"""What routes can ask for: the rows of one table, whose columns are in each proxy's `kind`.

`lint` reports what concerns a target's routes; scripts/reference makes docs/proxies.md of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from lbgen.model import Backend, Listener, Route
from lbgen.proxies.asked import (
    counts_clients,
    handshakes_differ,
    has_check,
    has_other_check,
    has_server_names,
    has_standbys,
    has_strict_sni,
    has_test,
    has_wildcard,
    is_long,
    limits_idle_streams,
    logs_differ,
    logs_to,
    sticks_over_http,
    trusts,
)
from lbgen.proxies.kind import Support
from lbgen.proxies.registry import KINDS, kind_of

PROXIES = {name: title for name in KINDS if (title := kind_of(name).title)}


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that a route, or the listener that it is on, can ask for."""

    name: str  # as the documentation calls it
    key: str  # the label key that asks for it, for messages; empty: none
    asked: Callable[[Backend, Route], bool]  # whether a backend and its route do
    where: Callable[[Listener], bool] = lambda _: True  # the listeners on which it makes a difference
    among: Callable[[Iterable[Listener]], bool] = lambda _: True  # the target's listeners with which it does
    of_listener: bool = False  # settings ask for it, not routes: it is told once for a listener that has such routes

    def concerned(self, backend: Backend, route: Route, listeners: Mapping[str, Listener]) -> list[str]:
        """Return the names of the listeners on which a route asks for it.

        Args:
            listeners: the target's, by name.
        """
        if not self.asked(backend, route) or not self.among(listeners.values()):
            return []
        return [name for name in route.listeners if name in listeners and self.where(listeners[name])]

    def support(self, proxy: str, version: tuple[int, ...] = (), features: Collection[str] = ()) -> Support:
        """Return how far the proxy can do it.

        Args:
            proxy: "haproxy", "nginx", "traefik".
            version: of its program; empty: the oldest that lbgen supports.
            features: what its program was built with.
        """
        support = kind_of(proxy).capabilities.get(self.name, Support())
        since = tuple(map(int, support.since.split("."))) if support.since else ()
        built = not support.needs or support.needs in features
        return Support() if since and version >= since and built else support


def _of_listener(
    name: str, where: Callable[[Listener], bool], among: Callable[[Iterable[Listener]], bool] = lambda _: True
) -> Capability:
    return Capability(name, "", lambda *_: True, where, among, of_listener=True)


TABLE = (
    Capability("UDP routes", "", lambda backend, _: backend.protocol == "udp"),
    Capability("expressions on parameters", "rule", has_test(lambda test: test.kind == "query_regex")),
    Capability(
        "very long paths, rules and headers",
        "",
        lambda backend, route: (
            any(
                len(alternative) > 50 or any(len(test.value) > 600 for test in alternative)
                for alternative in route.alternatives
            )
            or is_long(backend.policy)
        ),
    ),
    Capability(
        "headers with an underscore in their name",
        "",
        has_test(lambda test: test.kind in ("header", "header_regex") and "_" in test.name),
    ),
    Capability(
        "the header Host as any other header",
        "",
        has_test(lambda test: test.kind in ("header", "header_regex") and test.name == "host"),
    ),
    Capability("least connections", "balance", lambda backend, _: backend.balance == "least-conn"),
    Capability("by client address", "balance", lambda backend, _: backend.balance == "source"),
    Capability("random server", "balance", lambda backend, _: backend.balance == "random"),
    Capability("sticky cookie", "sticky", lambda backend, _: bool(backend.sticky_cookie)),
    Capability(
        "redirect with a status of one's own",
        "redirect.code",
        lambda backend, _: backend.redirect is not None or bool(backend.policy.redirects),
    ),
    Capability("308 to https", "redirect-https", lambda backend, _: backend.redirect_https),
    Capability("HTTP health checks", "health-check", has_check("http")),
    Capability("statuses that are good", "health-check.status", has_other_check("status", ((200, 399),))),
    Capability("method of the check", "health-check.method", has_other_check("method", "GET")),
    Capability("headers of the check", "health-check.header.<name>", has_other_check("headers", ())),
    Capability(
        "TCP health checks of HTTP routes",
        "health-check",
        lambda backend, _: backend.protocol == "http" and has_check("tcp")(backend, _),
    ),
    Capability(
        "health checks of TCP routes",
        "health-check",
        lambda backend, _: backend.protocol == "tcp" and backend.health_check is not None,
    ),
    Capability(
        "good and bad checks in a row",
        "health-check.rise",
        lambda backend, _: (
            backend.health_check is not None and (backend.health_check.rise, backend.health_check.fall) != (2, 2)
        ),
    ),
    Capability("time without a byte on open streams", "timeout.idle", lambda backend, _: limits_idle_streams(backend)),
    Capability(
        "connections that outlive a reload",
        "timeout.idle",
        lambda backend, _: backend.timeout_idle > 60 and limits_idle_streams(backend),
    ),
    Capability("half-closed connections of TCP routes", "", lambda backend, _: backend.protocol == "tcp"),
    Capability(
        "TCP servers that speak first, beside routes by server name",
        "",
        lambda backend, route: backend.protocol == "tcp" and not has_server_names(route),
        lambda listener: bool(listener.names) and not listener.tls,
    ),
    Capability("UDP clients that never pause", "", lambda backend, _: backend.protocol == "udp"),
    Capability(
        "retries of TCP routes", "retries", lambda backend, _: backend.protocol == "tcp" and backend.retries != 2
    ),
    Capability("concurrent requests for each server", "max-conn", lambda backend, _: backend.max_conn is not None),
    Capability(
        "rate limit",
        "rate-limit",
        lambda backend, _: backend.policy.rate is not None and backend.policy.rate.period == 3600,
    ),
    Capability(
        "counters",
        "rate-limit",
        lambda backend, _: (
            backend.protocol == "http" and (backend.policy.rate is not None or backend.policy.concurrency is not None)
        ),
    ),
    Capability(
        "Retry-After",
        "max-concurrent",
        lambda backend, _: backend.protocol == "http" and backend.policy.concurrency is not None,
    ),
    Capability(
        "connections at once of TCP routes by server name",
        "max-concurrent",
        lambda backend, route: (
            backend.protocol == "tcp" and backend.policy.concurrency is not None and has_server_names(route)
        ),
    ),
    Capability("passwords", "basic-auth", lambda backend, _: bool(backend.policy.users)),
    Capability("login services", "forward-auth", lambda backend, _: backend.policy.forward_auth is not None),
    Capability(
        "several cookies at once with which a login service lets clients in",
        "forward-auth",
        lambda backend, _: backend.policy.forward_auth is not None,
    ),
    Capability(
        "cookies with which a login service lets clients in, unless forward-auth.cookies names them",
        "forward-auth",
        lambda backend, _: backend.policy.forward_auth is not None and not backend.policy.forward_auth.cookies,
    ),
    Capability("certificates by name", "tls", lambda _, route: bool(route.certificate)),
    Capability("client certificates", "client-ca", lambda _, route: bool(route.client_ca)),
    Capability(
        "client certificates of a domain", "client-ca", lambda _, route: bool(route.client_ca) and has_wildcard(route)
    ),
    Capability("headers of client certificates", "client-ca.headers", lambda backend, _: backend.client_ca_headers),
    _of_listener("access log of a listener", lambda listener: listener.access_log is not None),
    _of_listener("access log in a file", lambda listener: logs_to(listener, "/")),
    _of_listener("access log by syslog", lambda listener: logs_to(listener, "syslog:")),
    _of_listener("access logs that differ", logs_to, logs_differ),
    _of_listener("HTTP/3", lambda listener: listener.http3),
    _of_listener("strict SNI", lambda listener: listener.protocol == "http" and has_strict_sni(listener)),
    _of_listener(
        "strict SNI of TCP listeners", lambda listener: listener.protocol == "tcp" and has_strict_sni(listener)
    ),
    _of_listener(
        "TLS listeners that differ in minimum or strict SNI", lambda listener: listener.tls, handshakes_differ
    ),
    Capability("largest body", "max-body", lambda backend, _: backend.policy.max_body is not None),
    Capability("streams that are compressed", "compress", lambda backend, _: backend.policy.compress),
    Capability("answers that say no-transform", "compress", lambda backend, _: backend.policy.compress),
    Capability("rewritten paths", "strip-prefix", lambda backend, _: bool(backend.policy.strip_prefixes)),
    Capability(
        "a prefix before a path that was stripped whole",
        "add-prefix",
        lambda backend, _: (
            bool(backend.policy.add_prefix) and bool(backend.policy.strip_prefixes or backend.policy.strip_regexes)
        ),
    ),
    Capability("pages of other origins", "cors.origins", lambda backend, _: backend.policy.cors is not None),
    Capability("host header", "host-header", lambda backend, _: backend.policy.host_header == "server"),
    Capability(
        "response headers", "", lambda backend, _: any(name == "server" for name, _ in backend.policy.response_headers)
    ),
    Capability(
        "spellings of a header with many dashes",
        "",
        lambda backend, _: any(name.count("-") > 3 for name, _ in backend.policy.request_headers),
    ),
    Capability("sticky cookie with Secure", "sticky", sticks_over_http, lambda listener: listener.tls),
    Capability(
        "clients' addresses in the match, behind a load balancer",
        "client-ip",
        has_test(lambda test: test.kind == "client_ip"),
        trusts,
    ),
    Capability("IPv6 clients behind a load balancer", "rate-limit", counts_clients, trusts),
    Capability(
        "by client address behind a load balancer", "balance", lambda backend, _: backend.balance == "source", trusts
    ),
    Capability(
        "redirects by expression behind a load balancer",
        "redirect-regex",
        lambda backend, _: bool(backend.policy.redirects),
        trusts,
    ),
    _of_listener(
        "X-Forwarded-For behind the PROXY protocol",
        lambda listener: listener.protocol == "http" and trusts(listener) and listener.proxy_protocol,
    ),
    _of_listener("listeners on addresses of IPv4 alone", lambda listener: listener.address == "0.0.0.0"),
    Capability("scheme of servers", "scheme", lambda backend, _: backend.scheme == "h2c"),
    Capability(
        "standbys of servers chosen by client address",
        "backup",
        has_standbys(lambda backend: backend.balance == "source"),
    ),
    Capability(
        "standbys of servers chosen by cookie", "backup", has_standbys(lambda backend: bool(backend.sticky_cookie))
    ),
    Capability(
        "standbys without HTTP health checks",
        "backup",
        has_standbys(
            lambda backend: (
                backend.protocol == "http" and (backend.health_check is None or backend.health_check.kind != "http")
            )
        ),
    ),
    Capability("standbys of TCP routes", "backup", has_standbys(lambda backend: backend.protocol == "tcp")),
    Capability("copies of requests", "mirror", lambda backend, _: backend.mirror is not None),
    Capability("pages in place of errors", "", lambda backend, _: bool(backend.error_pages)),
    Capability("pages of a service in place of errors", "", lambda backend, _: bool(backend.page_services)),
    Capability(
        "the client's URL in that of a page",
        "",
        lambda backend, _: any("{url}" in page.url.path for page in backend.page_services),
    ),
    Capability(
        "names that clients ask for, of servers",
        "server-name",
        lambda backend, _: backend.by_tls and not backend.server_name,
    ),
    Capability("servers whose certificate is not right", "server-ca", lambda backend, _: bool(backend.server_ca)),
    Capability(
        "TCP routes by server name on HTTP listeners",
        "listener",
        lambda backend, _: backend.protocol == "tcp",
        lambda listener: listener.protocol == "http",
    ),
    Capability(
        "TLS to the servers of TCP routes, beside others",
        "server-tls",
        lambda backend, _: backend.server_tls,
        lambda listener: len(listener.answers) > 1,
    ),
    Capability("slow start", "slow-start", lambda backend, _: backend.slow_start > 0),
    Capability("proxy protocol", "send-proxy", lambda backend, _: bool(backend.send_proxy)),
)
