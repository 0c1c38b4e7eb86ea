"""Tests a template set: renders each case, compares it with its golden file, and has the proxy's program check it.

A case is a file with facts (whatever ``--from`` takes), with settings beside it in ``CASE.settings.yml``. Its golden
file holds every rendered file, and the problems, as one text, which is the same on every machine: it depends neither on
the installed program nor on files elsewhere than beside the cases.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lbgen.base import bounded_file, documents
from lbgen.base.errors import LbgenError, SettingsError
from lbgen.daemon import assembly
from lbgen.model import Model, build
from lbgen.render.credential_files import Certificate
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import KINDS, SYSTEM, SYSTEM_FILES, CredentialDirectories, CredentialReader, Credentials
from lbgen.render.renderer import Files
from lbgen.settings import Settings, TargetSettings, load_settings
from lbgen.snapshot import Snapshot
from lbgen.source.file import load

T = TypeVar("T")

NAME = "edge"  # of the target, where the settings have none
NO_GENERATION = "0" * 12  # in golden files
SUFFIXES = (".yml", ".yaml", ".json")
SETTINGS = ".settings.yml"
DIRECTORIES = KINDS  # settings that name one


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a case."""

    case: str
    difference: str = ""  # unified diff from the golden file; empty: it is the same
    written: bool = False  # the golden file was written
    error: LbgenError | None = None  # a template, the facts, the settings or the checker refused

    @property
    def good(self) -> bool:
        """Whether the case passed."""
        return not self.error and (self.written or not self.difference)


class GoldenSuite:
    """A template set and the cases that test it."""

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
        """List the cases by name; raise SettingsError if there is none."""
        try:
            files = sorted(path for path in self.directory.iterdir() if path.suffix in SUFFIXES)
        except OSError as error:
            raise SettingsError(f"{self.directory}: cannot be read: {error.strerror}") from error
        cases = [path for path in files if not path.name.endswith(SETTINGS) and path != self._common]
        if not cases:
            raise SettingsError(f"{self.directory}: no case in it; put a snapshot there ('lbgen snapshot -o CASE.yml')")
        return cases

    def golden_of(self, case: Path) -> Path:
        """Return the path of a case's golden file."""
        return self.golden / f"{case.stem}{self._suffix}"

    def settings_of(self, case: Path) -> Settings:
        """Return a case's settings; the environment does not count."""
        own = case.with_name(f"{case.stem}{SETTINGS}")
        return load_settings(own if own.exists() else self._common, {}, {}, as_written=True)

    def model_of(self, case: Path) -> tuple[Model, Snapshot]:
        """Return a case's model and snapshot."""
        snapshot, settings = load(case), self.settings_of(case)
        return with_credential_problems(
            build(snapshot, settings.rules()), LocalCredentials(settings, self.directory).read()
        ), snapshot

    def files_of(self, case: Path) -> Files:
        """Return a case's files, the same on every machine."""
        settings = self.settings_of(case)
        name, target = self._target(settings)
        made = assembly.Assembly(name, target, settings).renderer(program=False)
        made.credentials = LocalCredentials(settings, self.directory)
        return made.render(*self.model_of(case))

    def text_of(self, case: Path) -> str:
        """Return the text of a golden file."""
        model, _ = self.model_of(case)
        files = self.files_of(case)
        # Without the generation, which would differ in every file whenever anything does.
        texts = {name: text.replace(files.generation, NO_GENERATION) for name, text in files.texts.items()}
        if model.problems:
            texts["problems"] = "".join(f"# {problem}\n" for problem in model.problems)
        return "".join(f"# ======== {name} ========\n{_ended(text)}" for name, text in texts.items())

    def check(self, case: Path) -> None:
        """Have a case's files checked by this machine's program.

        Raises:
            CheckFailed: it refused them.
            CheckUnavailable: it could not be run.
        """
        settings = self.settings_of(case)
        here = {key: self.directory / getattr(settings, key) for key in DIRECTORIES}
        settings = settings.model_copy(update=here)
        name, target = self._target(settings)
        files = assembly.Assembly(name, target, settings).renderer().render(*self.model_of(case))
        assembly.Assembly(name, target, settings).preview_checker()(files)

    def judge(self, case: Path, *, update: bool = False, check: bool = True) -> Verdict:
        """Try a case.

        Args:
            update: write its golden file if it differs and nothing else is wrong.
        """
        try:
            text = self.text_of(case)
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
        before = bounded_file.read(path, documents.MAX_BYTES).decode() if path.exists() else ""
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            text.splitlines(keepends=True),
            os.path.relpath(path),
            f"rendered/{case.stem}",
        )
        return "".join(lines)


class LocalCredentials(CredentialReader):
    """Reads credentials beside the cases, and names them as the settings do; none of the machine's own."""

    def __init__(self, directories: CredentialDirectories, base: Path) -> None:
        super().__init__(directories, base)
        self._prefix = f"{base}/"
        self._elsewhere = {key for key in DIRECTORIES if getattr(directories, key).is_absolute()}

    def read(self) -> Credentials:
        """Return the credentials beside the cases."""
        credentials = super().read()
        return Credentials(
            certificates=() if "certificates" in self._elsewhere else tuple(map(self._named, credentials.certificates)),
            users={} if "users" in self._elsewhere else credentials.users,
            users_files={}
            if "users" in self._elsewhere
            else {name: path.removeprefix(self._prefix) for name, path in credentials.users_files.items()},
            client_cas={}
            if "client_cas" in self._elsewhere
            else {name: self._named(ca, "path") for name, ca in credentials.client_cas.items()},
            pages={} if "pages" in self._elsewhere else credentials.pages,
            server_cas=self._authorities(credentials),
            problems=tuple(
                self._named(problem, "file")
                for problem in credentials.problems
                if problem.file.startswith(self._prefix)
            ),
            readable=credentials.readable - self._elsewhere,
        )

    def _authorities(self, credentials: Credentials) -> dict[str, Certificate]:
        """Return the authorities of servers; those that a machine trusts are on every machine the same ones."""
        own = {} if "server_cas" in self._elsewhere else credentials.server_cas
        named = {name: self._named(ca) for name, ca in own.items()}
        return {**named, SYSTEM: Certificate("system.pem", str(SYSTEM_FILES[0]), NO_GENERATION)}

    def _named(self, item: T, path: str = "path") -> T:
        return replace(item, **{path: getattr(item, path).removeprefix(self._prefix)})  # type: ignore[type-var]


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n\\ No newline at end of file\n"
