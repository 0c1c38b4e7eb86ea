"""What each proxy can do, from which version, and what lbgen does instead: one table.

`lint` reports what concerns a target's routes; ``python -m lbgen.proxies.capabilities`` prints docs/proxies.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lbgen.labels.match import Test
from lbgen.model import Backend, Route
from lbgen.model.policy import Policy

PROXIES = {"haproxy": "HAProxy", "nginx": "Nginx", "traefik": "Traefik"}
YES, PARTLY, NO = "yes", "partly", "no"


@dataclass(frozen=True, slots=True)
class Support:
    """How far one proxy can do something."""

    level: str = YES  # YES; PARTLY: not quite the same; NO: not at all
    instead: str = ""  # what happens then, as a sentence without its end
    since: str = ""  # the first version that can do it fully; empty: all supported ones, or none


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing a route can ask for."""

    name: str  # as the documentation calls it
    key: str  # the label key that asks for it, for messages; empty: none
    asked: Callable[[Backend, Route], bool]  # whether a backend and its route do
    haproxy: Support = field(default_factory=Support)
    nginx: Support = field(default_factory=Support)
    traefik: Support = field(default_factory=Support)

    def support(self, proxy: str, version: tuple[int, ...] = ()) -> Support:
        """Return how far the proxy can do it.

        Args:
            proxy: "haproxy", "nginx", "traefik".
            version: of its program; empty: the oldest that lbgen supports.
        """
        found: Support = getattr(self, proxy)
        if found.since and version >= tuple(map(int, found.since.split("."))):
            return Support()
        return found


def _check(kind: str) -> Callable[[Backend, Route], bool]:
    return lambda backend, _: backend.health_check is not None and backend.health_check.kind == kind


def _check_has(attribute: str, usual: object) -> Callable[[Backend, Route], bool]:
    return lambda backend, _: (
        backend.health_check is not None
        and backend.health_check.kind == "http"
        and getattr(backend.health_check, attribute) != usual
    )


def _tests(wanted: Callable[[Test], bool]) -> Callable[[Backend, Route], bool]:
    return lambda _, route: any(wanted(test) for alternative in route.alternatives for test in alternative)


def _has_wildcard(route: Route) -> bool:
    tests = (test for alternative in route.alternatives for test in alternative)
    return any(test.kind == "host" and test.value.startswith("*.") for test in tests)


def _has_names(route: Route) -> bool:
    return any(test.kind == "sni" for alternative in route.alternatives for test in alternative)


def _is_long(policy: Policy) -> bool:
    """Tell whether something in a policy is longer than the Nginx set writes."""
    cors = ",".join(policy.cors.headers) if policy.cors else ""
    values = [cors, *(value for _, value in (*policy.request_headers, *policy.response_headers))]
    paths = [policy.replace_path, policy.add_prefix, *policy.strip_prefixes]
    return any(
        len(text) + 14 * text.count("$") > most for most, texts in ((600, paths), (1900, values)) for text in texts
    )


