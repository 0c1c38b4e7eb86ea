"""How a command asks a running daemon for something: by a file, so that nothing can be asked for over the network.

The daemon removes the file when it takes it, which is the answer.
"""

from __future__ import annotations

import time
from pathlib import Path

from lbgen.base.private_file import write_private

PATIENCE = 10.0  # seconds for a daemon to take it; one that runs needs a tenth
_INTERVAL = 0.02  # seconds between looks


def request(path: Path, text: str) -> bool:
    """Ask for what the text says; return whether a daemon has taken it. If none has, the file stays.

    Raises:
        OSError: the file cannot be written.
    """
    write_private(path, text)
    deadline = time.monotonic() + PATIENCE
    while path.exists() and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    return not path.exists()
