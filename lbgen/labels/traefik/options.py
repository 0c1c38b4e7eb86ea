"""What each option of a Traefik router or service means here: a field of `RouteKeys`, a remark, or too much.

Three kinds of options: taken (`Taken`), left out with a note because they only tune or observe (`Left`), and those that
cannot be left out without doing something else than asked (`Lost`), which drop the route.

Source: traefik 3.7 pkg/config/dynamic/http_config.go, tcp_config.go, udp_config.go; pkg/healthcheck/healthcheck.go.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.route_spec import problem_of, sound
from lbgen.labels.traefik.elements import Element
from lbgen.labels.values import basic
from lbgen.labels.values.basic import BadValue, Parser

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Taken:
    """An option that is honoured."""

    parse: Parser[object]
    # Of RouteKeys, or a name of our own, which begins with "_"; empty: it changes nothing here. Of a row that ends in
    # <> it is a mapping: {the rest of the option: value}.
    field: str = ""
    secret: bool = False  # its value is not for logs
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """An option that is left out, without which the route still does what it is for."""

    message: str
    remedy: str = "remove it, or live without it"
    secret: bool = False  # its value is not for logs


@dataclass(frozen=True, slots=True)
class Lost:
    """An option without which the route would do something else than asked."""

    message: str
    remedy: str = "remove it, or leave the service to Traefik"
    secret: bool = False  # its value is not for logs


Table = Mapping[str, Taken | Left | Lost]  # option -> meaning; <> stands for any words, [n] for an index


@dataclass(slots=True)
class Read:
    """What an element's options say."""

    fields: dict[str, object] = field(default_factory=dict)
    written: dict[str, tuple[str, str]] = field(default_factory=dict)  # field, and label -> (label, value)
    lost: list[Problem] = field(default_factory=list)
    left: list[Problem] = field(default_factory=list)


def flag(text: str) -> bool:
    """A boolean as Go's strconv.ParseBool reads it."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise BadValue("is neither true nor false", "write true or false, without quotes")


def duration(low: float, high: float) -> Parser[float]:
    """A duration as Traefik reads it: Go's ``1m30s``, or a bare number of seconds."""

    def parse(text: str) -> float:
        parts = _PART.findall(text)
        if text.isascii() and text.isdecimal() and len(text) < 10:
            seconds = float(text)
        elif parts and "".join(map("".join, parts)) == text and len(text) < 40:
            seconds = round(sum(float(number) * _UNITS[unit] for number, unit in parts), 3)
        else:
            raise BadValue("is not a duration", "write a number with its unit, such as 500ms, 10s or 1m30s")
        if not low <= seconds <= high:
            bounds = f"{basic.spell_duration(low)} to {basic.spell_duration(high)}"
            raise BadValue(f"is outside {bounds}", f"write a duration of {bounds}")
        return seconds

    return parse


def only(wanted: str, message: str, remedy: str) -> Parser[str]:
    """A word that changes nothing; any other asks for too much."""

    def parse(text: str) -> str:
        if text.lower() == wanted:
            return text
        raise BadValue(message, remedy)

    return parse


def _strategy(text: str) -> str:
    known = {"wrr": "round-robin", "p2c": "random", "hrw": "source", "leasttime": "least-conn"}
    if text.lower() in known:
        return known[text.lower()]
    raise BadValue("is no strategy", f"write one of {', '.join(known)}")


def _cookie(text: str) -> str:
    return basic.sticky(f"cookie:{text}")


def _status(text: str) -> tuple[tuple[int, int], ...]:
    code = basic.integer(100, 599)(text)
    return ((code, code),)


_OBSERVED = Left("is left out: logs, metrics and traces are the proxy's own here", "remove it")
_CERTIFICATE = Left("is left out: certificates are files here", "put one into the directory of setting certificates")
_ELSEWHERE = "is no load balancer of this service's own tasks"
_LEAVE = "remove it, or leave the service to Traefik"

