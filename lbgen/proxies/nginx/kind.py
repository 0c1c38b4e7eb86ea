"""Nginx: what its templates are told, what it is made of, and what it cannot do."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lbgen.base.address import dialable, host_port, split_bind
from lbgen.base.errors import SettingsError
from lbgen.base.logs import log
from lbgen.proxies.kind import AUTH_REQUEST, HTTP3, MLKEM, NO, PARTLY, Facts, Kind, Setup, Support
from lbgen.proxies.nginx import processes
from lbgen.proxies.program import said_by
from lbgen.proxies.sockets import has_ipv6

NO_STREAM = "{binary} has no stream module, without which Nginx serves neither tcp nor udp"
STREAM_REMEDY = "apt-get install libnginx-mod-stream, or name its path in options.modules; then start lbgen again"
NO_STDOUT = "no-stdout"  # a feature: /dev/stdout cannot be opened
PROBE = "127.0.0.1:9180"


@dataclass(frozen=True, slots=True)
class Build:
    """What a program was built with."""

    version: tuple[int, ...] = ()  # (1, 22, 1); empty: there is none to ask
    stream: str = "stream"  # path of the module to load, "stream" if it is built in, empty: there is none
    account: str = ""  # of the workers, or their group; empty: Nginx's own default
    features: tuple[str, ...] = (AUTH_REQUEST,)  # of those that templates ask for


def facts(setup: Setup) -> Facts:
    """Return the facts about it that templates see."""
    build = build_of(setup.binary)
    runs = setup.target.apply.chosen in ("", "run")
    modules = option(setup, "modules") or [build.stream]
    if names := tuple(unservable(setup)):
        _say_once(setup.name, setup.binary, names)
    setup.tell_of_http3(build.features)
    return Facts(
        version=_version(setup) or build.version,
        modules=tuple(module for module in modules if module),
        features=setup.own_features(build.features)
        + ((NO_STDOUT,) if runs and setup.binary and stdout_is_socket() else ()),
        pid_file=processes.pid_file(setup),
        probe=probe(setup)[0],
        ipv6=not setup.binary or has_ipv6(),
    )


def stdout_is_socket() -> bool:
    """Tell whether standard output, which an Nginx of lbgen's shares, is one, as under systemd: nobody can open it."""
    try:
        return stat.S_ISSOCK(os.fstat(1).st_mode)
    except OSError:  # closed
        return False


@cache
def build_of(binary: str) -> Build:
    """Ask a program how it was built; nothing is known of one that is not there."""
    said = said_by(binary, "-V")
    version = re.search(r"^nginx version: \S+?/(\d+)\.(\d+)\.(\d+)", said, re.MULTILINE)
    if not version:
        return Build()
    stream = re.search(r"--with-stream(?:=(dynamic))?(?:\s|$)", said)
    module = ""
    if stream and stream[1]:
        directory = re.search(r"--modules-path=(\S+)", said)
        path = Path(directory[1] if directory else "/usr/lib/nginx/modules") / "ngx_stream_module.so"
        module = str(path) if path.exists() else ""
    elif stream:
        module = "stream"
    account = re.search(r"--group=(\S+)", said) or re.search(r"--user=(\S+)", said)
    numbers = (int(version[1]), int(version[2]), int(version[3]))
    return Build(numbers, module, account[1] if account else "", tuple(_features(said)))


def _features(said: str) -> Iterator[str]:
    if "--with-http_v3_module" in said:
        yield HTTP3
    if "--with-http_auth_request_module" in said:
        yield AUTH_REQUEST
    library = re.search(r"^built with OpenSSL (\S+)(?:.*\(running with OpenSSL (\S+))?", said, re.MULTILINE)
    if library and tuple(map(int, re.findall(r"\d+", library[2] or library[1])[:2])) >= (3, 5):
        yield MLKEM


@cache
def _say_once(target: str, binary: str, listeners: tuple[str, ...]) -> None:
    log.warning(
        "listeners_left_out",
        target=target,
        listeners=", ".join(listeners),
        reason=NO_STREAM.format(binary=binary),
        remedy=STREAM_REMEDY,
    )


def unservable(setup: Setup) -> dict[str, str]:
    """Return why the target's listeners for TCP and UDP are not served, if so, by name."""
    modules = option(setup, "modules") or [build_of(setup.binary).stream]
    if any("stream" in module for module in modules):
        return {}
    why = f"{NO_STREAM.format(binary=setup.binary)}; {STREAM_REMEDY}"
    served, listeners = setup.target.listeners, setup.settings.listeners.items()
    return {name: why for name, each in listeners if each.protocol != "http" and (served is None or name in served)}


def option(setup: Setup, name: str) -> Any:
    """Return what an option of the set is."""
    return setup.target.options.get(name, setup.manifest.options.get(name))


def _version(setup: Setup) -> tuple[int, ...]:
    """Return the version that the options name, (1, 26) say; empty: none."""
    text = option(setup, "version")
    if not text:
        return ()
    if not isinstance(text, str) or not re.fullmatch(r"\d+(\.\d+)+", text):
        raise SettingsError(f'targets.{setup.name}.options.version: {text!r} is not a version; write "1.26", in quotes')
    return tuple(map(int, text.split(".")))


def probe(setup: Setup) -> tuple[str, tuple[str, int]]:
    """Return where it answers its generation: as Nginx writes it, and as it is connected to."""
    try:
        address, port = split_bind(setup.target.probe or PROBE)
    except ValueError as error:
        raise SettingsError(f"targets.{setup.name}.probe: {error}") from error
    return host_port(address, port), (dialable(address), port)


