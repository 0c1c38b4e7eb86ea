"""How commands print results: as lines for a terminal, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

OUTPUT = click.option(
    "--output", "form", type=click.Choice(["text", "json"]), default="text", help="Format of the result."
)
REPORT = click.option(
    "--output",
    "form",
    type=click.Choice(["text", "json", "github", "gitlab"]),
    default="text",
    help="Format of the result; github: annotations for a workflow's log, gitlab: a code quality report.",
)


def print_json(document: Any) -> None:
    """Print a document as JSON."""
    click.echo(json.dumps(document, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines; click drops the colours where standard output is not a terminal."""
    for line in lines:
        click.echo(line)
