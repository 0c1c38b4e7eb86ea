"""What lbgen last wrote to an output directory, or found there, and whether it is still there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.proxies import disk


class WrittenFiles:
    """The files of one output directory as they should be."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.texts: dict[str, str] = {}
        self._states: dict[str, Fingerprint | None] = {}

    def found(self, texts: Mapping[str, str]) -> None:
        """Note what was read from the directory."""
        self.texts, self._states = {}, {}
        self.wrote(texts)

    def wrote(self, texts: Mapping[str, str], removed: Iterable[str] = ()) -> None:
        """Note what was written and removed."""
        for name in removed:
            self.texts.pop(name, None)
            self._states.pop(name, None)
        self.texts.update(texts)
        self._states.update((name, fingerprint(self._output / name)) for name in texts)

    def altered(self) -> list[str]:
        """Return the files that are missing or have another content; one that was only touched has not."""
        names = [name for name, state in self._states.items() if fingerprint(self._output / name) != state]
        if names:
            now = disk.read(self._output, names)
            self.wrote({name: text for name, text in now.items() if text == self.texts[name]})
            names = [name for name in names if now.get(name) != self.texts[name]]
        return sorted(names)
