"""The cookie that keeps a client with its server: part of the public vocabulary of templates, as `types`."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue


@dataclass(frozen=True, slots=True)
class Cookie:
    """Attributes of a backend's sticky cookie."""

    secure: str = "https"  # "always", "never", or "https": where the client came by https
    same_site: str = "lax"  # "lax", "strict", "none"; "none" only with secure "always"
    http_only: bool = True
    max_age: int | None = None  # seconds, from when it was set; None: until the browser is closed


USUAL = Cookie()


def cookie_of(keys: RouteKeys) -> Cookie:
    """Return the attributes of the cookie that a route's keys ask for.

    Raises:
        BadValue: there is no cookie, or browsers would refuse it.
    """
    secure = {None: "https", True: "always", False: "never"}[keys.sticky_secure]
    if keys.sticky_same_site == "none":
        if secure == "never":
            raise BadValue(
                "is refused by browsers for a cookie that is not Secure",
                "remove sticky.secure, or write lax",
                "sticky.same-site",
            )
        secure = "always"
    age = None if keys.sticky_max_age is None else int(keys.sticky_max_age)
    cookie = Cookie(secure, keys.sticky_same_site, keys.sticky_http_only, age)
    if cookie == USUAL:
        return USUAL
    if keys.sticky in ("", "source"):
        raise BadValue("there is no cookie", "add sticky=cookie", _first_written(keys))
    return cookie


def _first_written(keys: RouteKeys) -> str:
    """Return the key that asks for another cookie than the usual one."""
    asked = {
        "sticky.secure": keys.sticky_secure is not None,
        "sticky.same-site": keys.sticky_same_site != "lax",
        "sticky.http-only": not keys.sticky_http_only,
        "sticky.max-age": keys.sticky_max_age is not None,
    }
    return next(name for name, is_asked in asked.items() if is_asked)


def always_secure(cookie: Cookie, *, by_https: bool) -> bool:
    """Tell whether the cookie has the attribute Secure for all clients.

    Args:
        by_https: all clients of the route come by https.
    """
    return cookie.secure == "always" or (cookie.secure == "https" and by_https)
