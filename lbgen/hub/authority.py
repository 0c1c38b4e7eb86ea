"""The authority of a fleet: the one key that all hubs share, and what it signs.

It is one file, so that it can be a Docker secret: PEM, private keys and certificates in any order. The first
certificate is that of the authority that signs; all certificates are trusted, so that a rotation has no gap: an edge
learns them at each renewal, before the first certificate of a new authority is shown to it.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lbgen.base import bounded_file
from lbgen.base.errors import SettingsError
from lbgen.base.logs import log
from lbgen.source import Validity
from lbgen.source.hub import certificates
from lbgen.source.hub.certificates import EDGE, HUB, Holder, Refused, fingerprint, holder_of, key_pem, pem, proven
from lbgen.source.hub.expiry import of_authority

LIFE = 24 * 3600.0  # seconds that a certificate of an edge or a hub is good for
RENEWED = LIFE / 3  # seconds before its end at which a hub makes itself a new one
BACKDATED = 3600.0  # seconds by which an edge's clock may be behind
YEARS = 10  # of the authority's own certificate
LARGEST = 64 << 10  # bytes of the file
SECRETS = Path("/run/secrets")  # where Docker mounts them
_ADVICE = "make one with 'lbgen hub init', and give all hubs the same file"


@dataclass(frozen=True)
class Bundle:
    """What is in the authority's file: the first certificate signs, all are trusted."""

    keys: tuple[ec.EllipticCurvePrivateKey, ...]  # at least that of the first certificate
    trusted: tuple[x509.Certificate, ...]

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The key of the first certificate."""
        return next(key for key in self.keys if key.public_key() == self.trusted[0].public_key())

    def text(self) -> str:
        """Return the file's content."""
        return "".join([pem(each) for each in self.trusted] + [key_pem(key) for key in self.keys])


