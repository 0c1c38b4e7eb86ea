"""Paths that requests are matched with, in the normal form that proxies match.

Slashes are merged, dot segments removed, unreserved characters decoded, and other escapes in upper case.

Source: RFC 3986, sections 2.3 and 6.2.2.
"""

from __future__ import annotations

import re

from lbgen.labels.values import http
from lbgen.labels.values.value_type import value_type

CODE = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


def normal(path: str) -> str:
    """Return the path in normal form: ``//a/./b/../%63`` -> ``/a/c``; a percent sign that encodes nothing stays."""
    kept: list[str] = []
    segments = CODE.sub(_decoded, path).split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return f"/{'/'.join(kept)}{slash}"


def _decoded(escape: re.Match[str]) -> str:
    char = chr(int(escape[0][1:], 16))
    return char if _UNRESERVED.fullmatch(char) else escape[0].upper()


@value_type(http.path.pattern, item=http.path.item)
def exact(text: str) -> str:
    """A path that requests are compared with."""
    return normal(http.path(text))


@value_type(http.path.pattern, item=http.path.item)
def prefix(text: str) -> str:
    """The same, for itself and all below it; a trailing slash means the same."""
    return exact(text).rstrip("/") or "/"
