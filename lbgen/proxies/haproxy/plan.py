"""Which commands bring a running HAProxy from one rendered configuration to another, if any do. Pure.

Live: servers added, removed, moved, weighted; map entries changed. All else is a reload, and the reason says what.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby

from lbgen.proxies import plan
from lbgen.proxies.haproxy.configuration import (
    CHANGEABLE,
    NotPlain,
    Section,
    ServerLine,
    map_entries,
    sections,
    without_comment,
)
from lbgen.proxies.plan import Live, Plan, Reload, ReloadKind, shortened, without_secret
from lbgen.render.renderer import PLACEHOLDER, Files

MOST_MAP_CHANGES = 500  # more are quicker by a reload than one by one


@dataclass(frozen=True, slots=True)
class MapChange:
    """One entry of a map file to add, set or delete."""

    file: str
    key: str
    old: str | None  # None: there was none
    new: str | None  # None: delete


@dataclass(frozen=True, slots=True)
class Commands(Live):
    """What the runtime API is told, and what it has to show afterwards."""

    added: tuple[ServerLine, ...] = ()
    changed: tuple[tuple[ServerLine, ServerLine], ...] = ()  # before, after
    removed: tuple[ServerLine, ...] = ()
    maps: tuple[MapChange, ...] = ()
    expected: Mapping[str, tuple[ServerLine, ...]] = field(default_factory=dict)  # touched backend -> its servers after

    @property
    def summary(self) -> str:
        """What changes, for people: "backend shop: 1 added, 2 removed; 3 map entries"."""
        counts = {
            "added": Counter(line.backend for line in self.added),
            "changed": Counter(after.backend for _, after in self.changed),
            "removed": Counter(line.backend for line in self.removed),
        }
        said = [
            f"backend {backend}: "
            + ", ".join(f"{count[backend]} {what}" for what, count in counts.items() if count[backend])
            for backend in sorted(self.expected)
        ]
        if self.maps:
            said.append(f"{len(self.maps)} map entries")
        return shortened(said, "; ")


class _OnlyReload(Exception):
    """A difference that only a reload brings in."""

    def __init__(self, reason: str, kind: ReloadKind) -> None:
        super().__init__(reason)
        self.reload = Reload(reason, kind)


def between(running: Files | None, desired: Files) -> Plan:
    """Return the smallest change that brings HAProxy from one set of files to the other."""
    step = plan.between(running, desired)
    if running is None or not isinstance(step, Reload) or running.texts.keys() != desired.texts.keys():
        return step
    try:
        return _commands(running, desired)
    except _OnlyReload as only:
        partial = _live_part(running, desired)  # which does not wait for the reload
        return replace(only.reload, urgent=plan.servers(partial) != plan.servers(desired))


def _live_part(running: Files, desired: Files) -> Files:
    """Return what HAProxy runs until the reload."""
    partial = meanwhile(running, desired)
    try:
        _commands(running, partial)
    except _OnlyReload:
        return running
    return partial


def _commands(running: Files, desired: Files) -> Commands:
    """Return what changes one into the other, which has files of the same names; raise _OnlyReload if nothing does."""
    parts: list[Commands] = []
    for name in sorted(desired.texts):
        if _neutral(running, name) == _neutral(desired, name):
            continue
        if name.endswith(".cfg"):
            pairs = _pairs(sections(running, name), sections(desired, name))
            parts += [_server_changes(old, new) for old, new in pairs]
        elif name.endswith(".map"):
            parts.append(Commands(maps=tuple(_map_changes(name, running.texts[name], desired.texts[name]))))
        else:
            raise _OnlyReload(f"{name} changed", ReloadKind.FILES)
    return Commands(
        tuple(chain.from_iterable(part.added for part in parts)),
        tuple(chain.from_iterable(part.changed for part in parts)),
        tuple(chain.from_iterable(part.removed for part in parts)),
        tuple(chain.from_iterable(part.maps for part in parts)),
        {backend: lines for part in parts for backend, lines in part.expected.items()},
    )


def meanwhile(running: Files, desired: Files) -> Files:
    """Return the running files with what can be changed live already as desired.

    While a reload has to wait, its other changes do not: a server that leaves gets no new requests at once.
    """
    texts = dict(running.texts)
    for name in texts:
        if name.endswith(".cfg") and name in desired.texts:
            wanted = {part.backend: part for part in sections(desired, name) if part.backend}
            texts[name] = _with_servers(texts[name], sections(running, name), wanted)
    return Files.of({name: text.replace(running.generation, PLACEHOLDER) for name, text in texts.items()})


def _pairs(before: Sequence[Section], after: Sequence[Section]) -> Iterator[tuple[Section, Section]]:
    """Yield the sections whose servers differ; raise _OnlyReload where anything else does."""
    if [part.heading for part in before] != [part.heading for part in after]:
        raise _OnlyReload(_headings(before, after), ReloadKind.SECTIONS)
    for old, new in zip(before, after, strict=True):
        if old.frame != new.frame:
            raise _OnlyReload(f"{new.heading}: {_first_difference(old.frame, new.frame)}", ReloadKind.SETTINGS)
        if old.servers != new.servers and _read(old) != _read(new):
            yield old, new


def _read(section: Section) -> dict[str, str]:
    """Return the section's server lines as HAProxy reads them: a comment that changes is no change."""
    return {name: without_comment(line) for name, line in section.servers.items()}


