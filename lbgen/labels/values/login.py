"""What a login service answers, as labels say it."""

from __future__ import annotations

import re

from lbgen.labels.values.basic import list_of
from lbgen.labels.values.policy import edited_header
from lbgen.labels.values.value_type import BadValue, value_type

MOST_HEADERS = 20
MOST_COOKIES = 20
# What the proxy itself tells servers of a client, and what the client keeps of theirs.
_OWN = frozenset(
    {f"x-forwarded-{word}" for word in ("for", "host", "port", "proto", "prefix")} | {"x-real-ip", "cookie"}
)
_names = list_of(edited_header)


@value_type(r"[A-Za-z0-9!#$%&'*+.^_|~-]{1,256}", str)
def _cookie(text: str) -> str:
    """The name of a cookie."""
    if not re.fullmatch(_cookie.pattern, text):
        raise BadValue(
            f"has {text!r}, which is not a cookie's name", "write names of cookies, with commas between them"
        )
    return text


_cookies = list_of(_cookie)


@value_type(_cookies.pattern, _cookies.spell)
def cookies(text: str) -> tuple[str, ...]:
    """Names of cookies."""
    names = tuple(dict.fromkeys(_cookies(text)))
    if len(names) > MOST_COOKIES:
        raise BadValue(f"names {len(names)} cookies", f"name {MOST_COOKIES} at most")
    return names


@value_type(_names.pattern, _names.spell)
def answered_headers(text: str) -> tuple[str, ...]:
    """Names of headers, lower-cased, without those that the proxy sets itself."""
    names = tuple(dict.fromkeys(_names(text)))
    if len(names) > MOST_HEADERS:
        raise BadValue(f"names {len(names)} headers", f"name {MOST_HEADERS} at most")
    if own := sorted(_OWN.intersection(names)):
        raise BadValue(f"names {', '.join(own)}, which is not the login service's to say", "leave it out")
    if twin := next((name for name in names if "_" in name), ""):
        raise BadValue(f"names {twin}, which applications cannot tell from one with dashes", "write dashes")
    return names
