"""Those who should not get in: whatever they send, they learn nothing, and cost the hub a bounded amount."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.unexpected import UNEXPECTED
from lbgen.hub import attempts
from lbgen.hub.authority import LIFE, Authority, new_bundle, read_bundle
from lbgen.hub.registrar import JOINS
from lbgen.source.hub import certificates
from lbgen.source.hub.certificates import Refused, certificate_in, holder_of
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import PROOF, Identity, join
from tests.support.clock import Clock
from tests.support.fleet import Hub

HELLO = {"type": "hello"}


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    with Hub(new_bundle(clock()), "m1", tmp_path / "hub", clock) as hub:
        yield hub


def request_by(key: Any, *names: str, algorithm: Any = None) -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody-else")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in names])
        builder = builder.add_extension(san, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(key, algorithm)
    return base64.b64encode(signed.public_bytes(serialization.Encoding.DER)).decode()


def test_request_decides_nothing(hub: Hub) -> None:
    """Name, role and rights of a certificate are the token's, whatever the request for it says."""
    key = ec.generate_private_key(ec.SECP256R1())
    asked = request_by(key, "lbgen://hub/m9", "lbgen://edge/e2", algorithm=hashes.SHA256())
    answer = hub.registrar.join({"type": "join", "token": hub.token("e1"), "request": asked})
    got = certificate_in(answer["certificate"].encode())
    assert (holder_of(got).role, holder_of(got).name) == ("edge", "e1")
    assert not got.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = list(got.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"request": None},
        {"request": "no base64"},
        {"request": base64.b64encode(b"\x30\x82\xff\xff" + bytes(100)).decode()},
        {"request": base64.b64encode(bytes(5000)).decode()},
        {"request": "A" * 1_000_000},
        {"request": request_by(rsa.generate_private_key(65537, 1024), algorithm=hashes.SHA256())},
        {"request": request_by(ec.generate_private_key(ec.SECP192R1()), algorithm=hashes.SHA256())},
        {"request": request_by(ed25519.Ed25519PrivateKey.generate())},
    ],
    ids=["none", "null", "text", "der", "zeros", "large", "rsa-1024", "p-192", "ed25519"],
)  # fmt: skip
def test_what_is_no_request(hub: Hub, request_: dict[str, Any]) -> None:
    """Junk and weak keys are refused in words, and the token stays good."""
    token = hub.token("e1")
    answer = hub.registrar.join({"type": "join", "token": token, **request_})
    assert (answer["type"], answer["code"]) == ("refused", "request")
    assert hub.ledger.entries.edges == {}
    good = request_by(ec.generate_private_key(ec.SECP256R1()), algorithm=hashes.SHA256())
    assert hub.registrar.join({"type": "join", "token": token, "request": good})["type"] == "certificate"


def test_request_signed_with_another_key(hub: Hub) -> None:
    """Nobody has a key certified that he does not have."""
    content = bytearray(
        base64.b64decode(request_by(ec.generate_private_key(ec.SECP256R1()), algorithm=hashes.SHA256()))
    )
    content[-5] ^= 1
    asked = base64.b64encode(content).decode()
    answer = hub.registrar.join({"type": "join", "token": hub.token("e1"), "request": asked})
    assert answer["code"] == "request"


@pytest.mark.parametrize(
    "token", [None, 1, "", "lbgen1", "lbgen1.e30.e30", "lbgen1.AAAA.AAAA", "x" * 100_000, "lbgen2.a.b"]
)
def test_what_is_no_token(hub: Hub, token: object) -> None:
    answer = hub.registrar.join({"type": "join", "token": token, "request": ""})
    assert (answer["type"], answer["code"]) == ("refused", "request")


def test_altered_token(hub: Hub) -> None:
    """A token for another name than it was made for is none of the fleet."""
    prefix, payload, signature = hub.token("e1").split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    altered = base64.urlsafe_b64encode(json.dumps({**said, "name": "e2"}).encode()).rstrip(b"=").decode()
    answer = hub.registrar.join({"type": "join", "token": f"{prefix}.{altered}.{signature}", "request": ""})
    assert (answer["type"], answer["code"]) == ("refused", "fleet")


