"""What has to be done so that a proxy that runs one set of files runs another. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from lbgen.render.files import Files


@dataclass(frozen=True, slots=True)
class Nothing:
    """The proxy already runs these files."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Only whole new files bring the change in; ``reason`` says what the change is."""

    reason: str
    kind: str = field(default="other", compare=False)  # for counting; one of KINDS
    spaced: bool = field(default=True, compare=False)  # it costs the proxy something, so two need time in between


class Live(ABC):
    """What the running proxy can be told; each proxy that can be told anything has a kind of its own."""

    __slots__ = ()

    @property
    @abstractmethod
    def summary(self) -> str:
        """What changes, for people."""


# "first": not known what it runs; "files": a file came, went or cannot be compared; "sections": a section came or went;
# "settings", "servers": other lines of a section; "map": a map file; "runtime-api": a live change failed.
KINDS = ("first", "files", "sections", "settings", "servers", "map", "runtime-api", "other")

Plan = Nothing | Reload | Live


def between(running: Files | None, desired: Files) -> Nothing | Reload:
    """Return the least that brings a proxy from one set of files to the other; None: not known what it runs."""
    if running is None:
        return Reload("first configuration", "first")
    if running.generation == desired.generation:
        return Nothing()
    return Reload("; ".join(_changes(running, desired)), "files")


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
                sections = _sections(before, after) or ["order or blank lines"]
                shown = ", ".join(sections[:3]) + (f" and {len(sections) - 3} more" if len(sections) > 3 else "")
                changes.append(f"{name}: {shown}")
    return changes


def _sections(before: list[str], after: list[str]) -> list[str]:
    """Return the headings (lines without indentation) over the lines that differ, in order."""
    old, new = _by_heading(before), _by_heading(after)
    return [heading for heading in {**old, **new} if old.get(heading) != new.get(heading)]


def _by_heading(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    heading = ""
    for line in lines:
        if line.strip():
            heading = heading if line[0].isspace() else line.strip()
            found.setdefault(heading, []).append(line)
    return found
