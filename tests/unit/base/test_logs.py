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


HOSTILE = "node\x1b[2J1\r\n2026-01-01T00:00:00Z info applied\x85\u2028\u202e"
HOSTILE_SCRIPT = """
import sys
from lbgen.base import logs
from lbgen.base.logs import log
logs.configure("info", "text")
name = sys.argv[1]
log.info("source_following", engine=name, cluster=name, node=name, plain="a-b", spaced="a b", empty="")
log.error("checked", error="line 1\\n" + name, long="a" * 100_000)
"""


def test_hostile_names():
    """Nothing from outside begins a line or reaches the terminal as a control character; a checker has its lines."""
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE_SCRIPT, HOSTILE], capture_output=True, check=True, encoding="utf-8"
    )
    assert all(char.isprintable() for char in done.stderr.replace("\n", ""))
    first, second, *rest = done.stderr.removesuffix("\n").split("\n")
    shown = repr(HOSTILE)
    assert first.split(" ", 1)[1] == (
        f"info source_following engine={shown} cluster={shown} node={shown} plain=a-b spaced='a b' empty=''"
    )
    assert second.split(" ", 1)[1].startswith("error checked error='line 1' long=aaa")
    assert [line[:4] for line in rest] == ["    ", "    "]
    assert len(done.stderr) < 10_000
