"""Self-signed certificates for the listeners and servers of a test."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def certificate(path: Path, *names: str, days: float = 0.0, by_rsa: bool = False) -> Path:
    """Write a self-signed certificate for these names, with its key, as one PEM file.

    Args:
        days: from now to the middle of the two days that it is valid.
        by_rsa: of the older kind, in place of elliptic curves.
    """
    key = rsa.generate_private_key(65537, 2048) if by_rsa else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC) + timedelta(days=days)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


def on_unknown_curve(path: Path, curve: str) -> None:
    """Write a certificate on a curve that openssl knows and cryptography does not: prime239v1, SM2."""
    _by_openssl(path, "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}")


def with_x400_address(path: Path) -> None:
    """Write a certificate whose alternative names are an X.400 address and a.test; cryptography refuses the former."""
    _by_openssl(path, "-newkey", "rsa:2048", "-addext", "subjectAltName=DER:300AA3033001008203612E62")


def _by_openssl(path: Path, *words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        key, signed = Path(place, "key"), Path(place, "signed")
        command = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=a.test", "-days", "30", *words]
        subprocess.run([*command, "-keyout", str(key), "-out", str(signed)], check=True, capture_output=True)
        path.write_bytes(signed.read_bytes() + key.read_bytes())


UNREADABLE: Mapping[str, Callable[[Path], None]] = {
    "prime239v1": lambda path: on_unknown_curve(path, "prime239v1"),
    "SM2": lambda path: on_unknown_curve(path, "SM2"),
    "x400Address": with_x400_address,
}
