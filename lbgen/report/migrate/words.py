"""Traefik's static configuration as one list of options, from files, flags and the environment.

Each option is looked up without regard to case, as Traefik does, and remembers whether it was looked at: what nobody
has asked for is told.

Source: traefik 3.7 pkg/cli, traefik/paerser flag/, env/ and file/.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbgen.base import documents
from lbgen.base.errors import SettingsError

PREFIX = "TRAEFIK_"
ROOT = "traefik"  # that some configurations have around everything
_LISTS = (".middlewares", ".trustedips")  # ends of options that are lists
TRUE, FALSE = ("true", "1", "t"), ("false", "0", "f")


@dataclass(frozen=True, slots=True)
class Said:
    """One option."""

    path: str  # as it is written: "entryPoints.web.address"
    value: object
    where: str  # file, "command line" or "environment"


@dataclass(slots=True)
class Words:
    """All options by their path in lower case."""

    said: dict[str, Said] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def add_tree(self, tree: object, where: str, path: str = "") -> None:
        """Add what a file says, or a part of it."""
        if isinstance(tree, Mapping) and (tree or not path):
            for key, value in tree.items():
                self.add_tree(value, where, f"{path}.{key}" if path else str(key))
        elif isinstance(tree, list) and any(isinstance(item, Mapping) for item in tree):
            for number, item in enumerate(tree):
                self.add_tree(item, where, f"{path}[{number}]")
        else:
            self.put(path, tree, where)

    def put(self, path: str, value: object, where: str) -> None:
        """Add one option; the last one that says it counts."""
        self.said[path.lower()] = Said(path, value, where)

    def take(self, path: str) -> object:
        """Return what an option says, None if it is not there."""
        found = self.said.get(path.lower())
        if found:
            self.asked.add(path.lower())
        return found.value if found else None

    def text(self, path: str, default: str = "") -> str:
        """Return it as text."""
        value = self.take(path)
        return default if value is None or isinstance(value, Mapping) else str(value).strip()

    def flag(self, path: str, *, default: bool = False) -> bool:
        """Return it as a boolean; what is neither true nor false is the default."""
        value = self.take(path)
        text = str(value).lower()
        return True if text in TRUE or isinstance(value, Mapping) else False if text in FALSE else default

    def texts(self, path: str) -> list[str]:
        """Return a list, or what stands between commas."""
        value = self.take(path)
        items = value if isinstance(value, list) else str(value).split(",") if value is not None else []
        return [str(item).strip() for item in items if str(item).strip()]

    def has(self, path: str) -> bool:
        """Tell whether an option or a section is there, and not switched off."""
        value = self.take(path)
        if value is not None and str(value).lower() not in FALSE:
            return True
        return any(key.startswith((f"{path.lower()}.", f"{path.lower()}[")) for key in self.said)

    def names(self, path: str) -> list[str]:
        """Return what stands directly below a section, as it is spelt first."""
        found: dict[str, str] = {}
        for key, said in self.said.items():
            if key.startswith(f"{path.lower()}."):
                name = said.path[len(path) + 1 :].partition(".")[0].partition("[")[0]
                found.setdefault(name.lower(), name)
        return list(found.values())

    def rest(self) -> Iterator[Said]:
        """Yield what nobody has asked for."""
        yield from (said for key, said in self.said.items() if key not in self.asked)


def read_file(words: Words, path: Path) -> None:
    """Add a static configuration file, YAML, JSON or TOML.

    Raises:
        SettingsError: it cannot be read, or is no mapping.
    """
    text = documents.read_text(path, SettingsError)
    if path.suffix.lower() == ".toml":
        try:
            tree: Any = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path}: {error}") from error
    else:
        tree = documents.parse(text, str(path), SettingsError) if text.strip() else {}
    if tree is None:
        tree = {}
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{path}: expected a mapping of Traefik's options, found {type(tree).__name__}")
    if len(tree) == 1 and next(iter(tree)).lower() == ROOT and isinstance(next(iter(tree.values())), Mapping):
        tree = next(iter(tree.values()))
    words.add_tree(tree, str(path))


def read_flags(words: Words, arguments: Sequence[str], where: str = "command line") -> list[str]:
    """Add flags, as in ``--entrypoints.web.address=:80``; return the arguments that are none.

    Of a flag that is given again the values add up if it is a list, else the last one counts.
    """
    others: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-"):
            others.append(argument)
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        if not equals:
            value = waiting.pop(0) if waiting and not waiting[0].startswith("-") else "true"
        value = value.strip("\"'")
        before = words.said.get(name.lower())
        if before and before.where == where and name.lower().endswith(_LISTS):
            value = f"{before.value},{value}"
        words.put(name, value, where)
    return [other for other in others if other != ROOT]


def read_environment(words: Words, environment: Mapping[str, str]) -> None:
    """Add variables, as in ``TRAEFIK_ENTRYPOINTS_WEB_ADDRESS``."""
    for name, value in environment.items():
        if name.upper().startswith(PREFIX):
            words.put(name[len(PREFIX) :].lower().replace("_", "."), value, "environment")


def split(line: str) -> list[str]:
    """Return the arguments in a command line, as a shell reads them.

    Raises:
        SettingsError: a quotation mark is not closed.
    """
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise SettingsError(f"command line of Traefik: {error}") from error
