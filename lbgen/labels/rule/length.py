"""How long an alternative would be as a Traefik rule of its own: what routes of every dialect are ordered by.

Traefik asks the router with the longer rule first. A route of another vocabulary has no rule, so each of its
alternatives counts as if somebody had written it: ``Host(`a.org`) && PathPrefix(`/api`)``. One scale for all of them.
"""

from __future__ import annotations

import re

from lbgen.labels.match import Alternative, Test
from lbgen.labels.rule.matchers import KEPT

_MATCHERS = {
    "host": "Host",
    "host_regex": "HostRegexp",
    "path": "Path",
    "path_prefix": "PathPrefix",
    "path_start": "PathPrefix",
    "path_regex": "PathRegexp",
    "method": "Method",
    "header": "Header",
    "header_regex": "HeaderRegexp",
    "query": "Query",
    "query_regex": "QueryRegexp",
    "client_ip": "ClientIP",
    "sni": "HostSNI",
    "sni_regex": "HostSNIRegexp",
    "alpn": "ALPN",
}
_DECODED = re.compile(r"%[0-9A-F]{2}")


def rule_length(alternative: Alternative) -> int:
    """Return the length in bytes, as Go counts; without tests, which every request passes, it is 0."""
    return sum(map(_length, alternative)) + len(" && ") * max(0, len(alternative) - 1)


def _length(test: Test) -> int:
    arguments = [argument for argument in (test.name, test.value) if argument]
    quoted = sum(len(argument.encode()) + len("``") for argument in arguments) + len(", ") * (len(arguments) - 1)
    return len("!" * test.negated + _MATCHERS.get(test.kind, test.kind) + "()") + quoted - _decoded(test)


def _decoded(test: Test) -> int:
    """Return how much shorter a path is in a rule, where it is written decoded but for what has a meaning."""
    if test.kind not in ("path", "path_prefix", "path_start"):
        return 0
    return sum(len("%2F") - 1 for escape in _DECODED.findall(test.value) if escape not in KEPT)
