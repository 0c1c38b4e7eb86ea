"""What a pipeline shows beside the lines of a change: where things are written, and the reports' grammars."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.base.errors import (
    CheckFailed,
    Differs,
    LbgenError,
    ProblemsFound,
    SettingsError,
    SourceError,
    TemplateError,
)
from lbgen.report.annotations import Annotation, error_annotations, github_lines, gitlab_report
from lbgen.report.positions import Position, Positions
from tests.support.command import run
from tests.support.golden_cases import GOLDEN
from tests.support.paths import ROOT

STACK = """\
version: "3.8"
services:
  web:
    deploy:
      labels:
        lbgen.enable: "true"
        lbgen.prot: "80"
  api:
    deploy:
      labels:
        - lbgen.enable=true
        - "traefik.http.routers.api.rule=Host(`a`)"
  api_two: {}
"""
SNAPSHOT = """\
version: 1
nodes:
  - ID: n1
    Description: {Hostname: node1}
    Spec:
      Labels:
        lbgen.address: x
services:
  - ID: a
    Spec:
      Name: web
      Labels:
        lbgen.enable: "true"

        lbgen.prot: "80"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lbgen.settings.loader.DEFAULT_FILES", (Path("lbgen.yml"),))


@pytest.mark.parametrize(
    ("text", "asked", "line"),
    [
        (STACK, {"service": "shop_web", "label": "lbgen.prot"}, 7),
        (STACK, {"service": "web", "label": "lbgen.prot"}, 7),
        (STACK, {"service": "shop_api", "label": "lbgen.enable"}, 11),
        (STACK, {"service": "shop_api", "label": "traefik.HTTP.routers.api.rule"}, 12),
        (STACK, {"service": "shop_api_two", "label": "lbgen.port"}, 13),
        (STACK, {"service": "shop_web", "label": "lbgen.none"}, 3),
        (STACK, {"service": "shop_other"}, None),
        (STACK, {"node": "node1"}, None),
        (SNAPSHOT, {"service": "web", "label": "lbgen.prot"}, 15),
        (SNAPSHOT, {"service": "web"}, 9),
        (SNAPSHOT, {"node": "node1"}, 3),
        (SNAPSHOT, {"node": "node1", "label": "lbgen.address"}, 7),
        (SNAPSHOT, {}, None),
        ("a: b: c", {"service": "web"}, None),
        ("services: [1, {Spec: []}]", {"service": "web"}, None),
        (json.dumps({"services": [{"Spec": {"Name": "web"}}]}, indent=1), {"service": "web"}, 3),
    ],
)
def test_places(tmp_path, text, asked, line):
    """The label's line, else that of its service or node; nothing where nothing is found."""
    (tmp_path / "stack.yml").write_text(text)
    found = Positions([tmp_path / "stack.yml"]).of(**asked)
    assert found == (Position("stack.yml", line) if line else None)


def test_several_files(tmp_path):
    """Of several files the last that has the service counts; one that is not there is passed over."""
    (tmp_path / "a.yml").write_text(STACK)
    (tmp_path / "b.yml").write_text("services:\n  web: {}\n")
    places = Positions([tmp_path / "a.yml", tmp_path / "b.yml", tmp_path / "none.yml"])
    assert places.of("web") == Position("b.yml", 2)
    assert places.of("api") == Position("a.yml", 8)