ROUTER: Table = {
    "rule": Taken(str, "rule"),
    "entrypoints": Taken(basic.listed(basic.name), "listener"),
    "priority": Taken(basic.integer(0, 1_000_000), "priority"),
    "service": Taken(str, "_service"),
    "middlewares": Taken(basic.listed(str), "_middlewares"),
    "tls": Taken(lambda text: text.lower() == "true", "_tls"),
    "tls.certresolver": _CERTIFICATE,
    "tls.domains[n].main": _CERTIFICATE,
    "tls.domains[n].sans": _CERTIFICATE,
    "tls.options": Taken(
        only("default", "names TLS options, such as client certificates, that are not known here", _LEAVE)
    ),
    "rulesyntax": Taken(only("v3", "asks for the rules of Traefik 2", "write the rule for Traefik 3")),
    "observability.<>": _OBSERVED,
}
SERVICE: Table = {
    "loadbalancer.server.port": Taken(basic.port, "port"),
    "loadbalancer.server.scheme": Taken(basic.choice("http", "https", "h2c"), "scheme"),
    "loadbalancer.server.weight": Taken(basic.integer(0, 256), "weight"),
    "loadbalancer.server.preservepath": Taken(flag),
    "loadbalancer.passhostheader": Taken(flag, "_pass_host"),
    "loadbalancer.serverstransport": Taken(str, "_transport"),
    "loadbalancer.strategy": Taken(_strategy, "balance"),
    "loadbalancer.healthcheck.path": Taken(basic.path, "health_check_path"),
    "loadbalancer.healthcheck.interval": Taken(duration(0.1, 3600), "health_check_interval"),
    "loadbalancer.healthcheck.timeout": Taken(duration(0.01, 600), "health_check_timeout"),
    "loadbalancer.healthcheck.port": Taken(basic.port, "health_check_port"),
    "loadbalancer.healthcheck.hostname": Taken(basic.host, "health_check_host"),
    "loadbalancer.healthcheck.method": Taken(basic.choice("GET", "HEAD", "OPTIONS", "POST"), "health_check_method"),
    "loadbalancer.healthcheck.status": Taken(_status, "health_check_status"),
    "loadbalancer.healthcheck.scheme": Taken(basic.choice("http", "https"), "health_check_scheme"),
    "loadbalancer.healthcheck.mode": Taken(
        only("http", "asks for a gRPC health check", "remove it, or check by a path")
    ),
    "loadbalancer.healthcheck.headers.<>": Lost("gives the health check a header", "check a path that needs none"),
    "loadbalancer.healthcheck.followredirects": Left("is left out: a redirect counts as a good answer"),
    "loadbalancer.healthcheck.unhealthyinterval": Left("is left out: the usual interval holds for bad servers too"),
    "loadbalancer.passivehealthcheck.<>": Left("is left out: a server is judged by loadbalancer.healthcheck"),
    "loadbalancer.sticky": Taken(flag),
    "loadbalancer.sticky.cookie": Taken(lambda text: text.lower() == "true", "_cookie"),
    "loadbalancer.sticky.cookie.name": Taken(_cookie, "sticky"),
    "loadbalancer.sticky.cookie.<>": Left("is left out: this attribute of the cookie cannot be chosen"),
    "loadbalancer.responseforwarding.flushinterval": Left("is left out: it tunes Traefik alone", "remove it"),
    "loadbalancer.<>": Lost("is unknown, or cannot be honoured", "correct its name, or leave the service to Traefik"),
    "weighted.<>": Lost(_ELSEWHERE),
    "mirroring.<>": Lost(_ELSEWHERE),
    "failover.<>": Lost(_ELSEWHERE),
    "highestrandomweight.<>": Lost(_ELSEWHERE),
    "errors.<>": Lost(_ELSEWHERE),
}
TCP_ROUTER: Table = {
    **{key: ROUTER[key] for key in ("rule", "entrypoints", "priority", "service", "tls", "rulesyntax")},
    "middlewares": Taken(basic.listed(str), "_middlewares"),
    "tls.passthrough": Taken(flag, "_passthrough"),
    "tls.certresolver": _CERTIFICATE,
    "tls.domains[n].main": _CERTIFICATE,
    "tls.domains[n].sans": _CERTIFICATE,
    "tls.options": ROUTER["tls.options"],
}
TCP_SERVICE: Table = {
    "loadbalancer.server.port": Taken(basic.port, "port"),
    "loadbalancer.server.tls": Taken(only("false", "asks for TLS to the server", _LEAVE)),
    "loadbalancer.proxyprotocol": Taken(flag, "_proxy"),
    "loadbalancer.proxyprotocol.version": Taken(lambda text: f"v{basic.number(1, 2)(text)}", "send_proxy"),
    "loadbalancer.serverstransport": Left(
        "is left out: what it says is not known here", "if it has proxyProtocol, add loadbalancer.proxyProtocol.version"
    ),
    "loadbalancer.terminationdelay": Left("is left out: it tunes Traefik alone", "remove it"),
    "loadbalancer.<>": Lost("is unknown, or cannot be honoured", "correct its name, or leave the service to Traefik"),
    "weighted.<>": Lost(_ELSEWHERE),
}
UDP_ROUTER: Table = {key: ROUTER[key] for key in ("entrypoints", "service")}
UDP_SERVICE: Table = {
    "loadbalancer.server.port": Taken(basic.port, "port"),
    "weighted.<>": Lost(_ELSEWHERE),
}
TABLES: Mapping[tuple[str, str], Table] = {
    ("http", "routers"): ROUTER,
    ("http", "services"): SERVICE,
    ("tcp", "routers"): TCP_ROUTER,
    ("tcp", "services"): TCP_SERVICE,
    ("udp", "routers"): UDP_ROUTER,
    ("udp", "services"): UDP_SERVICE,
}