_UNASKED = (
    "nothing asks servers, and none is left out: a request that finds no connection within `timeout.connect` goes to "
    "another one, each request anew, until Swarm has taken the server away"
)
_BY_SWARM = "they get requests when Swarm has no other server up, and not when none of those answers"
CAPABILITIES = {
    "expressions on parameters": Support(
        NO, "what the route asks for with one is left out, since Nginx cannot decode parameters"
    ),
    "very long paths, rules and headers": Support(
        NO,
        "a rule of more than 50 tests or 600 characters, a path of more than 1,500, a rewritten path of more than "
        "600 or a header of more than 1,900 (a `$` counts for 15 in these two) is left out",
    ),
    "headers with an underscore in their name": Support(
        NO, "Nginx drops such headers, so what asks for one never holds"
    ),
    "sticky cookie": Support(PARTLY, "clients are kept with a server by their address", since="1.29.6"),
    "sticky cookie with Secure": Support(
        PARTLY, "it is Secure only where all listeners of the route have TLS, or it redirects to https"
    ),
    "X-Forwarded-For behind the PROXY protocol": Support(
        PARTLY, "the client is whom the PROXY header names; X-Forwarded-Proto and -Port of a trusted one are believed"
    ),
    "HTTP health checks": Support(PARTLY, _UNASKED),
    "answers that say no-transform": Support(NO, "they are compressed all the same"),
    "statuses that are good": Support(NO, "nothing is asked"),
    "method of the check": Support(NO, "nothing is asked"),
    "headers of the check": Support(NO, "nothing is asked"),
    "TCP health checks of HTTP routes": Support(PARTLY, _UNASKED),
    "health checks of TCP routes": Support(
        PARTLY,
        "nothing asks servers: after `health-check.fall` failed connects one is left out for the time of `rise` checks",
    ),
    "good and bad checks in a row": Support(
        PARTLY, "of TCP routes `fall` counts failed connects, and `rise` is a time; of HTTP routes neither is known"
    ),
    "time without a byte on open streams": Support(PARTLY, "of HTTP routes it is `timeout.response`"),
    "concurrent requests for each server": Support(
        PARTLY, "further requests go to other servers, or fail; they do not queue"
    ),
    "rate limit": Support(PARTLY, "a rate per hour is rounded up to whole requests per minute, one at least"),
    "connections at once of TCP routes by server name": Support(
        NO, "there is no limit, since Nginx counts before it knows the name"
    ),
    "passwords": Support(
        PARTLY,
        "Nginx's workers read the file at the path that lbgen has it at, on their own account; where they cannot, "
        "nobody is let in; wrong passwords are not counted, since `limit_req` counts requests, right ones too",
    ),
    "HTTP/3": Support(NO, "clients speak HTTP/2", since="1.25.0", needs=HTTP3),
    "strict SNI": Support(NO, "clients are shown default.pem", since="1.19.4"),
    "strict SNI of TCP listeners": Support(NO, "clients are shown default.pem, whatever name they ask for"),
    "login services": Support(
        PARTLY,
        "whom it does not let in it is asked about twice: the second answer is the client's; without the module "
        "auth_request every request is answered 403",
    ),
    "several cookies at once with which a login service lets clients in": Support(
        PARTLY, "clients get the first", since="1.23.0"
    ),
    "headers of client certificates": Support(
        PARTLY,
        "the fingerprint is X-Client-Cert-Sha1; alternative names are in X-Client-Cert alone: the certificate, PEM "
        "percent-encoded",
    ),
    "connections that outlive a reload": Support(
        PARTLY,
        "they end when the old worker does, at the option `worker_shutdown` after the reload, whatever caused it",
        ends=("shutdown_timeout", "worker_shutdown"),
    ),
    "half-closed connections of TCP routes": Support(
        PARTLY, "a connection ends as soon as one side has sent all it has", since="1.21.4"
    ),
    "TCP servers that speak first, beside routes by server name": Support(
        PARTLY, "their clients, who send nothing, are cut off at `hello_timeout` of the listener (5s)"
    ),
    "the client's URL in that of a page": Support(
        PARTLY, "it is there as the client sent it, not percent-encoded: write it last"
    ),
    "host header": Support(PARTLY, "of several servers all see the address of the first"),
    "response headers": Support(NO, "the header Server is Nginx's own, and stays"),
    "scheme of servers": Support(NO, "servers are spoken to with HTTP/1.1"),
    "TCP routes by server name on HTTP listeners": Support(
        NO,
        "the route is left out, and clients get HTTP: to hand HTTP on with the client's address Nginx would need a "
        "socket, which stays behind after a crash and keeps the next one from starting",
    ),
    "TLS to the servers of TCP routes, beside others": Support(
        PARTLY,
        "Nginx speaks to the servers of all routes of a listener in one way: where only some of them are spoken to by "
        "TLS, or they differ in `server-ca`, connections to those with TLS are closed",
    ),
    "copies of requests": Support(
        PARTLY,
        "the next request on a client's connection waits for the copy's answer, a second at most; there is none of "
        "connections that are upgraded",
    ),
    "standbys of servers chosen by client address": Support(PARTLY, _BY_SWARM),
    "standbys of servers chosen by cookie": Support(PARTLY, _BY_SWARM, since="1.29.6"),
    "slow start": Support(NO, "a server that comes up gets its full share at once"),
    "proxy protocol": Support(
        PARTLY,
        "servers of TCP routes are told in version 1, if all routes of the listener ask for it; servers of HTTP "
        "routes are not, and have X-Forwarded-For",
    ),
}

NGINX = Kind("Nginx", facts, __package__, CAPABILITIES)
