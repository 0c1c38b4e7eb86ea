"""What a rendered HAProxy configuration says, as far as running processes can be told about it.

Reads the text, not the model, so it is right for anybody's templates: sections, and in backends the server lines with
their default-server merged in. Everything else of a section is its frame, which only a reload can change.
Source of the grammar: HAProxy configuration manual, sections 2 and 5; of what can be told live: management guide 9.3.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from lbgen.render.renderer import PLACEHOLDER, Files

# Server keywords without and with an argument; a server with any other keyword is never changed live.
# fmt: off
_ALONE = frozenset({
    "backup", "check", "check-send-proxy", "check-ssl", "disabled", "no-check-ssl", "send-proxy", "send-proxy-v2",
    "ssl", "stick",
})
_WITH_ARGUMENT = frozenset({
    "addr", "alpn", "ca-file", "check-alpn", "check-proto", "check-sni", "cookie", "downinter", "fall", "fastinter",
    "inter", "maxconn", "maxqueue", "minconn", "observe", "on-error", "on-marked-down", "on-marked-up", "pool-max-conn",
    "pool-purge-delay", "port", "proto", "rise", "slowstart", "sni", "verify", "weight",
})
# fmt: on
# `set server` and `set maxconn server` can change these; the others make a reload.
CHANGEABLE = frozenset({"weight", "maxconn"})
_READ = re.compile(r"""(?:[^'"\\#]|\\.|'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$))*""")
_PROXIES = ("backend", "listen")


class NotPlain(Exception):
    """A server line that this module does not understand; it can only be reloaded."""


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One server as HAProxy understands it."""

    backend: str
    name: str
    address: str  # IP literal
    port: int
    keywords: Mapping[str, str]  # keyword -> argument, empty for one without; default-server merged in

    @property
    def path(self) -> str:
        """``backend/server``, as the runtime API names it."""
        return f"{self.backend}/{self.name}"

    @property
    def weight(self) -> int:
        """The weight that HAProxy shows, 0..256."""
        return int(self.keywords.get("weight", "1"))


@dataclass(slots=True)
class Section:
    """One section: its heading, the lines a reload is needed for, and the server lines as written."""

    heading: str
    frame: list[str] = field(default_factory=list)
    servers: dict[str, str] = field(default_factory=dict)  # name -> line, with its comment
    defaults: list[str] = field(default_factory=list)  # default-server lines that hold here, outermost first

    @property
    def backend(self) -> str:
        """The backend's name; empty for a section that has no servers to change."""
        words = self.heading.split()
        return words[1] if len(words) > 1 and words[0] in _PROXIES else ""

    def server(self, name: str) -> ServerLine:
        """Return one server; raise NotPlain if its line says more than can be changed live."""
        line = without_comment(self.servers[name])
        if re.search(r"""["'\\$;]""", line + "".join(self.defaults)):
            raise NotPlain(f"server {name}: quoted words")
        where, *words = line.split()[2:]
        address, _, port = where.rpartition(":")
        address = address.strip("[]")
        keywords: dict[str, str] = {}
        for default in self.defaults:
            keywords |= _keywords(default.split()[1:], name)
        try:
            return ServerLine(
                self.backend, name, str(ipaddress.ip_address(address)), int(port), keywords | _keywords(words, name)
            )
        except ValueError as error:
            raise NotPlain(f"server {name}: {where} is not ADDRESS:PORT") from error


def without_comment(line: str) -> str:
    """Return a line as far as HAProxy reads it: up to a "#" that is not quoted."""
    if "#" not in line:
        return line
    read = _READ.match(line)
    return read[0].rstrip() if read else line


def sections(files: Files, name: str) -> Sequence[Section]:
    """Split one configuration file; the generation counts as nothing, since it always differs."""
    return split(files.texts[name].replace(files.generation, PLACEHOLDER))


@lru_cache(maxsize=8)  # what is desired in one round is what runs in the next
def split(text: str) -> Sequence[Section]:
    """Split a configuration into its sections, comments and blank lines left out."""
    parts = [Section("")]
    inherited: list[str] = []
    for raw in text.splitlines():
        written = raw.strip()
        line = without_comment(written)
        if not line:
            continue
        if not raw[0].isspace():
            parts.append(Section(line))
            if line.split()[0] == "defaults":
                inherited = parts[-1].defaults
            elif parts[-1].backend:
                parts[-1].defaults = list(inherited)
            continue
        section, keyword = parts[-1], line.split()[0]
        if keyword == "server" and section.backend and len(line.split()) > 2:
            section.servers[line.split()[1]] = written
            continue
        if keyword == "default-server":
            section.defaults.append(line)
        section.frame.append(line)
    return parts


def binds(parts: Iterable[Section]) -> set[tuple[str, bool]]:
    """Return ADDRESS:PORT of each bind line, and whether it is UDP's; those of sockets and interfaces are left out."""
    lines = (line.split() for section in parts for line in section.frame)
    found = (re.fullmatch(r"(quic[46]@)?(\S*:\d+)", " ".join(words[1:2])) for words in lines if words[0] == "bind")
    return {(match[2], bool(match[1])) for match in found if match}


def map_entries(text: str) -> dict[str, str]:
    """Return a map file's entries; of a repeated key the first counts, as for HAProxy."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key and not key.startswith("#"):
            entries.setdefault(key, value.strip())
    return entries


def _keywords(words: list[str], server: str) -> dict[str, str]:
    keywords = {}
    left = iter(words)
    for keyword in left:
        argument = next(left, None) if keyword in _WITH_ARGUMENT else "" if keyword in _ALONE else None
        if argument is None:
            raise NotPlain(f"server {server}: keyword {keyword}")
        keywords[keyword] = argument
    return keywords
