"""``python -m scripts.reference.proxies`` prints docs/proxies.md, made from capabilities and rendered files."""

from __future__ import annotations

from lbgen.labels.values import regex_cost
from lbgen.model import limits
from lbgen.proxies import capabilities
from lbgen.proxies.capabilities import PROXIES
from lbgen.proxies.kind import YES, Support
from scripts.reference import defaults

HEAD = """\
# What each proxy can do

<!-- Made from the table of capabilities, and from rendered files, by `python -m scripts.reference.proxies`. -->

The same labels mean the same with every proxy, with these exceptions. `lbgen lint` lists those that concern a cluster's
own routes.
"""
TAIL = """
Everything else in [labels.md](labels.md) works with all three. What no label asks for, and is not the same either:

- **What the application gets.** From HAProxy and Nginx the path that the client sent, from Traefik the one in normal
  form that routes are matched with, with a `\\` encoded and a `.` or `..` at the end gone with its slash. Where a
  key rewrites the path (`strip-prefix` and the like), it starts from the normal form with all three.
- **Paths that are refused.** All three answer 400 to `%00`, to a `%` that begins no code and to a `#`. Nginx besides
  to a path that goes up beyond the root (`/../x`), and to one that has both codes of reserved characters or of ones
  outside ASCII, and what is not in normal form, where that is more than a few times `//`, `/./`, `/x/../`, `%2D`,
  `%2E`, `%5F` or `%7E`.
- **Case of codes.** Nginx leaves `%c3` as it is: in redirects with `{path}`, in paths that are rewritten, and in
  what an expression on paths (`path-regex`) is asked about. Paths that are no expressions match both cases.
- **Hosts that are refused.** HAProxy and Nginx answer 400 to a Host that is not a name or an address with or without
  a port (`shop.org:80@evil.org`, `shop.org:evil.org`), and to a request line with a URL of another host than Host.
  Traefik routes `shop.org:evil.org` and `shop.org/x` as `shop.org`, and hands on what it got; from a URL it takes
  the host, and so does the application.
- **Hosts.** A dot at their end is ignored, but Traefik's expressions on hosts (`HostRegexp`) see it.
- **Old forms of IPv6.** HAProxy takes clients from `::192.0.2.1` and from `2002:c000:201::/48` (6to4) for 192.0.2.1:
  networks of IPv4 in `allow-ip`, `deny-ip` and `client-ip` are for them, too.
- **Parameters.** HAProxy does not decode their names: `?%61=1` is no parameter `a` to it. It does decode their values.
- **Repeated headers.** HAProxy and Traefik try each of several headers of one name. Nginx tries the first; since 1.23
  all of them as one, with commas between.
- **Retries.** All three repeat a request with another server if it could not be connected to. HAProxy and Nginx also
  repeat what may safely be done twice if the server hung up without an answer; Traefik does not.
- **Weights.** Shares are those of the weights, with 100 written wherever another server has another one. With
  `least-conn` HAProxy weighs the connections that are open: servers that are idle take turns. Where weights differ,
  Traefik goes by them and not by `least-conn` or `random`.
- **Standbys.** While a server is up that is not a `backup`, standbys get no requests, but of clients that HAProxy keeps
  with one by a cookie. That one answers no more is seen by HAProxy's checks and Traefik's HTTP checks, and by Nginx
  where a connection fails.
- **Costly passwords.** HAProxy and Nginx do nothing else while they compare a password. Of bcrypt above cost 10 and
  SHA-crypt above 100,000 rounds HAProxy leaves the users out, Nginx the whole file, which it reads itself, as soon as
  lbgen has seen it. Cost 8 takes 15 ms of processor, cost 10 60 ms, cost 12 240 ms. Passwords of hundreds of
  characters take SHA-crypt ten times as long, and bcrypt no longer. Of users that a label holds each proxy leaves out
  those whose hashes it does not know or compares too slowly, and no others
  ([which](migration.md#middlewares)).
- **Wrong passwords.** HAProxy compares 10 a minute from one address (of IPv6, one /64) for each users file. Further
  ones are answered 429, and so are right ones that were not used within the last hour. Right passwords and requests
  without one do not count. Clients behind a load balancer have one address together, its own, unless the listener's
  `trusted_proxies` names it.
- **Health over a change.** HAProxy and Nginx remember servers that were down. Traefik forgets at every change which
  were, until their next check; lbgen publishes only what really changes and takes dead tasks out at once, and
  Traefik's retries cover the rest.
- **Counts over a change.** HAProxy and Nginx go on counting requests over a reload, HAProxy wrong passwords too: the
  old worker hands its counts to the new one through a socket beside the stats socket. Not so in a `chroot`, where it
  finds none, and before 3.0 not within 5 s of HAProxy's start. Requests at once are counted by each worker for itself.
- **Retry-After.** With 429 HAProxy names the rate's whole period, since it counts refused requests as well, Nginx and
  Traefik the time until there is room for one more. HAProxy says 60 s after 10 wrong passwords, and like Nginx 1 s to
  too many at once.
- **Every server fails.** HAProxy answers 503, Nginx and Traefik 502. With no server at all, all three answer 503.
- **A reload** costs HAProxy and Traefik nothing. Nginx before 1.27.4 resets some idle connections that clients keep.
- **Certificates.** For HAProxy and Nginx lbgen chooses: the file that a label names, else `HOST.pem`, else one that has
  the host among its names, else `_.DOMAIN.pem`, else one for all names of the domain, else `default.pem` or the first
  by name. Traefik goes by the names in them alone.
- **New listeners.** HAProxy and Nginx take them with a reload. Traefik has to be started anew.
- **Servers that speak first** (MySQL, SMTP): give them a listener on which no route has a server name, so that nobody
  waits for the client.
- **`redirect-https` behind a load balancer.** Traefik also redirects requests that came by https to another port than
  the one it leads to (`public_port` of the listener with TLS); HAProxy and Nginx serve them.
- **Pauses within an answer** are as long as `timeout.response` at most with HAProxy and Nginx; with Traefik there is no
  limit, nor on how long a client may take for its request (option `read_timeout`).
- **UDP.** When a server goes, Nginx sends the next datagram of its clients to another one.
"""

