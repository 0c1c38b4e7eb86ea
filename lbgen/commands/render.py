"""`lbgen render`."""

from __future__ import annotations

from pathlib import Path

import click
import structlog

from lbgen import wiring
from lbgen.commands.following import follow, loop_of
from lbgen.commands.given import FORM, Given, given, taken
from lbgen.errors import LbgenError
from lbgen.preview import Preview, Wishes

log = structlog.get_logger()


@click.command()
@given()
@click.option("--once", is_flag=True, help="Render once and exit; without it, again after every change.")
@click.option("-o", "output", metavar="DIR|-", default="-", help="Where the files go. Default: -, standard output.")
@click.option("--check", is_flag=True, help="Have the proxy's own binary check the result (exit code 3).")
@click.option(
    "--diff", type=click.Path(path_type=Path), metavar="DIR", help="Show what differs from these files (exit code 6)."
)
@click.option("--strict", is_flag=True, help="Fail if any service has a problem (exit code 5).")
@FORM
def render(common: Given, once: bool, output: str, check: bool, diff: Path | None, strict: bool, form: str) -> None:
    """Print or write the configuration lbgen would apply; apply nothing."""
    settings = common.settings("warning")
    chosen = common.targets(settings)
    previews = []
    for name, target in chosen.items():
        directory = None if output == "-" else Path(output) / (name if len(chosen) > 1 else "")
        compared = diff / (name if len(chosen) > 1 else "") if diff else None
        wishes = Wishes(directory, True, check, compared, strict, form == "json")
        renderer = wiring.renderer_of(name, target, settings)
        previews.append(Preview(name, renderer, wiring.checker_of(name, target, settings), wishes))
    if not once:
        loop = loop_of(settings, wiring.source_of(settings), previews)
        follow(loop, [preview.renderer for preview in previews], settings)
        return
    snapshot, model = taken(settings)
    for problem in model.problems:
        log.warning("problem", problem=str(problem))
    failures = []
    for preview in previews:
        try:
            preview.show(preview.renderer.render(model, snapshot), model)
        except LbgenError as error:
            failures.append(error)
    if failures:
        raise min(failures, key=lambda error: error.exit_code)
