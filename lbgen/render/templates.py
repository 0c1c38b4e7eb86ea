"""Template sets: a directory of templates with a manifest, found by name or by path.

Every ``NAME.j2`` renders to ``NAME``; files beginning with ``_`` are partials. ``set.yml`` says which proxy the set
is for, how its files are checked and what can be set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lbgen import documents
from lbgen.errors import TemplateError
from lbgen.render.quoting import QUOTING

MANIFEST = "set.yml"
_PACKAGED = Path(__file__).parent.parent / "templates"  # in the wheel
_CHECKOUT = Path(__file__).parent.parent.parent / "templates"
BUILTIN = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


class Manifest(BaseModel):
    """``set.yml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    proxy: Literal["haproxy", "nginx", "traefik", "other"]
    """The kind of proxy: how it is applied to and verified. "other": a command, a signal or nothing."""
    binary: str = ""
    """The proxy's program."""
    check: list[str] = []
    """Command that checks the files; {binary} and {dir} (where they are staged) are filled in. Empty: no check."""
    quote: str = "none"
    """The grammar that the filter `quote` writes."""
    run: bool = False
    """Start and supervise the proxy where the settings do not say how to apply."""
    options: dict[str, Any] = {}
    """What `targets.NAME.options` can set, with the defaults."""


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Templates that can be rendered together."""

    manifest: Manifest
    directories: tuple[Path, ...]  # searched in this order

    def names(self) -> list[str]:
        """Return the template names, ``haproxy.cfg.j2`` say, that render to a file of their own."""
        found = {
            str(path.relative_to(directory))
            for directory in self.directories
            for path in directory.rglob("*.j2")
            if not path.name.startswith("_")
        }
        return sorted(found)

    def options(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Lay the chosen options over the set's defaults; raise TemplateError for one it does not have."""
        unknown = sorted(set(chosen) - set(self.manifest.options))
        if unknown:
            raise TemplateError(
                f"the template set has no option {', '.join(unknown)}; it has: {', '.join(self.manifest.options)}"
            )
        return {**self.manifest.options, **chosen}


def find(names: Sequence[str]) -> TemplateSet:
    """Find the set that these names or directories make together; the first that has a file wins.

    Raises:
        TemplateError: a name or directory that is not there, or no readable manifest among them.
    """
    directories = tuple(_directory(name) for name in names)
    for directory in directories:
        manifest = directory / MANIFEST
        if manifest.is_file():
            return TemplateSet(_manifest(manifest), directories)
    raise TemplateError(
        f"{', '.join(map(str, directories))}: no {MANIFEST}; name a built-in set behind it "
        f"({', '.join(builtin_names())}) or write one"
    )


def builtin_names() -> list[str]:
    """Return the names of the built-in sets."""
    return sorted(path.parent.name for path in BUILTIN.glob(f"*/{MANIFEST}"))


def _directory(name: str) -> Path:
    if name in builtin_names():
        return BUILTIN / name
    if Path(name).is_dir():
        return Path(name)
    raise TemplateError(f"{name}: neither a directory nor a built-in template set ({', '.join(builtin_names())})")


def _manifest(path: Path) -> Manifest:
    document = documents.read(path, TemplateError)
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise TemplateError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if manifest.quote not in QUOTING:
        raise TemplateError(f"{path}: quote: {manifest.quote!r} is not one of {', '.join(QUOTING)}")
    return manifest
