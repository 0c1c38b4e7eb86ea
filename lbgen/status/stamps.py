"""Times as the status API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(at: float) -> str:
    """Return a time in seconds since 1970 as ``2026-11-23T10:00:00.123Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
