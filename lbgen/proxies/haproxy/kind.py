"""HAProxy: what its templates are told, what it is made of, and what it cannot do."""

from __future__ import annotations

from pathlib import Path

from lbgen.proxies.haproxy.build import build_of
from lbgen.proxies.kind import HTTP3, NO, PARTLY, Facts, Kind, Setup, Support
from lbgen.proxies.sockets import has_ipv6


def facts(setup: Setup) -> Facts:
    """Return the facts about it that templates see."""
    build = build_of(setup.binary)
    setup.tell_of_http3(build.features)
    return Facts(
        build.version,
        features=setup.own_features(build.features),
        stats_socket=str(stats_socket(setup)),
        ipv6=not setup.binary or has_ipv6(),
    )


def stats_socket(setup: Setup) -> Path:
    """Return where its stats socket is: as set, beside the master socket, or in the output directory."""
    if setup.target.stats_socket:
        return setup.target.stats_socket.absolute()
    master = setup.target.apply.master_socket
    return (master.absolute().parent if master else setup.output) / "haproxy.sock"


CAPABILITIES = {
    "UDP routes": Support(NO, "the route is left out"),
    "access log in a file": Support(NO, "lines go to HAProxy's standard output"),
    "HTTP/3": Support(NO, "clients speak HTTP/2", since="2.6", needs=HTTP3),
    "headers of client certificates": Support(
        PARTLY, "alternative names are in X-Client-Cert alone: the certificate, DER in base64"
    ),
    "streams that are compressed": Support(
        PARTLY,
        "the last bytes of an event wait for the next one, but for those of text/event-stream, which is not compressed",
        since="3.0",
    ),
    "login services": Support(
        PARTLY,
        "of an answer larger than 14 kB the client gets status and headers; HAProxy needs Lua and version 2.5, and "
        "without them every request is answered 403",
    ),
    "largest body": Support(PARTLY, "bodies that are sent in chunks, without their length, are not limited"),
    "connections that outlive a reload": Support(
        PARTLY,
        "they end when the old worker does, at the option `hard_stop_after` after the reload, whatever caused it",
        ends=("hard_stop_after",),
    ),
    "TCP servers that speak first, beside routes by server name": Support(
        PARTLY, "their clients wait for `hello_timeout` of the listener (5s), since they might be about to send a name"
    ),
    "TCP routes by server name on HTTP listeners": Support(
        PARTLY,
        "each connection to the listener counts twice towards `maxconn`; when the last such route leaves it, one that "
        "is just beginning may be cut off",
    ),
    "copies of requests": Support(NO, "nothing is copied"),
    "pages of a service in place of errors": Support(NO, "the plain answer is given, since HAProxy fetches no pages"),
    "the client's URL in that of a page": Support(NO, "no page is fetched"),
    "host header": Support(NO, "servers see the client's Host, since it is set before a server is chosen"),
    "slow start": Support(PARTLY, "only with a health check, which says when a server has come up"),
}

HAPROXY = Kind("HAProxy", facts, __package__, CAPABILITIES)
