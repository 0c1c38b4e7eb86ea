"""What each matcher of a Traefik v3 rule means, and what its arguments may be.

Source: traefik 3.7 pkg/muxer/http/matcher.go and mux.go, pkg/muxer/tcp/matcher.go, pkg/muxer/muxer.go, pkg/ip.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import quote

from lbgen.labels.match import ALWAYS, Match, Test
from lbgen.labels.rule.expression import Matcher
from lbgen.labels.suggestions import Vocabulary
from lbgen.labels.synonyms import MATCHERS as SYNONYMS
from lbgen.labels.values import http
from lbgen.labels.values.regex import regex
from lbgen.labels.values.value_type import BadValue

_PATH_SAFE = "/-._~!$&'()*+,;=:@[]%"  # what a URL's path may have as it is: RFC 3986, and the brackets Go leaves
# What Traefik leaves encoded in the path it compares; everything else it decodes first.
KEPT = frozenset(quote(char, safe="") for char in "!#$%&'()*+,/:;=?@[]")
_ESCAPED = re.compile(r"%.{0,2}", re.DOTALL)
_QUERY_NAME = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_PROTOCOL = re.compile(r"[!-~]{1,255}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")


def _host(text: str) -> Match:
    return ALWAYS if text == "*" else Test("host", http.host(text))


def _sni(text: str) -> Match:
    return ALWAYS if text == "*" else Test("sni", http.host(text))


def path_text(text: str) -> str:
    """Return the path as requests carry it: Traefik compares it decoded, except for characters with a meaning."""
    if not text.startswith("/"):
        raise BadValue("does not begin with a slash", "write an absolute path such as /api")
    if not text.isprintable():
        raise BadValue("has a control character or one that cannot be shown", "remove it")
    if "{" in text or "}" in text:
        raise BadValue("has a { or }, which Traefik 3 takes literally", "write PathRegexp for a pattern")
    if "?" in text or "#" in text:
        raise BadValue("has a query or a fragment, which is not part of a path", "write Query for a parameter")
    for escape in _ESCAPED.findall(text):
        if escape not in KEPT:
            raise BadValue(
                f"has {escape}, but Traefik compares the decoded path", "write the character itself, or %25 for a %"
            )
    return quote(text, safe=_PATH_SAFE)


def _path_prefix(text: str) -> Match:
    path = path_text(text)
    return Test("path_prefix" if path == "/" else "path_start", path)


def path_pattern(text: str) -> Match:
    """Return the test whether an expression is found in the path."""
    # Traefik looks into the path decoded, other proxies into the path as it came.
    if re.search(r'[ "<>`]', text) or not KEPT.issuperset(_ESCAPED.findall(text)):
        raise BadValue("has a character that only Traefik decodes, or its code", "write .+ or [^/]+ in its place")
    return Test("path_regex", regex(text))


def header(name: str, text: str) -> Match:
    """Return the test whether a header has a value."""
    return Test("header", http.header_value(text), _header_name(name))


def header_regex(name: str, text: str) -> Match:
    """Return the test whether an expression is found in a header's value."""
    return Test("header_regex", regex(text), _header_name(name))


def _header_name(text: str) -> str:
    name = http.header_name(text)
    if name == "host":
        raise BadValue("never matches, since Traefik takes Host out of the headers", "write Host or HostRegexp")
    return name


def query(name: str, value: str = "") -> Match:
    """Return the test of a parameter's value; without one, that it has none."""
    if not value:
        return Test("query", "", _query_name(name))
    if not re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", value):
        raise BadValue("has a character outside visible ASCII", "write visible ASCII characters, decoded")
    return Test("query", value, _query_name(name))


def _query_regex(name: str, value: str = "") -> Match:
    return Test("query_regex", regex(value), _query_name(name)) if value else query(name)


def _query_name(text: str) -> str:
    if _QUERY_NAME.fullmatch(text):
        return text
    raise BadValue("has no usable name of a query parameter", "write letters, digits, . _ ~ and -")


def _method(text: str) -> Match:
    return Test("method", http.method(text.upper() if text.isascii() else text))


def _client_ip(text: str) -> Match:
    try:
        if not _ADDRESS.fullmatch(text):
            raise ValueError
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue(
            "is neither an address nor a network", "write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped:  # Go takes ::ffff:192.0.2.7 for the IPv4 address
            return Test("client_ip", f"{mapped}/{network.prefixlen - 96}")
    return Test("client_ip", str(network))


def _alpn(text: str) -> Match:
    if text == "acme-tls/1":
        raise BadValue("is what Traefik keeps for getting certificates", "remove it")
    if not _PROTOCOL.fullmatch(text):
        raise BadValue("is not the name of a protocol", "write a name such as h2 or http/1.1")
    return Test("alpn", text)


_CLIENT_IP = Matcher((1,), _client_ip)
MATCHERS: Mapping[str, Mapping[str, Matcher]] = {
    "http": {
        "ClientIP": _CLIENT_IP,
        "Header": Matcher((2,), header),
        "HeaderRegexp": Matcher((2,), header_regex),
        "Host": Matcher((1,), _host),
        "HostRegexp": Matcher((1,), lambda text: Test("host_regex", regex(text))),
        "Method": Matcher((1,), _method),
        "Path": Matcher((1,), lambda text: Test("path", path_text(text))),
        "PathPrefix": Matcher((1,), _path_prefix),
        "PathRegexp": Matcher((1,), path_pattern),
        "Query": Matcher((1, 2), query),
        "QueryRegexp": Matcher((1, 2), _query_regex),
    },
    "tcp": {
        "ALPN": Matcher((1,), _alpn),
        "ClientIP": _CLIENT_IP,
        "HostSNI": Matcher((1,), _sni),
        "HostSNIRegexp": Matcher((1,), lambda text: Test("sni_regex", regex(text))),
    },
}
EXAMPLES = {"http": "Host(`shop.example.org`) && PathPrefix(`/api`)", "tcp": "HostSNI(`db.example.org`)"}
# Traefik knows each name in four spellings: hostsni, HOSTSNI, Hostsni and its own HostSNI.
SPELLINGS = {
    protocol: {spelt: name for name in known for spelt in (name, name.lower(), name.upper(), name.capitalize())}
    for protocol, known in MATCHERS.items()
}


def instead(name: str, protocol: str) -> str:
    """Return the remedy for a name that is not a matcher of the protocol."""
    other = "tcp" if protocol == "http" else "http"
    if name in SPELLINGS[other]:
        return f"{name} belongs to {other} routes"
    known = {each.lower(): each for each in MATCHERS[protocol]}
    synonyms = {word: each.lower() for word, each in SYNONYMS.items() if each in MATCHERS[protocol]}
    close = Vocabulary(known, synonyms).nearest(name)
    return f"did you mean {known[close]}?" if close else "write one of " + ", ".join(sorted(known.values()))
