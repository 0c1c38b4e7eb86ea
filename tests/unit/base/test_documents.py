"""`lbgen.base.documents`: what a JSON or YAML file means, what is refused and where the message points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.base import documents, yaml_tree
from lbgen.base.errors import SettingsError, SourceError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        ("2026-11-22", "2026-11-22"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("22:22", "22:22"),
        ("8080:80", "8080:80"),
        ("80", 80),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("0755", "0755"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("~", None),
        ("", None),
        ('"80"', "80"),
        ("=", "="),
    ],
)
def test_scalar(written, meant):
    """Scalars are those of YAML 1.2 as Compose reads them; no dates, no base 60, no yes and no."""
    value = documents.parse(f"a: {written}\n", "x.yml", SourceError)["a"]
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.yml", "a: 1\nb:\n  c: 1\n  c: 2\n", "x.yml:4:3: key 'c' is there twice"),
        ("x.yml", 'a: {1: x, "1": y}\n', "x.yml:1:11: key '1' is there twice"),
        ("x.json", '{\n "a": 1,\n "a": 2}', "x.json:3:2: key 'a' is there twice"),
        ("x.json", '{"a": 1,}', "x.json:1:"),
        ("x.json", "[NaN]", "x.json: NaN is not JSON"),
        ("x.json", "[1" + "0" * 5000 + "]", "x.json: Exceeds the limit"),
        ("x.json", '["\\ud800"]', "half a character"),
        ("x.json", "[" * 100_000, "x.json: nested too deeply"),
        ("x.yml", "[" * 100_000, "x.yml:1:101: nested deeper than 100"),
        ("x.yml", "- " * 200 + "a", "x.yml:1:201: nested deeper than 100"),
        ("x.yml", "a: [1, 2\nb: 3\n", "x.yml:2:2:"),
        ("x.yml", "a:\n\tb: 1\n", "x.yml:2:1: found character that cannot start any token"),
        ("x.yml", "a: b\x07\n", "x.yml:1:5: control characters are not allowed: 7"),
        ("x.yml", "a: &x [*x]\n", "x.yml:1:4: an alias inside of what it names"),
        ("x.yml", "a: *nobody\n", "x.yml:1:4: found undefined alias"),
        ("x.yml", "a: !!timestamp 2026-11-22\n", "x.yml:1:4: tag !!timestamp is not supported"),
        ("x.yml", "a: !vault x\n", "x.yml:1:4: tag !vault is not supported"),
        ("x.yml", "a: !!int x\n", "x.yml:1:4: 'x' is not of type int"),
        ("x.yml", "a: !!bool maybe\n", "x.yml:1:4: 'maybe' is not of type bool"),
        ("x.yml", "? [a]\n: 1\n", "x.yml:1:3: a key is a plain text"),
        ("x.yml", "<<: 3\n", "x.yml:1:5: expected a mapping or list of mappings for merging"),
        ("x.yml", "a: 1\n---\nb: 2\n", "x.yml:2:1: but found another document"),
    ],
)
def test_refused(name, text, message):
    """What has two readings or none is refused, in the caller's own class, with its place."""
    with pytest.raises(SettingsError) as raised:
        documents.parse(text, name, SettingsError)
    assert message in str(raised.value)


def test_alias_bomb():
    """Nine levels of ten aliases each stand for a billion values in a few hundred bytes."""
    lines = ["a0: &a0 x"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(SourceError, match=r"x\.yml:.*aliases repeat more than 100000 values"):
        documents.parse("\n".join(lines), "x.yml", SourceError)


def test_many_values_without_aliases():
    """The alias limit is not a limit on size."""
    text = "\n".join(f"- {n}" for n in range(yaml_tree.MAX_REPEATED + 10))
    assert len(documents.parse(text, "x.yml", SourceError)) == yaml_tree.MAX_REPEATED + 10


def test_anchors_and_merge_keys():
    """Ordinary reuse works, and overriding a merged key is no duplicate."""
    text = "base: &base {x: 1, y: 2}\none: {<<: *base, y: 3}\ntwo: *base\nmany:\n  <<: [*base, {y: 9, z: 4}]\n"
    data = documents.parse(text, "x.yml", SourceError)
    assert data["one"] == {"x": 1, "y": 3}
    assert data["two"] == {"x": 1, "y": 2}
    assert data["many"] == {"x": 1, "y": 2, "z": 4}


def test_positions():
    """Every key and list item has the line it was written on; merged keys that of the anchor."""
    text = "base: &base\n  x: 1\n  y: 2\ntargets:\n  edge:\n    output: /etc\n    <<: *base\n    y: 5\n"
    lines = documents.positions(text + "list:\n- a\n- b: 1\n")
    assert lines["targets", "edge", "output"] == 6
    assert lines["targets", "edge", "x"] == 2
    assert lines["targets", "edge", "y"] == 8
    assert lines["list", 1] == 11
    assert lines["list", 1, "b"] == 11
    assert lines[()] == 1
    assert documents.positions('{\n "a": {\n  "b": 1}}')["a", "b"] == 3
    assert documents.positions("a: [") == documents.positions("") == {}


def test_lines_of(tmp_path):
    """The same for a file; one that cannot be read has none."""
    (tmp_path / "a.yml").write_text("a: 1\nb: 2\n")
    assert documents.lines_of(tmp_path / "a.yml")["b",] == 2
    assert documents.lines_of(tmp_path / "none.yml") == {}


def test_file_errors(tmp_path, monkeypatch):
    """A file that cannot be read says why; the error names the file and, for bad bytes, the place."""
    with pytest.raises(SourceError, match=r"none\.yml: cannot be read: No such file"):
        documents.read(tmp_path / "none.yml", SourceError)
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        documents.read(tmp_path, SourceError)
    bad = tmp_path / "bad.yml"
    bad.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(SourceError, match=r"bad\.yml:2:4: not UTF-8"):
        documents.read(bad, SourceError)
    monkeypatch.setattr(documents, "MAX_BYTES", 5)
    with pytest.raises(SourceError, match="larger than"):
        documents.read(bad, SourceError)


def test_byte_order_mark_and_json_in_a_yaml_file(tmp_path):
    """Editors write byte order marks, and many a .yml holds JSON: escapes keep their JSON meaning."""
    path = tmp_path / "a.yml"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}')
    assert documents.read(path, SourceError) == {"a": "\U0001f600"}
    path.write_text("{a: 1, b: [yes]}")
    assert documents.read(path, SourceError) == {"a": 1, "b": ["yes"]}


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<.é ", max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(_values)
def test_json_means_what_it_says(value):
    """Any JSON document comes back as what was written, under either file name."""
    text = json.dumps(value)
    assert documents.parse(text, "x.json", SourceError) == value
    if isinstance(value, list | dict):
        assert documents.parse(text, "x.yml", SourceError) == value


@given(st.text(max_size=60))
def test_any_text_is_data_or_the_named_error(text):
    """Nothing but the caller's class is ever raised, and positions never raise at all."""
    for name in ("x.yml", "x.json"):
        try:
            documents.parse(text, name, SourceError)
        except SourceError as error:
            assert str(error).startswith(name)  # noqa: PT017 -- the text is arbitrary: it may also be fine
    documents.positions(text)


def test_read_is_parse_of_the_file(tmp_path: Path):
    """A path may be a str or a Path."""
    path = tmp_path / "a.yml"
    path.write_text("a: [1]\n")
    assert documents.read(str(path), SourceError) == documents.read(path, SourceError) == {"a": [1]}
