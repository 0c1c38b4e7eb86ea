"""What a pipeline shows beside the lines of a change: GitHub's annotations, GitLab's code quality report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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
from lbgen.report.lint import Limit, Unread
from lbgen.report.positions import Place, Places, shown
from lbgen.snapshot import Note

_TITLES: dict[type[LbgenError], str] = {
    TemplateError: "a template failed",
    CheckFailed: "the checker refused",
    CheckUnavailable: "the checker could not be asked",
    SourceError: "the source cannot be read",
    Differs: "the configuration would change",
}
_PLACE = re.compile(r"([^:\n]+):([0-9]+)(?::[0-9]+)?: ")  # how messages begin that have a place
_HUNK = re.compile(r"^--- (.+)\n\+\+\+ .+\n@@ -([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to show at a line."""

    level: str  # "error", "warning" or "notice"
    title: str
    message: str
    place: Place | None = None


def of_problem(problem: Problem, places: Places, *, failing: bool) -> Finding:
    """Return what to show of a problem.

    Args:
        failing: it is a reason for the command to fail.
    """
    place = Place(shown(problem.file), 1) if problem.file else places.of(problem.service, problem.label, problem.node)
    subject = f"service {problem.service}" if problem.service else f"node {problem.node}" if problem.node else "file"
    return Finding("error" if failing else "warning", f"{subject}: {problem.label or 'problem'}", str(problem), place)


def of_limit(limit: Limit, places: Places, *, strict: bool = False) -> Finding:
    """Return what to show of something that a proxy cannot do, or not quite."""
    level = "error" if strict or limit.level == NO else "warning"
    title = f"service {limit.service}: {limit.feature} on {limit.proxy}"
    return Finding(level, title, str(limit), places.of(limit.service, limit.label))


def of_unread(unread: Unread, places: Places) -> Finding:
    """Return what to show of a label that nobody reads."""
    title = f"service {unread.service}: {unread.label}"
    return Finding("notice", title, str(unread), places.of(unread.service, unread.label))


def of_note(note: Note) -> Finding:
    """Return what to show of something that a file's author should know."""
    place = Place(shown(note.file), max(1, note.line))
    return Finding("error" if note.refused else "notice", note.place or "stack file", str(note), place)


def of_blamed(service: str, target: str, places: Places) -> Finding:
    """Return what to show of a service without which a target's files would not be refused."""
    message = f"target {target} refuses the configuration with this service in it, and accepts the rest"
    return Finding("error", f"service {service}: refused", message, places.of(service))


def of_error(error: LbgenError, difference: str = "") -> Iterator[Finding]:
    """Yield what to show of an error: settings have a line for each thing that is wrong, a difference for each file.

    Args:
        difference: the unified diff that the error is about.
    """
    if isinstance(error, ProblemsFound):
        return  # each of them is shown by itself
    title = next((title for type_, title in _TITLES.items() if isinstance(error, type_)), "the settings cannot be used")
    if isinstance(error, Differs):
        for file, line in _HUNK.findall(difference):
            message = "lbgen would write something else here; the log has the difference"
            yield Finding("warning", title, message, Place(shown(file), max(1, int(line))))
        return
    text = str(error)
    texts = text.splitlines() if len(_PLACE.findall(text)) > 1 and all(map(_PLACE.match, text.splitlines())) else [text]
    for each in texts:
        found = _PLACE.match(each)
        yield Finding("error", title, each, Place(shown(found[1]), int(found[2])) if found else None)


def github(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield workflow commands, each a line of a step's output.

    Source: GitHub Docs, "Workflow commands for GitHub Actions": ``::error file={name},line={line},title={title}::...``.
    """
    for finding in findings:
        properties = {"file": finding.place.file, "line": str(finding.place.line)} if finding.place else {}
        written = ",".join(f"{key}={_property(value)}" for key, value in {**properties, "title": finding.title}.items())
        yield f"::{finding.level} {written}::{_data(finding.message)}"


def gitlab(findings: Iterable[Finding], instead: str = "lbgen.yml") -> list[dict[str, Any]]:
    """Return a code quality report.

    Args:
        instead: the file that what has no place is shown at: the report must name one.
    Source: GitLab Docs, "Code Quality: import code quality results from a CI/CD job".
    """
    severities = {"error": "major", "warning": "minor", "notice": "info"}
    report = []
    for finding in findings:
        place = finding.place or Place(instead, 1)
        digest = hashlib.sha256(f"{place.file}\n{finding.title}\n{finding.message}".encode()).hexdigest()
        report.append(
            {
                "description": finding.message,
                "check_name": finding.title,
                "fingerprint": digest[:32],
                "severity": severities[finding.level],
                "location": {"path": place.file, "lines": {"begin": place.line}},
            }
        )
    return report


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
