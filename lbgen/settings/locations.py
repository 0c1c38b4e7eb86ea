"""What relative paths in the settings mean: those of the file are relative to it, all others to the working directory.

The one place where that is decided; everything else is handed paths that can be opened as they are. Which settings
are paths is read off their types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from lbgen.settings.value_types import PathIn, Section, split_list


def located(document: dict[Any, Any], model: type[Section], base: Path) -> dict[Any, Any]:
    """Return the settings with their relative paths below ``base``; what is not valid stays as it is.

    Directories and single files become absolute, since the proxy, too, is told them. Lists of files do not: messages
    and reports name these, and a pipeline's relative names are those of its checkout.
    """
    return {key: _located(value, model, key, base) for key, value in document.items()}


def _located(value: object, model: type[Section], key: object, base: Path) -> object:
    field = model.model_fields.get(str(key))
    if field is None:
        return value
    return _marked(value, field.metadata, base) or _by_type(value, field.annotation, base)


def _marked(value: object, metadata: Sequence[object], base: Path) -> object:
    """Return the value of a setting that is marked as one that may hold paths; None if it is not."""
    mark = next((item for item in metadata if isinstance(item, PathIn)), None)
    if mark is None:
        return None
    if isinstance(value, str) and mark.single:
        return str((base / value).absolute()) if mark.is_path(value) else value
    return _each(value, lambda text: str(base / text) if mark.is_path(text) else text)


def _by_type(value: object, annotation: Any, base: Path) -> object:
    if marked := _marked(value, getattr(annotation, "__metadata__", ()), base):
        return marked
    if isinstance(value, str | Path) and annotation is Path:
        return str((base / value).absolute())
    if get_origin(annotation) is list and get_args(annotation) == (Path,):
        return _each(value, lambda text: str(base / text))
    if isinstance(value, list) and get_origin(annotation) is list:
        return [_by_type(each, get_args(annotation)[0], base) for each in value]
    if isinstance(value, dict):
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return located(value, annotation, base)
        if get_origin(annotation) is dict:
            return {name: _by_type(each, get_args(annotation)[1], base) for name, each in value.items()}
    for part in get_args(annotation) if get_origin(annotation) is not list else ():  # Path | None, Section | None
        value = _by_type(value, part, base)
    return value


def _each(value: object, change: Callable[[str], str]) -> object:
    items = split_list(value)
    if not isinstance(items, list):
        return value
    return [change(item) if isinstance(item, str) else item for item in items]
