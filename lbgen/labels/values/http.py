"""What requests are made of, as labels say it: hosts, paths, headers, parameters, URLs; as in `basic`, bounded."""

from __future__ import annotations

import re

from lbgen.base.problem import printable
from lbgen.labels.values.basic import list_of
from lbgen.labels.values.value_type import BadValue, matching, value_type

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_IPV4 = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
_HOST = rf"(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}"
# Characters. Each may take several in a configuration, and a word of Nginx has at most 4095.
LONGEST_PATH = 600
_PATH = r"/[!-~]*"
_HEADER_NAME = r"[A-Za-z0-9_-]{1,128}"  # HTTP allows more, which is syntax to one proxy or another
_STATUSES = r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?"


@value_type(_HOST + r"\.?")
def host(text: str) -> str:
    """A host name, lower-cased, or ``*.name``; an international name has to be given in its xn-- form."""
    if not text.isascii():
        raise BadValue("has characters outside ASCII", "write the name in its punycode form (xn--...)")
    lowered = text.lower().removesuffix(".")
    if re.fullmatch(_HOST, lowered) and len(lowered.removeprefix("*.")) <= 253:
        return lowered
    raise BadValue("is not a host name", "write a name such as shop.example.org or *.example.org, without port")


@value_type(rf"(?!\*)(?!{_IPV4}\.?$)(?:{_HOST}\.?)")
def server_name(text: str) -> str:
    """One host name as `host`, for which a server has a certificate."""
    if text.startswith("*") or re.fullmatch(_IPV4, text.removesuffix(".")):
        raise BadValue("is not one host name", "write a name such as shop.internal, not an address")
    return host(text)


@value_type(rf"\*|{_HOST}\.?")
def sni(text: str) -> str:
    """A server name as `host`, or ``*`` for any."""
    return text if text == "*" else host(text)


@value_type(r"/[!\"$->@-~]*", item=r"/[!\"$-+\-->@-~]*")
def path(text: str) -> str:
    """An absolute URL path in its percent-encoded form, without query."""
    if not text.startswith("/"):
        raise BadValue("does not begin with a slash", "write an absolute path such as /api")
    if len(text) > LONGEST_PATH:
        raise BadValue(f"has a path of {len(text)} characters", f"keep it below {LONGEST_PATH}")
    if not re.fullmatch(_PATH, text) or "?" in text or "#" in text:
        raise BadValue(
            "has a space, a query, a fragment or a character outside ASCII",
            "write the path alone, percent-encoded, such as /caf%C3%A9",
        )
    return text


@value_type(r"/[!\"$-~]*", item=r"/[!\"$-+\--~]*")
def path_and_query(text: str) -> str:
    """A path as `path`, perhaps with a query behind it: ``/health?full=1``."""
    place, mark, query = text.partition("?")
    if mark and not re.fullmatch(r"[!\"$-~]*", query):
        raise BadValue("has a space, a fragment or a character outside ASCII", "percent-encode it")
    if len(text) > LONGEST_PATH:
        raise BadValue(f"has a path of {len(text)} characters", f"keep it below {LONGEST_PATH}")
    return path(place) + mark + query


@value_type(path.pattern, item=path.item)
def path_prefix(text: str) -> str:
    """A path that stands for itself and all below it; a trailing slash means the same."""
    return path(text).rstrip("/") or "/"


# A header's value: visible ASCII and single spaces.
header_value = matching(
    r"[!-~](?:[ -~]*[!-~])?",
    "has a character no header may carry",
    "write visible ASCII characters",
    item=r"[!-+\--~](?:[ -+\--~]*[!-+\--~])?",
)


@value_type(_HEADER_NAME)
def header_name(text: str) -> str:
    """A header's name, lower-cased."""
    if re.fullmatch(_HEADER_NAME, text):
        return text.lower()
    raise BadValue("is not a header name", "write letters, digits, - and _")


method = matching(r"[A-Z]{1,20}", "is not an HTTP method", "write it in capitals, such as GET")


