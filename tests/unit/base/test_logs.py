"""Log lines as they are written."""

from __future__ import annotations

import io
import sys

import pytest

from lbgen.base.logs import configure, log


class Unbuffered(io.StringIO):
    """Standard error as it is with PYTHONUNBUFFERED, in a container say: each write reaches the file by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_line_is_one_write(style, monkeypatch):
    """A proxy that writes to the same file at the same moment does not come in between a line and its end."""
    file = Unbuffered()
    monkeypatch.setattr(sys, "stderr", file)
    configure("info", style)
    log.info("applied", target="edge")
    (written,) = file.writes
    assert "applied" in written
    assert written.endswith("\n")
    assert written.count("\n") == 1
