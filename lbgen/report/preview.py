"""`lbgen render`: the files that a target would get, checked, compared and written, never applied."""

from __future__ import annotations

import contextlib
import difflib
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lbgen.base.errors import CheckFailed, CheckUnavailable, Differs, LbgenError, ProblemsFound, TemplateError
from lbgen.base.problem import once
from lbgen.model import Model, Rules
from lbgen.proxies import disk
from lbgen.proxies.output_lock import unheld
from lbgen.render.renderer import Files, Renderer
from lbgen.report.expected import Expected, Unmet
from lbgen.report.unread import Unread, note_fails, unread_labels
from lbgen.snapshot import Snapshot

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class PreviewOptions:
    """The options of `lbgen render`."""

    output: Path | None = None  # where to write the files; None: nowhere
    check: bool = False
    diff: Path | None = None  # directory to compare with
    strict: bool = False
    require: tuple[str, ...] = ()  # services that have to be routed
    allow_empty: bool = False  # strict, and no service needs to be routed


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one rendering."""

    target: str
    proxy: str  # kind of proxy
    files: Files | None  # None: a template failed
    errors: tuple[LbgenError, ...] = ()  # the gravest first
    difference: str = ""  # unified diff from the directory to compare with
    checked: bool = False  # the proxy's own program checked them
    blamed: tuple[str, ...] = ()  # services without which the rest would be accepted
    seconds: float = 0.0
    unread: tuple[Unread, ...] = ()
    unmet: tuple[Unmet, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether something says that the files must not replace others; that they differ does not."""
        return any(not isinstance(error, Differs) for error in self.errors)


class Preview:
    """One target's files on their way to a person or a pipeline. A `Loop` can hold it as it holds a Target."""

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        check: Callable[[Files], None],
        options: PreviewOptions,
        tell: Callable[[Outcome, Model, Snapshot], None] = lambda *_: None,
    ) -> None:
        """
        Args:
            tell: is called with the outcome of each round of a loop.
        """
        self.name, self.renderer, self._check, self.options, self._tell = name, renderer, check, options, tell
        self.peers: Collection[Preview] = (self,)  # a service is routed if one of these targets routes it

    def start(self) -> None:
        """Nothing runs yet."""

    def stop(self) -> None:
        """Nothing was started."""

    def leave(self) -> None:
        """Nothing was started."""

    def due(self) -> float | None:
        """Nothing is retried."""
        return None

    def revise(self, renderer: Renderer, check: Callable[[Files], None], min_reload_interval: float) -> None:  # noqa: ARG002
        """Go by other settings."""
        self.renderer, self._check = renderer, check

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Render, judge and tell. Nothing is retried: the next change is another chance."""
        outcome = self.judge(model, snapshot)
        if not outcome.refused:
            outcome = self.write(outcome)
        self._tell(outcome, model, snapshot)
        return not outcome.errors

    def judge(self, model: Model, snapshot: Snapshot) -> Outcome:
        """Render the files, have them checked and compared; return the outcome, errors included."""
        unread, unmet = self._unread(model, snapshot), self._unmet(model, snapshot)
        return replace(self._judge(model, snapshot, unread, unmet), unread=unread, unmet=unmet)

    def _judge(self, model: Model, snapshot: Snapshot, unread: Sequence[Unread], unmet: Sequence[Unmet]) -> Outcome:
        began = time.monotonic()
        proxy = self.renderer.templates.manifest.proxy
        try:
            files = self.renderer.render(model, snapshot)
        except TemplateError as error:
            blamed = self._blamed(model, snapshot, error)
            return Outcome(self.name, proxy, None, (error,), blamed=blamed, seconds=time.monotonic() - began)
        errors: list[LbgenError] = []
        blamed = ()
        if self.options.check:
            try:
                self._check(files)
            except CheckFailed as error:
                errors.append(error)
                blamed = self._blamed(model, snapshot, error)
            except CheckUnavailable as error:
                errors.append(error)
        failing: list[object] = []
        if self.options.strict:
            read = _rules(model).dialects
            failing += [*once(model.problems), *(item for item in unread if item.failing(strict=True))]
            failing += [note for note in snapshot.notes if note_fails(note, read, strict=True)]
        if failing := [*failing, *unmet]:
            errors.append(ProblemsFound(_listed(failing)))
        difference = "".join(differences(files, self.options.diff)) if self.options.diff else ""
        if difference:
            errors.append(Differs(f"the rendered files differ from those in {self.options.diff}"))
        seconds = time.monotonic() - began
        return Outcome(self.name, proxy, files, tuple(errors), difference, self.options.check, blamed, seconds)

    def _unread(self, model: Model, snapshot: Snapshot) -> tuple[Unread, ...]:
        return tuple(unread_labels(snapshot, _rules(model).label_context()))

    def _unmet(self, model: Model, snapshot: Snapshot) -> tuple[Unmet, ...]:
        targets = {peer.name: peer.renderer for peer in self.peers}
        some = self.options.strict and not self.options.allow_empty
        return tuple(Expected(self.options.require, some, targets).unmet(snapshot, model))

    def write(self, outcome: Outcome) -> Outcome:
        """Put the files where the options say, if they say so; return the outcome, with the error if that fails.

        Whether they are good enough to replace those that are there is the caller's to decide, by all targets.
        """
        try:
            if self.options.output and outcome.files:
                self._replace(self.options.output, outcome.files.texts)
        except LbgenError as error:
            return replace(outcome, errors=(*outcome.errors, error))
        return outcome

    def _blamed(self, model: Model, snapshot: Snapshot, refusal: CheckFailed | TemplateError) -> tuple[str, ...]:
        """Return the services without which the rest would be accepted, which a daemon would quarantine."""
        from lbgen.daemon.quarantine import culprits  # here: what is accepted needs none

        def judge(model: Model, snapshot: Snapshot) -> None:
            files = self.renderer.render(model, snapshot)
            if self.options.check:
                self._check(files)

        with contextlib.suppress(CheckUnavailable):  # what was refused is told of all the same
            return tuple(culprits(model, snapshot, refusal, judge))
        return ()

    def _replace(self, output: Path, texts: Mapping[str, str]) -> None:
        """Write the files, and remove those that an earlier rendering left there."""
        fixed = set(self.renderer.templates.names())
        with unheld(output):
            before = disk.names(output, fixed)
            if extra := (before | set(texts)) - fixed:
                disk.note(output, extra)
            disk.write(output, texts, before - set(texts))
            disk.note(output, set(texts) - fixed)


def differences(files: Files, directory: Path) -> Iterable[str]:
    """Return a unified diff from the files in the directory to the rendered ones; empty if they are equal.

    Files that an earlier rendering left there are compared, too.
    """
    before = disk.read(directory, disk.names(directory, files.texts))
    return unified_diff(before, files.texts, lambda name: (str(directory / name), f"rendered/{name}"))


def unified_diff(
    before: Mapping[str, str], after: Mapping[str, str], titles: Callable[[str], tuple[str, str]]
) -> Iterable[str]:
    """Return a unified diff between two sets of files; new and removed files are shown whole.

    Args:
        titles: what to call a file before and after.
    """
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        lines = difflib.unified_diff(_LINE.findall(old), _LINE.findall(new), *titles(name))
        yield from (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _rules(model: Model) -> Rules:
    assert model.basis is not None
    return model.basis.rules


def _listed(problems: Sequence[object]) -> str:
    count = len(problems)
    return f"{count} problem{'s' if count > 1 else ''} found:\n" + "\n".join(f"  {problem}" for problem in problems)
