"""Traefik: what its templates are told, what it is made of, and what it cannot do."""

from __future__ import annotations

import re

from lbgen.base.address import dialable, host_port, split_bind
from lbgen.base.errors import SettingsError
from lbgen.proxies.kind import NO, PARTLY, Facts, Kind, Setup, Support
from lbgen.proxies.program import said_by

DEFAULT_PROBE = "127.0.0.1:8080"
OFF = "off"  # as a probe: Traefik has no API
ENTRY_POINT = "traefik"  # of the API
NAME = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_.-]{0,250}[A-Za-z0-9])?:[0-9]{1,5}")


def facts(setup: Setup) -> Facts:
    """Return the facts about it that templates see."""
    return Facts(
        version=_version(setup.binary),
        probe=probe(setup),
        feed=feed_url(setup),
        reads_output=setup.target.apply.chosen != "http",
    )


def probe(setup: Setup) -> str:
    """Return where its API is: ADDRESS:PORT, or NAME:PORT for all that are behind a name; OFF: it has none."""
    address = setup.target.probe or DEFAULT_PROBE
    if address != OFF:
        try:
            split_bind(address)
        except ValueError as error:
            if setup.target.apply.chosen not in ("http", "directory") or not NAME.fullmatch(address):
                raise SettingsError(f"targets.{setup.name}.probe: {error}") from error
    return address


def feed_url(setup: Setup) -> str:
    """Return where Traefik asks for its configuration; empty: it watches a directory."""
    bind = setup.settings.status.bind
    if setup.target.apply.directory or not bind:
        return ""
    # One that lbgen runs is handed no token: its own file, which others may read, would have to hold it.
    status = setup.settings.status
    if setup.target.apply.chosen != "http" and not status.traefik_asks_without_token:
        return ""
    if chosen := str(setup.target.options.get("feed", "")):
        return chosen
    address, port = split_bind(bind)
    return f"http://{host_port(dialable(address), port)}/traefik/{setup.name}"


def _version(binary: str) -> tuple[int, ...]:
    """Return the version of the program on this machine, (3, 7, 15) say; empty without one."""
    match = re.search(r"^Version:\s*v?(\d+)\.(\d+)\.(\d+)", said_by(binary, "version"), re.MULTILINE)
    return tuple(int(part) for part in match.groups()) if match else ()