PASSIVE = "servers are left out for a while after `health-check.fall` failed requests; nothing asks them"
TABLE = (
    Capability(
        "UDP routes", "", lambda backend, _: backend.protocol == "udp", haproxy=Support(NO, "the route is left out")
    ),
    Capability(
        "expressions on parameters",
        "rule",
        _tests(lambda test: test.kind == "query_regex"),
        nginx=Support(NO, "what the route asks for with one is left out, since Nginx cannot decode parameters"),
    ),
    Capability(
        "very long paths, rules and headers",
        "",
        lambda backend, route: (
            any(
                len(alternative) > 50 or any(len(test.value) > 600 for test in alternative)
                for alternative in route.alternatives
            )
            or _is_long(backend.policy)
        ),
        nginx=Support(
            NO,
            "a rule of more than 50 tests or 600 characters, a path of more than 1,500, a rewritten path of more than "
            "600 or a header of more than 1,900 (a `$` counts for 15 in these two) is left out",
        ),
    ),
    Capability(
        "headers with an underscore in their name",
        "",
        _tests(lambda test: test.kind in ("header", "header_regex") and "_" in test.name),
        nginx=Support(NO, "Nginx drops such headers, so what asks for one never holds"),
    ),
    Capability(
        "the header Host as any other header",
        "",
        _tests(lambda test: test.kind in ("header", "header_regex") and test.name == "host"),
        traefik=Support(NO, "it never holds; write `host`"),
    ),
    Capability(
        "least connections",
        "balance",
        lambda backend, _: backend.balance == "least-conn",
        traefik=Support(PARTLY, "since 3.4 the less busy of two servers picked at random, before round robin"),
    ),
    Capability(
        "by client address",
        "balance",
        lambda backend, _: backend.balance == "source",
        traefik=Support(PARTLY, "round robin", since="3.6"),
    ),
    Capability(
        "random server",
        "balance",
        lambda backend, _: backend.balance == "random",
        traefik=Support(PARTLY, "since 3.4 the less busy of two picked at random, before round robin"),
    ),
    Capability(
        "sticky cookie",
        "sticky",
        lambda backend, _: bool(backend.sticky_cookie),
        nginx=Support(PARTLY, "clients are kept with a server by their address", since="1.29.6"),
        traefik=Support(PARTLY, "a server that drains is left out at once, and its clients move"),
    ),
    Capability(
        "redirect with a status of one's own",
        "redirect.code",
        lambda backend, _: backend.redirect is not None or bool(backend.policy.redirects),
        traefik=Support(PARTLY, "GET is answered 301 (for 301, 308) or 302 (for 302, 307), other methods 308 or 307"),
    ),
    Capability(
        "308 to https",
        "redirect-https",
        lambda backend, _: backend.redirect_https,
        traefik=Support(PARTLY, "GET is answered 301, other methods 308"),
    ),
    Capability("HTTP health checks", "health-check", _check("http"), nginx=Support(PARTLY, PASSIVE)),
    Capability(
        "statuses that are good",
        "health-check.status",
        _check_has("status", ((200, 399),)),
        nginx=Support(NO, "only connections that fail count"),
        traefik=Support(PARTLY, "one status exactly, else 2xx and 3xx"),
    ),
    Capability(
        "method of the check",
        "health-check.method",
        _check_has("method", "GET"),
        nginx=Support(NO, "nothing is asked"),
    ),
    Capability(
        "TCP health checks of HTTP routes",
        "health-check",
        lambda backend, _: backend.protocol == "http" and _check("tcp")(backend, _),
        nginx=Support(PARTLY, PASSIVE),
        traefik=Support(PARTLY, "nothing asks the servers; a failed connect is repeated with another one"),
    ),
    Capability(
        "health checks of TCP routes",
        "health-check",
        lambda backend, _: backend.protocol == "tcp" and backend.health_check is not None,
        nginx=Support(PARTLY, PASSIVE),
        traefik=Support(PARTLY, "nothing asks the servers", since="3.6"),
    ),
    Capability(
        "good and bad checks in a row",
        "health-check.rise",
        lambda backend, _: (
            backend.health_check is not None and (backend.health_check.rise, backend.health_check.fall) != (2, 2)
        ),
        nginx=Support(PARTLY, "`fall` counts failed requests; `rise` is not known"),
        traefik=Support(NO, "one check decides"),
    ),
    Capability(
        "time without a byte on open streams",
        "timeout.idle",
        lambda backend, _: backend.timeout_idle != 60,
        nginx=Support(PARTLY, "of HTTP routes it is `timeout.response`"),
        traefik=Support(NO, "there is no limit of lbgen's; a UDP session ends with the option `udp_timeout`"),
    ),
    Capability(
        "retries of TCP routes",
        "retries",
        lambda backend, _: backend.protocol == "tcp" and backend.retries != 2,
        traefik=Support(NO, "a connection that fails is not tried elsewhere"),
    ),
    Capability(
        "concurrent requests for each server",
        "max-conn",
        lambda backend, _: backend.max_conn is not None,
        nginx=Support(PARTLY, "further requests go to other servers, or fail; they do not queue"),
        traefik=Support(NO, "there is no limit"),
    ),
    Capability(
        "rate limit",
        "rate-limit",
        lambda backend, _: backend.policy.rate is not None and backend.policy.rate.period == 3600,
        nginx=Support(PARTLY, "a rate per hour is rounded up to whole requests per minute, one at least"),
    ),
    Capability(
        "connections at once of TCP routes by server name",
        "max-concurrent",
        lambda backend, route: (
            backend.protocol == "tcp" and backend.policy.concurrency is not None and _has_names(route)
        ),
        nginx=Support(NO, "there is no limit, since Nginx counts before it knows the name"),
    ),
    Capability(
        "passwords",
        "basic-auth",
        lambda backend, _: bool(backend.policy.users),
        traefik=Support(PARTLY, "only users whose hash is one of bcrypt, as `htpasswd -nB` makes it, are let in"),
        nginx=Support(
            PARTLY,
            "Nginx's workers read the file at the path that lbgen has it at, on their own account; where they cannot, "
            "nobody is let in",
        ),
    ),
    Capability(
        "certificates by name",
        "tls",
        lambda _, route: bool(route.certificate),
        traefik=Support(NO, "Traefik chooses by the names in the certificates"),
    ),
    Capability(
        "client certificates",
        "client-ca",
        lambda _, route: bool(route.client_ca),
        traefik=Support(PARTLY, "all routes of its hosts ask for them, since Traefik asks before it knows the path"),
    ),
    Capability(
        "client certificates of a domain",
        "client-ca",
        lambda _, route: bool(route.client_ca) and _has_wildcard(route),
        traefik=Support(NO, "nobody is let in, since Traefik asks for them by exact names"),
    ),
    Capability(
        "largest body",
        "max-body",
        lambda backend, _: backend.policy.max_body is not None,
        haproxy=Support(PARTLY, "bodies that are sent in chunks, without their length, are not limited"),
        traefik=Support(PARTLY, "the whole body is taken before the server gets any of it"),
    ),
    Capability(
        "rewritten paths",
        "strip-prefix",
        lambda backend, _: bool(backend.policy.strip_prefixes),
        traefik=Support(PARTLY, "X-Forwarded-Prefix ends in a slash where the path goes on"),
    ),
    Capability(
        "a prefix before a path that was stripped whole",
        "add-prefix",
        lambda backend, _: (
            bool(backend.policy.add_prefix) and bool(backend.policy.strip_prefixes or backend.policy.strip_regexes)
        ),
        traefik=Support(PARTLY, "where nothing is left of the path servers see the prefix alone, without a slash"),
    ),
    Capability(
        "pages of other origins",
        "cors.origins",
        lambda backend, _: backend.policy.cors is not None,
        traefik=Support(PARTLY, "preflight requests are answered 200, not 204"),
    ),
    Capability(
        "host header",
        "host-header",
        lambda backend, _: backend.policy.host_header == "server",
        haproxy=Support(NO, "servers see the client's Host, since it is set before a server is chosen"),
        nginx=Support(PARTLY, "of several servers all see the address of the first"),
    ),
    Capability(
        "response headers",
        "",
        lambda backend, _: any(name == "server" for name, _ in backend.policy.response_headers),
        nginx=Support(NO, "the header Server is Nginx's own, and stays"),
    ),
    Capability(
        "scheme of servers",
        "scheme",
        lambda backend, _: backend.scheme == "h2c",
        nginx=Support(NO, "servers are spoken to with HTTP/1.1"),
    ),
    Capability(
        "slow start",
        "slow-start",
        lambda backend, _: backend.slow_start > 0,
        haproxy=Support(PARTLY, "only with a health check, which says when a server has come up"),
        traefik=Support(NO, "a server that comes up gets its full share at once"),
        nginx=Support(NO, "a server that comes up gets its full share at once"),
    ),
    Capability(
        "proxy protocol",
        "send-proxy",
        lambda backend, _: bool(backend.send_proxy),
        traefik=Support(PARTLY, "servers of TCP routes are told since 3.6; those of HTTP routes have X-Forwarded-For"),
        nginx=Support(
            PARTLY,
            "servers of TCP routes are told in version 1, if all routes of the listener ask for it; servers of HTTP "
            "routes are not, and have X-Forwarded-For",
        ),
    ),
)


