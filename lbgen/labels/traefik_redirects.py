"""Traefik's redirects, which go by a regular expression over the whole URL.

Source: traefik 3.7 pkg/middlewares/redirect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lbgen.labels import values
from lbgen.labels.values import BadValue
from lbgen.match import Alternative

TO_HTTPS = values.redirect("https://{host}{path}?{query}")
# A host as it stands in a regular expression, and the rest of the URL as group 1 or as none.
_URL = re.compile(r"\^https\?://((?:[A-Za-z0-9-]|\\\.)+)/(?:(\(\.\*\))|\.\*)\$?")
_ANYTHING = re.compile(r"\^?(?:\.\*|\.\+|\(\.\*\))\$?")
_REST = re.compile(r"(https?://[^/$]+)/(?:\$1|\$\{1\})")


def whole_redirect(options: Mapping[str, Any], alternatives: tuple[Alternative, ...]) -> dict[str, object]:
    """Return the redirect that a regular expression over the whole URL means.

    Raises:
        BadValue: it would not redirect every request of the route, or takes the URL apart in another way.
    """
    regex, replacement = options.get("_regex", ""), options.get("_replacement", "")
    url, rest = _URL.fullmatch(regex), _REST.fullmatch(replacement)
    if url:
        host = url[1].replace("\\.", ".").lower()
        hosts = [{test.value for test in tests if test.kind == "host" and not test.negated} for tests in alternatives]
        if "\\" in host or any(found != {host} for found in hosts):
            raise BadValue("redirects only some of the router's requests", f"give the router the rule Host(`{host}`)")
    if not (url or _ANYTHING.fullmatch(regex)) or ("$" in replacement and not (rest and url and url[2])):
        raise BadValue(
            "is a redirect that cannot be honoured",
            "write ^https?://NAME/(.*) and https://OTHER/${1}, or leave the service to Traefik",
        )
    # The methods are kept, as Traefik keeps those of all requests but GET.
    target = values.redirect(rest[1] + "{path}?{query}" if rest else replacement)
    return {"redirect": target, "redirect_code": 308 if options.get("_permanent") else 307}
