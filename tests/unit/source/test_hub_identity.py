"""An edge's identity: what it believes of a hub, what it keeps, and what it does with files that are not right."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from lbgen.base.errors import SettingsError, SourceError
from lbgen.hub.authority import LIFE, new_bundle
from lbgen.source.hub.certificates import Holder, Refused, key_pem, pem
from lbgen.source.hub.exchange import Answer, answer, exchange
from lbgen.source.hub.identity import Identity, join
from lbgen.source.hub.renewing import Renewing
from tests.support.clock import Clock
from tests.support.fleet import Hub
from tests.support.small_disk import needs_root, small_disk


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    with Hub(new_bundle(clock()), "m1", tmp_path / "hub", clock) as hub:
        yield hub


def test_not_joined(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"has not joined a fleet: lbgen join .* --state {tmp_path}"):
        Identity(tmp_path)


def test_state_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    """The file is named, before anything is asked of the hub that could not be kept."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file/edge/joining.json: cannot be written"):
        hub.joined("e1", tmp_path / "file/edge")
    assert hub.ledger.entries.edges == {}


def test_key_stays(hub: Hub, tmp_path: Path) -> None:
    """The key is in nothing that is sent, when an edge joins and when it renews; it stays the same."""
    sent: list[str] = []

    def asked(url: str, path: str, request: Mapping[str, Any], context: ssl.SSLContext) -> Answer:
        sent.append(json.dumps(request))
        return exchange(url, path, request, context)

    edge = join(asked, hub.url, hub.token("e1"), tmp_path / "e1")
    key = serialization.load_pem_private_key(key_of(tmp_path / "e1").encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    edge.renew(lambda path, request, context: asked(hub.url, path, request, context))
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    forms = [base64.b64decode(value) for text in sent for value in json.loads(text).values() if is_base64(value)]
    assert len(forms) >= 4
    assert all(secret not in form and b"PRIVATE" not in form for form in forms)
    assert not any("PRIVATE" in text for text in sent)
    assert key_of(tmp_path / "e1") == key_pem(key)


def key_of(state: Path) -> str:
    text = json.loads((state / "identity.json").read_text())["key"]
    assert isinstance(text, str)
    return text


def is_base64(value: str) -> bool:
    try:
        return bool(base64.b64decode(value, validate=True))
    except ValueError:
        return False


@pytest.mark.parametrize("damage", [
    lambda _: "", lambda _: "[]", lambda _: "{}", lambda text: text[:-200],
    lambda text: text.replace("CERTIFICATE", "X"),
    lambda text: text.replace("PRIVATE", "X"), lambda text: json.dumps({**json.loads(text), "authorities": []}),
])  # fmt: skip
def test_damaged(hub: Hub, tmp_path: Path, damage: Callable[[str], str]) -> None:
    """The message has the remedy, and nothing of the key."""
    hub.joined("e1", tmp_path / "e1")
    file = tmp_path / "e1/identity.json"
    text = file.read_text()
    file.write_text(damage(text))
    with pytest.raises(SettingsError, match="it is damaged: join again, with a new token and --again") as error:
        Identity(tmp_path / "e1")
    assert "PRIVATE" not in str(error.value)
    assert error.value.__suppress_context__


def test_key_of_another_certificate(hub: Hub, tmp_path: Path) -> None:
    """A file that was put together from two is damaged, not half right."""
    for name in ("e1", "e2"):
        hub.joined(name, tmp_path / name)
    one, two = (json.loads((tmp_path / name / "identity.json").read_text()) for name in ("e1", "e2"))
    (tmp_path / "e1/identity.json").write_text(json.dumps({**one, "key": two["key"]}))
    with pytest.raises(SettingsError, match="it is damaged"):
        Identity(tmp_path / "e1")


def test_edges_renew_at_different_times(hub: Hub, tmp_path: Path) -> None:
    """All of them when about a third of the day is left, but no two at once."""
    hub.joined("e1", tmp_path / "e1")
    early, late = (Identity(tmp_path / "e1", hub.clock, lambda at=at: at) for at in (1.0, 0.0))
    assert 14 * 3600 < early.renew_in() < late.renew_in() - 3600 < 16.5 * 3600


def changed(change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Callable[..., Answer]:
    """An exchange whose answer, if it is a certificate, is another one than the hub's."""

    def asked(url: str, path: str, request: Mapping[str, Any], context: ssl.SSLContext) -> Answer:
        said = exchange(url, path, request, context)
        return Answer(change(dict(said.document)), said.certificate) if "certificate" in said.document else said

    return asked


@pytest.mark.parametrize("change", [
    lambda _: {}, lambda said: {**said, "certificate": 5}, lambda said: {**said, "certificate": "x"},
    lambda said: {**said, "certificate": said["authorities"][0]}, lambda said: {**said, "authorities": []},
    lambda said: {**said, "authorities": ["x"]}, lambda said: {**said, "authorities": said["authorities"] * 5},
    lambda said: {**said, "authorities": None},
])  # fmt: skip
def test_answers_that_are_not_right(hub: Hub, tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A hub that is out of its mind costs an edge nothing that it has."""
    edge = hub.joined("e1", tmp_path / "e1")
    kept, certificate = (tmp_path / "e1/identity.json").read_bytes(), edge.certificate
    dial = changed(change)
    with pytest.raises(SourceError):
        edge.renew(lambda path, request, context: dial(hub.url, path, request, context))
    assert ((tmp_path / "e1/identity.json").read_bytes(), edge.certificate) == (kept, certificate)
    with pytest.raises(SourceError):
        join(changed(change), hub.url, hub.token("e2"), tmp_path / "e2")
    assert not (tmp_path / "e2/identity.json").exists()


def test_certificate_of_somebody_else(hub: Hub, tmp_path: Path) -> None:
    """A certificate for another key is not taken, and none for another name when it renews."""
    edge = hub.joined("e1", tmp_path / "e1")
    other = json.loads((tmp_path / "e1/identity.json").read_text())["certificate"]
    with pytest.raises(SourceError, match="not a certificate for this edge's key"):
        join(changed(lambda said: {**said, "certificate": other}), hub.url, hub.token("e2"), tmp_path / "e2")
    key = x509.load_der_x509_certificate(edge.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    renamed = hub.authority.issue(Holder("edge", "e9", 1.0), key)
    dial = changed(lambda said: {**said, "certificate": pem(renamed)})
    with pytest.raises(SourceError, match="another name than e1"):
        edge.renew(lambda path, request, context: dial(hub.url, path, request, context))


def test_a_crash_between_key_and_answer(hub: Hub, tmp_path: Path) -> None:
    """The key that was made for a token is used again with it, and no other one."""
    token, other = hub.token("e1"), hub.token("e1")

    def dies(url: str, path: str, request: Mapping[str, Any], context: ssl.SSLContext) -> Answer:
        said = exchange(url, path, request, context)
        if request["type"] == "join":
            raise KeyboardInterrupt
        return said

    with pytest.raises(KeyboardInterrupt):
        join(dies, hub.url, token, tmp_path / "e1")
    first = hub.ledger.entries.edges["e1"].key
    edge = join(exchange, hub.url, token, tmp_path / "e1")
    assert hub.ledger.entries.edges["e1"].key == first
    assert sorted(path.name for path in (tmp_path / "e1").iterdir()) == ["identity.json"]
    hub.clock.now += 1
    join(exchange, hub.url, other, tmp_path / "e1", again=True)
    assert hub.ledger.entries.edges["e1"].key != first
    assert edge.name == "e1"


def test_joined_anew_while_it_renews(hub: Hub, tmp_path: Path) -> None:
    """What 'lbgen join --again' has written is taken over by an edge that runs, and not written over."""
    edge = hub.joined("e1", tmp_path / "e1")

    def joins_meanwhile(path: str, request: Mapping[str, Any], context: ssl.SSLContext) -> Answer:
        said = exchange(hub.url, path, request, context)
        if request["type"] == "renew":
            join(exchange, hub.url, hub.token("e1"), tmp_path / "e1", again=True)
        return said

    edge.renew(joins_meanwhile)
    newest = Identity(tmp_path / "e1").certificate
    assert edge.certificate != newest
    edge.look()
    assert edge.certificate == newest
    (tmp_path / "e1/identity.json").write_text("{")
    edge.look()
    assert edge.certificate == newest


def test_wrong_clock(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """An edge whose clock differs by days from the hub's is told to compare them; so is the hub's operator."""
    edge = hub.joined("e1", tmp_path / "e1")
    clock.now += 3 * 86400  # the hub's
    hub.authority.refresh()
    with pytest.raises(Refused, match="is not valid yet by this machine's clock: compare the clocks") as refused:
        edge.renew(hub.dial())
    assert refused.value.code == "clock"
    token = hub.token("e2")
    clock.now -= 3600
    with pytest.raises(Refused, match=r"was made 3600 s from now by this hub's clock: set the clocks"):
        join(hub.at_any_time, hub.url, token, tmp_path / "e2")


@pytest.mark.parametrize("said", ["", "x", "[]", "{}", '{"type": "refused"}', "[" * 100_000, b"\xff"])
def test_what_is_no_answer(said: str | bytes) -> None:
    """Whatever else answers there is told apart from a hub."""
    with pytest.raises(SourceError, match=r"is an lbgen hub there\?"):
        answer("https://m1:9443", said, b"")


def test_refusals_are_cut() -> None:
    """What a hub says of its own accord is bounded before it is shown."""
    said = json.dumps({"type": "refused", "code": "c" * 5000, "message": "m" * 50_000})
    with pytest.raises(Refused) as refused:
        answer("https://m1:9443", said, b"")
    assert (len(refused.value.code), len(str(refused.value)) < 1100) == (32, True)


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_renewed_while_the_disk_cannot_be_written(hub: Hub, tmp_path: Path, clock: Clock, how: str) -> None:
    """The new certificate is in force and told of; the file stays whole, and has the new one as soon as it can."""
    with small_disk(tmp_path / "disk") as disk:
        edge, before = hub.joined("e1", disk.path / "e1"), Identity(disk.path / "e1").certificate
        clock.now += 3 * LIFE / 4
        with disk.broken(how) as why, capture_logs() as logs:
            renewing = Renewing(edge)
            edge.renew(hub.dial_at_any_time())
            assert edge.until == int(clock() + LIFE)
            assert Identity(disk.path / "e1").certificate == before
            for _ in range(2):
                asyncio.run(renewing.renewed(hub.url))  # it is not due: nothing is asked
            assert [entry["event"] for entry in logs] == ["certificate_unwritten"]
        asyncio.run(renewing.renewed(hub.url))
        assert logs[0]["error"].startswith(f"{disk.path}/e1/identity.json: cannot be written: {why}; ")
        assert Identity(disk.path / "e1").certificate == edge.certificate != before
        assert disk.unfinished() == []


def test_end_while_a_renewal_hangs(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge that is told to end does not wait for a hub that says nothing."""
    edge, asked = hub.joined("e1", tmp_path / "e1"), threading.Event()

    def silent(_dial: object) -> bool:
        asked.set()
        return threading.Event().wait()

    monkeypatch.setattr(edge, "renew_if_due", silent)

    async def ended() -> None:
        task = asyncio.ensure_future(Renewing(edge).keep([hub.url]))
        await asyncio.to_thread(asked.wait, 60)
        task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(ended()), daemon=True)
    thread.start()
    thread.join(60)
    assert asked.is_set()
    assert not thread.is_alive()
