"""JSON that somebody else wrote, as data: whatever is wrong with it is a ValueError, and what it costs is bounded."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_VALUES = 4_000_000  # a listing of 64 MiB has about 3.7 million; one may cost 100 bytes and more as data

_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")  # may be one, or a pair


def data_in(text: str | bytes, *, halves: bool = False, **hooks: Any) -> Any:
    """Return the data in a JSON text.

    Args:
        text: bytes are UTF-8.
        halves: keep halves of characters (an escape like ``\\ud800`` alone), which no file, log or answer could have:
            the caller refuses them. If not, U+FFFD stands for each.
        hooks: as `json.loads` takes them.
    Raises:
        ValueError: it is not JSON, is nested too deeply, or has too many values. json.JSONDecodeError, a ValueError,
            knows the place.
    """
    structure: tuple[Any, ...] = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if len(text) > MAX_VALUES and sum(map(text.count, structure)) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")  # json would take halves of characters
    try:
        data = json.loads(text, **hooks)
        return _whole(data) if not halves and _HALF.search(text) else data
    except RecursionError:  # about 1,000 levels; not chained: its traceback has as many
        raise ValueError("nested too deeply") from None


def is_whole(text: str) -> bool:
    """Tell whether a text has no half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(text: str) -> str:
    """Return a text with U+FFFD for every half of a character."""
    return text if is_whole(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(data: Any) -> Any:
    """Return the data with whole texts only."""
    match data:
        case str():
            return whole(data)
        case dict():
            return {_whole(key): _whole(value) for key, value in data.items()}
        case list():
            return [_whole(item) for item in data]
    return data
