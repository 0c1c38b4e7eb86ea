"""Traefik's own service in stack files: its arguments and variables are its static configuration in most Swarms."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbgen.base import documents
from lbgen.base.errors import SourceError
from lbgen.report.migrate.words import PREFIX, ROOT
from lbgen.source.compose import is_compose
from lbgen.source.compose.interpolation import interpolated_file
from lbgen.source.compose.stack_file import StackFile, raise_errors


@dataclass(frozen=True, slots=True)
class StackService:
    """What a stack file says of a service, as far as it is asked here."""

    file: str
    name: str
    image: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def is_traefik(self) -> bool:
        """Whether it looks like Traefik's own."""
        image = self.image.rpartition("/")[2].partition(":")[0].partition("@")[0]
        told = any(argument.lower().startswith("--entrypoints.") for argument in self.arguments)
        return image == ROOT or told or any(name.upper().startswith(PREFIX) for name in self.environment)


def services_in(paths: Sequence[Path], variables: Mapping[str, str]) -> list[StackService]:
    """Return the services of stack files.

    Raises:
        SourceError: a file cannot be read, or is no stack file.
    """
    found = []
    for path in paths:
        text = documents.read_text(path, SourceError)
        data = documents.parse(text, str(path), SourceError)
        if not is_compose(data) or not isinstance(data, Mapping):
            raise SourceError(f"{path}: not a stack file; a snapshot has no commands: give Traefik's own stack file")
        file = interpolated_file(StackFile(str(path), data, documents.positions(text)), variables)
        raise_errors([file])
        services = file.data.get("services")
        found += [_service(str(path), name, item) for name, item in _mapping(services).items()]
    return found


def traefiks_own(services: Sequence[StackService], name: str) -> StackService:
    """Return Traefik's service: the one that is named, or the only one that looks like it.

    Raises:
        SourceError: there is none, or there are several.
    """
    known = ", ".join(service.name for service in services) or "none"
    if name:
        named = [service for service in services if service.name == name or service.name.endswith(f"_{name}")]
        if not named:
            raise SourceError(f"there is no service {name}; services are {known}")
        return named[0]
    found = [service for service in services if service.is_traefik]
    if len(found) != 1:
        what = f"{len(found)} services look like Traefik's own" if found else "no service looks like Traefik's own"
        raise SourceError(f"{what}; name it with --from-service (there are: {known})")
    return found[0]


def _service(file: str, name: str, item: Any) -> StackService:
    said = _mapping(item)
    deploy = _mapping(said.get("deploy"))
    return StackService(
        file,
        name,
        str(said.get("image", "")),
        (*_words(said.get("entrypoint")), *_words(said.get("command"))),
        _pairs(said.get("environment")),
        _pairs(deploy.get("labels")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(value: object) -> Iterator[str]:
    """Yield the words of a command, which is a list, or a text as for a shell."""
    if isinstance(value, list):
        yield from map(str, value)
    elif isinstance(value, str):
        try:
            yield from shlex.split(value)
        except ValueError:
            yield from value.split()


def _pairs(value: object) -> dict[str, str]:
    """Return a mapping that may be a list of NAME=VALUE."""
    if isinstance(value, list):
        return {name: text for name, equals, text in (str(item).partition("=") for item in value) if equals}
    return {str(name): _text(item) for name, item in _mapping(value).items() if item is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
