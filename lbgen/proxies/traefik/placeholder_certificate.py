"""A certificate for clients that speak TLS where no listener does.

Without a default certificate Traefik makes itself an RSA key at every change of its configuration, which delays the
change by 60 to 300 ms (measured, 3.7; pkg/tls, all of 3.x). This one is made once and names nobody.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from lbgen.base import whole_file

NAME = "default.pem"
NOBODY = "nobody.lbgen.invalid"


def ensure(output: Path) -> None:
    """Make it in the output directory, once: a file with the certificate and its key, readable by its owner alone."""
    path = output / NAME
    if path.exists():
        return
    # Here and not above: needed once in the life of a directory.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NOBODY)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NOBODY)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    text = certificate.public_bytes(encoding) + key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    whole_file.replace(path, text)
