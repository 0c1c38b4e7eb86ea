"""What Nginx says in its error log about a reload. It says it nowhere else: a signal has no answer.

Facts (observed on 1.22 and 1.26): a configuration that cannot be loaded is one line at level "emerg", at once, and the
old workers go on. A port in use is tried five times, half a second apart, and only "still could not bind()" ends it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MOST = 1 << 20  # bytes; a larger log is emptied before the next reload
_LINE = re.compile(r"^\S+ \S+ \[(emerg|alert)\] \d+#\d+: (.*)$", re.MULTILINE)


class ErrorLog:
    """The error log of one Nginx, from a moment on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def mark(self) -> None:
        """Begin here: what it says from now on counts."""
        try:
            self._offset = self.path.stat().st_size
            if self._offset > MOST:
                os.truncate(self.path, 0)  # Nginx appends
                self._offset = 0
        except OSError:  # there is none yet, or it is not for us to see
            self._offset = 0

    def said(self) -> list[str]:
        """Return the messages at level "emerg" and "alert" since the mark, each once."""
        return list(dict.fromkeys(found[2] for found in self._found()))

    def refusal(self) -> str:
        """Return why Nginx gave up on a configuration since the mark; empty: it did not, or is still trying."""
        found = [line[2] for line in self._found() if line[1] == "emerg"]
        waiting = all(text.startswith("bind() to ") for text in found)
        return "" if waiting else "\n".join(dict.fromkeys(found))

    def _found(self) -> list[re.Match[str]]:
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:  # emptied meanwhile
                    self._offset = 0
                file.seek(self._offset)
                return list(_LINE.finditer(file.read().decode(errors="replace")))
        except OSError:
            return []