def read(service: str, route: str, element: Element, table: Table, *, secret: bool = False) -> Read:
    """Read all options of one element for one route.

    Args:
        secret: what an option that is not in the table says may be a secret.
    """
    found = Read()
    for option, written in element.options.items():
        row, meaning = _meaning(option, table, secret=secret)
        shown = "" if meaning.secret else written.value
        try:
            if isinstance(meaning, Taken):
                value = meaning.parse(sound(written.value, may_be_empty=meaning.may_be_empty))
                _take(found, meaning.field or option, row, option, value)
                found.written[written.label] = (written.label, shown)
                found.written[meaning.field or option] = (written.label, shown)
            elif isinstance(meaning, Left):
                sound(written.value)
                bad = BadValue(meaning.message, meaning.remedy)
                found.left.append(problem_of(service, written.label, shown, bad, route))
            else:
                sound(written.value)
                raise BadValue(meaning.message, meaning.remedy)
        except BadValue as bad:
            found.lost.append(problem_of(service, written.label, shown, bad, route))
    return found


def _take(found: Read, field: str, row: str, option: str, value: object) -> None:
    if not row.endswith("<>"):
        found.fields[field] = value
        return
    members = found.fields.setdefault(field, {})
    assert isinstance(members, dict)
    members[option.removeprefix(row[:-2])] = value


def _meaning(option: str, table: Table, *, secret: bool) -> tuple[str, Taken | Left | Lost]:
    """Return the row of the table for an option, and what it says."""
    pattern = re.sub(r"\[[0-9]+\]", "[n]", option)
    if pattern in table:
        return pattern, table[pattern]
    for row, meaning in table.items():
        if row.endswith("<>") and pattern.startswith(row[:-2]):
            return row, meaning
    close = difflib.get_close_matches(option, [known for known in table if "<" not in known], n=1)
    remedy = f"did you mean {close[0]}?" if close else "remove it, or correct its name"
    return option, Lost("is an unknown option", remedy, secret)
