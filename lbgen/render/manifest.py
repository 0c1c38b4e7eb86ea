"""``set.yml``: which proxy a template set is for, what it renders, how its files are checked, what can be set.

Of several directories, each may have one. What the first of them says holds; what it leaves out, those behind it say;
`files` and `options` are laid over each other, key by key.
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


class Section(BaseModel):
    """Strict and read-only: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class File(Section):
    """A file that is not simply the NAME of NAME.j2. Its template renders to nothing else."""

    template: str
    """The template it is rendered from."""
    each: Literal["listeners", "routes", "backends", "services"] | None = Field(default=None, alias="for")
    """One file for each of these; the file's name has {name} in it, the template `backend` (or whichever it is)."""


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
    """Files that are not simply the NAME of NAME.j2, by their path in the output directory."""
    options: dict[str, Any] = {}
    """What `targets.NAME.options` can set, with the defaults."""

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
    """Return what the directories' manifests say together; None: none of them has one.

    Raises:
        TemplateError: one cannot be read, or says what makes no sense; the message names file and line.
    """
    values: dict[str, Any] = {}
    outputs: dict[str, Output] = {}
    paths = [directory / MANIFEST for directory in directories if (directory / MANIFEST).is_file()]
    for path in reversed(paths):
        text = documents.read_text(path, TemplateError)
        lines = documents.positions(text)
        manifest = _manifest(path, text, lines)
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


def _manifest(path: Path, text: str, lines: dict[KeyPath, int]) -> Manifest:
    document = documents.parse(text, str(path), TemplateError)
    if not isinstance(document, dict):
        raise TemplateError(f"{path}: expected a mapping, found {type(document).__name__}")
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        origins = {key: f"{path}:{line}" for key, line in lines.items()}
        raise TemplateError("\n".join(documents.complaints(error, origins, str(path), _unknown))) from error


def _unknown(key: KeyPath) -> str:
    known = ["template", "for"] if key[0] == "files" else list(Manifest.model_fields)
    return f"unknown key; there are {', '.join(known)}"
