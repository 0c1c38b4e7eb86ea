"""The files that labels name: certificates, users and their passwords, authorities of client certificates.

Each kind has a directory in the settings. What is wrong with a file is a problem of that file, and leaves it out; a
label that names a file that is not there is a problem of its service, and templates then let nobody in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from lbgen.base.fingerprint import fingerprint
from lbgen.base.problem import Problem, printable
from lbgen.labels.values.value_type import BadValue
from lbgen.model import Model

if TYPE_CHECKING:
    from cryptography import x509

T = TypeVar("T")

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
    names: tuple[str, ...] = ()  # hosts it is for, "*.example.org" too, in lower case, sorted; of authorities none


@dataclass(frozen=True, slots=True)
class User:
    """A line of a users file."""

    name: str
    hash: str  # as crypt(3) writes it: "$2y$..."; never the password itself


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Everything that there is, and what is wrong with the rest."""

    certificates: tuple[Certificate, ...] = ()  # by name, but default.pem first
    users: Mapping[str, tuple[User, ...]] = field(default_factory=dict)  # by the file's name
    client_cas: Mapping[str, Certificate] = field(default_factory=dict)  # by the file's name without suffix
    problems: tuple[Problem, ...] = ()
    there: frozenset[str] = frozenset()  # the directories that can be read: "certificates", "users", "client_cas"


class Directories(Protocol):
    """Where they are: part of the settings."""

    @property
    def certificates(self) -> Path:
        """Of NAME.pem files with certificate, chain and key."""

    @property
    def users(self) -> Path:
        """Of files with lines NAME:HASH."""

    @property
    def client_cas(self) -> Path:
        """Of NAME.pem files with authorities."""


class Reader:
    """Reads the directories; a file that has not changed is not read again."""

    def __init__(self, directories: Directories, base: Path = Path()) -> None:
        """
        Args:
            base: what relative directories are relative to.
        """
        self._directories, self._base = directories, base
        self._known: dict[Path, tuple[object, object]] = {}

    def read(self) -> NamedFiles:
        """Return what there is now."""
        problems: list[Problem] = []
        there = set()
        found: dict[str, dict[str, object]] = {}
        kinds: tuple[tuple[str, Callable[[Path], object]], ...] = (
            ("certificates", _certificate),
            ("users", _users),
            ("client_cas", _authorities),
        )
        seen: dict[Path, tuple[object, object]] = {}
        for kind, read in kinds:
            directory = self._base / getattr(self._directories, kind)
            found[kind] = {}
            for path in _files(directory, "" if kind == "users" else SUFFIX):
                there.add(kind)
                value = seen.setdefault(path, self._current(path, read))[1]
                if isinstance(value, BadValue):
                    remedy = f"{value.remedy}; it is left out till then"
                    problems.append(Problem("", value.message, remedy, file=printable(str(path), 200)))
                elif value is not None:
                    found[kind][path.name.removesuffix(SUFFIX) if kind == "client_cas" else path.name] = value
            if directory.is_dir():
                there.add(kind)
        self._known = seen
        certificates = _of(Certificate, found["certificates"].values())
        return NamedFiles(
            tuple(sorted(certificates, key=lambda item: (item.name != DEFAULT, item.name))),
            {name: users for name, users in sorted(found["users"].items()) if isinstance(users, tuple)},
            {name: ca for name, ca in sorted(found["client_cas"].items()) if isinstance(ca, Certificate)},
            tuple(problems),
            frozenset(there),
        )

    def _current(self, path: Path, read: Callable[[Path], object]) -> tuple[object, object]:
        """Return the file's state, and what it says: the value, a BadValue, or None if it has just gone."""
        state = fingerprint(path)
        known = self._known.get(path)
        if known and state and known[0] == state:
            return known
        if state and state.size > LARGEST:
            return state, BadValue(f"has {state.size} bytes", f"a file of this kind has less than {LARGEST}")
        try:
            return state, read(path)
        except BadValue as bad:
            return state, bad
        except FileNotFoundError:
            return None, None
        except OSError as error:
            return None, BadValue(f"cannot be read: {error.strerror}", "let lbgen's account read it")


