"""Work that nobody waits for at the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lbgen.base.daemon_thread import started
from tests.support.paths import ROOT
from tests.support.wait import PATIENCE


def test_what_becomes_of_it() -> None:
    """A result, or the error."""

    def fails() -> None:
        raise KeyError("x")

    assert started(lambda: 1, "work").result(PATIENCE) == 1
    with pytest.raises(KeyError, match="x"):
        started(fails, "work").result(PATIENCE)


@pytest.mark.parametrize(
    "rest",
    ["", "import asyncio\nasyncio.run(asyncio.wait_for(asyncio.wrap_future(future), 0.01))"],
    ids=["plain", "asyncio"],
)
def test_python_ends(rest: str) -> None:
    """While it is under way."""
    text = "import threading\nfrom lbgen.base.daemon_thread import started\n"
    text += f"future = started(threading.Event().wait, 'work')\n{rest}"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, timeout=PATIENCE, check=False, capture_output=True)
    assert done.returncode == bool(rest)
