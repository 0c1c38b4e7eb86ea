"""Section `source`: one source, or a list of several with names; and setting `state`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbgen.base.errors import SettingsError
from lbgen.settings import Settings, foreign_variables, load_settings
from lbgen.settings.reloadable import revised

TWO = """\
source:
  - {name: prod, docker: {endpoints: ["ssh://m1"]}}
  - {name: lab, file: lab.json}
"""


def load(text: str, tmp_path: Path, environ=None, flags=None) -> Settings:
    """Load settings from this text."""
    path = tmp_path / "lbgen.yml"
    path.write_text(text)
    return load_settings(path, environ or {}, flags or {})


def wrong(text: str, tmp_path: Path, environ=None) -> list[str]:
    """What is wrong with these settings, without the directory."""
    with pytest.raises(SettingsError) as caught:
        load(text, tmp_path, environ)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_one_and_several(tmp_path):
    """One source has no name; several are told apart by theirs, and their files are beside the settings."""
    assert load("source: {file: a.json}", tmp_path).parts[""].file == [tmp_path / "a.json"]
    assert list(load("log: {level: info}", tmp_path).parts) == [""]
    settings = load(TWO, tmp_path)
    assert list(settings.parts) == ["prod", "lab"]
    assert settings.parts["prod"].docker.endpoints == ["ssh://m1"]
    assert settings.source_files == [tmp_path / "lab.json"]
    assert [part.kind for part in settings.parts.values()] == ["docker", "file"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("source:\n  - {file: a.json}\n", "lbgen.yml:2: source.0.name: Field required"),
        ("source:\n  - {name: a}\n  - {name: a}\n", "lbgen.yml:1: source: two sources have the name 'a'"),
        ("source: []\n", "lbgen.yml:1: source: name at least one source"),
        ("source:\n  - {name: A_b}\n", "lbgen.yml:2: source.0.name: String should match pattern"),
        (f"source:\n  - name: {'a' * 33}\n", "lbgen.yml:2: source.0.name: String should have at most 32 characters"),
        ("source:\n  - name: a\n    docker: {}\n    file: b\n", "lbgen.yml:2: source.0: name one source, docker,"),
        ("source:\n  - name: a\n    dokcer: {}\n", "lbgen.yml:3: source.0.dokcer: unknown key"),
        ("source:\n  name: a\n", "lbgen.yml:2: source.name: unknown key"),
        ("source: {docker: {cluster: 5}}\n", "lbgen.yml:1: source.docker.cluster: Input should be a valid string"),
        ("source: 5\n", "lbgen.yml:1: source: Input should be a valid dictionary"),
    ],
)
def test_wrong(text, complaint, tmp_path):
    """Every mistake has its line and its key, in a list as in a mapping."""
    (line,) = wrong(text, tmp_path)
    assert line.startswith(complaint)


def test_environment_and_flags(tmp_path):
    """A variable or a flag that names a source stands for all of the list."""
    endpoints = load(TWO, tmp_path, {"LBGEN_SOURCE__DOCKER__ENDPOINTS": "unix:///x"}).parts
    assert {name: part.docker.endpoints for name, part in endpoints.items()} == {"": ["unix:///x"]}
    assert load(TWO, tmp_path, flags={("source",): {"file": ["b.json"]}}).source_files == [Path("b.json")]
    listed = load("", tmp_path, {"LBGEN_SOURCE": "[{name: a, file: /a.json}, {name: b, docker: {}}]"})
    assert list(listed.parts) == ["a", "b"]
    assert not foreign_variables({"LBGEN_SOURCE_DOKCER": ""})  # the names in both forms are known


def test_state(tmp_path):
    """The state directory has its default, is beside the settings where it is relative, and is fixed."""
    settings = load("state: here", tmp_path)
    assert (Settings().state, settings.state) == (Path("/var/lib/lbgen"), tmp_path / "here")
    running, waiting = revised(Settings(), settings)
    assert (running.state, waiting) == (Settings().state, ["state"])


def test_a_source_waits_for_a_restart(tmp_path):
    """Sources are connected to once."""
    before, after = load(TWO, tmp_path), load(TWO.replace("ssh://m1", "ssh://m2"), tmp_path)
    running, waiting = revised(before, after)
    assert (running.source, waiting) == (before.source, ["source"])


def test_schema():
    """The schema of the settings knows both forms."""
    forms = Settings.model_json_schema()["properties"]["source"]["oneOf"]
    assert [form.get("type", form.get("$ref")) for form in forms] == ["#/$defs/SourceSettings", "array"]
