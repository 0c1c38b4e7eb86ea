"""A proxy with TLS listeners, brought to its files as `lbgen run` does, and clients that shake hands with it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lbgen.base.address import split_bind
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import Model, build
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.render.kept_credentials import KeptCredentials
from lbgen.report.limits import limits
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.clients import anybody
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, wait_for

KINDS = ["haproxy", "nginx", "traefik"]
REFUSED = 0  # no answer: the handshake failed
EVERY = pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.proxy(kind)) for kind in KINDS])


@dataclass
class Authority:
    """Signs clients' certificates."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed(self.name, self._key.public_key(), ca=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path = self.directory / f"{self.name}.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def client(self, directory: Path) -> Path:
        """Write the certificate of one of its clients, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = directory / f"client-of-{self.name}.pem"
        path.write_bytes(
            self._signed("client", key.public_key(), ca=False).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path

    def _signed(self, subject: str, key: Any, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


class Site:
    """A proxy with a TLS listener, one without, and one that passes connections on by their name."""

    def __init__(
        self, kind: str, directory: Path, binary: str = "", tls: object = True, more: dict[str, object] | None = None
    ) -> None:
        """
        Args:
            tls: the setting of listener "secure".
            more: other listeners, by name; their ports are free ones.
        """
        self.directory, self.kind = directory, kind
        self.certificates, self.client_cas = directory / "certs", directory / "client-ca"
        for path in (self.certificates, self.client_cas):
            path.mkdir()
        self.settings = Settings.model_validate(
            {
                "listeners": {
                    "web": {"bind": f"127.0.0.1:{free_port()}"},
                    "secure": {"bind": f"127.0.0.1:{free_port()}", "tls": tls},
                    "pg": {"bind": f"127.0.0.1:{free_port()}", "protocol": "tcp"},
                    **(more or {}),
                },
                "default_listeners": ["web", "secure"],
                "status": {"bind": ""},
                "certificates": str(self.certificates),
                "client_cas": str(self.client_cas),
                "min_reload_interval": "0s",
                "targets": {
                    "edge": {
                        "templates": [kind],
                        "output": str(directory / "out"),
                        "probe": f"127.0.0.1:{free_port()}",
                        "apply": {"run": True},
                        **({"binary": binary} if binary else {}),
                    }
                },
            }
        )
        self.target: Target = assembly.Assembly("edge", self.settings.targets["edge"], self.settings).target()
        self._reader = CredentialReader(self.settings, kept=KeptCredentials(directory / "out", writes=False))
        self.snapshot: Snapshot = a_snapshot()
        self.model = Model()

    def serve(self, *facts: Fact) -> None:
        """Have the proxy serve these, with the files that are there."""
        self.snapshot = a_snapshot(a_node(), a_network("edge"), *facts)
        self.again()

    def again(self) -> None:
        """Have the proxy serve the same with the files that are there now."""
        self.model = with_credential_problems(
            build(self.snapshot, self.settings.rules()), self._reader.read(), here=True
        )
        wait_for(lambda: self.target.bring_to(self.model, self.snapshot), "the proxy to serve it")

    def port(self, listener: str = "secure") -> int:
        return split_bind(self.settings.listeners[listener].bind)[1]

    def shown(self, name: str | None, port: int = 0) -> str:
        """The file whose certificate is shown to a client that asks for the name; "?" for another one."""
        with (
            socket.create_connection(("127.0.0.1", port or self.port()), timeout=PATIENCE) as plain,
            anybody().wrap_socket(plain, server_hostname=name) as connection,
        ):
            found = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
        return next((path.stem for path in sorted(self.certificates.iterdir()) if found in path.read_text()), "?")

    def told(self, service: str) -> set[str]:
        """What lint says that the proxy cannot do of what a service and listeners ask for."""
        said = limits(self.model, self.snapshot, "edge", self.kind)
        return {limit.feature for limit in said if limit.service == service or limit.listener}


def app(name: str, address: str, port: int, **keys: object) -> list[Fact]:
    """A service with one server."""
    labels = {"port": port, "health-check": "off", **{key.replace("_", "-"): value for key, value in keys.items()}}
    created = f"2026-11-22T10:00:{int(address.rpartition('.')[2]):02}Z"
    return [
        a_service(name, labels, networks=("edge-id",), created_at=created),
        a_task(name, 1, addresses={"edge-id": address}),
    ]


def context(client: Path | None = None, alpn: str = "") -> ssl.SSLContext:
    """A client's, with this certificate of its own."""
    made = anybody()
    if client:
        made.load_cert_chain(client)
    if alpn:
        made.set_alpn_protocols([alpn])
    return made


def ask(port: int, name: str | None, client: Path | None = None, *, host: str = "", path: str = "/") -> int | str:
    """Ask over TLS; the address of the server that answers, else the status, or REFUSED."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            context(client).wrap_socket(plain, server_hostname=name) as connection,
        ):
            return said(connection, host or name or "", path)
    except (ssl.SSLError, ConnectionError, http.client.BadStatusLine):
        return REFUSED


def said(connection: ssl.SSLSocket, host: str, path: str = "/") -> int | str:
    """Ask on a connection."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return answer(connection)


def answer(connection: ssl.SSLSocket) -> int | str:
    """Read an answer."""
    found = http.client.HTTPResponse(connection)
    found.begin()
    text = found.read()
    return str(json.loads(text)["address"]) if found.status == 200 else found.status
