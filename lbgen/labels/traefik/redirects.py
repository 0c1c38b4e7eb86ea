"""Traefik's redirects, which go by a regular expression over the whole URL: as it is, or by scheme.

Source: traefik 3.7 pkg/middlewares/redirect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lbgen.labels.match import Alternative
from lbgen.labels.route_spec import about
from lbgen.labels.values import http
from lbgen.labels.values.substitution import Substitution, UrlRedirect, only_place, substitution, url_from
from lbgen.labels.values.value_type import BadValue

TO_HTTPS = http.redirect("https://{host}{uri}")
_PORTS = {("http", "80"), ("https", "443")}
# A host as it stands in a regular expression, and the rest of the URL as group 1 or as none.
_URL = re.compile(r"\^https\?://((?:[A-Za-z0-9-]|\\\.)+)/(?:(\(\.\*\))|\.\*)\$?")
_ANYTHING = re.compile(r"\^?(?:\.\*|\.\+|\(\.\*\))\$?")
_REST = re.compile(r"(https?://[^/$]+)/(?:\$1|\$\{1\})")
# Where a URL begins with what is found, whether or not the expression says so: all of them begin with http.
_FROM_THE_START = re.compile(r"\(?(?:https?|\.[*+])")


def code(options: Mapping[str, Any]) -> int:
    """Return the redirect's status. Methods are kept, as Traefik keeps those of all requests but GET."""
    return 308 if options.get("_permanent") else 307


def to_scheme(options: Mapping[str, Any]) -> UrlRedirect | None:
    """Return the redirect to another scheme or port; None for the usual one, from http to https."""
    if "_scheme" not in options:
        raise BadValue("is a redirect without a scheme", "add redirectscheme.scheme=https")
    scheme, port = options["_scheme"], options.get("_port", "")
    usual = not port or (scheme, port) in _PORTS
    if usual and scheme == "https":
        return None
    return _to(r"https?", scheme, "" if usual else f":{port}", code(options))


def to_https(options: Mapping[str, Any]) -> UrlRedirect:
    """Return the redirect from http to https for where another redirect goes before it."""
    return _to("http", "https", "", code(options))


def _to(pattern: str, scheme: str, port: str, status: int) -> UrlRedirect:
    host = r"(\[[^\]]*\]|[^/:?]*)(?::[0-9]+)?"
    parts = (("text", f"{scheme}://"), ("group", "1"), *((("text", port),) if port else ()))
    return UrlRedirect(Substitution(f"^{pattern}://{host}", parts), status)


def by_regex(options: Mapping[str, Any]) -> UrlRedirect:
    """Return the redirect that a regular expression over the whole URL means."""
    expression, replacement = options.get("_regex", ""), options.get("_replacement", "")
    if not expression or not replacement:
        raise BadValue("is a redirect without an expression or a URL", "add redirectregex.regex and .replacement")
    if _FROM_THE_START.match(expression):
        expression = f"^{expression}"
    return UrlRedirect(checked_substitution(url_from, expression, replacement), code(options))


def checked_substitution(make: Callable[[str, str], Substitution], expression: str, replacement: str) -> Substitution:
    """Put an expression and its replacement together; a complaint is about the option that is at fault."""
    expression, replacement = about("_regex", only_place, expression, replacement)
    about("_regex", substitution, expression, "")
    return about("_replacement", make, expression, replacement)


def whole_redirect(options: Mapping[str, Any], alternatives: tuple[Alternative, ...]) -> dict[str, object]:
    """Return the redirect of all the router's requests, for a router without a server; nothing if it is none."""
    url, rest = _URL.fullmatch(options.get("_regex", "")), _REST.fullmatch(options.get("_replacement", ""))
    if url:
        host = url[1].replace("\\.", ".").lower()
        hosts = [{test.value for test in tests if test.kind == "host" and not test.negated} for tests in alternatives]
        if "\\" in host or any(names != {host} for names in hosts):
            return {}
    whole = url or _ANYTHING.fullmatch(options["_regex"])
    if not whole or ("$" in options["_replacement"] and not (rest and url and url[2])):
        return {}
    target = http.redirect(rest[1] + "{uri}" if rest else options["_replacement"])
    return {"redirect": target, "redirect_code": code(options)}
