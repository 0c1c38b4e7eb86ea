"""Template sets: directories of templates with a manifest, found by name or by path.

Every ``NAME.j2`` renders to ``NAME``, but for files and directories beginning with ``_`` (partials) or ``.`` (editors',
and what mounts of Swarm and Kubernetes keep beside the files), and templates that the manifest names another file for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbgen.base.errors import TemplateError
from lbgen.render import manifest, outputs
from lbgen.render.manifest import MANIFEST, Manifest
from lbgen.render.outputs import Output

SUFFIX = ".j2"
_PACKAGED = Path(__file__).parent.parent / "templates"  # in the wheel
_CHECKOUT = Path(__file__).parent.parent.parent / "templates"
BUILTIN = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Templates that can be rendered together."""

    manifest: Manifest
    directories: tuple[Path, ...]  # searched in this order
    named: tuple[Output, ...] = ()  # the files that manifests name

    def outputs(self) -> list[Output]:
        """Return what is rendered, as the directories are now.

        Raises:
            TemplateError: two of the files might be the same, or one lies outside of the output directory.
        """
        elsewhere = {output.template for output in self.named}
        plain: dict[str, Output] = {}
        for directory in self.directories:
            for path in sorted(directory.rglob(f"*{SUFFIX}")):
                name = path.relative_to(directory).as_posix()
                hidden = any(part.startswith(("_", ".")) for part in name.split("/"))
                if not hidden and path.is_file() and name not in elsewhere:
                    plain.setdefault(name, Output(name.removesuffix(SUFFIX), name, str(path)))
        found = [*(output for _, output in sorted(plain.items())), *self.named]
        outputs.check(found)
        return found

    def names(self) -> list[str]:
        """Return the files that are the same whatever there is in the cluster."""
        return [output.pattern for output in self.outputs() if not output.each]

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
    return of(tuple(_directory(name) for name in names))


def of(directories: tuple[Path, ...]) -> TemplateSet:
    """Return the set that these directories make together, as they are now; raise TemplateError as `find` does."""
    found = manifest.read(directories)
    if found is None:
        raise TemplateError(
            f"{', '.join(map(str, directories))}: no {MANIFEST}; name a built-in set behind it "
            f"({', '.join(builtin_names())}) or write one"
        )
    return TemplateSet(found.manifest, directories, found.outputs)


def builtin_names() -> list[str]:
    """Return the names of the built-in sets."""
    return sorted(path.parent.name for path in BUILTIN.glob(f"*/{MANIFEST}"))


def _directory(name: str) -> Path:
    if name in builtin_names():
        return BUILTIN / name
    if Path(name).is_dir():
        return Path(name)
    raise TemplateError(f"{name}: neither a directory nor a built-in template set ({', '.join(builtin_names())})")
