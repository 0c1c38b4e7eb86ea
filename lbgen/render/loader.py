"""Finds templates in the directories of a set, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

from lbgen import documents
from lbgen.errors import TemplateError

LARGEST = 1 << 20  # bytes; a larger template is a mistake, and takes seconds to be read


class Loader(BaseLoader):
    """Templates by their path in one of the directories, the first of which that has it wins.

    ``SET/NAME`` always means a built-in set's own. Whoever holds this loader notices changes of files himself.
    """

    def __init__(self, directories: Sequence[Path], builtin: Path) -> None:
        self._directories, self._builtin = tuple(directories), builtin

    def get_source(self, _: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text and path.

        Raises:
            TemplateNotFound: there is none of this name, or the name leads out of the directories.
            TemplateError: it cannot be read.
        """
        parts = split_template_path(template)
        for directory in (*self._directories, self._builtin):
            path = directory.joinpath(*parts)
            if path.is_file():
                if path.stat().st_size > LARGEST:
                    raise TemplateError(f"{path}: larger than {LARGEST >> 20} MiB")
                return documents.read_text(path, TemplateError), str(path), lambda: True
        raise TemplateNotFound(template)

    def list_templates(self) -> list[str]:
        """Return every name that there is."""
        return sorted(
            path.relative_to(directory).as_posix()
            for directory in (*self._directories, self._builtin)
            for path in directory.rglob("*.j2")
        )
