"""``set.yml``: which proxy a template set is for, what it renders, how its files are checked, which options it has.

Each of several directories may have one: the first that has a key wins; `files` and `options` are merged key by key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lbgen.base import documents
from lbgen.base.errors import TemplateError
from lbgen.base.yaml_tree import KeyPath
from lbgen.render.outputs import Output
from lbgen.render.quoting import QUOTING

MANIFEST = "set.yml"
Each = Literal["listeners", "routes", "backends", "services", "users", "label_users", "pages"]


class Section(BaseModel):
    """Strict and read-only: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class File(Section):
    """A file other than the NAME of NAME.j2. Its template renders to nothing else."""

    template: str
    """The template it is rendered from."""
    each: Each | None = Field(default=None, alias="for")
    """One file for each of these; the file's name contains {name}, the template has `backend` (or the other)."""


class Manifest(Section):
    """``set.yml``."""

    proxy: Literal["haproxy", "nginx", "traefik", "other"] = "other"
    """The kind of proxy: how it is applied to and verified. "other": files only."""
    binary: str = ""
    """The proxy's program."""
    check: list[str] = []
    """Command that checks the files; {binary} and {dir} (where they are staged) are filled in. Empty: no check."""
    quote: str = "none"
    """The grammar that the filter `quote` writes."""
    run: bool = False
    """Start and supervise the proxy where the settings do not say how to apply."""
    files: dict[str, File] = {}
    """Files other than the NAME of NAME.j2, by their path in the output directory."""
    options: dict[str, Any] = {}
    """The options that `targets.NAME.options` can set, with their defaults."""

    @field_validator("quote")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in QUOTING:
            raise ValueError(f"{value!r} is not one of {', '.join(QUOTING)}")
        return value


@dataclass(frozen=True, slots=True)
class Read:
    """A manifest and the files it names, each with the line that names it."""

    manifest: Manifest
    outputs: tuple[Output, ...]


def read(directories: Iterable[Path]) -> Read | None:
    """Read the directories' manifests as one; None: none of them has one.

    Raises:
        TemplateError: one cannot be read or is invalid; the message names file and line.
    """
    values: dict[str, Any] = {}
    outputs: dict[str, Output] = {}
    paths = [directory / MANIFEST for directory in directories if (directory / MANIFEST).is_file()]
    for path in reversed(paths):
        manifest, lines = _read_one(path)
        for name in manifest.model_fields_set:
            value = getattr(manifest, name)
            values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
        for pattern, file in manifest.files.items():
            where = f"{path}:{lines['files', pattern]}"
            outputs[pattern] = Output(pattern, file.template, where, file.each or "")
    if not paths:
        return None
    if "proxy" not in values:
        raise TemplateError(f"{paths[0]}: proxy: is missing; name haproxy, nginx, traefik or other")
    return Read(Manifest.model_construct(**values), tuple(outputs.values()))


def _read_one(path: Path) -> tuple[Manifest, dict[KeyPath, int]]:
    text = documents.read_text(path, TemplateError)
    document, lines = documents.parse_with_positions(text, str(path), TemplateError)
    if not isinstance(document, dict):
        raise TemplateError(f"{path}: expected a mapping, found {type(document).__name__}")
    try:
        return Manifest.model_validate(document), lines
    except ValidationError as error:
        origins = {key: f"{path}:{line}" for key, line in lines.items()}
        raise TemplateError("\n".join(documents.complaints(error, origins, str(path), _unknown))) from error


def _unknown(key: KeyPath) -> str:
    known = ["template", "for"] if key[0] == "files" else list(Manifest.model_fields)
    return f"unknown key; there are {', '.join(known)}"
