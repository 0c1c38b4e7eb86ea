"""The files that labels name: certificates, users and their passwords, authorities of clients and servers, pages.

Each kind has a directory in the settings; kinds may share one. A file that no kind can use is left out and reported as
a problem. Labels that name a missing file: see `credential_problems`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lbgen.base import bounded_file
from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.problem import Problem, printable
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.labels.values.pages import SUFFIXES
from lbgen.labels.values.users import User
from lbgen.labels.values.value_type import BadValue
from lbgen.render.credential_files import Certificate, Content, Page, content_of
from lbgen.render.kept_credentials import KeptCredentials

SUFFIX = ".pem"
DEFAULT = "default.pem"
LARGEST = 1 << 20  # bytes of a file; a larger one is a mistake
# Settings that name a directory, and what its files end in.
KINDS = {
    "certificates": (SUFFIX,),
    "users": ("",),
    "client_cas": (SUFFIX,),
    "server_cas": (SUFFIX,),
    "pages": tuple(SUFFIXES),
}
SYSTEM = "system"  # in labels, the authorities that this machine trusts
# Where distributions keep them as one file: Debian and Alpine, Red Hat, SUSE, BSD. Source: Go, crypto/x509.
SYSTEM_FILES = tuple(
    map(
        Path,
        (
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Every file that can be used, and the problems of the others."""

    certificates: tuple[Certificate, ...] = ()  # by name, but default.pem first
    users: Mapping[str, tuple[User, ...]] = field(default_factory=dict)  # by the file's name
    users_files: Mapping[str, str] = field(default_factory=dict)  # path of each users file, by its name
    client_cas: Mapping[str, Certificate] = field(default_factory=dict)  # by the file's name without suffix
    server_cas: Mapping[str, Certificate] = field(default_factory=dict)  # likewise; "system": those of this machine
    pages: Mapping[str, Page] = field(default_factory=dict)  # by the file's name
    problems: tuple[Problem, ...] = ()
    readable: frozenset[str] = frozenset()  # those of KINDS whose directory can be read
    proxies: frozenset[str] = frozenset()  # kinds of proxies that they are for; empty: not known


class CredentialDirectories(Protocol):
    """The directories: part of the settings."""

    @property
    def certificates(self) -> Path:
        """Directory of NAME.pem files with certificate, chain and key."""

    @property
    def users(self) -> Path:
        """Directory of files with lines NAME:HASH."""

    @property
    def client_cas(self) -> Path:
        """Directory of NAME.pem files with authorities of clients."""

    @property
    def server_cas(self) -> Path:
        """Directory of NAME.pem files with authorities of servers."""

    @property
    def pages(self) -> Path:
        """Directory of pages."""


@dataclass(frozen=True, slots=True)
class _Reading:
    state: Fingerprint | None
    content: Content | BadValue | None  # BadValue: what is wrong with it; None: it has just gone
    instead_of: BadValue | None = None  # why the newer file is not in force


