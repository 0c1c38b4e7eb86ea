"""What HAProxy says that it was built with."""

from __future__ import annotations

import pytest

from lbgen.proxies.haproxy.build import Build, build_of, read

OLD = """\
HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
Feature list : -51DEGREES +OPENSSL -QUIC +RT
Running on OpenSSL version : OpenSSL 3.0.19 27 Jan 2026
"""
NEW = """\
HAProxy version 3.3-dev7-1 2026/01/17 - https://haproxy.org/
Feature list : -51DEGREES +OPENSSL +QUIC +QUIC_OPENSSL_COMPAT +RT
Running on OpenSSL version : OpenSSL 3.5.9 29 Sep 2026
"""


@pytest.mark.parametrize(
    ("said", "version", "features"),
    [
        (OLD, (2, 6, 12), ()),
        (NEW, (3, 3, 7), ("http3", "limited-quic", "X25519MLKEM768")),
        (NEW.replace("OpenSSL 3.5", "AWS-LC 1.5").replace(" +QUIC_OPENSSL_COMPAT", ""), (3, 3, 7), ("http3",)),
        ("something else", (), ()),
    ],
)
def test_read(said, version, features):
    """Its version, and what templates and lint have to know of."""
    found = read(said)
    assert found.version == version
    assert tuple(name for name in found.features if name in ("http3", "limited-quic", "X25519MLKEM768")) == features


def test_no_program():
    """Nothing is known of one that is not there."""
    assert build_of("/nowhere/haproxy") == Build()
