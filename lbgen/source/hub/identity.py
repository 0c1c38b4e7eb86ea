"""Who an edge is: its key, which never leaves this machine, its certificate, and the authorities that it trusts.

The key is made when it joins and stays until it joins again. A certificate lives a day; it is renewed when a third of
that is left, for which the edge proves that it has the key, with whatever certificate it had last. So an edge that was
switched off for weeks comes back by itself.
"""

from __future__ import annotations

import base64
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import SettingsError, SourceError
from lbgen.base.fingerprint import fingerprint as fingerprint_of
from lbgen.source import Validity
from lbgen.source.hub import certificates, expiry, identity_file
from lbgen.source.hub.certificates import EDGE, Holder, Refused, certificate_in, fingerprint, holder_of
from lbgen.source.hub.exchange import JOIN, RENEW, Answer, Exchange, check_hub
from lbgen.source.hub.identity_file import LARGEST, Known
from lbgen.source.hub.token import MOST_AUTHORITIES, parts_of

FILE, JOINING = "identity.json", "joining.json"
DUE = 1 / 3  # of a certificate's life is left when it is renewed
SPREAD = 0.1  # by which that differs, so that not all edges come at once
NONCE = 88  # bytes of a challenge: time (8), random (16), SHA-256 of the hub's certificate, authentication code (32)
NONCE_CERTIFICATE = slice(24, 56)
PROOF = b"lbgen renew 1\n"  # so that no other signature of the key is taken for one

# (path, request, TLS) -> answer: an Exchange with one hub
Dial = Callable[[str, Mapping[str, Any], ssl.SSLContext], Answer]


