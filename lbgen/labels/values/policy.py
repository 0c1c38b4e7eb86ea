"""Parsers for what happens to requests and answers on their way; as in `basic`, bounded and with a remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus

from lbgen.labels.values.basic import any_case, boolean, name, number, port
from lbgen.labels.values.http import header_name, header_value, host, method
from lbgen.labels.values.value_type import BadValue, ValueType, value_type

_SIZE = r"([0-9]{1,12})([kmgKMG]?)"
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_PERIODS = {"s": 1, "m": 60, "h": 3600}
MOST = 1 << 40  # bytes
# What belongs to one connection, or is computed: changing it would break the answer, or hide where it ends.
_FRAMING = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "date"),
    }
)


def _spell_size(size: int) -> str:
    unit = next(unit for unit in ("g", "m", "k", "") if size % _SIZES[unit] == 0)
    return f"{size // _SIZES[unit]}{unit}"


@value_type(_SIZE, _spell_size)
def size(text: str) -> int:
    """``10k``, ``1m``, ``2g`` or a bare number as bytes."""
    match = re.fullmatch(_SIZE, text.lower())
    if not match:
        raise BadValue("is not a size", "write a number with its unit, such as 64k, 10m or 1g")
    result = int(match[1]) * _SIZES[match[2]]
    if not 1 <= result <= MOST:
        raise BadValue("is outside 1 to 1024g", "write a size of 1 to 1024g")
    return result


def clean_path(parse: ValueType[str]) -> ValueType[str]:
    """A path that is put together or taken apart: without a control character, however it is written."""

    def parsed(text: str) -> str:
        path = parse(text)
        if re.search(r"%(?:[01][0-9a-fA-F]|7[fF])|%(?![0-9a-fA-F]{2})", path):
            raise BadValue("has a percent sign that encodes no character, or a control character", "remove it")
        return path

    return replace(parse, read=parsed)


def _spell_rate(rate: tuple[int, int]) -> str:
    requests, seconds = rate
    return f"{requests}/{next(unit for unit, period in _PERIODS.items() if period == seconds)}"


@value_type(r"0*[1-9][0-9]{0,6}/[smh]", _spell_rate)
def rate(text: str) -> tuple[int, int]:
    """``100/s``, ``30/m`` or ``500/h`` as (requests, seconds)."""
    match = re.fullmatch(r"([0-9]{1,7})/([smh])", text)
    if not match or int(match[1]) < 1:
        raise BadValue("is not a rate", "write requests per second, minute or hour, such as 100/s or 30/m")
    return int(match[1]), _PERIODS[match[2]]


# Traefik makes no middleware of a status without a name, and what it should keep out would come in.
_STATUSES = number(*(status.value for status in HTTPStatus if status.value >= 400))


@value_type(_STATUSES.pattern)
def refusal(text: str) -> int:
    """The status of an answer that keeps a request out: an error that HTTP has a name for, such as 404."""
    try:
        return _STATUSES(text)
    except BadValue as error:
        raise BadValue("is not the status of an error", "write one such as 403, 404 or 418") from error


@value_type(rf"(?!(?:{'|'.join(sorted(_FRAMING))})$){header_name.pattern}")
def edited_header(text: str) -> str:
    """The name of a header that may be set or removed, lower-cased."""
    lowered = header_name(text)
    if lowered in _FRAMING:
        raise BadValue(
            f"{lowered} is the proxy's own business", "use host-header for Host, and leave the others to the proxy"
        )
    return lowered


@value_type(rf"(?:{header_value.pattern})?")
def header_text(text: str) -> str:
    """What a header is set to: visible ASCII and single spaces; empty removes the header."""
    return header_value(text) if text else ""


@value_type(rf"pass|server|(?!\*)(?:{host.pattern})(?::[0-9]{{1,10}})?", lambda value: value or "pass")
def host_header(text: str) -> str:
    """``pass`` as the empty text, ``server``, or the name, with a port perhaps, that servers are to see."""
    if text in ("pass", "server"):
        return text.removeprefix("pass")
    server, colon, number = text.partition(":")
    if server.startswith("*"):
        raise BadValue("is not a host name", "write pass, server, or one name such as shop.example.org")
    return host(server) + (f":{port(number)}" if colon else "")


@value_type(rf"v1|v2|{boolean.pattern}", lambda value: value or "false")
def send_proxy(text: str) -> str:
    """``v1``, ``v2``, or empty; ``true`` means ``v1``."""
    if text in ("v1", "v2"):
        return text
    try:
        return "v1" if boolean(text) else ""
    except BadValue:
        raise BadValue("is neither v1, v2, true nor false", "write v1 or v2") from None


_ORIGIN = any_case("http://", "https://")


@value_type(rf"\*|(?:{_ORIGIN})(?!\*)(?:{host.pattern})(?::[0-9]{{1,5}})?")
def origin(text: str) -> str:
    """An origin as browsers send it, ``https://shop.example.org`` or with a port; ``*`` for any."""
    if text == "*":
        return text
    match = re.fullmatch(r"(https?)://([^/:*]+)(:[0-9]{1,5})?", text.lower())
    if not match:
        raise BadValue("is not an origin", "write https://NAME, with a port where it is not the usual one, or *")
    suffix = f":{port(match[3][1:])}" if match[3] else ""
    return f"{match[1]}://{host(match[2])}{suffix}"


@value_type(rf"\*|{method.pattern}")
def cors_method(text: str) -> str:
    """A method, or ``*``."""
    return text if text == "*" else method(text)


@value_type(rf"\*|{header_name.pattern}")
def cors_header(text: str) -> str:
    """A header's name, or ``*``."""
    return text if text == "*" else header_name(text)


_DIRECTIVES = any_case("includesubdomains", "preload")


@value_type(
    rf"{boolean.pattern}|(?:{any_case('max-age')})=[0-9]{{1,10}}(?: *; *(?:{_DIRECTIVES})){{0,2}}",
    lambda value: value or "false",
)
def hsts(text: str) -> str:
    """The value of Strict-Transport-Security in one spelling; ``true`` is a year."""
    try:
        return "max-age=31536000" if boolean(text) else ""
    except BadValue:
        pass
    parts = [part.strip().lower() for part in text.split(";")]
    age = re.fullmatch(r"max-age=([0-9]{1,10})", parts[0])
    spelt = {"includesubdomains": "includeSubDomains", "preload": "preload"}
    if not age or any(part not in spelt for part in parts[1:]) or len(set(parts)) < len(parts):
        raise BadValue(
            "is not what Strict-Transport-Security may say",
            "write true, false or max-age=SECONDS; includeSubDomains; preload",
        )
    return "; ".join([f"max-age={int(age[1])}", *(spelt[part] for part in parts[1:])])


@value_type(rf"{boolean.pattern}|{name.pattern}", lambda value: "false" if value is None else value or "true")
def certificate(text: str) -> str | None:
    """Whether a route is for TLS only, and with which certificate: None, empty (by its host), or a name."""
    try:
        return "" if boolean(text) else None
    except BadValue:
        return file_name(text)


@value_type(name.pattern)
def file_name(text: str) -> str:
    """The name of a file in one of the settings' directories, without its suffix."""
    return name(text)
