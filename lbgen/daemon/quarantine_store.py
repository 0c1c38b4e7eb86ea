"""What quarantined services said when they were last accepted, kept beside the files for the next lbgen.

Without it a restart would leave such a service out, since nobody would know what it asked for before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import ApplyFailed
from lbgen.base.logs import log
from lbgen.proxies import disk

FILE = ".lbgen-last-good.json"
LARGEST = 64 << 20  # bytes
Labels = Mapping[str, str]


def read(output: Path) -> dict[str, Labels]:
    """Return the labels by service id; nothing where there is no file, or none that can be read."""
    try:
        by_service = json_text.data_in(bounded_file.read(output / FILE, LARGEST))["labels"]
        return {str(id_): {str(key): str(value) for key, value in labels.items()} for id_, labels in by_service.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("last_good_unread", file=str(output / FILE), error=str(error), effect="held services are left out")
        return {}


def write(output: Path, labels: Mapping[str, Labels]) -> None:
    """Keep these, or remove the file if there are none. What cannot be kept is told of, and costs nothing else."""
    try:
        if labels:
            disk.write(output, {FILE: json.dumps({"labels": labels}, indent=1, sort_keys=True) + "\n"})
        elif (output / FILE).exists():
            disk.write(output, {}, remove=[FILE])
    except ApplyFailed as error:
        log.warning("last_good_unwritten", error=str(error), effect="a restart would leave held services out")