def test_token_of_another_fleet(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """It is not even sent to the hub; a hub that gets it refuses it."""
    with Hub(new_bundle(clock()), "other", tmp_path / "other", clock) as other:
        token = other.token("e1")
        with pytest.raises(Refused, match="the token was not sent") as refused:
            join(exchange, hub.url, token, tmp_path / "e1")
        assert refused.value.code == "fleet"
    assert hub.registrar.join({"type": "join", "token": token, "request": ""})["code"] == "fleet"


def test_token_is_not_told_to_who_has_only_the_authoritys_certificate(hub: Hub, tmp_path: Path) -> None:
    """Someone in between may repeat the authority's certificate, which is public: he gets no token for that."""
    heard: list[str] = []

    def between(_url: str, path: str, request: Any, context: ssl.SSLContext) -> Any:
        heard.append(request["type"])
        if request["type"] == "authorities":
            return exchange(hub.url, path, request, context)
        with TlsPort(_self_signed_context()) as port:
            return exchange(port.url, path, request, context)

    with pytest.raises(Refused, match="not a hub of this fleet"):
        join(between, "https://m1:9443", hub.token("e1"), tmp_path / "e1")
    assert heard == ["authorities", "join"]


def test_edge_is_no_hub(hub: Hub, tmp_path: Path) -> None:
    """An edge's certificate cannot stand for a hub: TLS refuses it, and nothing is said."""
    edge, other = hub.joined("e1", tmp_path / "e1"), hub.joined("e2", tmp_path / "e2")
    document = json.loads((tmp_path / "e1/identity.json").read_text())
    context = certificates.server_context(hub.authority.authorities, document["key"] + document["certificate"])
    assert edge.name == "e1"
    with TlsPort(context) as port, pytest.raises(Refused, match="not a hub of this fleet") as refused:
        exchange(port.url, "/v1/edge", HELLO, other.client_context())
    assert refused.value.code == "fleet"


def test_no_tls_1_2(hub: Hub, tmp_path: Path) -> None:
    edge = hub.joined("e1", tmp_path / "e1")
    context = edge.client_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(SourceError, match=r"no TLS 1\.3"):
        exchange(hub.url, "/v1/edge", HELLO, context)


def test_certificate_of_another_fleet(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """It is refused in the handshake, and by the registrar if it came so far."""
    with Hub(new_bundle(clock()), "other", tmp_path / "other", clock) as other:
        stranger = other.joined("e1", tmp_path / "e1")
        document = json.loads((tmp_path / "e1/identity.json").read_text())
        pair = document["key"] + document["certificate"]
        with pytest.raises(SourceError):
            exchange(hub.url, "/v1/edge", HELLO, certificates.client_context(hub.authority.authorities, pair))
        with pytest.raises(Refused, match="not one of this fleet"):
            hub.registrar.admitted(stranger.certificate)
        with pytest.raises(Refused, match="not one of this fleet"):
            hub.registrar.admitted(other.authority.certificate)


def test_session_is_not_resumed(hub: Hub, tmp_path: Path) -> None:
    """A session would be resumed without another look at the certificate."""
    context = hub.joined("e1", tmp_path / "e1").client_context()
    address = ("127.0.0.1", int(hub.url.rpartition(":")[2]))
    with socket.create_connection(address) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.recv(1000)
        assert connection.session is None or not connection.session.has_ticket


@pytest.fixture
def edge(hub: Hub, tmp_path: Path) -> Identity:
    return hub.joined("e1", tmp_path / "e1")


def renewal(hub: Hub, edge: Identity, tmp_path: Path, **other: bytes) -> dict[str, Any]:
    """A request to renew, signed as it should be, with something else in it."""
    nonce = base64.b64decode(hub.registrar.renew({"type": "challenge"})["nonce"])
    text = json.loads((tmp_path / "e1/identity.json").read_text())["key"]
    key = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    said = {"nonce": nonce, "certificate": edge.certificate, **other}
    proof = key.sign(PROOF + said["nonce"] + said["certificate"], ec.ECDSA(hashes.SHA256()))
    return {
        "type": "renew",
        **{key: base64.b64encode(value).decode() for key, value in {**said, "proof": proof, **other}.items()},
    }


def test_renewal_needs_the_key(hub: Hub, edge: Identity, tmp_path: Path) -> None:
    """A certificate alone, which anybody may have seen, renews nothing."""
    assert hub.registrar.renew(renewal(hub, edge, tmp_path))["type"] == "certificate"
    somebody = ec.generate_private_key(ec.SECP256R1()).sign(b"x", ec.ECDSA(hashes.SHA256()))
    assert hub.registrar.renew(renewal(hub, edge, tmp_path, proof=somebody))["code"] == "fleet"
    assert hub.registrar.renew(renewal(hub, edge, tmp_path, proof=b"junk"))["code"] == "fleet"


def test_renewal_with_a_challenge_of_its_own(hub: Hub, edge: Identity, tmp_path: Path) -> None:
    """A challenge is a hub's, and a fresh one."""
    assert hub.registrar.renew(renewal(hub, edge, tmp_path, nonce=bytes(88)))["code"] == "request"
    assert hub.registrar.renew(renewal(hub, edge, tmp_path, nonce=b""))["code"] == "request"


def test_replayed_renewal(hub: Hub, edge: Identity, tmp_path: Path, clock: Clock) -> None:
    """Sent again it gives at most another certificate for the same key, and after a minute nothing."""
    request = renewal(hub, edge, tmp_path)
    first, second = hub.registrar.renew(request), hub.registrar.renew(request)
    keys = {certificate_in(each["certificate"].encode()).public_key().public_numbers() for each in (first, second)}
    assert keys == {certificate_in(edge.certificate).public_key().public_numbers()}
    clock.now += 61
    assert hub.registrar.renew(request)["code"] == "request"


@pytest.mark.parametrize("certificate", [b"", b"junk", bytes(100_000), b"-----BEGIN CERTIFICATE-----\n"])
def test_renewal_of_junk(hub: Hub, edge: Identity, tmp_path: Path, certificate: bytes) -> None:
    assert hub.registrar.renew(renewal(hub, edge, tmp_path, certificate=certificate))["code"] == "request"


def test_relayed_challenge(hub: Hub, edge: Identity, tmp_path: Path, clock: Clock) -> None:
    """An edge does not sign for one hub what another one has asked."""
    with Hub(hub.bundle, "m2", tmp_path / "m2", clock) as other:

        def dial(path: str, request: Any, context: ssl.SSLContext) -> Any:
            said = exchange(hub.url, path, request, context).document
            return type("Answer", (), {"document": said, "certificate": other.authority.certificate})

        with pytest.raises(SourceError, match="not for the certificate that it has shown"):
            edge.renew(dial)


def test_attempts_are_bounded(hub: Hub) -> None:
    """One address that fails has to wait, before anything is verified; others do not, and success costs nothing."""
    for _ in range(JOINS):
        assert hub.registrar.join({"type": "join", "token": "x"}, "192.0.2.9")["code"] == "request"
    answer = hub.registrar.join({"type": "join", "token": hub.token("e1"), "request": ""}, "192.0.2.9")
    assert answer["code"] == "limit"
    assert "try again in" in answer["message"]
    for number in range(2 * JOINS):
        asked = request_by(ec.generate_private_key(ec.SECP256R1()), algorithm=hashes.SHA256())
        request = {"type": "join", "token": hub.token(f"e{number}"), "request": asked}
        assert hub.registrar.join(request, "192.0.2.8")["type"] == "certificate"


def test_what_nobody_expected(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the hub's own is told in words, and the next request is answered."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("lbgen.hub.tokens.checked", broken)
        answer = hub.registrar.join({"type": "join", "token": "x"})
    assert (answer["code"], "see its log" in answer["message"]) == ("peer", True)
    assert hub.registrar.join({"type": "join", "token": "x"})["code"] == "request"
    UNEXPECTED.forget()


def test_attempts_are_remembered_for_so_many(clock: Clock) -> None:
    """Failures of many addresses take a bounded amount of memory, those of one IPv6 network count as one's."""
    counted = attempts.Attempts(1, 10.0, clock)
    for number in range(attempts.MOST_ADDRESSES + 100):
        counted.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    counted.failed("2001:db8::1")
    with pytest.raises(Refused, match="try again in 10 s"):
        counted.check("2001:db8::3")
    counted.check("10.0.0.0")
    clock.now += 10
    counted.check("2001:db8::3")


def test_tokens_are_in_no_line_and_no_message(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a good one nor one that is refused, whole or in part."""
    tokens = [hub.token("e1"), hub.token("e2", life=1e-9), hub.token("e3")]
    join(exchange, hub.url, tokens[0], tmp_path / "e1")
    errors = []
    for text in (*tokens, tokens[2][:-4] + "AAAA"):
        for state in ("e1", "other"):
            try:
                join(exchange, hub.url, text, tmp_path / state, again=True)
            except LbgenError as error:
                errors.append(str(error))
    said = capsys.readouterr()
    assert len(errors) >= 3
    for text in tokens:
        for part in text.split(".")[1:]:
            assert part[:20] not in said.out + said.err + "".join(errors)


def test_authority_is_good_for_nothing_else(hub: Hub) -> None:
    """A certificate for a name of the net is refused though its key has signed it: its own certificate forbids that."""
    key, by = ec.generate_private_key(ec.SECP256R1()), hub.bundle.trusted[0]
    now = datetime.now(UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(by.subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=True)
        .sign(hub.bundle.key, hashes.SHA256())
    )
    pair = certificates.key_pem(key) + certificates.pem(forged)
    client = ssl.create_default_context(cadata=certificates.pem(by))
    with TlsPort(certificates.server_context(hub.authority.authorities, pair)) as port:
        plain = socket.create_connection(("127.0.0.1", port.number))
        with plain, pytest.raises(ssl.SSLCertVerificationError, match="subtree"):
            client.wrap_socket(plain, server_hostname="bank.example")


def test_files_that_are_no_authority(tmp_path: Path) -> None:
    """They are named, with what to do, and nothing of them is in the message."""
    bundle, other = new_bundle(time.time()), new_bundle(time.time())
    file = tmp_path / "authority.pem"
    for text in (
        "",
        "secret",
        certificates.pem(bundle.trusted[0]),
        certificates.key_pem(bundle.key),
        certificates.pem(bundle.trusted[0]) + certificates.key_pem(other.key),
        bundle.text().replace("A", "B"),
        certificates.pem(Authority(bundle, "m1").bundle.trusted[0])[:-100] + certificates.key_pem(bundle.key),
    ):
        file.write_text(text)
        with pytest.raises(LbgenError, match=r"hub\.authority .*lbgen hub init") as error:
            read_bundle(file)
        assert "secret" not in str(error.value)
        assert "PRIVATE" not in str(error.value)
    with pytest.raises(LbgenError, match="No such file"):
        read_bundle(tmp_path / "none")


def test_unknown_edge_with_an_expired_certificate(tmp_path: Path, clock: Clock) -> None:
    """A hub that has lost its ledger takes no certificate that has expired: it may have been revoked."""
    bundle = new_bundle(clock())
    with Hub(bundle, "m1", tmp_path / "one", clock) as hub, Hub(bundle, "m1", tmp_path / "two", clock) as lost:
        edge = hub.joined("e1", tmp_path / "e1", hub.at_any_time)
        lost.registrar.admitted(edge.certificate)  # in force: taken, and known from then on
        other = hub.joined("e2", tmp_path / "e2", hub.at_any_time)
        clock.now += LIFE + 1
        edge.renew(lost.dial_at_any_time())
        with pytest.raises(Refused, match="does not know e2") as refused:
            other.renew(lost.dial_at_any_time())
        assert refused.value.code == "unknown"


def _self_signed_context() -> ssl.SSLContext:
    authority = Authority(new_bundle(time.time()), "m1")
    return authority.server_context()


class TlsPort:
    """A port that shakes hands and says nothing."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.number: int = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.number}"

    def __enter__(self) -> TlsPort:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
            with client, self._context.wrap_socket(client, server_side=True) as connection:
                connection.recv(1)
        except OSError:
            pass
