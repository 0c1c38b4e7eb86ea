"""What a daemon has written to its log, with `log: {format: json}`."""

from __future__ import annotations

import json
from pathlib import Path


def events(log: Path) -> list[dict[str, object]]:
    """Return the log lines that are complete; those of its proxy, on the same file, are left out."""
    whole, _, _ = log.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
