"""What a label's value may be: one parser for each type, bounded, with a message a person can act on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TypeVar

from lbgen.problem import printable

T = TypeVar("T")
Parser = Callable[[str], T]

MAX_VALUE = 4096  # characters; a longer label value is a mistake or an attack
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_HOST = re.compile(
    r"(?:\*\.)?(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_PATH = re.compile(r"/[!-~]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")  # HTTP allows more, which is syntax to one proxy or another
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class BadValue(ValueError):
    """A value that cannot be used: what is wrong with it, and what to write instead.

    ``key`` is the label key at fault (``network``), where the one who raises it knows better than the one who reads.
    """

    def __init__(self, message: str, remedy: str, key: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy, self.key = message, remedy, key


def boolean(text: str) -> bool:
    """``true`` or ``false``, and the other spellings Compose users know."""
    lowered = text.lower()
    if lowered in {"true", "yes", "on", "1"}:
        return True
    if lowered in {"false", "no", "off", "0"}:
        return False
    raise BadValue("is neither true nor false", "write true or false")


def integer(low: int, high: int) -> Parser[int]:
    """A whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,10}", text) and low <= int(text) <= high:
            return int(text)
        raise BadValue(f"is not a whole number from {low} to {high}", f"write a number from {low} to {high}")

    return parse


port = integer(1, 65535)


