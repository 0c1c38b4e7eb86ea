"""Which commands bring a running HAProxy from one rendered configuration to another, if any do. Pure.

Live: servers added, removed, moved, weighted; map entries changed. All else is a reload, and the reason says what.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.proxies import plan
from lbgen.proxies.haproxy.configuration import CHANGEABLE, NotPlain, Section, ServerLine, map_entries, sections
from lbgen.proxies.plan import Live, Plan, Reload
from lbgen.render.files import PLACEHOLDER, Files

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
        said = []
        for backend in sorted(self.expected):
            counts = {
                "added": sum(line.backend == backend for line in self.added),
                "changed": sum(after.backend == backend for _, after in self.changed),
                "removed": sum(line.backend == backend for line in self.removed),
            }
            said.append(f"backend {backend}: " + ", ".join(f"{n} {what}" for what, n in counts.items() if n))
        if self.maps:
            said.append(f"{len(self.maps)} map entries")
        return "; ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")


def between(running: Files | None, desired: Files) -> Plan:
    """Return the least that brings HAProxy from one set of files to the other."""
    step = plan.between(running, desired)
    if running is None or not isinstance(step, Reload):
        return step
    if running.texts.keys() != desired.texts.keys():
        return step
    builder = _Builder()
    for name in sorted(desired.texts):
        if _neutral(running, name) == _neutral(desired, name):
            continue
        if name.endswith(".cfg"):
            reason = builder.configuration(sections(running, name), sections(desired, name))
        elif name.endswith(".map"):
            reason = builder.map(name, running.texts[name], desired.texts[name])
        else:
            reason, builder.kind = f"{name} changed", "files"
        if reason:
            return Reload(reason, builder.kind)
    return builder.live()


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


class _Builder:
    """Collects changes; each method returns why only a reload will do, or an empty text."""

    def __init__(self) -> None:
        self.kind = "settings"  # of the reason, for counting: see plan.KINDS
        self._added: list[ServerLine] = []
        self._changed: list[tuple[ServerLine, ServerLine]] = []
        self._removed: list[ServerLine] = []
        self._maps: list[MapChange] = []
        self._expected: dict[str, tuple[ServerLine, ...]] = {}

    def live(self) -> Commands:
        """Return everything collected."""
        return Commands(
            tuple(self._added), tuple(self._changed), tuple(self._removed), tuple(self._maps), dict(self._expected)
        )

    def configuration(self, before: Sequence[Section], after: Sequence[Section]) -> str:
        """Compare two configurations section by section."""
        if [part.heading for part in before] != [part.heading for part in after]:
            self.kind = "sections"
            return _headings(before, after)
        for old, new in zip(before, after, strict=True):
            if old.frame != new.frame or old.defaults != new.defaults:
                return f"{new.heading}: {_first_difference(old.frame, new.frame)}"
            if old.servers != new.servers:
                reason = self._servers(old, new)
                if reason:
                    self.kind = "servers"
                    return f"{new.heading}: {reason}"
        return ""

    def _servers(self, old: Section, new: Section) -> str:
        try:
            before = {name: old.server(name) for name in old.servers}
            after = {name: new.server(name) for name in new.servers}
        except NotPlain as error:
            return str(error)
        for name, line in after.items():
            was = before.get(name)
            if was is None:
                self._added.append(line)
            elif was != line:
                differing = {key for key in {*was.keywords, *line.keywords} if _differ(key, was, line)}
                if differing - CHANGEABLE or ("maxconn" in differing and "maxconn" not in line.keywords):
                    return f"server {name}: {', '.join(sorted(differing))} changed"
                self._changed.append((was, line))
        self._removed += [line for name, line in before.items() if name not in after]
        self._expected[new.backend] = tuple(after.values())
        return ""

    def map(self, name: str, before: str, after: str) -> str:
        """Compare two versions of a map file."""
        self.kind = "map"
        old, new = map_entries(before), map_entries(after)
        keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        if len(keys) > MOST_MAP_CHANGES:
            return f"{name}: {len(keys)} entries changed"
        odd = next((key for key in keys if re.search(r"""[\s"'\\;]""", key + new.get(key, ""))), None)
        if odd is not None:
            return f"{name}: {odd} cannot be written as a command"
        self._maps += [MapChange(name, key, old.get(key), new.get(key)) for key in keys]
        return ""


def _differ(key: str, one: ServerLine, other: ServerLine) -> bool:
    return one.keywords.get(key) != other.keywords.get(key)


def _neutral(files: Files, name: str) -> str:
    return files.texts[name].replace(files.generation, PLACEHOLDER)


def _headings(before: Iterable[Section], after: Iterable[Section]) -> str:
    old, new = [part.heading for part in before], [part.heading for part in after]
    added, removed = [item for item in new if item not in old], [item for item in old if item not in new]
    said = [f"{item} added" for item in added] + [f"{item} removed" for item in removed]
    shown = ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")
    return shown or "sections in another order"


def _first_difference(old: list[str], new: list[str]) -> str:
    for line in new:
        if line not in old:
            return line
    for line in old:
        if line not in new:
            return f"without {line}"
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
    for heading, lines in itertools.groupby(_under_headings(text), key=lambda item: item[0]):
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
