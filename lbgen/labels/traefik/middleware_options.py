"""What each option of a Traefik middleware means here, by the middleware's kind.

A kind that is not in the table is one that guards: without it the router is closed.

Source: traefik 3.7 pkg/config/dynamic/middlewares.go, and pkg/middlewares for what each does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from lbgen.labels.foreign_options import Left, Lost, Table, Taken, duration, flag
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik.pages import ERRORS
from lbgen.labels.values import basic, http, login, policy
from lbgen.labels.values.references import service_url
from lbgen.labels.values.regex import regex
from lbgen.labels.values.value_type import BadValue

GUARD = Lost("is a middleware that cannot be honoured, so the route is closed", secret=True)
_LEAVE = "remove it, or leave the service to Traefik"
_DIGEST = Lost(
    "asks for passwords by digest, which is not done here, so the route is closed",
    "write basicauth.users with hashes of 'htpasswd -nB' and serve it over TLS, or use forwardauth",
    secret=True,
)
_PLUGIN = Lost(
    "is a plugin of Traefik's, which may guard and is not known here, so the route is closed",
    "take it out of the router if it does not guard; else do what it does by another middleware, or leave the service "
    "to Traefik",
    secret=True,
)


def network(text: str) -> str:
    """An address or a network; the bits of hosts do not count, as in Go."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise BadValue("is not a network", "write an address or a network such as 192.0.2.0/24") from error


def _users_file(text: str) -> str:
    """The name of the file alone: directories are Traefik's, and names without a dot in front are ours."""
    return policy.file_name(PurePosixPath(text).name.lstrip("."))


def _prefix(text: str) -> str:
    path = text if text.startswith("/") else f"/{text}"
    if "%" in path:
        raise BadValue("has a percent sign, which Traefik reads as itself", "leave the service to Traefik")
    return http.path_prefix(path)


def _raw_prefix(text: str) -> str:
    """An expression for a prefix as it is, in the middle of a segment too."""
    if "%" in text:
        raise BadValue("has a percent sign, which Traefik reads as itself", "leave the service to Traefik")
    return regex(re.escape(http.path(text)))


def _zero(text: str) -> bool:
    """A depth in X-Forwarded-For: 0 for not at all."""
    if text == "0":
        return True
    raise BadValue(_FORWARDED, _LEAVE)


_FORWARDED = "asks for the client's address in X-Forwarded-For, which clients can write themselves"
_TUNES = Left("is left out: it tunes Traefik alone", "remove it")
_TYPES = Left("is left out: text, scripts, JSON, XML and SVG are compressed", "remove it")


def _strategy(path: str, field: str = "") -> Table:
    """Which address is the client's; given at all, a field of ours is true."""
    return {
        path: Taken(flag, field),
        f"{path}.depth": Taken(_zero, field),
        f"{path}.excludedips": Lost(_FORWARDED, _LEAVE),
        f"{path}.ipv6subnet": Lost("asks for whole networks in place of a client's address", _LEAVE),
    }


_BY_HEADER = Lost("counts requests by a header, which is not done here", _LEAVE)
_ALLOW: Table = {
    "sourcerange": Taken(basic.list_of(network), "_networks"),
    "rejectstatuscode": Taken(policy.refusal, "_status"),
    **_strategy("ipstrategy"),
}
_HEADER = http.header_value


def _never(text: str) -> bool:
    """A switch that may only be off."""
    if flag(text):
        raise BadValue("asks the login service in a way in which it is not asked here", _LEAVE)
    return False


_LOGIN: Table = {
    "address": Taken(service_url, "_url", secret=True),
    "trustforwardheader": Taken(flag, "_trust"),
    "authresponseheaders": Taken(login.answered_headers, "_headers"),
    "authresponseheadersregex": Lost("chooses headers by an expression", "name them in authResponseHeaders"),
    "authrequestheaders": Lost("hides headers from the login service, which gets all of them here", _LEAVE),
    "addauthcookiestoresponse": Taken(login.cookies, "_cookies"),
    "forwardbody": Taken(_never),
    "preserverequestmethod": Taken(_never),
    "maxbodysize": Left("is left out: the login service gets no bodies", "remove it"),
    "maxresponsebodysize": Left("is left out: how large its answers may be is fixed", "remove it"),
    "preservelocationheader": Left("is left out: Location is handed on as it is", "remove it"),
    "headerfield": Lost("tells the server who came in, which is not done here", "name it in authResponseHeaders"),
    "authsigninurl": Lost("sends clients elsewhere than the login service does", _LEAVE),
    "tls.insecureskipverify": Left("is left out: its label lbgen.server-ca says who vouches for the login service"),
    **{
        f"tls.{option}": Lost("is a file of Traefik's", "write lbgen.server-ca beside the login service's own labels")
        for option in ("ca", "cert", "key", "caoptional")
    },
}

