"""Files that somebody watches, written so that nobody sees half of one."""

from __future__ import annotations

from pathlib import Path


def save(path: Path, text: str) -> None:
    """Write a file beside it and put it in its place, as a careful editor does."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)
