"""What edges send to join and renew, read: any junk is refused in words."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.source.hub.certificates import LARGEST, Refused, key_id


def bytes_in(request: Mapping[str, Any], key: str) -> bytes:
    """Return the bytes that a request has under a key in base64; raise Refused."""
    value = request.get(key)
    try:
        if isinstance(value, str) and len(value) <= 2 * LARGEST:
            return base64.b64decode(value, validate=True)
    except ValueError:
        pass
    raise Refused("request", f"the request has no {key}, or one that cannot be read")


def requested_key(request: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """Return the key of a request for a certificate, which it proves; nothing else in it is looked at.

    Raises:
        Refused: it is none, or its key is not of our kind.
    """
    content = bytes_in(request, "request")
    try:
        asked = x509.load_der_x509_csr(content)
        key = asked.public_key()
        key_id(key)
        if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("signature")
    except Refused:
        raise
    except Exception as error:  # junk of any kind: cryptography has errors of several
        what = "the request for a certificate cannot be read, or is not signed with its key"
        raise Refused("request", what) from error
    return key
