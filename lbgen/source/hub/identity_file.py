"""What an edge has on disk of who it is: key, certificate and authorities, in one file that is replaced whole."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import LbgenError, SettingsError
from lbgen.base.private_file import write_private
from lbgen.base.unwritable import unwritable
from lbgen.source.hub import certificates
from lbgen.source.hub.certificates import certificate_in, holder_of

LARGEST = 256 << 10  # bytes


@dataclass(frozen=True)
class Known:
    """What is in the file."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    authorities: tuple[str, ...]  # PEM

    @property
    def pair(self) -> str:
        """Key and certificate as PEM."""
        return certificates.key_pem(self.key) + certificates.pem(self.certificate)


def read(path: Path) -> Known:
    """Return what the file says; raise SettingsError where this machine has not joined, or it cannot be used."""
    try:
        said = json_text.data_in(bounded_file.read(path, LARGEST))
        certificate, authorities = certificate_in(said["certificate"].encode()), tuple(said["authorities"])
        known = Known(private_key(said["key"]), certificate, authorities)
        certificates.client_context(known.authorities, known.pair)
        holder_of(certificate)
    except FileNotFoundError:
        remedy = f"lbgen join https://HUB:PORT --token TOKEN --state {path.parent}"
        raise SettingsError(f"{path.parent}: this machine has not joined a fleet: {remedy}") from None
    except (ssl.SSLError, ValueError, KeyError, TypeError, AttributeError, LbgenError):
        remedy = "join again, with a new token and --again"
        raise SettingsError(f"{path}: it is damaged: {remedy}") from None  # no traceback has the key
    except PermissionError as error:
        remedy = "run this as the account that has joined, or give that directory to this one (chown -R)"
        raise SettingsError(f"{path}: cannot be read: {error.strerror}: {remedy}") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    return known


def write(path: Path, known: Known) -> None:
    """Put it in place, whole; raise SettingsError."""
    key, certificate = certificates.key_pem(known.key), certificates.pem(known.certificate)
    keep(path, {"key": key, "certificate": certificate, "authorities": list(known.authorities)})


def keep(path: Path, document: Mapping[str, Any]) -> None:
    """Put a document in place, whole, for this account alone; raise SettingsError."""
    try:
        write_private(path, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise SettingsError(unwritable(path, error)) from error


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Return the key in PEM; raise ValueError."""
    key = serialization.load_pem_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an ECDSA key")
    return key
