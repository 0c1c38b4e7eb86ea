"""Which files a template set renders, and their names: one file for a template, or one for each of many items.

No service's owner chooses a file's name: whatever a service is called, its file lies where the set's author wants it,
and no other file has that name. Whether two files could ever clash is decided by the patterns alone.
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
from lbgen.labels.values.users import IN_LABEL, User
from lbgen.model import Model
from lbgen.render.credential_files import Page
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


# The kinds of items that can have a file each, and the item's name in the template.
EACH: Mapping[str, str] = {
    "listeners": "listener",
    "routes": "route",
    "backends": "backend",
    "services": "service",
    "users": "users_file",
    "label_users": "users_file",
    "pages": "page",
}
PAGES = "pages/{name}"  # where a set writes the pages that backends show
USERS = "users/{name}"  # where a set writes a file of users that labels hold: `users_files` says so


@dataclass(frozen=True, slots=True)
class UsersFile:
    """The users that some backend lets in."""

    name: str  # as `Policy.users` has it
    users: tuple[User, ...]  # none: nobody is let in


@dataclass(frozen=True, slots=True)
class Named:
    """What files hold that labels name, by the names that the model has."""

    users: Mapping[str, tuple[User, ...]]
    pages: Mapping[str, Page]


def items_for(each: str, model: Model, snapshot: Snapshot, named: Named) -> Sequence[Any]:
    """Return the objects that files are made for; of services, those that have a route."""
    if each == "pages":
        shown = sorted({page.file for backend in model.backends for page in backend.error_pages})
        return [named.pages[name] for name in shown if name in named.pages]
    if each in ("users", "label_users"):
        names = sorted({backend.policy.users for backend in model.backends} - {""})
        wanted = [name for name in names if each == "users" or name.startswith(IN_LABEL)]
        return [UsersFile(name, named.users.get(name, ())) for name in wanted]
    if each == "services":
        routed = {route.service for route in model.routes}
        services = [service for service in snapshot.services.values() if service.name in routed]
        return sorted(services, key=lambda service: (service.name, service.id))
    items: Sequence[Any] = getattr(model, each)
    return items


def file_name(name: str) -> str:
    """Return a name as part of a file name, percent-encoded except letters, digits, ``_``, ``.``, ``-`` and ``~``.

    Two names never give the same result; none gives a hidden file, another directory, or a name too long.
    """
    text = quote(name, safe="", errors="surrogatepass")
    if text.startswith("."):
        text = "%2E" + text[1:]
    if len(text) > LONGEST_NAME:
        text = f"{text[: LONGEST_NAME - 13]}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:12]}"
    return text or "%"


def refuse_clashes(outputs: Iterable[Output]) -> None:
    """Raise TemplateError for an output that would leave the directory, or two that could be written to one file."""
    outputs = list(outputs)
    for output in outputs:
        _check_pattern(output)
    for one, other in combinations(outputs, 2):
        if _may_clash(one.pattern, other.pattern):
            raise TemplateError(
                f"{other.where}: {other.pattern} and {one.pattern} ({one.where}) may be one file; rename one of "
                "them, or put the files of {name} into a directory of their own"
            )


def items_by_path(output: Output, items: Iterable[Any]) -> dict[str, Any]:
    """Return the item that each file is for, by the file's path."""
    by_path: dict[str, Any] = {}
    for item in items:
        path = output.pattern.replace(NAME, file_name(item.name))
        if path in by_path:
            raise TemplateError(f"{output.where}: {path} would be written for two {output.each}")
        by_path[path] = item
    return by_path


def is_inside(path: str) -> bool:
    """Tell whether a path stays below the directory that it is relative to."""
    return bool(path) and path.isprintable() and os.path.normpath(path) == path and not path.startswith(("/", ".."))


def _check_pattern(output: Output) -> None:
    shown = printable(output.pattern)
    literal = output.pattern.replace(NAME, "name", 1)
    if not is_inside(literal):
        raise TemplateError(f"{output.where}: {shown} is not below the output directory; write for example conf.d/x")
    if "{" in literal or "}" in literal:
        raise TemplateError(f"{output.where}: {shown}: only {NAME} may stand in braces, and only once")
    if bool(output.each) != (NAME in output.pattern):
        needed = (
            f"one file for each of the {output.each} needs {NAME} in its name"
            if output.each
            else (f"{NAME} needs 'for', which says whose name it is: {', '.join(EACH)}")
        )
        raise TemplateError(f"{output.where}: {shown}: {needed}")


def _may_clash(one: str, other: str) -> bool:
    """Tell whether two patterns have a path in common, or one the directory of the other as a file."""
    return all(_parts_may_clash(first, second) for first, second in zip(one.split("/"), other.split("/"), strict=False))


def _parts_may_clash(one: str, other: str) -> bool:
    before, named, after = one.partition(NAME)
    start, also_named, end = other.partition(NAME)
    if named and also_named:
        return (before.startswith(start) or start.startswith(before)) and (after.endswith(end) or end.endswith(after))
    if named:
        return other.startswith(before) and other.endswith(after) and len(other) > len(before) + len(after)
    return _parts_may_clash(other, one) if also_named else one == other
