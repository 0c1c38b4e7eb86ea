"""What brings a proxy from one set of files to another. Pure."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lbgen.base.problem import is_secret
from lbgen.render.renderer import Files


class Method(StrEnum):
    """How a change reaches a proxy, as logs and metrics call it."""

    RUNTIME_API = "runtime-api"  # told to the running process
    RELOAD = "reload"
    PUBLISH = "publish"  # it takes new files by itself
    START = "start"


class ReloadKind(StrEnum):
    """What makes a reload necessary, as metrics count it."""

    FIRST = "first"  # not known what it runs
    FILES = "files"  # a file came, went or cannot be compared
    SECTIONS = "sections"  # a section came or went
    SETTINGS = "settings"  # other lines of a section
    SERVERS = "servers"  # a server's line says more than can be changed live
    MAP = "map"
    RUNTIME_API = "runtime-api"  # a live change failed
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Nothing:
    """The proxy already runs these files."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Only whole new files bring the change in; ``reason`` says what the change is."""

    reason: str
    kind: ReloadKind = field(default=ReloadKind.OTHER, compare=False)  # for counting
    spaced: bool = field(default=True, compare=False)  # it costs the proxy something, so two need time in between
    urgent: bool = field(default=False, compare=False)  # servers come or go by it: requests may be lost meanwhile


class Live(ABC):
    """What the running proxy can be told; each proxy that can be told anything has a kind of its own."""

    __slots__ = ()

    @property
    @abstractmethod
    def summary(self) -> str:
        """What changes, for people."""


Plan = Nothing | Reload | Live


_SERVER = re.compile(r"^[ \t]+server[ \t]+[^{\s][^{\n]*$", re.MULTILINE)
_ADDRESS = re.compile(r"\S*:\d+\b")


def between(running: Files | None, desired: Files, *, spaced: bool = True) -> Nothing | Reload:
    """Return the smallest change from one set of files to the other; None: not known what it runs."""
    if running is None:
        return Reload("first configuration", ReloadKind.FIRST, spaced)
    if running.generation == desired.generation:
        return Nothing()
    urgent = servers(running) != servers(desired)
    return Reload("; ".join(_changes(running, desired)), ReloadKind.FILES, spaced, urgent)


def servers(files: Files) -> Counter[str]:
    """Count the lines of servers by their address, whatever else they say: ``server [NAME] ADDRESS:PORT ...``."""
    lines = (line for text in files.texts.values() for line in _SERVER.findall(text))
    return Counter(address[0] for line in lines if (address := _ADDRESS.search(line)))


def shortened(items: Sequence[str], between: str = ", ") -> str:
    """Join the first three, and count the rest."""
    return between.join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")


def without_secret(line: str, name: str = "") -> str:
    """Return a line of a file as messages may show it: of one with what may be a secret the first two words.

    Args:
        name: what else may tell that there is a secret; see `is_secret`.
    """
    return " ".join([*line.split()[:2][: len(line.split()) - 1], "..."]) if is_secret(name, line) else line


def _changes(running: Files, desired: Files) -> list[str]:
    """Say which files, and in them which sections, differ."""
    changes = []
    for name in sorted({*running.texts, *desired.texts}):
        old, new = running.texts.get(name), desired.texts.get(name)
        if old is None or new is None:
            changes.append(f"{name} {'added' if old is None else 'removed'}")
        else:
            # The generation is in the text, but it is never what changed.
            before = old.replace(running.generation, "").splitlines()
            after = new.replace(desired.generation, "").splitlines()
            if before != after:
                changes.append(f"{name}: {shortened(_sections(before, after) or ['order or blank lines'])}")
    return changes


def _sections(before: list[str], after: list[str]) -> list[str]:
    """Return the headings (lines without indentation) over the lines that differ, in order."""
    old, new = _by_heading(before), _by_heading(after)
    return [without_secret(heading) for heading in {**old, **new} if old.get(heading) != new.get(heading)]


def _by_heading(lines: list[str]) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    heading = ""
    for line in lines:
        if line.strip():
            heading = heading if line[0].isspace() else line.strip()
            sections.setdefault(heading, []).append(line)
    return sections