_BY_SWARM = "they get requests when Swarm has no other server up, and not when none of those answers"
CAPABILITIES = {
    "the header Host as any other header": Support(NO, "it never holds; write `host`"),
    "least connections": Support(
        PARTLY,
        "since 3.4 the less busy of two servers picked at random, before and where weights differ round robin",
    ),
    "by client address": Support(PARTLY, "round robin", since="3.6"),
    "random server": Support(
        PARTLY,
        "since 3.4 the less busy of two picked at random, before and where weights differ round robin",
    ),
    "sticky cookie": Support(PARTLY, "a server that drains is left out at once, and its clients move"),
    "redirect with a status of one's own": Support(
        PARTLY, "GET is answered 301 (for 301, 308) or 302 (for 302, 307), other methods 308 or 307"
    ),
    "308 to https": Support(PARTLY, "GET is answered 301, other methods 308"),
    "answers that say no-transform": Support(NO, "they are compressed all the same"),
    "statuses that are good": Support(PARTLY, "one status exactly, else 2xx and 3xx"),
    "TCP health checks of HTTP routes": Support(
        PARTLY, "nothing asks the servers; a failed connect is repeated with another one"
    ),
    "health checks of TCP routes": Support(PARTLY, "nothing asks the servers", since="3.6"),
    "good and bad checks in a row": Support(NO, "one check decides"),
    "time without a byte on open streams": Support(
        NO, "there is no limit of lbgen's; a UDP session ends with the option `udp_timeout`"
    ),
    "TCP servers that speak first, beside routes by server name": Support(
        PARTLY, "their clients, who send nothing, are cut off at `hello_timeout` of the listener (5s)"
    ),
    "UDP clients that never pause": Support(
        PARTLY,
        "one that sends from one port stays with its server, also when that is gone, until it pauses for the option "
        "`udp_timeout` (3s)",
    ),
    "retries of TCP routes": Support(NO, "a connection that fails is not tried elsewhere"),
    "concurrent requests for each server": Support(NO, "there is no limit"),
    "counters": Support(PARTLY, "each listener counts by itself, and rates anew after every change of any service"),
    "Retry-After": Support(PARTLY, "who asks too often is told when to come back, too many at once are not"),
    "passwords": Support(
        PARTLY,
        "users whose hash is one of SHA-crypt are not let in; wrong passwords are not counted, but no other request "
        "waits for them",
    ),
    "login services": Support(
        PARTLY,
        "one server is asked, the first, by its address as Host, for 30 seconds at most; where it cannot be reached "
        "the answer is 500, and 401 to an answer larger than 256 kB",
    ),
    "cookies with which a login service lets clients in, unless forward-auth.cookies names them": Support(
        NO, "clients get none of them, so sessions are not renewed"
    ),
    "certificates by name": Support(NO, "Traefik chooses by the names in the certificates"),
    "client certificates": Support(
        PARTLY, "all routes of its hosts ask for them, since Traefik asks before it knows the path"
    ),
    "client certificates of a domain": Support(NO, "nobody is let in, since Traefik asks for them by exact names"),
    "access log of a listener": Support(
        PARTLY,
        "fields have Traefik's own names, and services and nodes are not among them; before 3.4 all listeners log",
    ),
    "access log by syslog": Support(NO, "lines go to Traefik's standard output"),
    "access logs that differ": Support(NO, "all are as that of the first listener, by name, that has one"),
    "TLS listeners that differ in minimum or strict SNI": Support(
        PARTLY, "for names that no route on the listener has, as hosts without `*`, the strictest one's holds on all"
    ),
    "headers of client certificates": Support(
        PARTLY,
        "subject and alternative names are in X-Forwarded-Tls-Client-Cert-Info, the certificate in "
        "X-Forwarded-Tls-Client-Cert; there is no fingerprint",
    ),
    "largest body": Support(PARTLY, "the whole body is taken before the server gets any of it"),
    "rewritten paths": Support(PARTLY, "X-Forwarded-Prefix ends in a slash where the path goes on"),
    "a prefix before a path that was stripped whole": Support(
        PARTLY, "where nothing is left of the path servers see the prefix alone, without a slash"
    ),
    "pages of other origins": Support(
        PARTLY,
        "preflight requests are answered 200, not 204, and before clients are judged by address, rate or number; other "
        "origins are told Access-Control-Allow-Credentials, which means nothing without Access-Control-Allow-Origin",
    ),
    "spellings of a header with many dashes": Support(
        PARTLY, "of more than three only the one with `_` for all of them is removed"
    ),
    "sticky cookie with Secure": Support(
        PARTLY, "it is Secure only where all listeners of the route have TLS, or it redirects to https"
    ),
    "clients' addresses in the match, behind a load balancer": Support(
        NO, "requests that the rest of the match fits are answered 403, since Traefik's rules know the peer alone"
    ),
    "IPv6 clients behind a load balancer": Support(PARTLY, "each address counts by itself, not each /64"),
    "by client address behind a load balancer": Support(PARTLY, "by the load balancer's address"),
    "redirects by expression behind a load balancer": Support(
        PARTLY, "the URL has the scheme in which the load balancer asked"
    ),
    "listeners on addresses of IPv4 alone": Support(PARTLY, "on 0.0.0.0 Traefik takes clients of IPv6 as well"),
    "names that clients ask for, of servers": Support(
        NO, "servers are asked for no name, since Traefik has one for each route; write `server-name`"
    ),
    "servers whose certificate is not right": Support(PARTLY, "requests to them are answered 500, not 502 or 503"),
    "slow start": Support(NO, "a server that comes up gets its full share at once"),
    "proxy protocol": Support(
        PARTLY, "servers of TCP routes are told since 3.6; those of HTTP routes have X-Forwarded-For"
    ),
    "copies of requests": Support(
        PARTLY,
        "there is none of requests whose body has more than 10 MB; before 3.7 no request of the route is repeated with "
        "another server",
    ),
    "pages in place of errors": Support(
        NO, "answers stay as they are, since Traefik has no files to answer with; name a service"
    ),
    "standbys without HTTP health checks": Support(PARTLY, _BY_SWARM),
    "standbys of TCP routes": Support(PARTLY, _BY_SWARM),
}

TRAEFIK = Kind("Traefik", facts, __package__, CAPABILITIES)