@value_type(
    r"source|cookie(?::[A-Za-z0-9_-]{1,64})?", lambda cookie: cookie if cookie in ("", "source") else f"cookie:{cookie}"
)
def sticky(text: str) -> str:
    """``source``, or the name of a cookie: ``cookie:NAME``; ``cookie`` alone names it ``lbgen``."""
    kind, _, cookie = text.partition(":")
    if text == "source":
        return text
    if text == "cookie" or (kind == "cookie" and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cookie)):
        return cookie or "lbgen"
    raise BadValue(
        "is neither cookie, cookie:NAME nor source", "write one of these; the name in letters, digits, - and _"
    )


UrlParts = tuple[tuple[str, str], ...]
_PLACES = ("host", "path", "query", "uri")


def _spell_redirect(parts: UrlParts) -> str:
    return "".join({"text": text, "search": "?{query}"}.get(kind, f"{{{kind}}}") for kind, text in parts)


@value_type(r"(?:https?://|/)(?:[A-Za-z0-9._~:/?#\[\]@!&()*+,;=%-]|\{(?:host|path|query|uri)\})*", _spell_redirect)
def redirect(text: str) -> UrlParts:
    """A URL with ``{host} {path} {query} {uri}`` as (kind, text) pairs: ("text", "https://"), ("host", ""), ...

    A path of the request never comes first: ``//elsewhere.example`` would lead there.
    Anything that is syntax to one of the proxies (quotes, spaces, backslashes, ``$``) has to be percent-encoded.
    """
    if not re.fullmatch(r"(?:https?://[^/{}]|https?://\{host\}|/(?![/\\{])).*", text):
        raise BadValue(
            "is not a URL to go to", "write https://NAME/..., https://{host}/... or an absolute path such as /new{path}"
        )
    parts = tuple(
        ("text", piece) if index % 2 == 0 else (piece, "")
        for index, piece in enumerate(re.split(r"\{([^{}]*)\}", text))
        if piece or index % 2
    )
    for kind, piece in parts:
        if kind not in ("text", *_PLACES):
            raise BadValue(f"has {{{printable(kind)}}}, which stands for nothing", "use {host}, {uri}, {path}, {query}")
        if not re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!&()*+,;=%-]*", piece):
            raise BadValue("has a character that no URL may have", "percent-encode it, such as %20 for a space")
    return _with_search(parts)


def _with_search(parts: UrlParts) -> UrlParts:
    """Turn ``?{query}`` into one part where nothing of the query follows: without a query there is no ``?`` either."""
    found: list[tuple[str, str]] = []
    for index, (kind, piece) in enumerate(parts):
        following = parts[index + 1][1] if index + 1 < len(parts) else "#"
        before = found[-1] if found else ("", "")
        if kind == "query" and before[0] == "text" and before[1].endswith("?") and following.startswith("#"):
            found[-1:] = [("text", before[1][:-1])] if before[1] != "?" else []
            found.append(("search", ""))
        else:
            found.append((kind, piece))
    return tuple(found)


@value_type(_STATUSES, lambda codes: f"{codes[0]}" if codes[0] == codes[1] else f"{codes[0]}-{codes[1]}")
def _statuses(text: str) -> tuple[int, int]:
    match = re.fullmatch(_STATUSES, text)
    if not match or int(match[1]) > int(match[2] or match[1]):
        raise BadValue("is not a list of status codes", "write codes and ranges such as 200-399,404")
    return int(match[1]), int(match[2] or match[1])


status_codes = list_of(_statuses)  # ``200-399,404`` as ((200, 399), (404, 404))


# A parameter's value, decoded: visible ASCII and spaces; and its name.
query_value = matching(
    r"[ -~]+", "has a character outside visible ASCII", "match it by another parameter", item=r"[ -+\--~]+"
)
query_name = matching(r"[A-Za-z0-9._~-]{1,64}", "is not a parameter's name", "write letters, digits and . _ ~ -")
