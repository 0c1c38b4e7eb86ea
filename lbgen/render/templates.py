"""Template sets: directories of templates with a manifest, found by name or by path.

Every ``NAME.j2`` renders to ``NAME``, except files and directories beginning with ``_`` (partials) or ``.`` (editors',
and what mounts of Swarm and Kubernetes keep beside the files), and templates that the manifest names for other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbgen.base.errors import TemplateError
from lbgen.base.fingerprint import fingerprint
from lbgen.render import manifest
from lbgen.render.manifest import MANIFEST, Manifest
from lbgen.render.outputs import Output, refuse_clashes

SUFFIX = ".j2"
_PACKAGED = Path(__file__).parent.parent / "templates"  # in the wheel
_CHECKOUT = Path(__file__).parent.parent.parent / "templates"
BUILTIN = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Templates that can be rendered together, as their manifests were at one moment."""

    manifest: Manifest
    directories: tuple[Path, ...]  # searched in this order
    named: tuple[Output, ...] = ()  # the files that manifests name
    stamp: object = field(default=None, compare=False)  # of the files, taken before the manifests were read

    def outputs(self) -> list[Output]:
        """Return the files to render, as the directories are now.

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
        outputs = [*(output for _, output in sorted(plain.items())), *self.named]
        refuse_clashes(outputs)
        return outputs

    def names(self) -> list[str]:
        """Return the files that are the same whatever the cluster holds."""
        return [output.pattern for output in self.outputs() if not output.each]

    def options(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Lay the chosen options over the set's defaults; raise TemplateError for one it does not have."""
        unknown = sorted(set(chosen) - set(self.manifest.options))
        if unknown:
            raise TemplateError(
                f"the template set has no option {', '.join(unknown)}; it has: {', '.join(self.manifest.options)}"
            )
        return {**self.manifest.options, **chosen}

    def reread(self) -> TemplateSet:
        """Return the set as it is now: the same object while none of its files changes.

        Raises:
            TemplateError: it cannot be read.
        """
        if stamp_of(self.directories) == self.stamp:
            return self
        for directory in self.directories:
            if not directory.is_dir():  # without it there would be fewer templates, or the built-in ones
                raise TemplateError(f"{directory}: is missing; put it back, or remove it from the target's templates")
        return read_set(self.directories)


def find(names: Sequence[str]) -> TemplateSet:
    """Find the set that these names or directories make together; the first that has a file wins.

    Raises:
        TemplateError: a name or directory that does not exist, or no readable manifest among them.
    """
    return read_set(tuple(_directory(name) for name in names))


def read_set(directories: tuple[Path, ...]) -> TemplateSet:
    """Read the set that these directories make together; raise TemplateError as `find` does."""
    stamp = stamp_of(directories)
    read = manifest.read(directories)
    if read is None:
        raise TemplateError(
            f"{', '.join(map(str, directories))}: no {MANIFEST}; name a built-in set behind it "
            f"({', '.join(builtin_names())}) or write one"
        )
    return TemplateSet(read.manifest, directories, read.outputs, stamp)


def stamp_of(directories: Iterable[Path]) -> object:
    """Return a value that changes when a file of the set is changed, added or removed.

    Templates may use any built-in one, so those count too.
    """
    roots = [*directories, BUILTIN]
    files = [path for root in roots for path in root.rglob("*") if path.suffix == SUFFIX or path.name == MANIFEST]
    return [root.is_dir() for root in roots], [(path, fingerprint(path)) for path in files]


def builtin_names() -> list[str]:
    """List the names of the built-in sets."""
    return sorted(path.parent.name for path in BUILTIN.glob(f"*/{MANIFEST}"))


def _directory(name: str) -> Path:
    if name in builtin_names():
        return BUILTIN / name
    if Path(name).is_dir():
        return Path(name)
    raise TemplateError(f"{name}: neither a directory nor a built-in template set ({', '.join(builtin_names())})")
