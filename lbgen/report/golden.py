"""Tries a template set on cases: renders each, compares with what it gave before, and has the proxy's program check it.

A case is a file with facts (whatever ``--from`` takes), with settings beside it in ``CASE.settings.yml``. What it gives
is kept in a golden file: every file, and the problems, as one text. That text is the same on every machine: which
program is installed plays no part in it, nor do files elsewhere than beside the cases.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lbgen.base.errors import LbgenError, SettingsError
from lbgen.daemon import assembly
from lbgen.model import Model, build
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialDirectories, CredentialReader, Credentials
from lbgen.render.files import Files
from lbgen.settings import Settings, TargetSettings, load_settings
from lbgen.snapshot import Snapshot
from lbgen.source.file import load

T = TypeVar("T")

NAME = "edge"  # of the target, where the settings have none
NO_GENERATION = "0" * 12  # in golden files
SUFFIXES = (".yml", ".yaml", ".json")
SETTINGS = ".settings.yml"
DIRECTORIES = ("certificates", "users", "client_cas")  # settings that name one


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case."""

    case: str
    difference: str = ""  # unified diff from the golden file; empty: it is the same
    written: bool = False  # the golden file, anew
    error: LbgenError | None = None  # a template, the facts, the settings or the checker refused

    @property
    def good(self) -> bool:
        """Whether everything is as it should be."""
        return not self.error and (self.written or not self.difference)


class Trial:
    """A template set and the cases that it is tried on."""

    def __init__(
        self,
        templates: Sequence[str],
        directory: Path,
        *,
        golden: Path | None = None,
        suffix: str = ".golden",
        common: Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            templates: names or directories, the first that has a file wins.
            directory: of the cases.
            golden: directory of their golden files; None: beside them.
            suffix: of golden files.
            common: settings of cases that have none of their own.
            options: the template set's, laid over those of the settings.
        """
        self.directory, self.golden, self._suffix = directory.absolute(), (golden or directory).absolute(), suffix
        self._templates, self._common, self._options = list(templates), common, dict(options or {})

    def cases(self) -> list[Path]:
        """Return the cases, by name; raise SettingsError if there is none."""
        try:
            found = sorted(path for path in self.directory.iterdir() if path.suffix in SUFFIXES)
        except OSError as error:
            raise SettingsError(f"{self.directory}: cannot be read: {error.strerror}") from error
        cases = [path for path in found if not path.name.endswith(SETTINGS) and path != self._common]
        if not cases:
            raise SettingsError(f"{self.directory}: no case in it; put a snapshot there ('lbgen snapshot -o CASE.yml')")
        return cases

    def golden_of(self, case: Path) -> Path:
        """Return where a case's golden file is."""
        return self.golden / f"{case.stem}{self._suffix}"

    def settings_of(self, case: Path) -> Settings:
        """Return a case's settings; the environment has no say in them."""
        own = case.with_name(f"{case.stem}{SETTINGS}")
        return load_settings(own if own.exists() else self._common, {}, {})

    def modelled(self, case: Path) -> tuple[Model, Snapshot]:
        """Return a case's model, and the facts it comes of."""
        snapshot, settings = load(case), self.settings_of(case)
        return with_credential_problems(
            build(snapshot, settings.rules()), Beside(settings, self.directory).read()
        ), snapshot

    def rendered(self, case: Path) -> Files:
        """Return a case's files, as on every machine."""
        settings = self.settings_of(case)
        name, target = self._target(settings)
        made = assembly.Assembly(name, target, settings).renderer(program=False)
        made.credentials = Beside(settings, self.directory)
        return made.render(*self.modelled(case))

    def shown(self, case: Path) -> str:
        """Return the text that is kept in a golden file."""
        model, _ = self.modelled(case)
        files = self.rendered(case)
        # Another generation is no news: it would be, in every file, whenever anything differs.
        texts = {name: text.replace(files.generation, NO_GENERATION) for name, text in files.texts.items()}
        if model.problems:
            texts["problems"] = "".join(f"# {problem}\n" for problem in model.problems)
        return "".join(f"# ======== {name} ========\n{_ended(text)}" for name, text in texts.items())

    def check(self, case: Path) -> None:
        """Have a case's files checked, as they are for this machine's program.

        Raises:
            CheckFailed: it refused them.
            CheckUnavailable: it could not be asked.
        """
        settings = self.settings_of(case)
        here = {key: self.directory / getattr(settings, key) for key in DIRECTORIES}
        settings = settings.model_copy(update=here)
        name, target = self._target(settings)
        files = assembly.Assembly(name, target, settings).renderer().render(*self.modelled(case))
        assembly.Assembly(name, target, settings).preview_checker()(files)

    def judged(self, case: Path, *, update: bool = False, check: bool = True) -> Verdict:
        """Try a case.

        Args:
            update: write its golden file anew, if the rest is well.
        """
        try:
            text = self.shown(case)
            if check:
                self.check(case)
            difference = self._difference(case, text)
            if difference and update:
                self.golden.mkdir(parents=True, exist_ok=True)
                self.golden_of(case).write_bytes(text.encode())
        except LbgenError as error:
            return Verdict(case.stem, error=error)
        return Verdict(case.stem, difference, written=bool(difference and update))

    def _target(self, settings: Settings) -> tuple[str, TargetSettings]:
        name, target = next(iter(settings.targets.items()), (NAME, TargetSettings(templates=self._templates)))
        options = {**target.options, **self._options}
        return name, target.model_copy(update={"templates": self._templates, "options": options})

    def _difference(self, case: Path, text: str) -> str:
        path = self.golden_of(case)
        before = path.read_bytes().decode() if path.exists() else ""
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            text.splitlines(keepends=True),
            os.path.relpath(path),
            f"rendered/{case.stem}",
        )
        return "".join(lines)


class Beside(CredentialReader):
    """Finds certificates and the like beside the cases, and names them as the settings do; none of the machine's."""

    def __init__(self, directories: CredentialDirectories, base: Path) -> None:
        super().__init__(directories, base)
        self._prefix = f"{base}/"
        self._elsewhere = {key for key in DIRECTORIES if getattr(directories, key).is_absolute()}

    def read(self) -> Credentials:
        """Return them."""
        found = super().read()
        return Credentials(
            certificates=() if "certificates" in self._elsewhere else tuple(map(self._named, found.certificates)),
            users={} if "users" in self._elsewhere else found.users,
            client_cas={}
            if "client_cas" in self._elsewhere
            else {name: self._named(ca, "path") for name, ca in found.client_cas.items()},
            problems=tuple(self._named(problem, "file") for problem in found.problems if self._is_here(problem.file)),
            readable=found.readable - self._elsewhere,
        )

    def _named(self, item: T, path: str = "path") -> T:
        return replace(item, **{path: getattr(item, path).removeprefix(self._prefix)})  # type: ignore[type-var]

    def _is_here(self, file: str) -> bool:
        return file.startswith(self._prefix)


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n\\ No newline at end of file\n"