def _server_changes(old: Section, new: Section) -> Commands:
    before, after = _servers(old), _servers(new)
    return Commands(
        added=tuple(line for name, line in after.items() if name not in before),
        changed=tuple(
            (before[name], line) for name, line in after.items() if name in before and _changeable(before[name], line)
        ),
        removed=tuple(line for name, line in before.items() if name not in after),
        expected={new.backend: tuple(after.values())},
    )


def _servers(section: Section) -> dict[str, ServerLine]:
    try:
        return {name: section.server(name) for name in section.servers}
    except NotPlain as error:
        raise _OnlyReload(f"{section.heading}: {error}", ReloadKind.SERVERS) from error


def _changeable(before: ServerLine, after: ServerLine) -> bool:
    """Tell whether two lines of a server differ; raise _OnlyReload if in more than can be changed live."""
    differing = {key for key in {*before.keywords, *after.keywords} if _differ(key, before, after)}
    # There is no command that takes a limit away.
    if differing - CHANGEABLE or ("maxconn" in differing and "maxconn" not in after.keywords):
        changed = ", ".join(sorted(differing))
        raise _OnlyReload(f"backend {after.backend}: server {after.name}: {changed} changed", ReloadKind.SERVERS)
    return before != after


def _map_changes(name: str, before: str, after: str) -> Iterator[MapChange]:
    """Compare two versions of a map file."""
    old, new = map_entries(before), map_entries(after)
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if len(keys) > MOST_MAP_CHANGES:
        raise _OnlyReload(f"{name}: {len(keys)} entries changed", ReloadKind.MAP)
    for key in keys:
        if re.search(r"""[\s"'\\;]""", key + new.get(key, "")):
            raise _OnlyReload(f"{name}: {key} cannot be written as a command", ReloadKind.MAP)
        yield MapChange(name, key, old.get(key), new.get(key))


def _differ(key: str, one: ServerLine, other: ServerLine) -> bool:
    return one.keywords.get(key) != other.keywords.get(key)


def _neutral(files: Files, name: str) -> str:
    return files.texts[name].replace(files.generation, PLACEHOLDER)


def _headings(before: Iterable[Section], after: Iterable[Section]) -> str:
    old, new = [part.heading for part in before], [part.heading for part in after]
    added, removed = [item for item in new if item not in old], [item for item in old if item not in new]
    said = [f"{item} added" for item in added] + [f"{item} removed" for item in removed]
    return shortened(said) or "sections in another order"


def _first_difference(old: list[str], new: list[str]) -> str:
    for line in new:
        if line not in old:
            return without_secret(line, line)
    for line in old:
        if line not in new:
            return f"without {without_secret(line, line)}"
    return "lines in another order"


def _with_servers(text: str, parts: Sequence[Section], wanted: Mapping[str, Section]) -> str:
    """Return the text with the server lines of every section whose frame is as wanted replaced by the wanted ones."""
    replaced = {
        part.heading: wanted[part.backend].servers.values()
        for part in parts
        if part.backend in wanted
        and (wanted[part.backend].frame, wanted[part.backend].defaults) == (part.frame, part.defaults)
    }
    out = []
    for heading, lines in groupby(_under_headings(text), key=lambda item: item[0]):
        body = [line for _, line in lines]
        if heading in replaced:
            body = [line for line in body if line.split()[:1] != ["server"]]
            while body and not body[-1].strip():
                body.pop()
            body += [*(f"    {line}" for line in replaced[heading]), ""]
        out += body
    return "\n".join(out) + "\n"


def _under_headings(text: str) -> Iterator[tuple[str, str]]:
    """Yield every line with the heading it stands under."""
    heading = ""
    for line in text.splitlines():
        if line.strip() and not line[0].isspace() and not line.startswith("#"):
            heading = line.strip()
        yield heading, line