def document() -> str:
    """Return docs/proxies.md."""
    lines = [_HEAD, f"| | {' | '.join(PROXIES.values())} |", "| --- " * (len(PROXIES) + 1) + "|"]
    for row in TABLE:
        label = f" (`{row.key}`)" if row.key else ""
        lines.append(f"| {row.name}{label} | {' | '.join(_spelt(row.support(proxy)) for proxy in PROXIES)} |")
    return "\n".join(lines) + "\n" + _TAIL


def _spelt(support: Support) -> str:
    if support.level == YES:
        return "yes"
    since = f"since {support.since}; before: " if support.since else ""
    return f"{since}{support.level}: {support.instead}"


_HEAD = """\
# What each proxy can do

<!-- Made from the table of capabilities by `python -m lbgen.proxies.capabilities`. -->

The same labels mean the same with every proxy, with these exceptions. `lbgen lint` lists those that concern a cluster's
own routes.
"""
_TAIL = """
Everything else in [labels.md](labels.md) works with all three. What no label asks for, and is not the same either:

- **Paths.** HAProxy and Nginx compare them as the client sent them. Traefik first takes `//` and `..` out and decodes
  all but the reserved characters, and sends servers the result. To a `%` that begins no code Nginx and Traefik
  answer 400.
- **Hosts.** A dot at their end is ignored, but Traefik's expressions on hosts (`HostRegexp`) see it.
- **Parameters.** HAProxy does not decode their names: `?%61=1` is no parameter `a` to it. It does decode their values.
- **Repeated headers.** HAProxy and Traefik try each of several headers of one name. Nginx tries the first; since 1.23
  all of them as one, with commas between.
- **Retries.** All three repeat a request with another server if it could not be connected to. HAProxy and Nginx also
  repeat what may safely be done twice if the server hung up without an answer; Traefik does not.
- **Health over a change.** HAProxy and Nginx remember servers that were down. Traefik forgets at every change which
  were, until their next check; lbgen publishes only what really changes and takes dead tasks out at once, and
  Traefik's retries cover the rest.
- **Every server fails.** HAProxy answers 503, Nginx and Traefik 502. With no server at all, all three answer 503.
- **A reload** costs HAProxy and Traefik nothing. Nginx before 1.27.4 resets some idle connections that clients keep.
- **Certificates.** For HAProxy and Nginx lbgen chooses: the file that a label names, else `HOST.pem`, else one that has
  the host among its names, else `_.DOMAIN.pem`, else one for all names of the domain, else `default.pem` or the first
  by name. Traefik goes by the names in them alone.
- **New listeners.** HAProxy and Nginx take them with a reload. Traefik has to be started anew.
- **TCP by server name beside a server that speaks first** (MySQL, SMTP): where some routes of a listener have names,
  Traefik and Nginx wait for the client's first bytes.
"""

if __name__ == "__main__":
    print(document(), end="")
