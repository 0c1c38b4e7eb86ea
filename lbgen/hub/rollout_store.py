"""A hub's rollout on disk: how far it is, the versions that it may go back to, and what a command asks of it.

Commands act through a file in the hub's state directory, so that nothing can be asked for over the network.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import LbgenError, SettingsError
from lbgen.base.logs import log
from lbgen.base.private_file import write_private
from lbgen.base.request_file import request
from lbgen.base.unwritable import unwritable
from lbgen.hub.fleet import Fleet
from lbgen.hub.rollout import Rollout

DIRECTORY, STATE, COMMAND = "fleet", "rollout.json", "rollout-command"  # the first is in the hub's state
LARGEST = 64 << 20  # bytes of a file
_VERSION = re.compile(r"([0-9a-f]{16})\.json")


class VersionLost(LbgenError):
    """A version that edges are to have is no longer on this hub's disk. They keep what they have."""


@dataclass(frozen=True)
class Kept:
    """What is on disk; all but the first two only for people."""

    rollout: Rollout = field(default_factory=Rollout)
    sequences: Mapping[str, int] = field(default_factory=dict)  # by edge: number of what it was handed last
    awaited: Mapping[str, str] = field(default_factory=dict)  # by edge: what is waited for
    edges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    canaries: list[str] = field(default_factory=list)
    refused: str = ""  # why the directory cannot be used

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        rest = {name: getattr(self, name) for name in ("sequences", "awaited", "edges", "canaries", "refused")}
        return {"rollout": self.rollout.document(), **rest}


class StoreFailed(LbgenError):
    """How far a rollout is cannot be written. Edges keep what they have."""


class RolloutStore:
    """The files, in a directory of the hub's state."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written = ""

    def read(self) -> Kept:
        """Return what is on disk; nothing where there is none, or none that can be read, which is told."""
        try:
            document = json_text.data_in(bounded_file.read(self._directory / STATE, LARGEST))
            sequences = {str(name): int(number) for name, number in document["sequences"].items()}
            return Kept(Rollout.read(document["rollout"]), sequences)
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            effect = "the directory's version is rolled out as if it were the first"
            log.error("rollout_unread", file=str(self._directory / STATE), error=str(error), effect=effect)
            return Kept()

    def write(self, kept: Kept) -> None:
        """Write it if anything has changed; raise StoreFailed."""
        text = json.dumps(kept.document(), indent=1, sort_keys=True) + "\n"
        if text != self._written:
            self._put(STATE, text)
            self._written = text
            for path in self._old_versions(kept.rollout):
                path.unlink(missing_ok=True)

    def keep(self, fleet: Fleet) -> None:
        """Keep a version of the directory; raise StoreFailed."""
        self._put(f"{fleet.version}.json", json.dumps(fleet.document(), indent=1) + "\n")

    def fleet(self, version: str) -> Fleet:
        """Return a version that was kept; raise VersionLost."""
        path = self._directory / f"{version}.json"
        try:
            return Fleet.of_document(json_text.data_in(bounded_file.read(path, LARGEST)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise VersionLost(f"{path}: cannot be read: {error}; save the fleet's directory anew") from error

    def command(self) -> str:
        """Return what a command asks for, and forget it; empty: nothing."""
        path = self._directory / COMMAND
        with contextlib.suppress(OSError):
            text = bounded_file.read_text(path, 100).strip()
            path.unlink()
            return text
        return ""

    def ask(self, command: str) -> bool:
        """Ask a running hub for something; return whether it has taken that up. If not, nothing is asked any more.

        Raises:
            SettingsError: there is no hub that hands anything out, or its state cannot be written.
        """
        try:
            if not (self._directory / STATE).is_file():
                raise SettingsError(f"{self._directory}: no rollout here: set hub.fleet, and run lbgen")
            # What is left must not be acted on tomorrow; what is gone was taken up at the last moment.
            return request(self._directory / COMMAND, command + "\n") or not self.command()
        except OSError as error:
            raise SettingsError(unwritable(self._directory / COMMAND, error)) from error

    def document(self) -> dict[str, Any]:
        """Return what is on disk, for people.

        Raises:
            SettingsError: there is none, or it cannot be read.
        """
        path = self._directory / STATE
        try:
            document: dict[str, Any] = json_text.data_in(bounded_file.read(path, LARGEST))
        except FileNotFoundError as error:
            raise SettingsError(f"{path}: no rollout here: set hub.fleet, and run lbgen") from error
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}") from error
        return document

    def _put(self, name: str, text: str) -> None:
        path = self._directory / name
        try:
            write_private(path, text)
        except OSError as error:
            raise StoreFailed(unwritable(path, error)) from error

    def _old_versions(self, rollout: Rollout) -> list[Path]:
        """Return the files of versions that nobody goes back to any longer."""
        kept = (rollout.version, rollout.before)
        paths = self._directory.iterdir()
        return [path for path in paths if (found := _VERSION.fullmatch(path.name)) and found[1] not in kept]
