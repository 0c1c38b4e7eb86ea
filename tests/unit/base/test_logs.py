"""`lbgen.base.logs`: structlog is loaded by the first line, and writes it as was configured before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from lbgen.base import logs
from lbgen.base.logs import log
logs.configure("info", "{format}")
assert "structlog" not in sys.modules
log.debug("too_low")
log.bind(proxy="edge").info("applied", files=2)
logs.configure("debug", "{format}")
log.debug("low_enough", text="a b")
"""


@pytest.mark.parametrize(
    ("format_", "read"),
    [
        ("json", lambda line: {key: value for key, value in json.loads(line).items() if key not in ("time", "level")}),
        ("text", lambda line: line.split(" ", 2)[2]),
    ],
)
def test_configured_before_it_is_loaded(format_, read):
    """Level and format hold for the first line and, set anew, for those that follow."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(format=format_)], capture_output=True, text=True, check=True
    )
    assert [read(line) for line in done.stderr.splitlines()] == {
        "json": [{"event": "applied", "proxy": "edge", "files": 2}, {"event": "low_enough", "text": "a b"}],
        "text": ["applied proxy=edge files=2", "low_enough text='a b'"],
    }[format_]
