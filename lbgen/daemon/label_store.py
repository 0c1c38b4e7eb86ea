"""The labels that services are served by, kept in the output directories for the next lbgen.

Without it a restart would close a service whose newest labels have a mistake. They belong to the loop, not to a target:
every output directory has the same, and so has a hub's state, as a hub needs no target; the newest counts. Labels may
hold secrets, so nobody else may read the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lbgen.base import bounded_file, json_text, whole_file
from lbgen.base.directories import make_directory
from lbgen.base.logs import log
from lbgen.base.unwritable import unwritable
from lbgen.proxies.output_lock import OutputLock

FILE = ".lbgen-labels.json"
VERSION = 1
LARGEST = 64 << 20  # bytes
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Served:
    """What one service is served by."""

    labels: Labels  # those that lbgen reads
    routes: tuple[str, ...]  # names of those that find their servers, sorted
    kept_since: float | None = None  # seconds since 1970; None: these are its newest labels


class LabelStore:
    """The file, in the output directory of each target and in a hub's state."""

    def __init__(self, locks: Sequence[OutputLock], state: Path | None = None) -> None:
        """
        Args:
            locks: of the output directories; while another lbgen has one, nothing is written there.
            state: the hub's state, if this is a hub.
        """
        self._places = {lock.output: lock for lock in locks} | ({state: None} if state else {})
        self._written: dict[Path, Mapping[str, Served]] = {}
        self._complaints: dict[Path, str] = {}

    @property
    def failing(self) -> bool:
        """Whether something could not be written the last time."""
        return bool(self._complaints)

    def read(self) -> dict[str, Served]:
        """Return what services were served by, by name; nothing where there is no file, or none that can be read."""
        found: list[tuple[float, dict[str, Served]]] = []
        for directory in self._places:
            path = directory / FILE
            try:
                at, served = _decoded(json_text.data_in(bounded_file.read(path, LARGEST)))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                log.warning("labels_unread", file=str(path), error=str(error), effect="it is ignored")
                continue
            found.append((at, served))
            self._written[directory] = served
        return max(found, key=lambda each: each[0])[1] if found else {}

    def write(self, served: Mapping[str, Served]) -> None:
        """Keep this where it is not kept yet. What cannot be written is told once, and tried again at the next call."""
        for output, lock in self._places.items():
            known = self._written.get(output)
            if (lock and lock.holder) or not (served or known) or (known == served and (output / FILE).exists()):
                continue
            try:
                make_directory(output)
                whole_file.replace(output / FILE, _encoded(served).encode())
            except OSError as error:
                complaint = unwritable(output / FILE, error)
                if self._complaints.get(output) != complaint:
                    log.warning("labels_unwritten", error=complaint, effect="a restart would not know the newest")
                self._complaints[output] = complaint
            else:
                self._written[output] = dict(served)
                self._complaints.pop(output, None)


def _encoded(served: Mapping[str, Served]) -> str:
    services = {name: asdict(each) for name, each in sorted(served.items())}
    return json.dumps({"version": VERSION, "at": time.time(), "services": services}, indent=1) + "\n"


def _decoded(document: Any) -> tuple[float, dict[str, Served]]:
    """Return when a document was written, and what it says; raise ValueError, TypeError, KeyError, AttributeError."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}, not {VERSION}")
    served = {}
    for name, each in document["services"].items():
        labels = {str(label): str(value) for label, value in each["labels"].items()}
        since = each["kept_since"]
        served[str(name)] = Served(labels, tuple(map(str, each["routes"])), None if since is None else float(since))
    return float(document["at"]), served