def choice(*allowed: str) -> Parser[str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text in allowed:
            return text
        raise BadValue("is not one of " + ", ".join(allowed), "write one of " + ", ".join(allowed))

    return parse


def duration(low: float, high: float) -> Parser[float]:
    """``500ms``, ``2s``, ``1m`` as seconds, bounded by ``low`` and ``high`` seconds."""

    def parse(text: str) -> float:
        found = _DURATION.fullmatch(text)
        if not found:
            raise BadValue("is not a duration", "write a number with its unit, such as 500ms, 2s or 1m")
        seconds = round(int(found[1]) * _UNITS[found[2]], 3)
        if not low <= seconds <= high:
            bounds = f"{spell_duration(low)} to {spell_duration(high)}"
            raise BadValue(f"is outside {bounds}", f"write a duration of {bounds}")
        return seconds

    return parse


def spell_duration(seconds: float) -> str:
    """Return the shortest spelling that `duration` reads back: 0.5 -> ``500ms``, 90.0 -> ``90s``, 60.0 -> ``1m``."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def listed(parse: Parser[T], *, outside: bool = False) -> Parser[tuple[T, ...]]:
    """A comma-separated list without empty or repeated items, in the order written.

    Args:
        outside: only commas outside of brackets separate, as in ``^/v[1,2],^/a{1,3}``; a backslash takes any away.
    """

    def parse_all(text: str) -> tuple[T, ...]:
        items = [item.strip() for item in (_outside(text) if outside else text.split(","))]
        if "" in items:
            raise BadValue("has an empty item", "separate the items by single commas")
        return tuple(dict.fromkeys(parse(item) for item in items))

    return parse_all


def _outside(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    items, depth, plain = [""], 0, True
    for char in text:
        if plain and char in "([{":
            depth += 1
        elif plain and char in ")]}":
            depth = max(0, depth - 1)
        if char == "," and plain and not depth:
            items.append("")
        else:
            items[-1] += char
        plain = not plain or char != "\\"
    return items


def network(text: str) -> str:
    """A network in canonical form: ``192.0.2.0/24``; one address is a /32 or /128."""
    try:
        # Python reads "fe80::%eth0", and takes any text for the name of an interface: a sentence of Nginx's, say.
        if "%" in text:
            raise ValueError("an interface")
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise BadValue("is not a network", "write an address or a network such as 192.0.2.0/24") from error


def query_value(text: str) -> str:
    """A parameter's value, decoded: visible ASCII and spaces."""
    if re.fullmatch(r"[ -~]+", text):
        return text
    raise BadValue("has a character outside visible ASCII", "match it by another parameter")


def query_name(text: str) -> str:
    """A parameter's name."""
    if re.fullmatch(r"[A-Za-z0-9._~-]{1,64}", text):
        return text
    raise BadValue("is not a parameter's name", "write letters, digits and . _ ~ -")


def name(text: str) -> str:
    """A name as Swarm and lbgen write them (networks, listeners)."""
    if len(text) <= 128 and _NAME.fullmatch(text):
        return text
    raise BadValue("is not a name", "write letters, digits, dots, dashes and underscores only")


def number(*allowed: int) -> Parser[int]:
    """One of a few numbers."""
    words = choice(*map(str, allowed))
    return lambda text: int(words(text))


def host(text: str) -> str:
    """A host name, lower-cased, or ``*.name``; an international name has to be given in its xn-- form."""
    if not text.isascii():
        raise BadValue("has characters outside ASCII", "write the name in its punycode form (xn--...)")
    lowered = text.lower().removesuffix(".")
    if _HOST.fullmatch(lowered):
        return lowered
    raise BadValue("is not a host name", "write a name such as shop.example.org or *.example.org, without port")


def sni(text: str) -> str:
    """A server name as `host`, or ``*`` for any."""
    return text if text == "*" else host(text)


def path(text: str) -> str:
    """An absolute URL path in its percent-encoded form, without query."""
    if not text.startswith("/"):
        raise BadValue("does not begin with a slash", "write an absolute path such as /api")
    if not _PATH.fullmatch(text) or "?" in text or "#" in text:
        raise BadValue(
            "has a space, a query, a fragment or a character outside ASCII",
            "write the path alone, percent-encoded, such as /caf%C3%A9",
        )
    return text


def path_prefix(text: str) -> str:
    """A path that stands for itself and all below it; a trailing slash means the same."""
    return path(text).rstrip("/") or "/"


def header_value(text: str) -> str:
    """A header's value: visible ASCII and single spaces."""
    if re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", text):
        return text
    raise BadValue("has a character no header may carry", "write visible ASCII characters")


def header_name(text: str) -> str:
    """A header's name, lower-cased."""
    if _HEADER_NAME.fullmatch(text):
        return text.lower()
    raise BadValue("is not a header name", "write letters, digits, - and _")


def method(text: str) -> str:
    """An HTTP method."""
    if re.fullmatch(r"[A-Z]{1,20}", text):
        return text
    raise BadValue("is not an HTTP method", "write it in capitals, such as GET")


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


def redirect(text: str) -> tuple[tuple[str, str], ...]:
    """A URL with ``{host} {path} {query}`` as (kind, text) pairs: ("text", "https://"), ("host", ""), ...

    A path of the request never comes first: ``//elsewhere.example`` would lead there.
    Anything that is syntax to one of the proxies (quotes, spaces, backslashes, ``$``) has to be percent-encoded.
    """
    if not re.fullmatch(r"(?:https?://[^/{}]|https?://\{host\}|/(?![/\\{])).*", text):
        raise BadValue(
            "is no URL to go to", "write https://NAME/..., https://{host}/... or an absolute path such as /new{path}"
        )
    parts = tuple(
        ("text", piece) if index % 2 == 0 else (piece, "")
        for index, piece in enumerate(re.split(r"\{([^{}]*)\}", text))
        if piece or index % 2
    )
    for kind, piece in parts:
        if kind not in ("text", "host", "path", "query"):
            raise BadValue(f"has {{{printable(kind)}}}, which stands for nothing", "use {host}, {path} or {query}")
        if not re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!&()*+,;=%-]*", piece):
            raise BadValue("has a character that no URL may have", "percent-encode it, such as %20 for a space")
    return parts


def status_codes(text: str) -> tuple[tuple[int, int], ...]:
    """``200-399,404`` as ((200, 399), (404, 404))."""

    def parse(item: str) -> tuple[int, int]:
        found = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", item)
        if not found or int(found[1]) > int(found[2] or found[1]):
            raise BadValue("is not a list of status codes", "write codes and ranges such as 200-399,404")
        return int(found[1]), int(found[2] or found[1])

    return listed(parse)(text)
