"""What one certificate, users file, authority or page holds, or what is wrong with it. Pure."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbgen.base.problem import printable
from lbgen.labels.values.pages import SUFFIXES
from lbgen.labels.values.users import USER_NAME, User
from lbgen.labels.values.value_type import BadValue

if TYPE_CHECKING:
    from cryptography import x509

# bcrypt, which all proxies read, and SHA-crypt, which HAProxy and Nginx do. HAProxy refuses a whole configuration for
# one hash that its libc does not know.
_HASH = re.compile(r"\$2[aby]\$[0-9]{2}\$[A-Za-z0-9./]{53}|\$[56]\$[A-Za-z0-9./$=]+")
_BEGIN, _END = re.compile(rb"-----BEGIN"), re.compile(rb"-----END [A-Z0-9 ]+-----")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
LARGEST_PAGE = 14_000  # bytes: HAProxy keeps a page with its headers in a buffer of 16 kB
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A PEM file: a certificate with its chain and its key, or (of `client_cas`, `server_cas`) some authorities."""

    name: str  # of the file: "shop.example.org.pem"
    path: str
    digest: str  # of its content; another one means that it was renewed
    names: tuple[str, ...] = ()  # its hosts, "*.example.org" too, in lower case, sorted; of authorities none


@dataclass(frozen=True, slots=True)
class Page:
    """A page in place of an error."""

    name: str  # of the file: "maintenance.html"
    lines: tuple[str, ...]  # without the ends of lines; tabs are spaces
    type: str  # the value of Content-Type: "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Content:
    """What a good file holds."""

    value: Any  # Certificate, the users, or Page
    path: str
    digest: str
    expires: float = float("inf")  # of a certificate, in seconds since 1970


def content_of(kind: str, path: Path, content: bytes) -> Content:
    """Return what a file of this kind holds; raise BadValue if it cannot be used."""
    if not re.fullmatch(r"[A-Za-z0-9_*][A-Za-z0-9._*@+-]*", path.name):
        raise BadValue("has a name that labels and proxies cannot use", "use letters, digits and . _ -")
    return _PARSERS[kind](path, content)


def _certificate(path: Path, content: bytes) -> Content:
    """Read a certificate and check that its key fits: a proxy would refuse all certificates for one without."""
    # Here and not above: it takes a tenth of a second, and most commands read no certificates.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    _whole(content)
    try:
        first = x509.load_pem_x509_certificates(content)[0]
        key = serialization.load_pem_private_key(content, None)
        spelt = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        fits = key.public_key().public_bytes(*spelt) == first.public_key().public_bytes(*spelt)
        digest, expires = digest_of(content), first.not_valid_after_utc.timestamp()
    except UnsupportedAlgorithm as error:
        raise BadValue(
            f"has a key of a kind that lbgen does not know: {printable(str(error))}",
            "use an RSA key, or one on the curve P-256 or P-384",
        ) from error
    except (ValueError, TypeError) as error:
        raise BadValue(
            f"is not a certificate with its key: {printable(str(error))}",
            "put the certificate, its chain and its key, without a pass phrase, into one PEM file",
        ) from error
    if not fits:
        raise BadValue("has a key that does not fit its certificate", "put a matching pair into it")
    return Content(Certificate(path.name, str(path), digest, _names(first)), str(path), digest, expires)


def _whole(content: bytes) -> None:
    """Raise BadValue if the file ends within a block: what is read would be less than what was meant to be there."""
    if len(_BEGIN.findall(content)) != len(_END.findall(content)):
        raise BadValue("is cut short: a block in it has no end", "put the whole file there")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the hosts of a certificate; its common name counts if it has no alternative names (RFC 6125, 6.4.4)."""
    from cryptography import x509

    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise BadValue(
            f"has alternative names that lbgen cannot read: {printable(str(error))}",
            "put a certificate there with names of kind DNS only",
        ) from error
    if not names:
        with contextlib.suppress(ValueError):  # bytes that are no text, say
            common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            names = [str(item.value) for item in common]
    return tuple(sorted({name.lower() for name in names if _HOST.fullmatch(name.lower())}))


def _authorities(path: Path, content: bytes) -> Content:
    from cryptography import x509

    _whole(content)
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise BadValue("holds no certificate", "put the authority's certificate into it, in PEM format") from error
    return Content(Certificate(path.name, str(path), digest_of(content)), str(path), digest_of(content))


def _bundle(path: Path, content: bytes) -> Content:
    """Read the authorities that a machine trusts. What they are is its distribution's business, and they are many."""
    _whole(content)
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise BadValue("holds no certificate", "install the package ca-certificates")
    return Content(Certificate(path.name, str(path), digest_of(content)), str(path), digest_of(content))


def _users(path: Path, content: bytes) -> Content:
    users = {}
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise BadValue("is not UTF-8", "write lines NAME:HASH") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.strip().partition(":")
        # Never the line itself: it may hold a password.
        if not USER_NAME.fullmatch(name):
            raise BadValue(f"line {number} has no user name", "write NAME:HASH, with letters, digits and . _ @ + -")
        if not _HASH.fullmatch(hashed):
            raise BadValue(f"line {number} has no password hash", "write what `htpasswd -nB NAME` prints")
        users[name] = User(name, hashed)
    return Content(tuple(users[name] for name in sorted(users)), str(path), digest_of(content))


def _page(path: Path, content: bytes) -> Content:
    if len(content) > LARGEST_PAGE:
        raise BadValue(
            f"has {len(content)} bytes, and HAProxy has room for {LARGEST_PAGE} in a page",
            "make it smaller, and have it load its images",
        )
    try:
        lines = tuple(content.decode().expandtabs(8).replace("\r\n", "\n").removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise BadValue("is not UTF-8", "save it as UTF-8") from error
    if any(map(_CONTROL.search, lines)):
        raise BadValue("has control characters", "remove them")
    return Content(Page(path.name, lines, SUFFIXES[path.suffix]), str(path), digest_of(content))


def digest_of(content: bytes) -> str:
    """Return what differs when a file's content does."""
    return hashlib.sha256(content).hexdigest()[:16]


_PARSERS: Mapping[str, Callable[[Path, bytes], Content]] = {
    "certificates": _certificate,
    "users": _users,
    "client_cas": _authorities,
    "server_cas": _authorities,
    "system": _bundle,
    "pages": _page,
}