def missing(model: Model, files: NamedFiles, *, here: bool = False) -> list[Problem]:
    """Return a problem for each name in the model that no file has, and for each listener that has no certificate.

    Args:
        here: a directory that is not there is an empty one. Else nothing is said of it: a pipeline that lints a stack
            file has none of the files, and need not.
    """
    there = {"certificates", "users", "client_cas"} if here else files.there
    backends = {backend.name: backend for backend in model.backends}
    certificates = {item.name.removesuffix(SUFFIX) for item in files.certificates}
    problems = []
    for route in model.routes:
        backend = backends[route.backend]
        named: tuple[tuple[str, str, Container[str], str, str], ...] = (
            ("users", backend.policy.users, files.users, "basic-auth", "nobody is let in"),
            ("client_cas", route.client_ca, files.client_cas, "client-ca", "nobody is let in"),
            ("certificates", route.certificate, certificates, "tls", "the certificate is chosen by host"),
        )
        for kind, name, known, key, instead in named:
            if name and kind in there and name not in known:
                suffix = "" if kind == "users" else SUFFIX
                message = f"there is no file {name}{suffix} in the directory of setting {kind}; till then {instead}"
                own = backend.route if backend.service == route.service else ""
                label = f"lbgen.{route.protocol}.{own}.{key}" if own else f"lbgen.{key}"
                problems.append(Problem(route.service, message, "put it there", label, name, own))
    closed = ", ".join(listener.name for listener in model.listeners if listener.tls)
    if closed and "certificates" in there and not files.certificates:
        message = f"is not there, nor any other certificate for {closed}; HAProxy and Nginx leave that closed till then"
        remedy = "put a certificate, its chain and its key into the directory of setting certificates, as one PEM file"
        problems.append(Problem("", message, remedy, file=DEFAULT))
    return problems


def noted(model: Model, files: NamedFiles, *, here: bool = False) -> Model:
    """Return the model with what is wrong with the files that it names, as `missing` finds it."""
    found = {*files.problems, *missing(model, files, here=here)}
    return replace(model, problems=tuple(sorted({*model.problems, *found}))) if found else model


def _files(directory: Path, suffix: str) -> list[Path]:
    try:
        return sorted(
            path
            for path in directory.iterdir()
            if path.name.endswith(suffix) and not path.name.startswith(".") and not path.is_dir()
        )
    except OSError:  # there is none
        return []


def _of(type_: type[T], values: Iterable[object]) -> list[T]:
    return [value for value in values if isinstance(value, type_)]


def _printable_name(path: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_*][A-Za-z0-9._*@+-]*", path.name):
        raise BadValue("has a name that labels and proxies cannot use", "use letters, digits and . _ -")


def _certificate(path: Path) -> Certificate:
    """Read a certificate and see whether its key is there and fits: one that does not would cost the others theirs."""
    # Here and not above: most have no certificates, and it takes a tenth of a second.
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
            f"is no certificate with its key: {printable(str(error))}",
            "put the certificate, its chain and its key, without a pass phrase, into one PEM file",
        ) from error
    spelt = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*spelt) != first.public_key().public_bytes(*spelt):
        raise BadValue("has a key that is not its certificate's", "put the two that belong together into it")
    return Certificate(path.name, str(path), _digest(content), _names(first))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the hosts that a certificate is for; a common name counts where there are no others (RFC 6125, 6.4.4)."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = found.get_values_for_type(x509.DNSName)
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
        raise BadValue("has no certificate in it", "put the authority's certificate into it, in PEM form") from error
    return Certificate(path.name, str(path), _digest(content))


def _users(path: Path) -> tuple[User, ...]:
    _printable_name(path)
    users = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadValue("is no text", "write lines NAME:HASH") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.strip().partition(":")
        # Never the line itself: it may hold a password.
        if not _USER.fullmatch(name):
            raise BadValue(f"line {number} has no user's name", "write NAME:HASH, with letters, digits and . _ @ + -")
        if not _HASH.fullmatch(hashed):
            raise BadValue(f"line {number} has no hash of a password", "write what `htpasswd -nB NAME` prints")
        users[name] = User(name, hashed)
    return tuple(users[name] for name in sorted(users))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
