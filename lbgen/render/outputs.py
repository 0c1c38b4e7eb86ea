"""Which files come of a template set, and what each is called: one for a template, or one for each of many things.

A file's name is never left to a service's owner: whatever a service is called, its file lies where the set's author
wants it, and nobody else's file has the name. Whether two files could ever meet is decided by the patterns, before
there is a service to make them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import quote

from lbgen.base.errors import TemplateError
from lbgen.base.problem import printable
from lbgen.model import Model
from lbgen.snapshot import Snapshot

NAME = "{name}"  # in a pattern: the name of whatever the file is for
LONGEST_NAME = 150  # characters of a name that are kept; file systems take 255 with what is around it


@dataclass(frozen=True, slots=True)
class Output:
    """A file of a template set, or one for each of ``each``."""

    pattern: str  # path relative to the output directory, with NAME in it if there are many
    template: str
    where: str  # who says so, for messages: the template's path, or the manifest's with the line
    each: str = ""  # key of EACH; empty: one file


# What there can be a file for each of, and the name that the template has for the one it is rendered for.
EACH: Mapping[str, str] = {
    "listeners": "listener",
    "routes": "route",
    "backends": "backend",
    "services": "service",
}


def items(each: str, model: Model, snapshot: Snapshot) -> Sequence[Any]:
    """Return the objects that files are made for; of services those that have a route."""
    if each == "services":
        routed = {route.service for route in model.routes}
        services = [service for service in snapshot.services.values() if service.name in routed]
        return sorted(services, key=lambda service: (service.name, service.id))
    found: Sequence[Any] = getattr(model, each)
    return found


def file_name(name: str) -> str:
    """Return a name as part of a file name: all but letters, digits, ``_``, ``.``, ``-`` and ``~`` is percent-encoded.

    Two names never give the same; none gives a hidden file, another directory, or a name too long.
    """
    text = quote(name, safe="", errors="surrogatepass")
    if text.startswith("."):
        text = "%2E" + text[1:]
    if len(text) > LONGEST_NAME:
        text = f"{text[: LONGEST_NAME - 13]}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:12]}"
    return text or "%"


def check(outputs: Iterable[Output]) -> None:
    """Raise TemplateError for an output that would leave the directory, or two that could be written to one file."""
    outputs = list(outputs)
    for output in outputs:
        _check_pattern(output)
    for one, other in combinations(outputs, 2):
        if _may_meet(one.pattern, other.pattern):
            raise TemplateError(
                f"{other.where}: {other.pattern} and {one.pattern} ({one.where}) may be one file; rename one of "
                "them, or give files of many a directory of their own"
            )


def expanded(output: Output, things: Iterable[Any]) -> dict[str, Any]:
    """Return what each file is for, by its path."""
    found: dict[str, Any] = {}
    for thing in things:
        path = output.pattern.replace(NAME, file_name(thing.name))
        if path in found:
            raise TemplateError(f"{output.where}: {path} would be written for two {output.each}")
        found[path] = thing
    return found


def is_inside(path: str) -> bool:
    """Tell whether a path stays below the directory that it is relative to."""
    return bool(path) and path.isprintable() and os.path.normpath(path) == path and not path.startswith(("/", ".."))


def _check_pattern(output: Output) -> None:
    shown = printable(output.pattern)
    literal = output.pattern.replace(NAME, "name", 1)
    if not is_inside(literal):
        raise TemplateError(f"{output.where}: {shown} is no path below the output directory; write such as conf.d/x")
    if "{" in literal or "}" in literal:
        raise TemplateError(f"{output.where}: {shown}: the only thing in braces is {NAME}, and only once")
    if bool(output.each) != (NAME in output.pattern):
        needed = (
            f"one file for each of the {output.each} needs {NAME} in its name"
            if output.each
            else (f"{NAME} needs 'for', which says whose name it is: {', '.join(EACH)}")
        )
        raise TemplateError(f"{output.where}: {shown}: {needed}")


def _may_meet(one: str, other: str) -> bool:
    """Tell whether two patterns have a path in common, or one the directory of the other as a file."""
    return all(_parts_may_meet(first, second) for first, second in zip(one.split("/"), other.split("/"), strict=False))


def _parts_may_meet(one: str, other: str) -> bool:
    before, named, after = one.partition(NAME)
    start, also_named, end = other.partition(NAME)
    if named and also_named:
        return (before.startswith(start) or start.startswith(before)) and (after.endswith(end) or end.endswith(after))
    if named:
        return other.startswith(before) and other.endswith(after) and len(other) > len(before) + len(after)
    return _parts_may_meet(other, one) if also_named else one == other
