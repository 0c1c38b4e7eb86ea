"""How ``lbgen hub revoke`` reaches a hub: by a file in its state.

A running hub takes it within moments and removes it once it is in its ledger on disk, which is the answer. One that
cannot write has it in force meanwhile and keeps the file; one that does not run takes it when it starts.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path

from lbgen.base import bounded_file, json_text
from lbgen.base.fleet_names import NAME
from lbgen.base.logs import log
from lbgen.base.request_file import request
from lbgen.base.unwritable import unwritable

LARGEST = 4096  # bytes of a file


def directory(state: Path) -> Path:
    """Return where the files are, below a hub's state."""
    return state / "revocations"


def ask(state: Path, name: str, at: float) -> bool:
    """Ask the hub whose state this is to revoke a name; return whether one has taken it.

    Args:
        at: what was joined, or made, until then is void; seconds since 1970.
    Raises:
        OSError: the file cannot be written.
    """
    return request(directory(state) / f"{name}.json", json.dumps({"at": at}) + "\n")


def take(state: Path, revoke: Callable[[str, float], None]) -> None:
    """Hand all that was asked for to `revoke`; what raises OSError is left for the next time, see `waiting`."""
    for path in waiting(state):
        try:
            at = float(json_text.data_in(bounded_file.read(path, LARGEST))["at"])
            if not NAME.fullmatch(path.stem) or not math.isfinite(at):
                raise ValueError(path.stem)
            revoke(path.stem, at)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("hub_revocation_unread", file=str(path), error=str(error), effect="nobody is revoked by it")
        except OSError as error:
            said = unwritable(Path(error.filename or path), error)
            effect = "it is in force while this hub runs, and tried again"
            log.error("hub_revocation_failed", edge=path.stem, error=said, effect=effect)
            continue
        with contextlib.suppress(OSError):  # taken once more, it changes nothing
            path.unlink(missing_ok=True)


def waiting(state: Path) -> list[Path]:
    """Return the files of those that are not taken yet."""
    return sorted(directory(state).glob("*.json"))
