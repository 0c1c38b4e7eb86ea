"""What an edge has taken over of what hubs handed out, on its disk: it boots with that, without any hub."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import LbgenError
from lbgen.base.logs import log
from lbgen.base.private_file import make_private_directory, write_private
from lbgen.base.unwritable import unwritable
from lbgen.source.hub.handout import LARGEST_PAYLOAD, Bundle

FILE = "current.json"
LONGEST = 3000  # characters of an error that are kept and told
_VERSION = re.compile(r"[0-9a-f]{16}(?:\.new)?")


class StoreFailed(LbgenError):
    """What a hub hands out cannot be written. What was taken over before stays in force."""


@dataclass(frozen=True)
class Current:
    """What is in force, and what became of what was handed out last."""

    version: str = ""  # empty: the edge's own file alone
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # paths of its templates
    sequence: int = 0  # of what was handed out last
    before: str = ""  # version whose templates may still be in use
    refused: str = ""  # version that was refused; empty: none
    error: str = ""  # why


class HandedOutStore:
    """A directory of the edge's state: ``current.json``, and the templates of each version that it may name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.current = self._read()

    @property
    def file(self) -> Path:
        """The file that changes with what is in force."""
        return self._directory / FILE

    def templates(self, version: str, proxy: str) -> Path | None:
        """Return the directory of a version's templates for a proxy; None: it has none."""
        path = self._directory / version / proxy
        return path if version and path.is_dir() else None

    def check(self) -> None:
        """Check that all templates of the version in force are there; raise StoreFailed."""
        place = self._directory / self.current.version
        if missing := [path for path in self.current.files if not (place / path).is_file()]:
            raise StoreFailed(f"{place}: {', '.join(missing)} are missing, which a hub has handed out")

    def unpack(self, bundle: Bundle) -> None:
        """Put a bundle's templates on disk, beside those in force; raise StoreFailed.

        The bundle has been checked: its paths lie below the version's directory.
        """
        if bundle.empty or bundle.version in (self.current.version, self.current.before):
            return
        place = self._directory / bundle.version
        new = place.with_name(f"{place.name}.new")
        try:
            make_private_directory(self._directory)
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            for path, text in bundle.templates.items():
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                with (new / path).open("x", encoding="utf-8", newline="") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            shutil.rmtree(place, ignore_errors=True)
            new.rename(place)
        except OSError as error:
            shutil.rmtree(new, ignore_errors=True)
            raise StoreFailed(unwritable(place, error)) from error

    def take(self, bundle: Bundle, sequence: int) -> None:
        """Note that a bundle, which is unpacked, is in force; raise StoreFailed."""
        before = self.current.version if bundle.version != self.current.version else self.current.before
        self._write(Current(bundle.version, bundle.settings, tuple(sorted(bundle.templates)), sequence, before))
        self._tidy()

    def refuse(self, version: str, sequence: int, error: str) -> None:
        """Note that what was handed out last is not taken over; raise StoreFailed."""
        self._write(replace(self.current, sequence=sequence, refused=version, error=error[:LONGEST]))
        self._tidy()

    def _write(self, current: Current) -> None:
        try:
            write_private(self.file, json.dumps(vars(current), indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise StoreFailed(unwritable(self.file, error)) from error
        self.current = current

    def _tidy(self) -> None:
        """Remove the templates of versions that nothing renders by any more."""
        kept = {self.current.version, self.current.before}
        with contextlib.suppress(OSError):
            for path in self._directory.iterdir():
                if _VERSION.fullmatch(path.name) and path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)

    def _read(self) -> Current:
        try:
            said = json_text.data_in(bounded_file.read(self.file, LARGEST_PAYLOAD))
            texts = {key: said[key] for key in ("version", "before", "refused", "error")}
            settings, files, sequence = said["settings"], tuple(map(str, said["files"])), said["sequence"]
            if not all(isinstance(text, str) for text in texts.values()) or not isinstance(settings, dict):
                raise ValueError("not as lbgen writes it")
            return Current(settings=settings, files=files, sequence=int(sequence), **texts)
        except FileNotFoundError:
            return Current()
        except (OSError, ValueError, KeyError, TypeError) as error:
            effect = "the edge's own settings alone are in force until a hub hands out others"
            log.error("handed_out_unread", file=str(self.file), error=str(error), effect=effect)
            return Current()
