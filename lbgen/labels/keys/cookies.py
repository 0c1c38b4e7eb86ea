"""The keys that say what the cookie is like that keeps a client with its server."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.keys.key import http_key
from lbgen.labels.values import basic

LONGEST = 400 * 86400  # seconds; browsers keep no cookie longer


@dataclass(frozen=True, kw_only=True)
class CookieKeys:
    """Attributes of the cookie of `sticky`. Durations are seconds."""

    sticky_secure: bool | None = http_key(
        "sticky.secure",
        basic.boolean,
        "The cookie is for https only: `true`, `false`; default: where the client came by https",
        example="true",
    )
    sticky_same_site: str = http_key(
        "sticky.same-site",
        basic.choice("lax", "strict", "none"),
        "Whether requests from pages of other sites carry the cookie: `none`, for frames in such pages, lets all of "
        "them; it is Secure then, since browsers refuse it otherwise",
        "lax",
        example="none",
    )
    sticky_http_only: bool = http_key(
        "sticky.http-only", basic.boolean, "Scripts of pages cannot read the cookie", True, example="false"
    )
    sticky_max_age: float | None = http_key(
        "sticky.max-age",
        basic.duration(1, LONGEST),
        "How long a browser keeps the cookie after it was set; default: until it is closed",
        example="1h",
    )
