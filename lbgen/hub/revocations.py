"""How ``lbgen hub revoke`` reaches a hub: by a file in its state, so that nothing can be revoked over the network.

A running hub takes it within moments and removes it, which is the answer; another one takes it when it starts.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from lbgen.base import bounded_file, json_text
from lbgen.base.fleet_names import NAME
from lbgen.base.logs import log
from lbgen.base.private_file import write_private

LARGEST = 4096  # bytes of a file
TAKEN_WITHIN = 5.0  # seconds for which the command waits; a hub that runs needs a tenth of one
_INTERVAL = 0.02  # seconds between looks


def directory(state: Path) -> Path:
    """Return where the files are, below a hub's state."""
    return state / "revocations"


def ask(state: Path, name: str, at: float, patience: float = TAKEN_WITHIN) -> bool:
    """Ask the hub whose state this is to revoke a name; return whether one has taken it.

    Args:
        at: what was joined, or made, until then is void; seconds since 1970.
    Raises:
        OSError: the file cannot be written.
    """
    path = directory(state) / f"{name}.json"
    write_private(path, json.dumps({"at": at}) + "\n")
    deadline = time.monotonic() + patience
    while path.exists() and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    return not path.exists()


def take(state: Path, revoke: Callable[[str, float], None]) -> None:
    """Hand all that was asked for to `revoke`; what raises OSError is left for the next time."""
    for path in sorted(directory(state).glob("*.json")):
        try:
            at = float(json_text.data_in(bounded_file.read(path, LARGEST))["at"])
            if not NAME.fullmatch(path.stem) or not math.isfinite(at):
                raise ValueError(path.stem)
            revoke(path.stem, at)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("hub_revocation_unread", file=str(path), error=str(error), effect="nobody is revoked by it")
        except OSError as error:
            log.error("hub_revocation_failed", file=str(path), error=str(error), effect="it is tried again")
            continue
        path.unlink(missing_ok=True)
