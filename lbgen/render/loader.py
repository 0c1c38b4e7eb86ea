"""Finds templates in the directories of a set, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

from lbgen.base import documents
from lbgen.base.errors import TemplateError

LARGEST = 1 << 20  # bytes; a larger template is a mistake, and takes seconds to be read


class Loader(BaseLoader):
    """Templates by their path in one of the directories, the first of which that has it wins.

    ``SET/NAME`` always means the built-in set's own. The directories are read at once, so that what belongs together
    stays together when one template is saved; a built-in template of another set is read when it is used.
    """

    def __init__(self, directories: Sequence[Path], builtin: Path) -> None:
        self._roots = (*directories, builtin)
        paths = (path for root in directories for path in root.rglob("*.j2") if path.is_file())
        self._sources = {path: _source(path) for path in paths}

    def get_source(self, _: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text and path.

        Raises:
            TemplateNotFound: no such name, or the name leads out of the directories.
            TemplateError: it cannot be read.
        """
        parts = split_template_path(template)
        for root in self._roots:
            path = root.joinpath(*parts)
            source = self._sources.get(path)
            if source is None and (path.suffix != ".j2" or root == self._roots[-1]) and path.is_file():
                source = _source(path)
            if isinstance(source, TemplateError):
                raise TemplateError(str(source))
            if source is not None:
                self._sources[path] = source
                return source, str(path), lambda: True
        raise TemplateNotFound(template)

    def list_templates(self) -> list[str]:
        """List every name."""
        return sorted(path.relative_to(root).as_posix() for root in self._roots for path in root.rglob("*.j2"))


def _source(path: Path) -> str | TemplateError:
    """Return a file's text, or why it cannot be read: an error only where the template is used."""
    try:
        if path.stat().st_size > LARGEST:
            return TemplateError(f"{path}: larger than {LARGEST >> 20} MiB")
        return documents.read_text(path, TemplateError)
    except OSError as error:
        return TemplateError(f"{path}: cannot be read: {error.strerror}")
    except TemplateError as error:
        return error