def new_bundle(now: float) -> Bundle:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"lbgen fleet {secrets.token_hex(4)}")])
    start = datetime.fromtimestamp(now, UTC) - timedelta(seconds=BACKDATED)
    # Were it trusted by mistake elsewhere, it could still not vouch for any name or address of the net.
    nets = [x509.IPAddress(IPv4Network("0.0.0.0/0")), x509.IPAddress(IPv6Network("::/0"))]
    limits = x509.NameConstraints(
        [x509.UniformResourceIdentifier(host) for host in (EDGE, HUB, "facts")], [x509.DNSName(""), *nets]
    )
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    builder = _builder(name, name, key.public_key(), key.public_key(), start, start + timedelta(days=365.25 * YEARS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True).add_extension(limits, critical=True)
    return Bundle((key,), (builder.sign(key, hashes.SHA256()),))


def read_bundle(path: Path) -> Bundle:
    """Read the authority's file.

    Raises:
        SettingsError: it cannot be used; nothing of what is in it is in the message.
    """
    try:
        content = bounded_file.read(path, LARGEST)
    except PermissionError as error:
        remedy = "run this as the account that the file is for, or as root"
        raise SettingsError(f"hub.authority {path}: cannot be read: {error.strerror}; {remedy}") from error
    except OSError as error:
        raise SettingsError(f"hub.authority {path}: cannot be read: {error.strerror}; {_ADVICE}") from error
    try:
        trusted = tuple(x509.load_pem_x509_certificates(content))
        keys = tuple(map(_private_key, _blocks(content)))
        for each in trusted:
            each.verify_directly_issued_by(each)  # self-signed, each with a key of our kind
            certificates.key_id(each.public_key())
        if not any(key.public_key() == trusted[0].public_key() for key in keys):
            raise SettingsError(f"hub.authority {path}: the key of its first certificate is missing; {_ADVICE}")
    except (ValueError, TypeError, InvalidSignature, Refused):
        what = "is not a fleet's authority (PEM certificates and their private key)"
        raise SettingsError(f"hub.authority {path}: it {what}; {_ADVICE}") from None
    return Bundle(keys, trusted)


def _blocks(content: bytes) -> list[bytes]:
    end = b"-----END PRIVATE KEY-----"
    return [b"-----BEGIN PRIVATE KEY-----" + each.partition(end)[0] + end for each in _after_begin(content)]


def _after_begin(content: bytes) -> list[bytes]:
    return content.split(b"-----BEGIN PRIVATE KEY-----")[1:]


def _private_key(text: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an ECDSA key")
    return key


class Authority:
    """What a hub does with the authority: it proves itself, and vouches for edges. Safe in several threads."""

    def __init__(self, bundle: Bundle, name: str, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            name: the hub's own.
        """
        self.name, self._clock = name, clock
        self._lock = threading.Lock()
        self._shown: deque[str] = deque(maxlen=2)  # SHA-256 of the certificates that were shown last
        self._front: ssl.SSLContext | None = None
        self.take(bundle)

    @classmethod
    def load(cls, path: Path, name: str, clock: Callable[[], float] = time.time) -> Authority:
        """Read the authority's file; raise SettingsError. One that others may read, too, is told."""
        authority = cls(read_bundle(path), name, clock)
        # Docker mounts secrets with mode 0444, where only the container's own processes see them.
        if not path.is_relative_to(SECRETS) and path.stat().st_mode & 0o077:
            effect = "anyone who reads it can be a hub: chmod 600"
            log.warning(
                "hub_authority_readable", file=str(path), mode=f"{path.stat().st_mode & 0o777:o}", effect=effect
            )
        return authority

    @property
    def fingerprint(self) -> str:
        """That of the authority that signs."""
        return fingerprint(self._bundle.trusted[0])

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Those of all that are trusted, the one that signs first."""
        return tuple(map(fingerprint, self._bundle.trusted))

    def validity(self) -> Validity:
        """Return how long the authority that signs is good for."""
        return of_authority(self._bundle.trusted[0], self._clock())

    @property
    def authorities(self) -> list[str]:
        """The certificates that are trusted, as PEM."""
        return list(map(pem, self._bundle.trusted))

    @property
    def certificate(self) -> bytes:
        """The hub's own certificate, as it shows it now; DER."""
        return self._own.public_bytes(serialization.Encoding.DER)

    @property
    def shown(self) -> Sequence[str]:
        """SHA-256 of the certificates that this hub shows or has shown last, in hexadecimal."""
        return tuple(self._shown)

    def sign(self, text: bytes) -> bytes:
        """Return the signature for something that is no certificate; the text says what it is for."""
        return self._bundle.key.sign(text, ec.ECDSA(hashes.SHA256()))

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Tell whether one of the authorities that are trusted has signed this."""
        return any(proven(each.public_key(), text, signature) for each in self._bundle.trusted)

    def secret(self, purpose: bytes) -> bytes:
        """Return 32 bytes that all hubs of the fleet share, and nobody else knows."""
        scalar = self._bundle.key.private_numbers().private_value.to_bytes(32, "big")
        return hashlib.sha256(b"lbgen secret\n" + purpose + b"\n" + scalar).digest()

    def issue(self, holder: Holder, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        """Return a certificate for a holder and a key that has been proven; all that is in it is decided here."""
        return issued(self._bundle, holder, key, self._clock())

    def verified(self, certificate: x509.Certificate, grace: float = 0.0) -> Holder:
        """Return the holder of a certificate that the authority has signed, and that is in force.

        Args:
            grace: seconds for which one that has expired will still do.
        Raises:
            Refused: it is not.
        """
        if not any(certificates.signed_by(certificate, each) for each in self._bundle.trusted):
            raise Refused("fleet", "the certificate is not one of this fleet; join it again with a token of this fleet")
        certificates.key_id(certificate.public_key())
        now = datetime.fromtimestamp(self._clock(), UTC)
        if certificate.not_valid_before_utc > now:
            begins = f"{certificate.not_valid_before_utc:%F %T} UTC"
            raise Refused(
                "clock", f"the certificate is valid from {begins}, which is yet to come here; compare the clocks"
            )
        ended = certificate.not_valid_after_utc
        if ended + timedelta(seconds=grace) < now:
            when = f"has expired at {ended:%F %T} UTC"
            raise Refused("expired", f"the certificate {when}, too long ago to renew it; join again with a new token")
        return holder_of(certificate)

    def server_context(self) -> ssl.SSLContext:
        """Return TLS for the port that edges dial: the same object for good, with what `refresh` makes in it.

        Connections that stand keep what they began with.
        """
        if self._front is None:
            self._front = certificates.server_context(self.authorities, self._pair)
            self._front.sni_callback = self._choose
        return self._front

    def client_context(self) -> ssl.SSLContext:
        """Return TLS towards another hub, with this one's certificate."""
        self.refresh()
        return certificates.client_context(self.authorities, self._pair)

    def refresh(self) -> None:
        """Make this hub a new certificate if its own ends soon; called before each connection, and cheap."""
        if not self._made_at - BACKDATED <= self._clock() < self._made_at + LIFE - RENEWED:  # the clock may have jumped
            self.take(self._bundle)

    @property
    def bundle(self) -> Bundle:
        """What is in the authority's file."""
        return self._bundle

    def take(self, bundle: Bundle) -> None:
        """Go on with this bundle, and with a new certificate of the hub by it."""
        key = ec.generate_private_key(ec.SECP256R1())
        with self._lock:
            self._made_at = self._clock()
            own = issued(bundle, Holder(HUB, self.name), key.public_key(), self._made_at)
            self._bundle, self._own, self._pair = bundle, own, key_pem(key) + pem(own)
            self._context = certificates.server_context(self.authorities, self._pair)
            self._shown.append(fingerprint(own))

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Give a connection the newest certificate: OpenSSL asks at each client's hello, with or without a name."""
        self.refresh()
        connection.context = self._context


def issued(bundle: Bundle, holder: Holder, key: ec.EllipticCurvePublicKey, now: float) -> x509.Certificate:
    """Return a certificate for a holder."""
    start, end = (datetime.fromtimestamp(at, UTC) for at in (now - BACKDATED, now + LIFE))
    by = bundle.trusted[0]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"lbgen {holder.role} {holder.name}")])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if holder.role == HUB else [])]
    names = [x509.UniformResourceIdentifier(uri) for uri in holder.uris()]
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = _builder(subject, by.subject, key, bundle.key.public_key(), start, min(end, by.not_valid_after_utc))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(bundle.key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signing: ec.EllipticCurvePublicKey,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    """Return what a certificate of the fleet and one of its authority have in common."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
    )
