"""What a hub hands out: signed for one edge, never an older one, bounded, and with plain paths only."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from lbgen.source.hub.handout import LARGEST_FILE, MOST_FILES, PURPOSE, Bundle, Handout, HandoutRefused, opened

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ECDSA = ec.ECDSA(hashes.SHA256())
BUNDLE = Bundle({"discovery": {"via": "task"}}, {"haproxy/haproxy.cfg.j2": "ä", "haproxy/set.yml": "options: {a: 1}"})
HANDOUT = Handout("edge1", 7, BUNDLE)


def sign(text: bytes) -> bytes:
    """Sign as the authority does."""
    return KEY.sign(text, ECDSA)


def trusted(text: bytes, signature: bytes) -> bool:
    """Tell whether the authority has signed a text."""
    try:
        KEY.public_key().verify(signature, text, ECDSA)
    except InvalidSignature:
        return False
    return True


def signed(content: object, key: ec.EllipticCurvePrivateKey = KEY, purpose: bytes = PURPOSE) -> dict[str, Any]:
    """Return a message with any content at all."""
    payload = content if isinstance(content, str) else json.dumps(content)
    signature = key.sign(purpose + payload.encode("utf-8", "surrogatepass"), ECDSA)
    return {"payload": payload, "signature": base64.b64encode(signature).decode()}


def content(**changed: object) -> dict[str, Any]:
    """Return a good content, with some fields changed."""
    return {**json.loads(HANDOUT.signed(sign)["payload"]), **changed}


def test_whole() -> None:
    """What was signed is what is opened."""
    message = json.loads(json.dumps(HANDOUT.signed(sign)))
    assert opened(message, "edge1", 6, trusted) == HANDOUT


@pytest.mark.parametrize("changed", ["payload", "signature"])
def test_tampered(changed: str) -> None:
    """Every single character that is changed on the way is noticed."""
    message = HANDOUT.signed(sign)
    text = message[changed]
    for at in range(0, len(text), 7):
        other = {**message, changed: text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]}
        with pytest.raises(HandoutRefused):
            opened(other, "edge1", 6, trusted)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({}, "not signed"),
        ({"payload": "{}"}, "not signed"),
        ({"payload": "{}", "signature": None}, "not signed"),
        ({"payload": {}, "signature": ""}, "not signed"),
        ({"payload": "{}", "signature": "?"}, "cannot be read"),
        ({"payload": "\ud800", "signature": ""}, "cannot be read"),
        ({"payload": "{}", "signature": ""}, "no authority"),
        ({"payload": " " * ((8 << 20) + 1), "signature": ""}, "larger than 8 MiB"),
        (signed(content(), OTHER), "no authority"),
        (signed(content(), purpose=b"lbgen token\n"), "no authority"),
        (signed("nothing"), "not JSON"),
        (signed("[" * 3000), "not JSON"),
        (signed([]), "has not the fields"),
        (signed({}), "has not the fields"),
        (signed(content(format=2)), "update lbgen"),
        (signed({**content(format=2), "more": 1}), "update lbgen"),
        (signed({**content(), "more": 1}), "has not the fields"),
        (signed(content(sequence=True)), "has not the fields"),
        (signed(content(sequence="8")), "has not the fields"),
        (signed(content(templates={"haproxy/a.j2": 1})), "has not the fields"),
        (signed(content(settings=[])), "has not the fields"),
        (signed(content(edge="edge2")), "for edge 'edge2'"),
        (signed(content(sequence=6)), "not newer than 6"),
        (signed(content(sequence=5)), "not newer than 6"),
        (signed(content(settings={"a": float("inf")})), "a number without end"),
        (signed(content(settings=json.loads('{"a":' * 300 + "1" + "}" * 300))), "nested deeper"),
    ],
)
def test_refused(message: dict[str, Any], why: str) -> None:
    """What is not signed, not for this edge, not newer or not in form changes nothing, and the reason is told."""
    with pytest.raises(HandoutRefused, match=why):
        opened(message, "edge1", 6, trusted)


@pytest.mark.parametrize(
    ("templates", "why"),
    [
        ({"/haproxy/a.j2": ""}, "plain names"),
        ({"haproxy/../../a.j2": ""}, "plain names"),
        ({"haproxy//a.j2": ""}, "plain names"),
        ({"haproxy/.a.j2": ""}, "plain names"),
        ({"haproxy/a\\b.j2": ""}, "plain names"),
        ({"haproxy/a\n.j2": ""}, "plain names"),
        ({"haproxy/a.j2\n": ""}, "plain names"),
        ({"haproxy/" + "a" * 101: ""}, "plain names"),
        ({"haproxy/" + "a/" * 8 + "a.j2": ""}, "plain names"),
        ({"": ""}, "plain names"),
        ({"a.j2": ""}, "named after their proxy"),
        ({"caddy/a.j2": ""}, "named after their proxy"),
        ({"haproxy/a.sh": ""}, "neither a template"),
        ({"haproxy/sub/set.yml": ""}, "neither a template"),
        ({"haproxy/a.j2": "", "haproxy/a.j2/b.j2": ""}, "cannot be a directory too"),
        ({"haproxy/a.j2": "x" * (LARGEST_FILE + 1)}, "larger than 256 KiB"),
        ({f"haproxy/{number}.j2": "ä" * 120_000 for number in range(5)}, "more than 1 MiB"),
        ({f"haproxy/{number}.j2": "" for number in range(MOST_FILES + 1)}, "more than 200"),
        ({"haproxy/set.yml": "[]"}, "expected a mapping"),
        ({"haproxy/set.yml": "a: b: c"}, "set.yml:1"),
        *(({"nginx/set.yml": f"options: {{}}\n{key}: x"}, f"never sets {key}") for key in
          ("proxy", "binary", "check", "quote", "run", "unheard_of")),
    ],
)  # fmt: skip
def test_bundle(templates: dict[str, str], why: str) -> None:
    """Hub and edge both refuse what could lie elsewhere, is too large, or names a program."""
    with pytest.raises(HandoutRefused, match=why):
        Bundle({}, templates).check()
    with pytest.raises(HandoutRefused, match=why):
        opened(signed(content(templates=templates)), "edge1", 6, trusted)


@given(st.lists(st.text(st.sampled_from("a.~/\\ \n\0é-_j2"), max_size=8), max_size=4).map("/".join))
def test_paths(path: str) -> None:
    """A path that is accepted stays below its directory, whatever a file system makes of it."""
    try:
        Bundle({}, {f"haproxy/{path}.j2": ""}).check()
    except HandoutRefused:
        return
    parts = PurePosixPath(f"haproxy/{path}.j2").parts
    assert "/".join(parts) == f"haproxy/{path}.j2"
    assert not {".", "..", ""} & {*parts}
    assert path.isascii()
    assert path.isprintable()


def test_version() -> None:
    """Equal content has one name, whatever its order, and any other content another."""
    same = Bundle({"discovery": {"via": "task"}}, dict(reversed(BUNDLE.templates.items())))
    assert same.version == BUNDLE.version
    changes: list[Callable[[], Bundle]] = [
        Bundle,
        lambda: Bundle(BUNDLE.settings, {**BUNDLE.templates, "haproxy/haproxy.cfg.j2": "b"}),
        lambda: Bundle({"discovery": {"via": "host"}}, BUNDLE.templates),
    ]
    assert len({BUNDLE.version, *(make().version for make in changes)}) == 4
    assert Bundle().version == ""
    assert not BUNDLE.empty