# Characters that the middleware encodedcharacters refuses in a path, unless it is told otherwise, as expressions for
# their codes. A backslash is always one to Traefik, which decodes it where rules are asked.
ENCODED: Mapping[str, str] = {
    "slash": "%2[Ff]",
    "backslash": r"%5[Cc]|\\",
    "nullcharacter": "%00",
    "semicolon": "%3[Bb]",
    "percent": "%25",
    "questionmark": "%3[Ff]",
    "hash": "%23",
}
KINDS: Mapping[str, Table] = {
    "addprefix": {"prefix": Taken(_prefix, "_prefix")},
    "basicauth": {
        "users": Taken(str, "_users", secret=True),
        "usersfile": Taken(_users_file, "_file"),
        "realm": Left("is left out: browsers are shown the name of the file of users", "remove it"),
        "removeheader": Taken(flag, "_remove"),
        "headerfield": Lost("tells the server who came in, which is not done here", _LEAVE),
    },
    "buffering": {
        "maxrequestbodybytes": Taken(basic.integer(0, policy.MOST), "_size"),
        "maxresponsebodybytes": Left("is left out: answers are of any size", "remove it"),
        "memrequestbodybytes": _TUNES,
        "memresponsebodybytes": _TUNES,
        "retryexpression": Left("is left out: the route's own retries hold", "remove it, or use a retry middleware"),
    },
    "chain": {"middlewares": Taken(basic.list_of(str), "_middlewares")},
    "circuitbreaker": {"<>": Left("is left out: nothing takes the service out of use", "remove it")},
    "compress": {
        "": Taken(flag, "_wanted"),
        "excludedcontenttypes": _TYPES,
        "includedcontenttypes": _TYPES,
        "minresponsebodybytes": _TUNES,
        "encodings": Left("is left out: gzip is what all three proxies have", "remove it"),
        "defaultencoding": Left("is left out: who does not ask for it gets answers as they are", "remove it"),
    },
    "contenttype": {"<>": Left("is left out: answers have the type that the application gives them", "remove it")},
    "digestauth": {"<>": _DIGEST},
    "encodedcharacters": {f"allowencoded{name}": Taken(flag, name) for name in ENCODED},
    "errors": ERRORS,
    "forwardauth": _LOGIN,
    "grpcweb": {
        "<>": Left(
            "is left out: requests of gRPC-Web reach the application as they are", "have it speak gRPC-Web itself"
        )
    },
    "headers": {
        "customrequestheaders.<>": Taken(policy.header_text, "_request", secret=True, may_be_empty=True),
        "customresponseheaders.<>": Taken(policy.header_text, "_response", secret=True, may_be_empty=True),
        "accesscontrolalloworiginlist": Taken(basic.list_of(policy.origin), "_origins"),
        "accesscontrolalloworiginlistregex": Lost(
            "chooses origins by expressions", "name them in accessControlAllowOriginList"
        ),
        "accesscontrolallowmethods": Taken(basic.list_of(policy.cors_method), "_methods"),
        "accesscontrolallowheaders": Taken(basic.list_of(policy.cors_header), "_headers"),
        "accesscontrolallowcredentials": Taken(flag, "_credentials"),
        "accesscontrolmaxage": Taken(basic.integer(-1, 1 << 31), "_age"),
        "accesscontrolexposeheaders": Taken(_HEADER, "_exposed"),
        "addvaryheader": Taken(flag, "_vary"),
        "stsseconds": Taken(basic.integer(0, (1 << 33) - 1), "_sts"),
        "stsincludesubdomains": Taken(flag, "_sts_domains"),
        "stspreload": Taken(flag, "_sts_preload"),
        "forcestsheader": Taken(flag, "_sts_always"),
        "framedeny": Taken(flag, "_frame_deny"),
        "customframeoptionsvalue": Taken(_HEADER, "_frame"),
        "contenttypenosniff": Taken(flag, "_nosniff"),
        "browserxssfilter": Taken(flag, "_xss_block"),
        "custombrowserxssvalue": Taken(_HEADER, "_xss"),
        "contentsecuritypolicy": Taken(_HEADER, "_csp"),
        "contentsecuritypolicyreportonly": Taken(_HEADER, "_csp_report"),
        "referrerpolicy": Taken(_HEADER, "_referrer"),
        "permissionspolicy": Taken(_HEADER, "_permissions"),
        "isdevelopment": Taken(flag, "_development"),
        "allowedhosts": Taken(basic.list_of(http.server_name), "_hosts"),
        "hostsproxyheaders": Left("is left out: the host is that of the request", "remove it"),
        "sslproxyheaders.<>": Left("is left out: TLS is what the listener has", "remove it"),
        "publickey": Left("is left out: browsers no longer read it", "remove it"),
        "featurepolicy": Left("is left out: Traefik 3 does not send it either", "use permissionsPolicy"),
        **{
            f"ssl{option}": Left("is left out: Traefik 3 does not read it either", f"use {instead}")
            for option, instead in (
                *(("redirect", "redirectscheme"), ("temporaryredirect", "redirectscheme")),
                *(("host", "redirectregex"), ("forcehost", "redirectregex")),
            )
        },
    },
    "inflightreq": {
        "amount": Taken(basic.integer(1, 1_000_000), "_amount"),
        **_strategy("sourcecriterion.ipstrategy", "_by_client"),
        "sourcecriterion.requesthost": Taken(flag),
        "sourcecriterion.requestheadername": _BY_HEADER,
    },
    "ipallowlist": _ALLOW,
    "ipwhitelist": _ALLOW,
    "ratelimit": {
        "average": Taken(basic.integer(0, 9_999_999), "_average"),
        "period": Taken(duration(0, 86400), "_period"),
        "burst": Taken(basic.integer(0, 1_000_000), "_burst"),
        "redis.<>": Left("is left out: each proxy counts for itself", "remove it", secret=True),
        **_strategy("sourcecriterion.ipstrategy"),
        "sourcecriterion.requesthost": Lost("counts requests by host, and here they are counted by client", _LEAVE),
        "sourcecriterion.requestheadername": _BY_HEADER,
    },
    "passtlsclientcert": {
        "<>": Left(
            "is left out: servers get no X-Forwarded-Tls-Client-Cert here, nor one that a client has written itself",
            "use lbgen.client-ca and lbgen.client-ca.headers, which send X-Client-Cert-Subject and others",
        )
    },
    "plugin": {"<>": _PLUGIN},
    "redirectscheme": {
        "scheme": Taken(basic.choice("http", "https"), "_scheme"),
        "port": Taken(lambda text: str(basic.port(text)), "_port"),
        "permanent": Taken(flag, "_permanent"),
    },
    "redirectregex": {
        "regex": Taken(str, "_regex"),
        "replacement": Taken(str, "_replacement"),
        "permanent": Taken(flag, "_permanent"),
    },
    "replacepath": {"path": Taken(policy.clean_path(http.path), "_path")},
    "replacepathregex": {"regex": Taken(str, "_regex"), "replacement": Taken(str, "_replacement")},
    "retry": {
        "attempts": Taken(basic.integer(1, 101), "_attempts"),
        "initialinterval": Left("is left out: the next server is tried at once", "remove it"),
        "timeout": Left("is left out: the time-outs of the route hold", "remove it"),
        **{
            option: Left("is left out: what can be sent again safely is, if there was no answer", "remove it")
            for option in (
                *("status", "maxrequestbodybytes", "disableretryonnetworkerror", "retrynonidempotentmethod"),
            )
        },
    },
    "stripprefix": {"prefixes": Taken(basic.list_of(_raw_prefix), "_prefixes"), "forceslash": Taken(flag)},
    "stripprefixregex": {"regex": Taken(basic.list_of(regex), "_prefixes")},
}
TCP_KINDS: Mapping[str, Table] = {
    "inflightconn": {"amount": KINDS["inflightreq"]["amount"]},
    "ipallowlist": {"sourcerange": _ALLOW["sourcerange"]},
    "ipwhitelist": {"sourcerange": _ALLOW["sourcerange"]},
}
# Kinds that keep requests from the application, as fields of `RouteKeys`.
_GUARDS: Mapping[str, str] = {
    "basicauth": "basic_auth",
    "encodedcharacters": "deny",
    "forwardauth": "forward_auth",
    **dict.fromkeys(("ipallowlist", "ipwhitelist"), "allow_ip"),
    **dict.fromkeys(("inflightconn", "inflightreq"), "max_concurrent"),
    "ratelimit": "rate_limit",
}
_UNKNOWN_GUARDS = ("digestauth", "plugin")


def guard_of(kind: str) -> str:
    """Return the guard that a kind of middleware is, or the one that it looks most like; empty: it is none.

    A field of `RouteKeys`, or the kind itself where that is none or nobody knows what it does.
    """
    known = list(dict.fromkeys([*_GUARDS, *_UNKNOWN_GUARDS, *KINDS]))
    nearest = alike(kind, known) or kind
    tunes = nearest in KINDS and nearest not in (*_GUARDS, *_UNKNOWN_GUARDS, "chain")
    return "" if tunes else _GUARDS.get(nearest, nearest)
