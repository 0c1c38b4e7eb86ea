"""Parsers for pages in place of errors; as in `basic`, bounded and with a remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus

from lbgen.labels.values.references import ServiceUrl, service_url
from lbgen.labels.values.value_type import BadValue, matching, value_type

SUFFIXES = {
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/xml; charset=utf-8",
    ".svg": "image/svg+xml",
}
NAMED = tuple(sorted(status.value for status in HTTPStatus if status.value >= 400))

_FILE = rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,99}}(?:{'|'.join(map(re.escape, SUFFIXES))})"
_file = matching(
    _FILE,
    "is not the name of a page",
    f"write a file's name that ends in {', '.join(list(SUFFIXES)[:-1])} or {list(SUFFIXES)[-1]}, such as sorry.html",
)
_LONGEST_PATH = 600


@value_type(rf"{_FILE}|https?://[^\s]+", str)
def page(text: str) -> str | ServiceUrl:
    """``sorry.html``, a file; or ``http://pages/{status}.html``, what a service answers."""
    match = re.fullmatch(r"(https?://[^/{}]+)(.*)", text)
    if not match:
        return _file(text)
    url = service_url(match[1] + match[2].replace("{status}", "-").replace("{url}", "-"))
    if url.is_address:
        raise BadValue("leads to an address", "write http://SERVICE:PORT/PATH with the name of a Swarm service")
    if len(match[2]) > _LONGEST_PATH:
        raise BadValue(f"has a path of {len(match[2])} characters", f"keep it below {_LONGEST_PATH}")
    return replace(url, path=match[2] or "/")


@value_type(r"[45][0-9]{2}(?:-[45][0-9]{2})?|[45]xx")
def statuses(text: str) -> str:
    """``503``, ``500-599`` or ``5xx``: which errors."""
    covered(text)
    return text


def covered(text: str) -> tuple[int, ...]:
    """Return the statuses that a text means: of a range or a class those that HTTP has a name for."""
    match = re.fullmatch(r"([45])xx|([45][0-9]{2})(?:-([45][0-9]{2}))?", text)
    if not match:
        raise BadValue("has a status that is no error", "write error-pages.503, error-pages.500-599 or error-pages.5xx")
    low, high = (f"{match[1]}00", f"{match[1]}99") if match[1] else (match[2], match[3] or match[2])
    if found := tuple(status for status in NAMED if int(low) <= status <= int(high)):
        return found
    raise BadValue("has a status that HTTP has no name for", "write one such as 404, 502 or 503")
