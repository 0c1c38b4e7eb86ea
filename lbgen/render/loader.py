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

    ``SET/NAME`` always means a built-in set's own. Templates are read at once, all of them, so that they go on
    belonging together when one is saved; whoever holds this loader notices that himself.
    """

    def __init__(self, directories: Sequence[Path], builtin: Path) -> None:
        self._roots = (*directories, builtin)
        paths = (path for root in self._roots for path in root.rglob("*.j2") if path.is_file())
        self._read = {path: _source(path) for path in paths}

    def get_source(self, _: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text and path.

        Raises:
            TemplateNotFound: there is none of this name, or the name leads out of the directories.
            TemplateError: it cannot be read.
        """
        parts = split_template_path(template)
        for root in self._roots:
            path = root.joinpath(*parts)
            found = self._read.get(path)
            if found is None and path.suffix != ".j2" and path.is_file():
                found = _source(path)
            if isinstance(found, TemplateError):
                raise TemplateError(str(found))
            if found is not None:
                return found, str(path), lambda: True
        raise TemplateNotFound(template)

    def list_templates(self) -> list[str]:
        """Return every name that there is."""
        return sorted(
            path.relative_to(root).as_posix() for path in self._read for root in self._roots if root in path.parents
        )


def _source(path: Path) -> str | TemplateError:
    """Return a file's text, or why it cannot be had: that concerns nobody who does not use it."""
    try:
        if path.stat().st_size > LARGEST:
            return TemplateError(f"{path}: larger than {LARGEST >> 20} MiB")
        return documents.read_text(path, TemplateError)
    except OSError as error:
        return TemplateError(f"{path}: cannot be read: {error.strerror}")
    except TemplateError as error:
        return error
