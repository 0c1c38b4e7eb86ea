"""`lbgen render`: the files a target would get, shown, compared or written, never applied."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import structlog

from lbgen.apply import disk
from lbgen.errors import CheckFailed, CheckUnavailable, Differs, LbgenError, ProblemsFound
from lbgen.model import Model
from lbgen.render import Files, Renderer
from lbgen.snapshot import Snapshot

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for."""

    output: Path | None = None  # None: standard output
    shown: bool = True  # print the files when they are not written
    check: bool = False
    diff: Path | None = None
    strict: bool = False
    json: bool = False


@dataclass(slots=True)
class Preview:
    """One target's files on their way to a person or a pipeline. A `Loop` can hold it as it holds a Target."""

    name: str
    renderer: Renderer
    check: Callable[[Files], None]
    wishes: Wishes
    last: Files | None = None

    def start(self) -> None:
        """Nothing runs that could be asked."""

    def stop(self) -> None:
        """Nothing was started."""

    def due(self) -> float | None:
        """There is nothing to retry."""
        return None

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Show again what changed; errors are logged, the next change is another chance."""
        try:
            files = self.renderer.render(model, snapshot)
            if files != self.last:
                self.last = files
                log.info("rendered", target=self.name, generation=files.generation, problems=len(model.problems))
                self.show(files, model)
        except LbgenError as error:
            log.error("refused", target=self.name, error=str(error))
            return False
        return True

    def show(self, files: Files, model: Model) -> None:
        """Write or print the files, then judge them.

        Raises:
            CheckFailed, ProblemsFound, Differs: in this order, after everything was written.
        """
        failed: list[LbgenError] = []
        if self.wishes.check:
            try:
                self.check(files)
            except (CheckFailed, CheckUnavailable) as error:
                failed.append(error)
        if self.wishes.strict and model.problems:
            failed.append(ProblemsFound(_listed(model)))
        difference = list(differences(files, self.wishes.diff)) if self.wishes.diff else []
        if difference:
            failed.append(Differs(f"the rendered files differ from those in {self.wishes.diff}"))
        self._write(files, model, difference)
        if failed:
            raise failed[0]

    def _write(self, files: Files, model: Model, difference: Sequence[str]) -> None:
        if self.wishes.output:
            self._replace(self.wishes.output, files.texts)
        if self.wishes.json:
            problems = [asdict(problem) for problem in model.problems]
            document = {"target": self.name, "generation": files.generation, "files": files.texts, "problems": problems}
            click.echo(json.dumps(document, indent=2))
        elif self.wishes.diff:
            click.echo("".join(difference), nl=False)
        elif self.wishes.shown and not self.wishes.output:
            for name, text in files.texts.items():
                click.echo(f"# ======== {name} ========\n{text}", nl=False)

    def _replace(self, output: Path, texts: Mapping[str, str]) -> None:
        """Have these files in the directory, and none that an earlier rendering left there."""
        fixed = set(self.renderer.templates.names())
        before = disk.names(output, fixed)
        if extra := (before | set(texts)) - fixed:
            disk.note(output, extra)
        disk.write(output, texts, before - set(texts))
        disk.note(output, set(texts) - fixed)


def differences(files: Files, directory: Path) -> Iterable[str]:
    """Return a unified diff from the files in the directory to the rendered ones; empty if they are equal.

    Of files that are not rendered those are compared that an earlier rendering left there.
    """
    before = disk.read(directory, disk.names(directory, files.texts))
    for name, text in sorted({**dict.fromkeys(before, ""), **files.texts}.items()):
        old = before.get(name, "")
        yield from difflib.unified_diff(
            old.splitlines(keepends=True), text.splitlines(keepends=True), str(directory / name), f"rendered/{name}"
        )


def _listed(model: Model) -> str:
    count = len(model.problems)
    return f"{count} problem{'s' if count > 1 else ''} found:\n" + "\n".join(f"  {found}" for found in model.problems)