class Identity:
    """An edge's identity in its state directory; any thread may read or renew it."""

    def __init__(
        self, state: Path, clock: Callable[[], float] = time.time, spread: Callable[[], float] = random.random
    ) -> None:
        """
        Args:
            spread: from 0 to 1, for each certificate.
        Raises:
            SettingsError: this machine has not joined, or what it knows of it cannot be used.
        """
        self._path, self._clock = state / FILE, clock
        self._seen = fingerprint_of(self._path)
        self._known = identity_file.read(self._path)
        self.unwritten = ""  # why the newest certificate is not on disk; empty: it is
        self._early = (2 * spread() - 1) * SPREAD

    @property
    def holder(self) -> Holder:
        """Who this edge is, with what was fixed when it joined."""
        return holder_of(self._known.certificate)

    @property
    def name(self) -> str:
        """The edge's name."""
        return self.holder.name

    @property
    def certificate(self) -> bytes:
        """The certificate; DER."""
        return self._known.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def until(self) -> float:
        """When the certificate ends; seconds since 1970."""
        return self._known.certificate.not_valid_after_utc.timestamp()

    def validities(self) -> tuple[Validity, ...]:
        """Return how long the certificate is good for, and the authority that has signed it."""
        known, now = self._known, self._clock()
        trusted = [x509.load_pem_x509_certificate(each.encode()) for each in known.authorities]
        signs = [each for each in trusted if certificates.signed_by(known.certificate, each)]
        own = expiry.of_edge(known.certificate, self.name, now)
        return own, *(expiry.of_authority(each, now) for each in signs[:1])

    @property
    def ended(self) -> bool:
        """Whether the certificate is in force no more."""
        self.look()
        return self.until <= self._clock()

    def look(self) -> bool:
        """Take over what is in the file if that is another one: this machine has joined anew, with 'lbgen join'.

        A file that is damaged or gone changes nothing: what is known is as good as before. Returns whether it changed.
        """
        seen = fingerprint_of(self._path)
        if seen == self._seen:
            return False
        self._seen = seen
        with contextlib.suppress(SettingsError):
            self._known, self.unwritten = identity_file.read(self._path), ""
        return True

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Tell whether one of the authorities that this edge trusts has signed a text, which says what it is for."""
        keys = (x509.load_pem_x509_certificate(each.encode()).public_key() for each in self._known.authorities)
        return any(certificates.proven(key, text, signature) for key in keys)

    def renew_in(self) -> float:
        """Return the seconds until the certificate is to be renewed; 0: now."""
        life = self.until - self._known.certificate.not_valid_before_utc.timestamp()
        return max(0.0, self.until - life * DUE * (1 + self._early) - self._clock())

    def client_context(self) -> ssl.SSLContext:
        """Return TLS towards a hub, with the certificate of now; after a renewal it is another context."""
        self.look()
        return certificates.client_context(self._known.authorities, self._known.pair)

    def renew_if_due(self, dial: Dial) -> bool:
        """Renew the certificate if it is time; return whether it was. Needs two exchanges with one hub, or fleet.

        Raises:
            Refused: the hub says no.
            SourceError: it cannot be asked, or its answer is not right; the certificate stays.
        """
        self.look()
        if self.unwritten:
            self._keep()
        if self.renew_in() > 0:
            return False
        self.renew(dial)
        return True

    def renew(self, dial: Dial) -> None:
        """Renew the certificate now; errors as `renew_if_due` has them."""
        known = self._known
        # No certificate is shown, as OpenSSL would refuse one that has expired. The hub's is verified as ever.
        context = certificates.client_context(known.authorities)
        challenge = dial(RENEW, {"type": "challenge"}, context)
        check_hub(challenge.certificate)
        nonce = _bytes(challenge.document, "nonce")
        # A hub's own challenge, not one that it has from another: what is signed is of no use elsewhere.
        if len(nonce) != NONCE or nonce[NONCE_CERTIFICATE] != sha256(challenge.certificate).digest():
            raise SourceError("the hub's challenge is not for the certificate that it has shown; it is tried again")
        der = self.certificate
        proof = known.key.sign(PROOF + nonce + der, ec.ECDSA(hashes.SHA256()))
        request = {"type": "renew", **{key: base64.b64encode(value).decode() for key, value in (
            ("nonce", nonce), ("certificate", der), ("proof", proof))}}  # fmt: skip
        renewed = _granted(dial(RENEW, request, context), known.key)
        if holder_of(renewed.certificate).name != self.name:
            raise SourceError(f"the hub's answer is a certificate for another name than {self.name}")
        if fingerprint_of(self._path) == self._seen:  # else it has joined anew meanwhile
            self._known = renewed
            self._keep()

    def _keep(self) -> None:
        """Have on disk what is known. Where that cannot be, it is in force all the same: a hub would not wait."""
        try:
            identity_file.write(self._path, self._known)
        except SettingsError as error:
            self.unwritten = str(error)
        else:
            self.unwritten, self._seen = "", fingerprint_of(self._path)


def join(exchange: Exchange, url: str, token_text: str, state: Path, again: bool = False) -> Identity:
    """Join a fleet: make a key, have it certified by the hub, keep both in the state directory.

    The token is told to nobody but a hub whose authority it names. An answer that was lost is no harm: the key is kept,
    and the same token does once more for it.

    Args:
        again: also if this machine has joined before.
    Raises:
        SettingsError: it has joined before, or the state cannot be written.
        Refused: the hub says no, or is none of the token's fleet.
        SourceError: it cannot be asked.
    """
    token, *_ = parts_of(token_text)
    path, joining = state / FILE, state / JOINING
    if path.exists() and not again:
        known = Identity(state)
        raise SettingsError(f"{state}: this machine has joined already, as {known.name}; --again replaces that")
    authorities = _authorities_named(exchange(url, JOIN, {"type": "authorities"}, _anybody()), token.authorities, url)
    context = certificates.client_context(authorities)
    key = _key_for(token.id, joining)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, token.name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    asked = {"type": "join", "token": token_text.strip(), "request": base64.b64encode(der).decode()}
    granted = exchange(url, JOIN, asked, context)
    check_hub(granted.certificate)
    identity_file.write(path, _granted(granted, key))
    joining.unlink(missing_ok=True)
    return Identity(state)


def _anybody() -> ssl.SSLContext:
    """Return TLS that verifies nothing, to ask for certificates that a fingerprint proves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _authorities_named(answer: Answer, fingerprints: tuple[str, ...], url: str) -> list[str]:
    """Return the authorities in an answer that a token names; raise Refused if there are none."""
    said = [certificate_in(text.encode()) for text in _texts(answer.document)]
    named = [certificates.pem(each) for each in said if fingerprint(each) in fingerprints]
    if not named:
        other = "the hub there is of another fleet than the token, or somebody is in between"
        raise Refused(
            "fleet", f"hub {url}: {other}; the token was not sent. Authority: {_shown(map(fingerprint, said))}"
        )
    return named


def _shown(fingerprints: Any) -> str:
    return ", ".join(each[:16] for each in fingerprints) or "none"


def _key_for(token: str, path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that was made for a token before, else a new one, which is kept."""
    try:
        known = json_text.data_in(bounded_file.read(path, LARGEST))
        if known["token"] == token:
            return identity_file.private_key(known["key"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or none that can be used
    key = ec.generate_private_key(ec.SECP256R1())
    identity_file.keep(path, {"token": token, "key": certificates.key_pem(key)})
    return key


def _granted(answer: Answer, key: ec.EllipticCurvePrivateKey) -> Known:
    """Return what a hub has granted; raise SourceError if it is not right."""
    said = answer.document.get("certificate")
    certificate = certificate_in(said.encode() if isinstance(said, str) else b"")
    authorities = [certificate_in(text.encode()) for text in _texts(answer.document)]
    if certificate.public_key() != key.public_key() or holder_of(certificate).role != EDGE or not authorities:
        raise SourceError("the hub's answer is not a certificate for this edge's key; what is known is kept")
    return Known(key, certificate, tuple(map(certificates.pem, authorities)))


def _texts(document: Mapping[str, Any]) -> list[str]:
    texts = document.get("authorities")
    if not isinstance(texts, list) or len(texts) > MOST_AUTHORITIES or not all(isinstance(text, str) for text in texts):
        raise SourceError("the hub's answer has no list of authorities: is an lbgen hub there?")
    return texts


def _bytes(document: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(document[key], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"the hub's answer has no {key}: is an lbgen hub there?") from error