class CredentialReader:
    """Reads the directories; a file that has not changed is not read again.

    With copies to go back to, a file takes the place of the one before only if it is as good.
    """

    def __init__(
        self,
        directories: CredentialDirectories,
        base: Path = Path(),
        kept: KeptCredentials | None = None,
        clock: Callable[[], float] = time.time,
        *,
        proxies: Iterable[str] = (),
        system: Iterable[Path] = SYSTEM_FILES,
    ) -> None:
        """
        Args:
            base: what relative directories are relative to.
            kept: the last good content of each file; None: there is no past, as in a pipeline.
            clock: seconds since 1970.
            proxies: kinds of proxies that the files are for; empty: not known.
            system: files that may hold the authorities of this machine; the first that can be used does.
        """
        self._proxies, self._system = frozenset(proxies), tuple(system)
        self._directories, self._base, self.kept, self._clock = directories, base, kept, clock
        self._known: dict[tuple[str, Path], _Reading] = {}  # by kind too: two kinds may share a directory

    def read(self) -> Credentials:
        """Return the files that the directories hold now, and the problems with them."""
        in_force: dict[tuple[str, Path], _Reading] = {}
        seen: dict[tuple[str, Path], _Reading] = {}
        readable, missing = set(), []
        for kind, suffixes in KINDS.items():
            directory = self._base / getattr(self._directories, kind)
            names = _names_in(directory, suffixes)
            if names is not None:
                readable.add(kind)
            elif kept := sorted(self.kept.names(kind)) if self.kept else []:
                missing.append(_problem(directory, _GONE, kept=True))
                names = kept
            guard = UNEXPECTED.guard(Part.CREDENTIALS, kind)
            errors = guard.count
            for name in names or ():
                in_force[kind, directory / name] = self._in_force(kind, directory / name, seen)
            if guard.count == errors:
                guard.worked()
            if self.kept and kind in readable:
                self.kept.forget(kind, but=names or ())
        found = _credentials(in_force, missing, frozenset(readable))
        trusted = self._trusted(seen)
        self._known = seen
        server_cas = {**found.server_cas, SYSTEM: trusted} if trusted else found.server_cas
        return replace(found, proxies=self._proxies, server_cas=server_cas)

    def _trusted(self, seen: dict[tuple[str, Path], _Reading]) -> Certificate | None:
        """Return the file with the authorities that this machine trusts, if it has one."""
        for path in self._system:
            reading = seen[SYSTEM, path] = self._read(SYSTEM, path)
            if isinstance(reading.content, Content):
                certificate: Certificate = reading.content.value
                return certificate
        return None

    def _in_force(self, kind: str, path: Path, seen: dict[tuple[str, Path], _Reading]) -> _Reading:
        """Return the file, or else its copy if that is better."""
        new = seen[kind, path] = self._read(kind, path)
        if not self.kept:
            return new
        if doubt := self._doubt(new.content):
            copy = self.kept.path(kind, path.name)
            old = seen[kind, copy] = self._read(kind, copy)
            better = not isinstance(new.content, Content) or not self._doubt(old.content)
            if isinstance(old.content, Content) and better:
                return _Reading(new.state, old.content, doubt)
        if isinstance(new.content, Content):
            self.kept.keep(kind, path, new.content.digest)
        return new

    def _doubt(self, content: Content | BadValue | None) -> BadValue | None:
        """Return why this must not take the place of what is better, if so."""
        if not isinstance(content, Content):
            return content or _GONE
        if content.expires <= self._clock():
            return BadValue(f"has expired on {_stamp(content.expires)}", "put a renewed certificate there")
        if content.value == ():
            return BadValue("has no user any more", "write lines NAME:HASH, or remove the file to let nobody in")
        return None

    def _read(self, kind: str, path: Path) -> _Reading:
        state = fingerprint(path)
        known = self._known.get((kind, path))
        if known and state and known.state == state:
            return known
        try:
            return _Reading(state, content_of(kind, path, bounded_file.read(path, LARGEST)))
        except BadValue as bad:
            return _Reading(state, bad)
        except FileNotFoundError:
            return _Reading(None, None)
        except bounded_file.TooLarge as error:
            return _Reading(state, BadValue(f"is {error.strerror}", "put a smaller file there"))
        except OSError as error:
            return _Reading(
                None, BadValue(f"cannot be read: {error.strerror}", "put a file there that lbgen's account can read")
            )
        except Exception as error:  # one file, and not all of them
            UNEXPECTED.guard(Part.CREDENTIALS, kind).failed(error, file=str(path))
            why = printable(f"cannot be read, for a reason that lbgen did not expect: {error!r}", 300)
            return _Reading(None, BadValue(why, "put another file there"))


_GONE = BadValue("is not there any more", "put it back")


def _credentials(
    readings: Mapping[tuple[str, Path], _Reading], problems: list[Problem], readable: frozenset[str]
) -> Credentials:
    good: dict[str, dict[str, Content]] = {kind: {} for kind in KINDS}
    bad: dict[Path, Problem] = {}
    for (kind, path), reading in readings.items():
        if isinstance(reading.content, Content):
            good[kind][path.name] = reading.content
    usable = {path for (kind, path) in readings if path.name in good[kind]}  # for one of the kinds
    for (_, path), reading in readings.items():
        if reading.instead_of and not (reading.instead_of is _GONE and problems):
            bad[path] = _problem(path, reading.instead_of, reading.state, kept=True)
        elif isinstance(reading.content, BadValue) and path not in usable:
            bad.setdefault(path, _problem(path, reading.content))
    certificates = (content.value for content in good["certificates"].values())
    return Credentials(
        certificates=tuple(sorted(certificates, key=lambda item: (item.name != DEFAULT, item.name))),
        users={name: content.value for name, content in good["users"].items()},
        users_files={name: content.path for name, content in good["users"].items()},
        client_cas=_by_name(good["client_cas"]),
        server_cas=_by_name(good["server_cas"]),
        pages={name: content.value for name, content in good["pages"].items()},
        problems=(*problems, *bad.values()),
        readable=readable,
    )


def _by_name(contents: Mapping[str, Content]) -> dict[str, Certificate]:
    return {name.removesuffix(SUFFIX): content.value for name, content in contents.items()}


def _problem(path: Path, bad: BadValue, state: Fingerprint | None = None, *, kept: bool = False) -> Problem:
    message = bad.message + (f" (since {_stamp(state.modified / 1e9)})" if state else "")
    effect = "what was good last stays in force till then" if kept else "it is left out till then"
    return Problem("", message, f"{bad.remedy}; {effect}", file=printable(str(path), 200))


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _names_in(directory: Path, suffixes: tuple[str, ...]) -> list[str] | None:
    """Return the names of the files in a directory; None if it is not there, or not for us to see."""
    try:
        return sorted(
            path.name
            for path in directory.iterdir()
            if path.name.endswith(suffixes) and not path.name.startswith(".") and not path.is_dir()
        )
    except OSError:
        return None
