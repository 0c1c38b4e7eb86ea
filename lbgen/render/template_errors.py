"""What is wrong with a template, told to its author: file and line, the lines themselves, the value, the near name."""

from __future__ import annotations

import difflib
import inspect
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import Environment, TemplateNotFound, TemplateSyntaxError, UndefinedError, nodes
from jinja2.utils import Namespace

from lbgen.base import bounded_file
from lbgen.base.errors import TemplateError
from lbgen.base.problem import printable

WIDTH = 160  # characters of a template's line that are shown
SHOWN = 4  # values
_OURS = ("environment", "env", "eval_ctx", "context", "args", "kwargs")  # parameters of filters that nobody wrote


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a template while it was rendered."""

    file: str
    line: int
    values: Mapping[str, Any]  # every name that it sees

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def template_error(error: Exception, template: str, env: Environment, directories: Sequence[Path]) -> TemplateError:
    """Return the error as its author needs it.

    Args:
        template: the one that was rendered, for errors that name no file.
        directories: those of the set.
    """
    if isinstance(error, TemplateSyntaxError):
        file, line = error.filename or template, error.lineno
        message = _with_near_filter(error.message or "", env)
        return TemplateError("\n".join([f"{file}:{line}: {message}", *_excerpt(error.source or _text(file), line)]))
    frames = [tb.tb_frame for tb in _chain(error)]
    inside = [index for index, frame in enumerate(frames) if "__jinja_exception__" in frame.f_globals]
    # Jinja gives such a frame the template's own file and line, and its names as locals.
    places = [_place(frames[index], error, index) for index in inside]
    if not places and isinstance(error, TemplateError):
        return error
    if not places and isinstance(error, (RecursionError, SyntaxError)):  # of the code that it is compiled to
        return TemplateError(f"{template}: blocks or brackets are nested too deeply")
    if not places:
        return TemplateError(f"{template}: {_message(error, {}, env, directories)}")
    place = places[-1]
    message = _filter(frames[inside[-1] + 1 :], env) + _message(error, place.values, env, directories)
    lines = [f"{place}: {message}", *_excerpt(_text(place.file), place.line), *_values(place)]
    if outer := [str(outer) for outer in reversed(places[:-1]) if str(outer) != str(place)]:
        lines.append(f"  called from {', '.join(dict.fromkeys(outer[:SHOWN]))}")
    return TemplateError("\n".join(lines))


def suggestion(name: str, known: Iterable[object]) -> str:
    """Return the question whether another name was meant; empty if none is near."""
    close = difflib.get_close_matches(name, sorted({str(each) for each in known}), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def described(value: object) -> str:
    """Describe a value in a few words."""
    name = getattr(value, "name", None)
    if isinstance(name, str) and not isinstance(value, type):
        return f"{type(value).__name__} {printable(name)!r}"
    return printable(reprlib.repr(value))


def _chain(error: Exception) -> Iterable[Any]:
    traceback = error.__traceback__
    while traceback:
        yield traceback
        traceback = traceback.tb_next


def _place(frame: FrameType, error: Exception, index: int) -> Place:
    line = [tb.tb_lineno for tb in _chain(error)][index]
    return Place(frame.f_code.co_filename, line, frame.f_locals)


def _message(error: Exception, values: Mapping[str, Any], env: Environment, directories: Sequence[Path]) -> str:
    if isinstance(error, TemplateNotFound):
        return _not_found(error, env, directories)
    if isinstance(error, RecursionError):
        return "a macro or a template calls itself without end"
    if isinstance(error, UndefinedError):
        return str(error) + _near_name(str(error), values, env)
    return _with_near_filter(str(error), env) or type(error).__name__


def _not_found(error: TemplateNotFound, env: Environment, directories: Sequence[Path]) -> str:
    name = str(error.name)
    if name.startswith("/") or ".." in name.split("/"):
        return (
            f"{printable(name)} lies outside of the set; templates come from {', '.join(map(str, directories))} alone"
        )
    return f"there is no template {printable(name)} in the set{suggestion(name, env.list_templates())}"


def _with_near_filter(message: str, env: Environment) -> str:
    match = re.match(r"No (filter|test) named '(.+?)'", message)
    return match[0] + suggestion(match[2], env.filters if match[1] == "filter" else env.tests) if match else message


def _near_name(message: str, values: Mapping[str, Any], env: Environment) -> str:
    if match := re.fullmatch(r"'(\w+)' is undefined", message):
        return suggestion(match[1], [*values, *env.globals])
    if match := re.match(r"the template '(.+?)' .*does not export the requested name '(.+?)'", message):
        return suggestion(match[2], _exported(match[1], env))
    return ""


def _exported(template: str, env: Environment) -> Iterable[str]:
    """Return the names that can be imported from a template."""
    assert env.loader
    tree = env.parse(env.loader.get_source(env, template)[0])
    yield from (macro.name for macro in tree.find_all(nodes.Macro))
    yield from (name.name for name in tree.find_all(nodes.Name) if name.ctx == "store")


def _filter(frames: Sequence[FrameType], env: Environment) -> str:
    """Return which filter or test was at work, and on what, if one was."""
    kinds: tuple[tuple[str, Mapping[str, Any]], ...] = (("test", env.tests), ("filter", env.filters))
    known = {
        getattr(inspect.unwrap(made), "__code__", None): f"{kind} {name}"
        for kind, all_of_them in kinds
        for name, made in all_of_them.items()
    }
    for frame in frames:
        if name := known.get(frame.f_code):
            given = inspect.getargvalues(frame)
            shown = [each for each in given.args if each not in _OURS]
            return f"{name}({', '.join(f'{each}={described(frame.f_locals.get(each))}' for each in shown)}): "
    return ""


def _text(file: str) -> str:
    try:
        return bounded_file.read_text(file, 1 << 20)
    except OSError:
        return ""


def _excerpt(text: str, line: int) -> list[str]:
    """Return the line with the one before and the one after it."""
    lines = text.splitlines()
    return [
        f"  {'>' if number == line else ' '} {number:>4} | {printable(lines[number - 1].expandtabs(4), WIDTH)}".rstrip()
        for number in range(max(1, line - 1), min(len(lines), line + 1) + 1)
    ]


def _values(place: Place) -> list[str]:
    """Return the values of the names on the line, without those of the whole cluster."""
    lines = _text(place.file).splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    names = [name for name in dict.fromkeys(re.findall(r"(?<![.\w'\"])[A-Za-z_]\w*", line)) if name in place.values]
    shown = [f"{name} = {described(place.values[name])}" for name in names if _is_small(place.values[name])]
    return [f"  with {', '.join(shown[:SHOWN])}"] if shown else []


def _is_small(value: object) -> bool:
    return isinstance(value, str) or not (callable(value) or isinstance(value, (Sequence, Mapping, Namespace)))
