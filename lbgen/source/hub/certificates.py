"""The certificates of a fleet, as both sides of a connection read them, and the TLS that they are used in.

A fleet's authority signs them, and they say all that a hub has to know of their holder, so that any hub may take any
edge's word: role and name as ``lbgen://ROLE/NAME`` among the alternative names, what was fixed when it joined as
``lbgen://facts/?joined=SECONDS&offer=ADDRESS&label.KEY=VALUE``. No DNS name or address is in them: a certificate is
good for who somebody is, wherever that is. Only hubs' are good for a server (extended key usage), which OpenSSL checks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.base.errors import SourceError
from lbgen.base.fleet_names import NAME

SCHEME = "lbgen"
EDGE, HUB = "edge", "hub"
MOST_LABELS, LONGEST_LABEL = 16, 256  # labels of an edge; characters of a key or a value
LARGEST = 16 << 10  # bytes of a certificate that is looked at; ours have less than 1 KiB, or 13 with most labels


class Refused(SourceError):
    """The other side does not admit this one, or is not who it should be. What is known stays in force.

    `code` is for programs, one of: revoked, replaced, unknown, expired, used, fleet, clock, name, request, limit, peer.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a certificate is for."""

    role: str  # EDGE or HUB
    name: str
    joined: float = 0.0  # seconds since 1970, by the hub that it joined; hubs: 0
    offer: str = ""  # address of its published ports, for an edge that may offer facts
    labels: Mapping[str, str] = field(default_factory=dict)

    def uris(self) -> list[str]:
        """Return its alternative names."""
        facts = {"joined": repr(self.joined)} | ({"offer": self.offer} if self.offer else {})
        facts |= {f"label.{key}": value for key, value in sorted(self.labels.items())}
        return [f"{SCHEME}://{self.role}/{self.name}", f"{SCHEME}://facts/?{urlencode(facts)}"]


def holder_of(certificate: x509.Certificate) -> Holder:
    """Return who a certificate is for, which is true if the fleet's authority has signed it.

    Raises:
        Refused: it is none of a fleet.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        who, facts = map(urlsplit, names.get_values_for_type(x509.UniformResourceIdentifier))
        said = dict(parse_qsl(facts.query, strict_parsing=True, max_num_fields=MOST_LABELS + 2))
        labels = {key.removeprefix("label."): value for key, value in said.items() if key.startswith("label.")}
        holder = Holder(who.netloc, who.path[1:], float(said["joined"]), said.get("offer", ""), labels)
        if who.scheme != SCHEME or holder.role not in (EDGE, HUB) or not NAME.fullmatch(holder.name):
            raise ValueError(names)
    except (ValueError, KeyError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise Refused("fleet", "the certificate is not one of an lbgen hub or edge") from error
    return holder


def certificate_in(content: bytes) -> x509.Certificate:
    """Return the certificate in DER, or PEM; raise Refused."""
    try:
        if len(content) > LARGEST:
            raise ValueError(f"{len(content)} bytes")
        if content.lstrip()[:5] == b"-----":
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError as error:
        raise Refused("request", "what should be a certificate cannot be read as one") from error


def key_id(key: Any) -> str:
    """Return what stands for a public key in ledgers: SHA-256 of its DER, in hexadecimal.

    Raises:
        Refused: it is of another kind than ours.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused("request", "the key is not an ECDSA key on curve P-256")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def fingerprint(certificate: x509.Certificate) -> str:
    """Return SHA-256 of the certificate's DER in hexadecimal, as ``openssl x509 -fingerprint -sha256`` has it."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def pem(certificate: x509.Certificate) -> str:
    """Return the certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the private key as text, not encrypted."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def client_context(authorities: Iterable[str], pair: str = "") -> ssl.SSLContext:
    """Return TLS 1.3 towards a hub that one of the authorities has signed, whatever its address.

    Args:
        authorities: certificates as PEM.
        pair: own key and certificate as PEM; "": none is shown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _trusting(context, authorities, pair)


def server_context(authorities: Iterable[str], pair: str) -> ssl.SSLContext:
    """Return TLS 1.3 for a hub that asks for a certificate of the authorities, and goes on without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _trusting(context, authorities, pair)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a session that is resumed is not verified again, even if its certificate has expired
    return context


def _trusting(context: ssl.SSLContext, authorities: Iterable[str], pair: str) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata="".join(authorities))
    if pair:
        with _in_memory(pair) as path:
            context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _in_memory(text: str) -> Any:
    """Give a text a path, which OpenSSL wants, without a disk: a private key has no business there."""
    handle = os.memfd_create("lbgen", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "w") as file:
            file.write(text)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Tell whether an authority has signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def proven(key: object, text: bytes, signature: bytes) -> bool:
    """Tell whether the owner of a key has signed a text."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