LIMITS = """
## What a service may cost

Requests to every other host of a listener pay for rules that name no host, and every check of a new configuration for
all that is in it. So what labels ask for has limits. What goes beyond is a problem of its service, told by `lbgen lint`
with the label, the number and the remedy; where a route that keeps clients out (`allow-ip`, `basic-auth`, ...) does not
fit, none of its service's routes is served, since a broader one would let them in.

| of one service | at most | remedy |
| --- | --- | --- |
"""
OF_A_SERVICE = (
    ("different expressions (`path-regex`, `rule`, `redirect-regex`, ...)", limits.REGEXES, "paths, prefixes, hosts"),
    (
        "tests with an expression, for one host, once values are combined",
        limits.REGEX_TESTS,
        "fewer values beside expressions",
    ),
    (
        "rules: combinations of values that are more than one host and one path",
        limits.RULES,
        "fewer values of `header`, `query`, `method`, `client-ip`",
    ),
    ("tests in all combinations, hosts and paths included", limits.TESTS, "several services"),
    ("bytes of configuration, about", limits.BYTES, "fewer routes, shorter values"),
)
OF_A_LISTENER = (
    ("different expressions", limits.LISTENER_REGEXES),
    ("rules", limits.LISTENER_RULES),
    ("rules without a host", limits.LISTENER_RULES_ANY_HOST),
)
HEADERS = """
## What applications are told of the client

All three say it in the same headers, and whatever a client writes into these never reaches an application.

| header | value | behind a trusted load balancer |
| --- | --- | --- |
| `X-Forwarded-For` | the client's address | the client's address (1) |
| `X-Real-IP` | the client's address | the client's address (2) |
| `X-Forwarded-Host` | Host | as the load balancer wrote it, else Host; it is never matched |
| `X-Forwarded-Port` | the port in Host, else 443 or 80 | as the load balancer wrote it, else the same |
| `X-Forwarded-Proto` | `http` or `https` (3) | as the load balancer wrote it, else the same |
| `X-Forwarded-Prefix` | what `strip-prefix` has taken off, else not there | the same |

1. Traefik: all that the load balancer wrote, and its own address behind it.
2. Traefik: as the load balancer wrote it, else the load balancer's address.
3. Traefik: `ws` or `wss` for WebSockets.

With `client-ca.headers` HAProxy and Nginx add `X-Client-Cert-Subject` (as in RFC 2253) and `X-Client-Cert`, the
certificate itself, HAProxy `X-Client-Cert-Sha256` in hexadecimal digits; the table above says how the proxies differ.

`Forwarded`, `Proxy`, `X-Original-URL`, `X-Rewrite-URL`, `X-Scheme` and their like, every other `X-Forwarded-*`, and the
headers that carry client certificates (`X-SSL-*`, `X-Client-Cert*`, `SSL-Client-*`, `Client-Cert`) are removed, even
from trusted peers: a CDN passes on what clients wrote. So are the same names with `_` for `-`, and those of headers
that `request-header.NAME` sets. HAProxy knows the families, Nginx and Traefik the names in forged-headers.conf; Nginx
drops every header with a `_`.
"""
EXPRESSIONS = f"""
Where a listener has no room left, the youngest service that does not fit is left out of it, with all its routes there.

An expression has at most {regex_cost.MAX_CHAIN} repetitions in a row that can read the same text, and counts one more
if it is not found at the beginning only: begin it with `^`, and write `[^/]+` rather than `.*`. One that has two of
them is asked about texts of at most {regex_cost.LONGEST_TEXT:,} characters by HAProxy and Nginx: a request that brings
a longer path or header where the rest of the rule holds is answered 414 or 431 (Nginx: 414), since a route that was to
be asked first must not be passed by. Nginx and HAProxy compile expressions (`pcre_jit`, PCRE2's JIT, where they are
built with it and the system lets them); Traefik's take linear time by themselves.

Within these limits no service adds a millisecond of processor time to a request for another host, and no request keeps
a proxy busy for longer than a quarter of a second; tests/proxy/test_cost.py measures both, and searches for worse.
"""


def markdown() -> str:
    """Return docs/proxies.md."""
    lines = [HEAD, f"| | {' | '.join(PROXIES.values())} |", "| --- " * (len(PROXIES) + 1) + "|"]
    for row in capabilities.TABLE:
        label = f" (`{row.key}`)" if row.key else ""
        lines.append(f"| {row.name}{label} | {' | '.join(_support_text(row.support(proxy)) for proxy in PROXIES)} |")
    return "\n".join(lines) + "\n" + TAIL + defaults.markdown() + HEADERS + _limits()


def _limits() -> str:
    own = "".join(f"| {what} | {most:,} | {remedy} |\n" for what, most, remedy in OF_A_SERVICE)
    shared = "".join(f"| {what} | {most:,} |\n" for what, most in OF_A_LISTENER)
    return f"{LIMITS}{own}\n| of all services on one listener | at most |\n| --- | --- |\n{shared}{EXPRESSIONS}"


def _support_text(support: Support) -> str:
    if support.level == YES:
        return "yes"
    since = f"since {support.since}; before: " if support.since else ""
    if support.needs:
        since = f"since {support.since}, where it is built with it; else: "
    return f"{since}{support.level}: {support.instead}"


if __name__ == "__main__":
    print(markdown(), end="")
