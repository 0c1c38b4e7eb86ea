"""What reading facts loads: a command that reads a file must not wait for Docker's client."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("docker", "paramiko", "requests", "urllib3", "cryptography", "google.protobuf", "h2", "watchdog", "structlog")


@pytest.mark.parametrize(
    "module",
    ["lbgen.source.file", "lbgen.source.decode", "lbgen.source.engine.listing", "lbgen.source.engine.schedule"],
)
def test_light(module):
    """Neither a client, nor a watcher, nor what writes the log."""
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
