"""The files that labels name: certificates, users and their passwords, authorities of client certificates.

Each kind has a directory in the settings; kinds may share one. A file that no kind can use is left out and reported as
a problem. Labels that name a missing file: see `credential_problems`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.problem import Problem, printable
from lbgen.labels.values.value_type import BadValue

if TYPE_CHECKING:
    from cryptography import x509

SUFFIX = ".pem"
DEFAULT = "default.pem"
LARGEST = 1 << 20  # bytes of a file; a larger one is a mistake
# bcrypt, which all proxies read, and SHA-crypt, which HAProxy and Nginx do. HAProxy refuses a whole configuration for
# one hash that its libc does not know.
_HASH = re.compile(r"\$2[aby]\$[0-9]{2}\$[A-Za-z0-9./]{53}|\$[56]\$[A-Za-z0-9./$=]+")
_USER = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A PEM file: a certificate with its chain and its key, or (of `client_cas`) one or more authorities."""

    name: str  # of the file: "shop.example.org.pem"
    path: str
    digest: str  # of its content; another one means that it was renewed
    names: tuple[str, ...] = ()  # its hosts, "*.example.org" too, in lower case, sorted; of authorities none


@dataclass(frozen=True, slots=True)
class User:
    """A line of a users file."""

    name: str
    hash: str  # as crypt(3) writes it: "$2y$..."; never the password itself


@dataclass(frozen=True, slots=True)
class Credentials:
    """Every file that can be used, and the problems of the others."""

    certificates: tuple[Certificate, ...] = ()  # by name, but default.pem first
    users: Mapping[str, tuple[User, ...]] = field(default_factory=dict)  # by the file's name
    client_cas: Mapping[str, Certificate] = field(default_factory=dict)  # by the file's name without suffix
    problems: tuple[Problem, ...] = ()
    readable: frozenset[str] = frozenset()  # directories that can be read: "certificates", "users", "client_cas"


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
        """Directory of NAME.pem files with authorities."""


@dataclass(frozen=True, slots=True)
class _Reading:
    state: Fingerprint | None
    value: Any  # BadValue: what is wrong with it; None: it has just gone


class CredentialReader:
    """Reads the directories; a file that has not changed is not read again."""

    def __init__(self, directories: CredentialDirectories, base: Path = Path()) -> None:
        """
        Args:
            base: what relative directories are relative to.
        """
        self._directories, self._base = directories, base
        self._known: dict[tuple[str, Path], _Reading] = {}  # by kind too: two kinds may share a directory

    def read(self) -> Credentials:
        """Return the files that the directories hold now, and the problems with them."""
        readings: dict[tuple[str, Path], _Reading] = {}
        readable = set()
        for kind, parse in _PARSERS.items():
            directory = self._base / getattr(self._directories, kind)
            if directory.is_dir():
                readable.add(kind)
            for path in _files(directory, "" if kind == "users" else SUFFIX):
                readings[kind, path] = self._read(kind, path, parse)
        self._known = readings
        values: dict[str, dict[str, Any]] = {kind: {} for kind in _PARSERS}
        bad: dict[Path, BadValue] = {}
        for (kind, path), reading in readings.items():
            if isinstance(reading.value, BadValue):
                bad.setdefault(path, reading.value)
            elif reading.value is not None:
                values[kind][path.name] = reading.value
        usable = {path for (kind, path) in readings if path.name in values[kind]}  # for one of the kinds
        return Credentials(
            tuple(sorted(values["certificates"].values(), key=lambda item: (item.name != DEFAULT, item.name))),
            values["users"],
            {name.removesuffix(SUFFIX): authority for name, authority in values["client_cas"].items()},
            tuple(_problem(path, reason) for path, reason in bad.items() if path not in usable),
            frozenset(readable),
        )

    def _read(self, kind: str, path: Path, parse: Callable[[Path], Any]) -> _Reading:
        state = fingerprint(path)
        known = self._known.get((kind, path))
        if known and state and known.state == state:
            return known
        try:
            if state and state.size > LARGEST:
                raise BadValue(f"is larger than {LARGEST >> 20} MiB", "put a smaller file there")
            return _Reading(state, parse(path))
        except BadValue as bad:
            return _Reading(state, bad)
        except FileNotFoundError:
            return _Reading(None, None)
        except OSError as error:
            return _Reading(None, BadValue(f"cannot be read: {error.strerror}", "let lbgen's account read it"))


def _problem(path: Path, bad: BadValue) -> Problem:
    return Problem("", bad.message, f"{bad.remedy}; it is left out till then", file=printable(str(path), 200))


def _files(directory: Path, suffix: str) -> list[Path]:
    try:
        return sorted(
            path
            for path in directory.iterdir()
            if path.name.endswith(suffix) and not path.name.startswith(".") and not path.is_dir()
        )
    except OSError:  # no such directory
        return []


def _printable_name(path: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_*][A-Za-z0-9._*@+-]*", path.name):
        raise BadValue("has a name that labels and proxies cannot use", "use letters, digits and . _ -")


def _certificate(path: Path) -> Certificate:
    """Read a certificate and check that its key fits: a proxy would refuse all certificates for one without."""
    # Here and not above: it takes a tenth of a second, and most commands read no certificates.
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    _printable_name(path)
    content = path.read_bytes()
    try:
        first = x509.load_pem_x509_certificates(content)[0]
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError) as error:
        raise BadValue(
            f"is not a certificate with its key: {printable(str(error))}",
            "put the certificate, its chain and its key, without a pass phrase, into one PEM file",
        ) from error
    spelt = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*spelt) != first.public_key().public_bytes(*spelt):
        raise BadValue("has a key that does not fit its certificate", "put a matching pair into it")
    return Certificate(path.name, str(path), _digest(content), _names(first))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the hosts of a certificate; its common name counts if it has no alternative names (RFC 6125, 6.4.4)."""
    from cryptography import x509

    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not names:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = [str(item.value) for item in common]
    return tuple(sorted({name.lower() for name in names if _HOST.fullmatch(name.lower())}))


def _authorities(path: Path) -> Certificate:
    from cryptography import x509

    _printable_name(path)
    content = path.read_bytes()
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise BadValue("holds no certificate", "put the authority's certificate into it, in PEM format") from error
    return Certificate(path.name, str(path), _digest(content))


def _users(path: Path) -> tuple[User, ...]:
    _printable_name(path)
    users = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadValue("is not UTF-8", "write lines NAME:HASH") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.strip().partition(":")
        # Never the line itself: it may hold a password.
        if not _USER.fullmatch(name):
            raise BadValue(f"line {number} has no user name", "write NAME:HASH, with letters, digits and . _ @ + -")
        if not _HASH.fullmatch(hashed):
            raise BadValue(f"line {number} has no password hash", "write what `htpasswd -nB NAME` prints")
        users[name] = User(name, hashed)
    return tuple(users[name] for name in sorted(users))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


_PARSERS: Mapping[str, Callable[[Path], object]] = {
    "certificates": _certificate,
    "users": _users,
    "client_cas": _authorities,
}