DIFFERENCE = """\
--- old/a.cfg
+++ rendered/a.cfg
@@ -12,3 +12,4 @@
 a
+b
--- old/b.map
+++ rendered/b.map
@@ -0,0 +1 @@
+c
"""


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (SourceError("stack.yml:3:7: a key is there twice"), [("error", Position("stack.yml", 3))]),
        (SourceError("stack.yml: cannot be read: No such file"), [("error", None)]),
        (TemplateError("t/a.j2:2: 'nope' is undefined\n  2 | {{ nope }}"), [("error", Position("t/a.j2", 2))]),
        (SettingsError("a:1: x: bad\na:5: y: bad"), [("error", Position("a", 1)), ("error", Position("a", 5))]),
        (CheckFailed(["haproxy"], "[haproxy.cfg:3] : unknown keyword"), [("error", None)]),
        (ProblemsFound("2 problems found"), []),
        (Differs("they differ"), [("warning", Position("old/a.cfg", 12)), ("warning", Position("old/b.map", 1))]),
    ],
)
def test_errors(error: LbgenError, found):
    """An error is shown at the place that its message begins with; a difference at each file's first one."""
    assert [(each.level, each.position) for each in error_annotations(error, DIFFERENCE)] == found


def test_github():
    """A workflow command is one line, whatever is in it."""
    finding = Annotation("error", "a, b: c", "100%\nsure", Position("x,y:z.yml", 7))
    assert list(github_lines([finding])) == ["::error file=x%2Cy%3Az.yml,line=7,title=a%2C b%3A c::100%25%0Asure"]
    assert list(github_lines([Annotation("warning", "t", "m")])) == ["::warning title=t::m"]


def test_gitlab():
    """Every entry has what GitLab asks for; what has no place is shown at the settings; equal findings are equal."""
    one, two = gitlab_report([Annotation("error", "t", "m", Position("a.yml", 7)), Annotation("warning", "t", "m")])
    assert (one["location"], one["severity"]) == ({"path": "a.yml", "lines": {"begin": 7}}, "major")
    assert (two["location"]["path"], two["severity"]) == ("lbgen.yml", "minor")
    assert one["fingerprint"] != two["fingerprint"]
    assert gitlab_report([Annotation("error", "t", "m", Position("a.yml", 7))]) == [one]


# ------------------------------------------------------------------------------------------------ the commands


@pytest.fixture
def snapshot(tmp_path) -> Path:
    """A snapshot with problems, here."""
    (tmp_path / "snapshot.yml").write_text((GOLDEN / "problems.yaml").read_text())
    return Path("snapshot.yml")


