"""The directory of settings and templates that a hub hands out: read whole, or refused whole.

    edges.yml                 labels of edges: NAME: {zone: eu}
    10-all/group.yml          which edges: `edges: ["*"]`, or `labels: {zone: eu}`, of edges.yml or their certificates
    10-all/settings.yml       settings for them
    10-all/templates/PROXY/   templates for their targets with this proxy

An edge gets all the groups that it is in, laid over one another in the order of their names: the last one wins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from lbgen.base import bounded_file, documents
from lbgen.base.errors import LbgenError
from lbgen.base.fingerprint import walk
from lbgen.settings import Settings
from lbgen.settings.accepted import forbidden, lay_under
from lbgen.source.hub.handout import LARGEST, LARGEST_FILE, MOST_FILES, Bundle

GROUP, SETTINGS, TEMPLATES, EDGES = "group.yml", "settings.yml", "templates", "edges.yml"
MOST_GROUPS = 100
_BELOW = {GROUP, SETTINGS, TEMPLATES}


class FleetRefused(LbgenError):
    """The directory cannot be used. The version before stays the one that is handed out."""

    exit_code = 2


class Selector(BaseModel):
    """``group.yml``: which edges are in the group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edges: list[str] = []
    """Names; * stands for any characters."""
    labels: dict[str, str] = {}
    """Edges that have all these labels in edges.yml."""

    @model_validator(mode="after")
    def _some(self) -> Selector:
        if bool(self.edges) == bool(self.labels):
            raise ValueError("name edges or labels, one of both")
        return self

    def selects(self, edge: str, labels: Mapping[str, str]) -> bool:
        """Tell whether an edge is in the group."""
        if self.edges:
            return any(fnmatchcase(edge, pattern) for pattern in self.edges)
        return all(labels.get(key) == value for key, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class Group:
    """Edges, and what they get."""

    name: str
    selector: Selector
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything in the directory, as it was at one moment."""

    groups: tuple[Group, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The content's name: equal content has the same one at every hub."""
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()[:16]

    def bundle(self, edge: str, labels: Mapping[str, str] | None = None) -> Bundle:
        """Return what an edge gets; an empty bundle where no group is for it.

        Args:
            labels: of its certificate; those of edges.yml go before.
        """
        all_labels = {**(labels or {}), **self.labels.get(edge, {})}
        settings: dict[str, Any] = {}
        templates: dict[str, str] = {}
        for group in self.groups:
            if group.selector.selects(edge, all_labels):
                settings = lay_under(settings, group.bundle.settings)
                templates |= group.bundle.templates
        return Bundle(settings, templates)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        groups = [
            {"name": each.name, "selector": each.selector.model_dump(), **asdict(each.bundle)} for each in self.groups
        ]
        return {"groups": groups, "labels": {name: dict(labels) for name, labels in self.labels.items()}}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Fleet:
        """Return what `document` wrote; raise ValueError, KeyError or TypeError where it is something else."""
        groups = [
            Group(each["name"], Selector.model_validate(each["selector"]), Bundle(each["settings"], each["templates"]))
            for each in document["groups"]
        ]
        return cls(tuple(groups), document["labels"])


def read(directory: Path) -> Fleet:
    """Read the directory.

    Raises:
        FleetRefused: one line for each thing that is wrong, with its file.
    """
    if not directory.is_dir():
        raise FleetRefused(f"{directory}: is not a directory; hub.fleet.directory names the one with the groups")
    groups, wrong = [], []
    found = sorted(each for each in directory.iterdir() if not each.name.startswith("."))
    for path in found:
        if path.name == EDGES:
            continue
        try:
            groups.append(_group(path, directory))
        except LbgenError as error:
            wrong.append(str(error))
    labels: Mapping[str, Mapping[str, str]] = {}
    try:
        labels = _labels(directory)
    except LbgenError as error:
        wrong.append(str(error))
    if len(groups) > MOST_GROUPS:
        wrong.append(f"{directory}: {len(groups)} groups are more than {MOST_GROUPS}")
    if not wrong:
        wrong += _too_much_together(groups, directory)
    if wrong:
        raise FleetRefused("\n".join(wrong))
    return Fleet(tuple(groups), labels)


def _too_much_together(groups: list[Group], directory: Path) -> Iterator[str]:
    """Yield what is wrong with an edge that is in all groups: one by one they may be fine."""
    try:
        Bundle(
            {str(number): each.bundle.settings for number, each in enumerate(groups)},
            {path: text for each in groups for path, text in each.bundle.templates.items()},
        ).check()
    except LbgenError as error:
        yield f"{directory}: all groups together: {error}"


def _group(path: Path, root: Path) -> Group:
    if not path.is_dir():
        raise FleetRefused(f"{path}: is neither {EDGES} nor the directory of a group; remove it")
    _refuse_outside(path, root)
    names = {each.name for each in path.iterdir() if not each.name.startswith(".")}
    for name in sorted(names):
        _refuse_outside(path / name, root)
    if strange := sorted(names - _BELOW):
        raise FleetRefused(f"{path}: has {', '.join(strange)}; a group has {', '.join(sorted(_BELOW))}")
    settings = _mapping(path / SETTINGS, root)
    if keys := forbidden(settings):
        raise FleetRefused(f"{path / SETTINGS}: a hub never sets {', '.join(keys)}: remove this")
    _validate(settings, path / SETTINGS)
    bundle = Bundle(settings, dict(_templates(path / TEMPLATES, root)))
    try:
        bundle.check()
    except LbgenError as error:
        raise FleetRefused(f"{path}: {error}") from error
    return Group(path.name, _selector(path / GROUP, root), bundle)


def _selector(path: Path, root: Path) -> Selector:
    content = _mapping(path, root)
    try:
        return Selector.model_validate(content)
    except ValidationError as error:
        origins = {key: f"{path}:{line}" for key, line in documents.lines_of(path).items()}
        unknown = "unknown key; there are edges and labels"
        lines = documents.complaints(error, origins, str(path), lambda _: unknown)
        raise FleetRefused("\n".join(lines)) from error


def _validate(settings: Mapping[str, Any], path: Path) -> None:
    """Refuse settings of a wrong form. Whether sections fit together only the edge knows, whose own lie over them."""
    try:
        Settings.model_validate(settings)
    except ValidationError as error:
        origins = {key: f"{path}:{line}" for key, line in documents.lines_of(path).items()}
        lines = documents.complaints(error, origins, str(path), lambda _: "unknown key; see 'lbgen config schema'")
        details = zip(lines, error.errors(), strict=True)
        if wrong := [line for line, detail in details if _is_about_one_value(detail["type"], detail["input"])]:
            raise FleetRefused("\n".join(wrong)) from error


def _is_about_one_value(kind: str, value: object) -> bool:
    return kind == "extra_forbidden" or (kind != "missing" and not isinstance(value, Mapping | Settings))


def _labels(directory: Path) -> dict[str, dict[str, str]]:
    content = _mapping(directory / EDGES, directory)
    for name, labels in content.items():
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise FleetRefused(f"{directory / EDGES}: {name}: write labels as a mapping of texts, such as {{zone: eu}}")
    return content


def _templates(directory: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each template."""
    size = count = 0
    for inner, files in walk(directory):
        _refuse_outside(inner, root)  # before anything in it is walked through
        count += len(files)
        if count > MOST_FILES:
            raise FleetRefused(f"{directory}: more than {MOST_FILES} files")
        for file in files:
            text = _text(file, root)
            size += len(text)
            if size > LARGEST:
                raise FleetRefused(f"{directory}: larger than {LARGEST >> 20} MiB")
            yield file.relative_to(directory).as_posix(), text


def _mapping(path: Path, root: Path) -> dict[str, Any]:
    """Return a YAML file's mapping; an empty one where there is no file."""
    if not path.exists() and not path.is_symlink():
        return {}
    text = _text(path, root)
    content = documents.parse(text, str(path), FleetRefused) if text.strip() else {}
    if not isinstance(content, dict | None):
        raise FleetRefused(f"{path}: expected a mapping, found {type(content).__name__}")
    return content or {}


def _text(path: Path, root: Path) -> str:
    try:
        _refuse_outside(path, root)
        return bounded_file.read(path, LARGEST_FILE).decode("utf-8-sig")
    except OSError as error:
        raise FleetRefused(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FleetRefused(f"{path}: not UTF-8") from error


def _refuse_outside(path: Path, root: Path) -> None:
    """Refuse a link that leads out of the fleet's directory: what it leads to would be handed to every edge."""
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve(strict=True))
    except OSError as error:  # a link to nothing, say: what it led to is missing, and not meant to be empty
        raise FleetRefused(f"{path}: cannot be read: {error.strerror}") from error
    if not inside:
        raise FleetRefused(f"{path}: leads out of {root}: copy what it leads to")
