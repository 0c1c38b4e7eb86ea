"""What Nginx says in its error log about a reload. It says it nowhere else: a signal has no answer.

Facts (observed on 1.22 and 1.26): a configuration that cannot be loaded is one line at level "emerg", at once, and the
old workers go on. A port in use is tried five times, half a second apart, and only "still could not bind()" ends it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

NAME = "nginx-error.log"  # in the output directory, as the templates have it
MOST = 1 << 20  # bytes; a larger log is emptied before the next reload
_LINE = re.compile(r"^\S+ \S+ \[(emerg|alert)\] \d+#\d+: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The error log of one Nginx from a moment on."""

    path: Path
    offset: int = 0  # bytes

    def said(self) -> list[str]:
        """Return the messages at level "emerg" and "alert", each once."""
        return list(dict.fromkeys(match[2] for match in self._matches()))

    def refusal(self) -> str:
        """Return why Nginx gave up on a configuration; empty: it did not, or is still trying."""
        said = [match[2] for match in self._matches() if match[1] == "emerg"]
        waiting = all(text.startswith("bind() to ") for text in said)
        return "" if waiting else "\n".join(dict.fromkeys(said))

    def _matches(self) -> list[re.Match[str]]:
        try:
            with self.path.open("rb") as file:
                emptied = file.seek(0, os.SEEK_END) < self.offset
                file.seek(0 if emptied else self.offset)
                return list(_LINE.finditer(file.read().decode(errors="replace")))
        except OSError:
            return []


def from_now(path: Path) -> Excerpt:
    """Return an excerpt that begins now; a log that has become long is emptied."""
    try:
        size = path.stat().st_size
        if size <= MOST:
            return Excerpt(path, size)
        os.truncate(path, 0)  # Nginx appends
    except OSError:  # there is none yet, or lbgen may not see it
        pass
    return Excerpt(path)
