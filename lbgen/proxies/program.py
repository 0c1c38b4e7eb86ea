"""What a proxy's program says of itself, its version and how it was built."""

from __future__ import annotations

import subprocess

PATIENCE = 10.0  # seconds


def said_by(binary: str, word: str) -> str:
    """Run a program with one argument, such as ``-V``, and return its standard output and error as one text.

    Empty, if there is none to ask, or it does not answer.
    """
    try:
        done = subprocess.run(
            [binary, word], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
