"""What a pipeline shows at the lines of a change: GitHub's annotations, GitLab's code quality report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lbgen.base.errors import (
    CheckFailed,
    CheckUnavailable,
    Differs,
    LbgenError,
    ProblemsFound,
    SourceError,
    TemplateError,
)
from lbgen.base.problem import Problem
from lbgen.proxies.kind import NO
from lbgen.report.positions import Position, Positions, short_path
from lbgen.report.unread import NEVER, Unread
from lbgen.snapshot import Note

if TYPE_CHECKING:
    from lbgen.report.expected import Unmet
    from lbgen.report.limits import Limit

_TITLES: dict[type[LbgenError], str] = {
    TemplateError: "a template failed",
    CheckFailed: "the checker refused",
    CheckUnavailable: "the checker could not be asked",
    SourceError: "the source cannot be read",
    Differs: "the configuration would change",
}
_POSITION = re.compile(r"([^:\n]+):([0-9]+)(?::[0-9]+)?: ")  # how messages begin that have a position
_HUNK = re.compile(r"^--- (.+)\n\+\+\+ .+\n@@ -([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One message at a line."""

    level: str  # "error", "warning" or "notice"
    title: str
    message: str
    position: Position | None = None


def problem_annotation(problem: Problem, positions: Positions, *, failing: bool) -> Annotation:
    """Return the annotation of a problem.

    Args:
        failing: the command fails because of it.
    """
    position = (
        Position(short_path(problem.file), 1)
        if problem.file
        else positions.of(problem.service, problem.label, problem.node)
    )
    subject = f"service {problem.service}" if problem.service else f"node {problem.node}" if problem.node else "file"
    return Annotation(
        "error" if failing else "warning", f"{subject}: {problem.label or 'problem'}", str(problem), position
    )


def remark_annotation(remark: Problem, positions: Positions) -> Annotation:
    """Return the annotation of what a service should know of another one."""
    return Annotation("notice", f"service {remark.service}", str(remark), positions.of(remark.service))


def limit_annotation(limit: Limit, positions: Positions, *, strict: bool = False) -> Annotation:
    """Return the annotation of what a proxy cannot do, or only in part."""
    level = "error" if strict or limit.level == NO else "warning"
    title = f"{limit.whose}: {limit.feature} on {limit.proxy}"
    return Annotation(level, title, str(limit), positions.of(limit.service, limit.label))


def unread_annotation(unread: Unread, positions: Positions, *, failing: bool) -> Annotation:
    """Return the annotation of a label that is not read.

    Args:
        failing: the command fails because of it.
    """
    level = "error" if failing else "notice" if unread.fails == NEVER else "warning"
    title = f"service {unread.service}: {unread.label}"
    return Annotation(level, title, str(unread), positions.of(unread.service, unread.label))


def unmet_annotation(unmet: Unmet, positions: Positions) -> Annotation:
    """Return the annotation of a service that is not routed and should be, or of none at all."""
    title = f"service {unmet.service}: not routed" if unmet.service else "nothing is routed"
    return Annotation("error", title, str(unmet), positions.of(unmet.service) if unmet.service else None)


def note_annotation(note: Note, *, failing: bool = False) -> Annotation:
    """Return the annotation of a note on a file.

    Args:
        failing: the command fails because of it.
    """
    position = Position(short_path(note.file), max(1, note.line))
    level = "error" if failing or note.refused else "notice"
    return Annotation(level, note.place or "stack file", str(note), position)


def blame_annotation(service: str, target: str, positions: Positions) -> Annotation:
    """Return the annotation of a service without which a target's files would be accepted."""
    message = f"target {target} refuses the configuration with this service in it, and accepts the rest"
    return Annotation("error", f"service {service}: refused", message, positions.of(service))


def error_annotations(error: LbgenError, difference: str = "") -> Iterator[Annotation]:
    """Yield the annotations of an error: one for each setting that is wrong, or for each file that differs.

    Args:
        difference: the unified diff that the error is about.
    """
    if isinstance(error, ProblemsFound):
        return  # each of them is shown by itself
    title = next((title for type_, title in _TITLES.items() if isinstance(error, type_)), "the settings cannot be used")
    if isinstance(error, Differs):
        for file, line in _HUNK.findall(difference):
            message = "lbgen would write something else here; the log has the difference"
            yield Annotation("warning", title, message, Position(short_path(file), max(1, int(line))))
        return
    lines = str(error).splitlines()
    for each in lines if len(lines) > 1 and all(map(_POSITION.match, lines)) else [str(error)]:
        match = _POSITION.match(each)
        yield Annotation("error", title, each, Position(short_path(match[1]), int(match[2])) if match else None)


def github_lines(annotations: Iterable[Annotation]) -> Iterator[str]:
    """Yield workflow commands, each a line of a step's output.

    Source: GitHub Docs, "Workflow commands for GitHub Actions": ``::error file={name},line={line},title={title}::...``.
    """
    for annotation in annotations:
        properties = (
            {"file": annotation.position.file, "line": str(annotation.position.line)} if annotation.position else {}
        )
        written = ",".join(
            f"{key}={_property(value)}" for key, value in {**properties, "title": annotation.title}.items()
        )
        yield f"::{annotation.level} {written}::{_data(annotation.message)}"


def gitlab_report(annotations: Iterable[Annotation], instead: str = "lbgen.yml") -> list[dict[str, Any]]:
    """Return a code quality report.

    Args:
        instead: the file for annotations without a position: the report must name one.
    Source: GitLab Docs, "Code Quality: import code quality results from a CI/CD job".
    """
    severities = {"error": "major", "warning": "minor", "notice": "info"}
    report = []
    for annotation in annotations:
        position = annotation.position or Position(instead, 1)
        digest = hashlib.sha256(f"{position.file}\n{annotation.title}\n{annotation.message}".encode()).hexdigest()
        report.append(
            {
                "description": annotation.message,
                "check_name": annotation.title,
                "fingerprint": digest[:32],
                "severity": severities[annotation.level],
                "location": {"path": position.file, "lines": {"begin": position.line}},
            }
        )
    return report


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
