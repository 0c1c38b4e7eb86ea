"""Halves of characters (lone surrogates), which JSON can spell and nothing can write: of an engine, a file, a name."""

from __future__ import annotations

import copy
import http.client
import json
import os
import random
from urllib.parse import quote

import pytest

from lbgen.base import documents, json_text
from lbgen.base.errors import SettingsError, SourceError
from lbgen.model import build
from lbgen.settings import Settings, load_settings
from lbgen.snapshot import Snapshot
from lbgen.source import decode
from lbgen.source.compose.load import load_stack
from lbgen.source.file import load, write_snapshot
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.paths import ROOT
from tests.support.wait import PATIENCE
from tests.support.watched import FakeFile, FakeLoop, FakeTarget

HALVES = ("\ud800", "\udfff", "a\udc80b", "\udc00\ud800", "x\ud83d", "\udcff.example.org")
LISTING = json.loads((ROOT / "tests/fixtures/snapshot-lab.json").read_text())
KINDS = ("nodes", "services", "tasks", "networks")


def places(data: object, path: tuple = ()) -> list[tuple]:
    """Every text in a document, by its path."""
    if isinstance(data, dict):
        return [place for key, value in data.items() for place in places(value, (*path, key))]
    if isinstance(data, list):
        return [place for index, value in enumerate(data) for place in places(value, (*path, index))]
    return [path] if isinstance(data, str) else []


PLACES = places({kind: LISTING[kind] for kind in KINDS})


def damaged(seed: int) -> dict:
    """The listing with halves in some of its texts, and in labels."""
    dice, listing = random.Random(seed), copy.deepcopy(LISTING)
    for path in dice.sample(PLACES, 6):
        inner = listing
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] += dice.choice(HALVES)
    for item in listing["services"]:
        item["Spec"]["Labels"][f"lbgen.{dice.choice(HALVES)}"] = dice.choice(HALVES)
        item["Spec"]["Labels"]["lbgen.host"] = f"{dice.choice(HALVES)}.example.org"
    return listing


def tell(facts: Snapshot) -> None:
    """Have all that is told of a snapshot written: every address of the status port answers."""
    loop = FakeLoop(accepted=facts, model=build(facts, Settings().rules()))
    with serve_status(("127.0.0.1", 0), View(loop, [FakeTarget("a")])) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for path in (
            "status",
            "model",
            "problems",
            "history",
            *(f"explain/{quote(id_)}" for id_ in [*facts.services][:5]),
        ):
            connection.request("GET", f"/api/v1/{path}")
            answer = connection.getresponse()
            assert (path, answer.status) == (path, 200)
            assert json.loads(answer.read())
        connection.close()
    write_snapshot(facts).encode()


@pytest.mark.parametrize("seed", range(40))
def test_of_an_engine(seed):
    """They become U+FFFD where an answer is read: nothing after that meets one."""
    text = json.dumps(damaged(seed)).encode()
    read = json_text.data_in(text)
    json.dumps(read, ensure_ascii=False).encode()
    try:
        facts = decode.snapshot(**{kind: read[kind] for kind in KINDS})
    except SourceError as error:  # an id that is there twice, say
        str(error).encode()
        return
    tell(facts)


def test_whole_characters_stay():
    """Pairs are characters; a backslash that stands for itself begins no escape."""
    for text in ('["\\ud83d\\ude00"]', '["\\ud83d\\ude00 \\ud83d"]', '["\\\\ud800"]', '{"\\ud800": 1}'):
        data = json.loads(text)
        assert json_text.data_in(text) == json_text.data_in(text.encode())
        whole = json.dumps(data, ensure_ascii=False).encode(errors="replace").decode() == json.dumps(
            data, ensure_ascii=False
        )
        assert (json_text.data_in(text) == data) == whole
    assert json_text.data_in('["\\ud83d\\ude00"]') == ["\U0001f600"]
    assert json_text.data_in('{"\\ud800": 1}') == {"\ufffd": 1}


@pytest.mark.parametrize("bytes_", [b'["\xed\xa0\x80"]', b'["\xff"]', b'["\x00"]'])
def test_bytes_that_are_none(bytes_):
    """Bytes that spell a half, or no UTF-8 at all, are an error like every other garbage."""
    with pytest.raises(ValueError, match=r"."):
        json_text.data_in(bytes_)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["x.json", "x.yml"])
def test_of_a_file(seed, name, tmp_path):
    """A person is told of it, with the file's name."""
    path = tmp_path / name
    path.write_text(json.dumps(damaged(seed)))
    with pytest.raises(SourceError, match=name):
        load(path)


@pytest.mark.parametrize("half", HALVES)
def test_of_a_variable(half, monkeypatch):
    """The environment may have bytes that are not UTF-8: settings refuse them, stack files get U+FFFD."""
    with pytest.raises(SettingsError, match="LBGEN_STATUS__BIND"):
        load_settings(None, {"LBGEN_STATUS__BIND": half}, {})
    with pytest.raises(SettingsError, match="x: not UTF-8"):
        documents.parse(f"a: {half}", "x", SettingsError)
    text = 'version: "3.8"\nservices: {web: {image: a, deploy: {labels: {lbgen.enable: "true", lbgen.host: "${V}"}}}}\n'
    value = os.fsdecode(b"\xff\xc3\xa9.example.org")
    monkeypatch.setenv("V", value)
    facts = load_stack([("stack.yml", text, documents.parse(text, "stack.yml", SourceError))], "shop")
    [service] = facts.services.values()
    assert service.labels["lbgen.host"] == "\ufffd\u00e9.example.org"
    tell(facts)


def test_of_a_path():
    """A source's file may have any name."""
    loop = FakeLoop(source=FakeFile((os.fsdecode(b"/etc/\xff.yml"),)))
    with serve_status(("127.0.0.1", 0), View(loop, [])) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/api/v1/status")
        assert connection.getresponse().status == 200
        connection.close()
