"""JSON that somebody else wrote, as data: whatever is wrong with it is a ValueError, and what it costs is bounded."""

from __future__ import annotations

import json
from typing import Any

MAX_VALUES = 4_000_000  # a listing of 64 MiB has about 3.7 million; one may cost 100 bytes and more as data


def data_in(text: str | bytes, **hooks: Any) -> Any:
    """Return the data in a JSON text.

    Args:
        hooks: as `json.loads` takes them.
    Raises:
        ValueError: it is not JSON, is nested too deeply, or has too many values. json.JSONDecodeError, a ValueError,
            knows the place.
    """
    structure: tuple[Any, ...] = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if len(text) > MAX_VALUES and sum(map(text.count, structure)) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    try:
        return json.loads(text, **hooks)
    except RecursionError:  # about 1,000 levels; not chained: its traceback has as many
        raise ValueError("nested too deeply") from None
