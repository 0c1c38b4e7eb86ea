"""`lbgen templates`: the built-in sets, a copy to start from, and tests of a set against golden files."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click

from lbgen.base import logs
from lbgen.base.errors import Differs, SettingsError
from lbgen.cli.output import OUTPUT
from lbgen.render import context_reference
from lbgen.render.block_reference import blocks_of
from lbgen.render.templates import BUILTIN, builtin_names, find
from lbgen.report.golden import GoldenSuite, Verdict

DIRECTORY = click.Path(path_type=Path)


@click.group()
def templates() -> None:
    """List, copy and test template sets."""


@templates.command("list")
@click.argument("names", nargs=-1, metavar="[DIR...]")
@OUTPUT
def list_(names: Sequence[str], form: str) -> None:
    """List the built-in sets, or the set in DIR: its files, and the blocks of their templates.

    Several directories are one set, the first that has a file wins.
    """
    sets = [_set_document([*names])] if names else [_set_document([name]) for name in builtin_names()]
    if form == "json":
        click.echo(json.dumps({"sets": sets}, indent=2))
        return
    for each in sets:
        click.echo(f"{each['name']} (proxy: {each['proxy']})")
        for file in each["files"]:
            many = f", one for each of the {file['for']}" if file["for"] else ""
            click.echo(f"  {file['file']} (from {file['template']}{many})")
            for block in file["blocks"]:
                has = f" (has {', '.join(block['has'])})" if block["has"] else ""
                click.echo(f"    {block['name']:<24}{block['about']}{has}".rstrip())


def _set_document(names: Sequence[str]) -> dict[str, Any]:
    template_set = find(names)
    files = [
        {
            "file": output.pattern,
            "template": output.template,
            "for": output.each,
            "blocks": [
                {"name": block.name, "has": block.has, "about": block.about}
                for block in blocks_of(template_set, output.template)
            ],
        }
        for output in template_set.outputs()
    ]
    return {"name": ", ".join(names), "proxy": template_set.manifest.proxy, "files": files}


@templates.command()
@click.argument("name", type=click.Choice(builtin_names()))
@click.argument("directory", type=DIRECTORY)
def eject(name: str, directory: Path) -> None:
    """Copy a built-in set into a directory, to start one of your own from. Overwrites nothing.

    To change a block or two, write a file that extends the built-in one instead: see docs/templates.md.
    """
    source = BUILTIN / name
    files = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
    files = [file for file in files if "__pycache__" not in file.parts]  # the set's compiled code
    there = [str(directory / file) for file in files if (directory / file).exists()]
    if there:
        raise SettingsError(f"{', '.join(there)}: already exists; choose another directory, or move it away")
    try:
        for file in files:
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, directory / file)
            click.echo(directory / file)
    except OSError as error:
        raise SettingsError(f"{error.filename or directory}: cannot be written: {error.strerror}") from error


@templates.command("try")
@click.argument("directory", metavar="DIR")
@click.option("--from", "cases", type=DIRECTORY, required=True, metavar="CASES", help="Directory of the cases.")
@click.option("--proxy", metavar="KIND", help=f"Built-in set behind DIR: {', '.join(builtin_names())}.")
@click.option("--golden", type=DIRECTORY, metavar="DIR", help="Directory of the golden files. Default: CASES.")
@click.option(
    "--config", "common", type=DIRECTORY, metavar="FILE", help="Settings of cases that have none of their own."
)
@click.option("--update", is_flag=True, help="Write golden files that are missing or differ.")
@click.option("--no-check", is_flag=True, help="Do not run the proxy's own program.")
@click.option("--junit", type=DIRECTORY, metavar="FILE", help="Also write the result as JUnit XML, for CI.")
@OUTPUT
def try_(
    directory: str,
    cases: Path,
    proxy: str | None,
    golden: Path | None,
    common: Path | None,
    update: bool,
    no_check: bool,
    junit: Path | None,
    form: str,
) -> None:
    """Render every case, compare it with its golden file, and have the proxy's own program check it.

    A case is a file in CASES that --from takes: a snapshot, or a stack file. Its settings are in NAME.settings.yml, its
    golden file is NAME.golden, which is the same on every machine.

    \b
    Exit codes:
      0  every case matches its golden file
      3  a template failed, or the checker refused a case
      6  a case differs from its golden file
    """
    logs.configure("warning", "text")
    names = [directory, *([proxy] if proxy else [])]
    find(names)  # what is wrong with the set is wrong with every case
    suite = GoldenSuite(names, cases, golden=golden, common=common)
    verdicts = [suite.judge(case, update=update, check=not no_check) for case in suite.cases()]
    if junit:
        junit.write_bytes(_junit(verdicts))
    if form == "json":
        click.echo(json.dumps({"cases": [_verdict_document(verdict) for verdict in verdicts]}, indent=2))
    else:
        _tell(verdicts)
    sys.exit(min((_exit_code(verdict) for verdict in verdicts if not verdict.good), default=0))


@templates.command()
@click.option("--json-schema", "as_schema", is_flag=True, help="Print its JSON Schema.")
def context(as_schema: bool) -> None:
    """Describe what templates see: every name, object, field and filter."""
    click.echo(
        json.dumps(context_reference.schema(), indent=2) if as_schema else context_reference.markdown(), nl=as_schema
    )


def _tell(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        word = "wrote" if verdict.written else "ok" if verdict.good else "FAIL"
        click.echo(f"{word:<6}{verdict.case}")
        if verdict.error:
            click.echo(verdict.error)
        elif not verdict.written:
            click.echo(verdict.difference, nl=False)
    failed = sum(not verdict.good for verdict in verdicts)
    hint = (
        "; --update writes the golden files that differ"
        if any(verdict.difference for verdict in verdicts) and failed
        else ""
    )
    click.echo(f"{len(verdicts)} case{'s' * (len(verdicts) != 1)}, {failed} failed{hint}")


def _exit_code(verdict: Verdict) -> int:
    return verdict.error.exit_code if verdict.error else Differs.exit_code


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "case": verdict.case,
        "good": verdict.good,
        "written": verdict.written,
        "difference": verdict.difference,
        "error": str(verdict.error or ""),
        "exit_code": 0 if verdict.good else _exit_code(verdict),
    }


def _junit(verdicts: Sequence[Verdict]) -> bytes:
    failed = [verdict for verdict in verdicts if not verdict.good]
    suite = ElementTree.Element("testsuite", name="lbgen", tests=str(len(verdicts)), failures=str(len(failed)))
    for verdict in verdicts:
        case = ElementTree.SubElement(suite, "testcase", classname="lbgen.templates", name=verdict.case)
        if not verdict.good:
            message = str(verdict.error).partition("\n")[0] if verdict.error else "differs from the golden file"
            ElementTree.SubElement(case, "failure", message=message).text = str(verdict.error or verdict.difference)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
