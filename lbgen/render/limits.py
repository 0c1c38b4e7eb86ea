"""Limits on one rendering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rendering may take."""

    timeout: float = 20.0  # seconds of the processor's time: a busy machine is no reason to stop
    max_size: int = 64 << 20  # characters of all files together, and of any text on the way
