"""Whether two alternatives have requests in common.

Expressions are asked about exact hosts only, and not compared with each other.
"""

from __future__ import annotations

import re

from lbgen.labels.match import Alternative, Test

_LONGEST = 64  # characters of a host that an expression is asked about
_PATHS = ("path", "path_prefix", "path_start")
_NAMES = ("host", "sni")


def exclude(one: Alternative, other: Alternative) -> bool:
    """Tell whether no request matches both: a yes is sure, and found wherever one test of each says so."""
    return any(_contradict(this, that) or _contradict(that, this) for this in one for that in other)


def _contradict(this: Test, that: Test) -> bool:
    """Tell whether no request has both, by what is true of the first test's."""
    if this.negated:
        return False
    if that.negated:
        return _implies(this, Test(that.kind, that.value, that.name))
    if this.kind in _NAMES and that.kind == this.kind:
        return not (_implies(this, that) or _implies(that, this))
    if this.kind in _PATHS and that.kind in _PATHS:
        return not (_implies(this, that) or _implies(that, this) or _begins(this, that) or _begins(that, this))
    if this.kind == "host" and that.kind == "host_regex":
        return _found(this.value, that.value) is False
    return this.kind == that.kind == "method" and this.value != that.value


def _implies(test: Test, wanted: Test) -> bool:
    """Tell whether all requests that pass a test pass the other one."""
    if test == wanted:
        return True
    if wanted.negated:
        return not test.negated and _contradict(test, Test(wanted.kind, wanted.value, wanted.name))
    if test.negated:
        return False
    if test.kind in _NAMES and wanted.kind == test.kind:
        exact = not test.value.startswith("*.")
        return exact and wanted.value == f"*.{test.value.partition('.')[2]}" and "." in test.value
    if test.kind == "host" and wanted.kind == "host_regex":
        return _found(test.value, wanted.value) is True
    if test.kind in _PATHS and wanted.kind == "path_prefix":
        # Of what only begins like this the next letter may belong to the segment.
        return _below(test.value, wanted.value) and (test.kind != "path_start" or test.value != wanted.value)
    if test.kind in _PATHS and wanted.kind == "path_start":
        return test.value.startswith(wanted.value)
    return False


def _begins(test: Test, other: Test) -> bool:
    """Tell whether a path that begins with one text may go on as the other one."""
    return test.kind == "path_start" and other.value.startswith(test.value)


def _below(path: str, prefix: str) -> bool:
    return prefix == "/" or path == prefix or path.startswith(prefix + "/")


def _found(host: str, regex: str) -> bool | None:
    """Tell whether an expression is found in a host; None: it is not asked."""
    if host.startswith("*") or len(host) > _LONGEST:
        return None
    try:
        return bool(re.search(regex, host))
    except re.error:  # what PCRE and Go know, and Python does not
        return None
