"""How applications may read a path: the slow, obvious way, for tests to compare with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote


def normal(path: str) -> str:
    """Return the path with its slashes merged and its dot segments removed; its escapes are in order."""
    kept: list[str] = []
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    for segment in segments:
        kept = kept[:-1] if segment == ".." else [*kept, segment]
    tail = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(kept) + tail


def segments(path: str, *, backslash: bool = True, cut: bool = True) -> list[str]:
    """Return the segments that an application sees in a path that it has decoded."""
    parts = re.split(r"[/\\]" if backslash else "/", path)
    if cut:
        parts = [part.partition(";")[0] for part in parts]
    return [part for part in parts if part not in ("", ".")]


def readings(path: str) -> Iterator[list[str]]:
    """Yield what applications see: decoded never, once or more often, parameters cut before, after, or not at all."""
    cut_first = "/".join(part.partition(";")[0] for part in path.split("/"))
    for text in (path, cut_first):
        for _ in range(4):
            for backslash in (True, False):
                for cut in (True, False):
                    yield segments(text, backslash=backslash, cut=cut)
            text = unquote(text, errors="surrogateescape")
