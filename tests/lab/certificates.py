"""A certificate authority for the lab, so that its engines can be asked over TCP with TLS, as on a real network."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

YEARS = timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, and who signed it."""

    ca: Path
    cert: Path
    key: Path


def certificates(directory: Path, name: str, address: str = "") -> Pair:
    """Have a certificate of the lab's own authority: for a server with this address, else for a client."""
    ca, ca_key = directory / "ca.pem", directory / "ca-key.pem"
    directory.mkdir(parents=True, exist_ok=True)
    if not ca_key.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _unsigned("lab", key, "lab").add_extension(x509.BasicConstraints(True, 0), critical=True)
        _write(ca, signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write(ca_key, _pem(key))
    pair = Pair(ca, directory / f"{name}.pem", directory / f"{name}-key.pem")
    if not pair.key.exists():
        authority = serialization.load_pem_private_key(ca_key.read_bytes(), None)
        assert isinstance(authority, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name)] + ([x509.IPAddress(ipaddress.ip_address(address))] if address else [])
        usage = x509.ExtendedKeyUsageOID.SERVER_AUTH if address else x509.ExtendedKeyUsageOID.CLIENT_AUTH
        signed = (
            _unsigned(name, key, "lab")
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        _write(pair.cert, signed.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write(pair.key, _pem(key))
    return pair


def _unsigned(name: str, key: ec.EllipticCurvePrivateKey, issuer: str) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + YEARS)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