def line_of(snapshot: Path, text: str) -> int:
    """The number of the first line with this text."""
    return next(number for number, line in enumerate(snapshot.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("words", [["lint"], ["render", "--once", "--proxy", "haproxy", "--strict"]])
def test_annotations(snapshot, words):
    """Every problem is an annotation at its label's line; nothing else is printed, and the exit code is the usual."""
    result = run(*words, "--from", snapshot, "--output", "github")
    assert result.exit_code == 5
    found = [line for line in result.stdout.splitlines() if "title=service typo%3A lbgen.prot" in line]
    start = f"::error file=snapshot.yml,line={line_of(snapshot, 'lbgen.prot')},title=service typo%3A lbgen.prot::"
    assert len(found) == 1
    assert found[0].startswith(start)
    assert {line[:2] for line in result.stdout.splitlines()} == {"::"}


DEPLOYED = """\
version: "3.8"
services:
  web:
    image: web:1
    restart: always
    deploy:
      labels:
        lbgen.enable: "true"
        lbgen.prot: "80"
        lbgen.port: "80"
"""


def test_stack_file(tmp_path):
    """The lines are those of the stack file: of the label, and of what has no effect or is refused."""
    (tmp_path / "shop.yml").write_text(DEPLOYED)
    lines = run("lint", "--from", "shop.yml", "--output", "github").stdout.splitlines()
    assert any(line.startswith("::error file=shop.yml,line=9,title=service shop_web%3A lbgen.prot::") for line in lines)
    assert any(line.startswith("::notice file=shop.yml,line=5,title=services.web.restart::") for line in lines)


def test_lax_annotations(snapshot):
    """Without --strict a problem is no reason to fail, and so a warning."""
    result = run("render", "--once", "--proxy", "haproxy", "--from", snapshot, "--output", "github")
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"::warning"}


def test_difference(snapshot, tmp_path):
    """A difference is folded in the log, and each file has an annotation."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old/names.map").write_text("x\n")
    words = ("render", "--once", "--proxy", "haproxy", "--from", snapshot, "--diff", "old", "--output", "github")
    result = run(*words)
    assert result.exit_code == 6
    lines = result.stdout.splitlines()
    assert lines[0] == "::group::haproxy: what would change"
    assert "-x" in lines[: lines.index("::endgroup::")]
    title = "title=the configuration would change"
    assert any(line.startswith(f"::warning file=old/names.map,line=1,{title}::") for line in lines)


@pytest.mark.parametrize("form", ["github", "gitlab"])
@pytest.mark.parametrize("command", [["lint"], ["render", "--once", "--proxy", "haproxy"]])
def test_broken_source(tmp_path, command, form):
    """What leaves nothing to report on is in the report, at its line."""
    (tmp_path / "stack.yml").write_text("a: b: c\n")
    result = run(*command, "--from", "stack.yml", "--output", form)
    assert result.exit_code == 4
    if form == "github":
        assert result.stdout.startswith("::error file=stack.yml,line=1,title=the source cannot be read::stack.yml:1:")
    else:
        assert json.loads(result.stdout)[0]["location"] == {"path": "stack.yml", "lines": {"begin": 1}}


def test_documents(snapshot):
    """The JSON of both commands: the format's number, problems with their places, and what is the command's own."""
    linted = json.loads(run("lint", "--from", snapshot, "--proxy", "nginx", "--output", "json").stdout)
    rendered = json.loads(
        run("render", "--once", "--from", snapshot, "--proxy", "haproxy", "--diff", "none", "--output", "json").stdout
    )
    assert set(linted) == {
        *("format", "services", "routed", "problems", "limits", "unread", "unmet", "notes", "remarks", "closed"),
        *("left_out", "doubts"),
    }
    assert set(rendered) == {"format", "problems", "unread", "unmet", "notes", "targets"}
    assert linted["unread"] == rendered["unread"]
    assert linted["problems"] == rendered["problems"]
    (typo,) = [problem for problem in linted["problems"] if problem["service"] == "typo"]
    assert typo["place"] == {"file": "snapshot.yml", "line": line_of(snapshot, "lbgen.prot")}
    assert set(typo) >= {"service", "message", "remedy", "label", "value", "route", "node", "file", "text", "place"}
    (target,) = rendered["targets"]
    assert set(target) == {"target", "proxy", "generation", "files", "checked", "errors", "blamed", "difference"}
    assert [(error["kind"], error["exit_code"]) for error in target["errors"]] == [("Differs", 6)]
    assert target["difference"].startswith("--- none/")


def test_documented(snapshot, tmp_path):
    """docs/ci.md names every field there is."""
    (tmp_path / "shop.yml").write_text(DEPLOYED)
    words = ("--from", snapshot, "--output", "json")
    texts = (
        run("lint", "--from", "shop.yml", "--output", "json").stdout,
        run("lint", *words, "--proxy", "nginx").stdout,
        run("render", "--once", *words, "--proxy", "haproxy", "--diff", "none").stdout,
    )
    example = (ROOT / "docs/ci.md").read_text().partition("```json")[2].partition("```")[0]
    documented = set(re.findall(r'"(\w+)":', example))
    found = {key for text in texts for key in keys_of(json.loads(text))}
    assert found == documented - {"haproxy"}


def keys_of(value: object) -> Iterator[str]:
    """Every key of a document, but for the files' names."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        if key != "files":
            yield from keys_of(inner)
    for inner in value if isinstance(value, list) else ():
        yield from keys_of(inner)


def test_endless_report(snapshot):
    """A report has an end: without --once there is none."""
    assert run("render", "--from", snapshot, "--proxy", "haproxy", "--output", "github").exit_code == 2
