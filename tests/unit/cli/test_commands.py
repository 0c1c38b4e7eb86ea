"""The commands: what they print where, and what they end with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import structlog
import yaml
from click.testing import Result

import lbgen
from lbgen.cli.main import COMMANDS, main
from lbgen.proxies.output_lock import OutputLock
from lbgen.settings import Settings
from lbgen.source.file import load
from tests.support.certificates import certificate
from tests.support.command import run
from tests.support.golden_cases import GOLDEN, modelled, renderer_of
from tests.support.paths import ROOT
from tests.support.real_haproxy import BINARY
from tests.support.wait import PATIENCE, wait_for

MESH, PROBLEMS = GOLDEN / "mesh.yaml", GOLDEN / "problems.yaml"


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch) -> Iterator[None]:
    """No settings, no Docker: only what the test gives."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lbgen.settings.loader.DEFAULT_FILES", (Path("lbgen.yml"),))
    for name in [name for name in os.environ if name.startswith(("LBGEN_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    yield
    structlog.reset_defaults()  # it holds a stream of the test's


def lbgen_process(*words: object, **environment: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lbgen", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def render(*words: object, case: Path = MESH, **environment: str) -> Result:
    """``lbgen render --once`` of a golden case."""
    return run("render", "--once", "--from", case, "--proxy", "haproxy", *words, **environment)


def files_of(case: Path) -> dict[str, str]:
    """The files of a case, as they are for a target made by ``--proxy haproxy``."""
    return dict(renderer_of(case, name="haproxy").render(*modelled(case)).texts)


def printed(case: Path) -> str:
    """What ``lbgen render`` prints of a case: the files one after the other."""
    return "".join(f"# ======== {name} ========\n{text}" for name, text in files_of(case).items())


# ------------------------------------------------------------------------------------------------ exit codes


@pytest.fixture
def templates(tmp_path) -> Callable[[str], Path]:
    """Write a directory with a template of one's own for haproxy.cfg."""

    def write(text: str) -> Path:
        (tmp_path / "templates").mkdir(exist_ok=True)
        (tmp_path / "templates/haproxy.cfg.j2").write_text(text)
        return tmp_path / "templates"

    return write


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", "--nope"], "No such option"),
        (["nope"], "No such command"),
        (["render", "--output", "xml"], "Invalid value for '--output'"),
        (["run", "--log-level", "loud"], "Invalid value for '--log-level'"),
        (["render", "--once", "--from", MESH], "no proxy to write for"),
        (["render", "--config", "missing.yml"], "missing.yml: cannot be read: No such file"),
        (["run", "--config", "missing.yml"], "missing.yml: cannot be read: No such file"),
        (["config", "check", "--config", "missing.yml"], "missing.yml"),
    ],
)
def test_usage(words, says):
    """2: the command line or the settings cannot be used."""
    result = run(*words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_bad_settings(tmp_path):
    """2: everything that is wrong with the settings is listed."""
    (tmp_path / "lbgen.yml").write_text("sorce: x\nlog: {level: loud}\n")
    result = run("config", "check", LBGEN_LOG__FORMAT="xml")
    assert result.exit_code == 2
    lines = [line.split(": ")[0] for line in result.stderr.removeprefix("lbgen: ").splitlines()]
    assert sorted(lines) == ["LBGEN_LOG__FORMAT", "lbgen.yml:1", "lbgen.yml:2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\n{{ nope }}", "haproxy.cfg.j2:2: 'nope' is undefined"),
        ("{% if %}", "haproxy.cfg.j2:1: "),
        ("{{ '\\n' }}", "control character"),
    ],
)
def test_template_error(templates, text, says):
    """3: a template failed; the message has its file and line."""
    result = render("--templates", templates(text))
    assert result.exit_code == 3
    assert says in result.stderr
    assert result.stdout == ""


def test_unknown_proxy():
    """3: there is no such template set; the message lists those there are."""
    result = run("render", "--once", "--from", MESH, "--proxy", "apache")
    assert result.exit_code == 3
    assert "(haproxy" in result.stderr


@pytest.mark.proxy(BINARY)
def test_check_refuses(templates, tmp_path):
    """3: the proxy's binary refuses; its message names the file and line, without the place it was checked in."""
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge/servers.state").write_text("1\n")
    (tmp_path / "lbgen.yml").write_text(f"targets: {{haproxy: {{templates: haproxy, output: {tmp_path}/edge}}}}\n")
    good = render("--check")
    assert (good.exit_code, good.stderr) == (0, "")
    result = render(
        "--check",
        "--templates",
        templates("{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\nbad\n{% endblock %}"),
    )
    assert result.exit_code == 3
    assert "refused the rendered configuration" in result.stderr
    number = result.stdout.splitlines().index("bad") - result.stdout.splitlines().index(
        "# ======== haproxy.cfg ========"
    )
    assert f"[haproxy.cfg:{number}]" in result.stderr


def test_no_checker(tmp_path):
    """3: a checker that is not installed is told from one that refuses."""
    (tmp_path / "lbgen.yml").write_text("targets: {edge: {templates: haproxy, binary: /does/not/exist}}\n")
    result = run("render", "--once", "--check", "--from", MESH)
    assert result.exit_code == 3
    assert "/does/not/exist: not found" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "snapshot.yml: cannot be read: No such file"),
        ("a: b: c", "snapshot.yml:1:"),
        ("version: 3", "version"),
        ("version: 2", "snapshot.yml: parts: expected an object with a document for each name"),
        ("services: {web: {imgae: x}}", "snapshot.yml:1: services.web.imgae: is not a key that is known here"),
        ("version: 1\nservices: [{ID: 1}]", "services[0]"),
    ],
)
def test_source_error(tmp_path, text, says):
    """4: the snapshot file cannot be read."""
    if text:
        (tmp_path / "snapshot.yml").write_text(text)
    result = render(case=Path("snapshot.yml"))
    assert result.exit_code == 4
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", [["render", "--once", "--proxy", "haproxy"], ["snapshot"]])
def test_docker_unreachable(tmp_path, command):
    """4: no Docker answers; the message names the endpoint."""
    result = run(*command, "--endpoint", f"unix://{tmp_path}/no.sock")
    assert result.exit_code == 4
    assert f"{tmp_path}/no.sock" in result.stderr
    assert result.stdout == ""


def test_strict():
    """5: with --strict problems are an error, and every one is listed; without, they are warnings in the log."""
    strict, lax = render("--strict", case=PROBLEMS), render(case=PROBLEMS)
    assert (strict.exit_code, lax.exit_code) == (5, 0)
    assert strict.stdout == lax.stdout == printed(PROBLEMS)
    for result in (strict, lax):
        assert "lbgen.prot" in result.stderr
        assert "did you mean port?" in result.stderr
    assert "problems found:" in strict.stderr
    assert render("--strict").exit_code == 0


def test_diff(tmp_path):
    """6: with --diff it is shown what differs from the files in a directory, and 0 if nothing does."""
    missing = render("--diff", tmp_path / "out")
    assert missing.exit_code == 6
    assert "+backend web" in missing.stdout
    assert render("-o", tmp_path / "out").exit_code == 0
    same = render("--diff", tmp_path / "out")
    assert (same.exit_code, same.stdout, same.stderr) == (0, "", "")
    file = tmp_path / "out/haproxy.cfg"
    file.write_text(file.read_text().replace("192.168.1.101", "192.168.1.111"))
    changed = render("--diff", tmp_path / "out")
    assert changed.exit_code == 6
    assert f"--- {file}\n+++ rendered/haproxy.cfg\n" in changed.stdout
    line = "    server web.node2 192.168.1.{}:80 check  # on node2\n"
    assert f"-{line.format(111)}+{line.format(101)}" in changed.stdout
    assert "differ" in changed.stderr


def test_diff_of_last_line(tmp_path):
    """A last line without its end is shown as the usual tools do."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/set.yml").write_text("proxy: other\n")
    (tmp_path / "templates/a.j2").write_text("one\ntwo")
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a").write_text("one\n2")
    result = run("render", "--once", "--from", MESH, "--templates", tmp_path / "templates", "--diff", tmp_path / "old")
    assert result.stdout.endswith(" one\n-2\n\\ No newline at end of file\n+two\n\\ No newline at end of file\n")


def test_first_failure_counts(tmp_path):
    """With several reasons to fail, the gravest is the exit code: a refusal before problems before a difference."""
    (tmp_path / "lbgen.yml").write_text("targets: {edge: {templates: haproxy, binary: /bin/false}}\n")
    words = ("render", "--once", "--from", PROBLEMS, "--diff", tmp_path / "none", "--strict")
    assert run(*words, "--check").exit_code == 3
    assert run(*words).exit_code == 5


def test_cannot_write(tmp_path):
    """1: the result cannot be written."""
    (tmp_path / "file").touch()
    result = render("-o", tmp_path / "file")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


# ------------------------------------------------------------------------------------------------ render


def test_render():
    """The files go to standard output, and nothing goes to standard error."""
    result = render()
    assert (result.exit_code, result.stdout, result.stderr) == (0, printed(MESH), "")


def test_same_bytes():
    """Every process prints the same bytes, whatever its hash seed."""
    words = ("render", "--once", "--from", PROBLEMS, "--proxy", "haproxy", "--log-level", "error")
    processes = [lbgen_process(*words, PYTHONHASHSEED=seed) for seed in ("0", "1", "random")]
    results = [(*process.communicate(timeout=PATIENCE), process.returncode) for process in processes]
    assert set(results) == {(printed(PROBLEMS), "", 0)}


def test_output_directory(tmp_path):
    """With -o the files are written, and nothing is printed."""
    result = render("-o", tmp_path / "new/out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert {path.name: path.read_text() for path in (tmp_path / "new/out").iterdir()} == files_of(MESH)


KEPT = {"haproxy.cfg": "good\n", "routes.map": "good\n", "old.map": "good\n", ".lbgen-files": "old.map\n"}


def kept(directory: Path) -> Path:
    """A directory that an earlier rendering has filled, one more file than today's among them."""
    directory.mkdir(parents=True)
    for name, text in KEPT.items():
        (directory / name).write_text(text)
    return directory


def contents(directory: Path) -> dict[str, str]:
    """Every file in the directory."""
    return {path.name: path.read_text() for path in directory.iterdir()}


def checked_by(tmp_path: Path, program: str) -> None:
    """Have the settings name this program as the proxy's own."""
    (tmp_path / "lbgen.yml").write_text(f"targets: {{haproxy: {{templates: haproxy, binary: {program}}}}}\n")


@pytest.mark.parametrize(
    ("program", "case", "words", "code"),
    [
        ("/bin/false", MESH, ["--check"], 3),  # refuses
        ("/does/not/exist", MESH, ["--check"], 3),  # cannot be asked
        ("/bin/true", PROBLEMS, ["--check", "--strict"], 5),
        ("/bin/true", PROBLEMS, ["--strict"], 5),
    ],
)
def test_output_is_left_alone(tmp_path, program, case, words, code):
    """Nothing in the directory is written or removed if the files are refused, and it is said."""
    checked_by(tmp_path, program)
    directory = kept(tmp_path / "out")
    result = render(*words, "-o", directory, case=case)
    assert (result.exit_code, contents(directory)) == (code, KEPT)
    assert "not_written" in result.stderr


def test_output_is_left_alone_by_a_bad_template(tmp_path, templates):
    """The same if a template fails, with --check or without."""
    directory = kept(tmp_path / "out")
    result = render("-o", directory, "--templates", templates("{{ 1 / 0 }}"))
    assert (result.exit_code, contents(directory)) == (3, KEPT)


def test_one_refused_target_holds_all_back(tmp_path):
    """What is rendered together replaces what is there together: one target that is refused leaves all as they are."""
    (tmp_path / "lbgen.yml").write_text(
        "targets:\n  a: {templates: haproxy, binary: /bin/true}\n  b: {templates: haproxy, binary: /bin/false}\n"
    )
    for name in ("a", "b"):
        kept(tmp_path / "out" / name)
    result = run("render", "--once", "--from", MESH, "--check", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert [contents(tmp_path / "out" / name) for name in ("a", "b")] == [KEPT, KEPT]


def test_accepted_output_replaces(tmp_path):
    """Files that are accepted replace those of before and remove those that are not rendered any more; so do differing
    ones: that they differ is why they are written."""
    checked_by(tmp_path, "/bin/true")
    directory = kept(tmp_path / "out")
    result = render("--check", "--diff", directory, "-o", directory)
    assert (result.exit_code, contents(directory)) == (6, files_of(MESH))


@pytest.mark.parametrize("beside", [".", "elsewhere"])
def test_relative_certificates(tmp_path, monkeypatch, beside):
    """The directory beside the settings file is the one that is used, wherever the command runs: the port is opened."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "lbgen.yml").write_text(
        "listeners: {websecure: {bind: ':443', tls: true}}\ncertificates: certs\n"
        "targets: {edge: {templates: haproxy, output: out}}\n"
    )
    certificate(conf / "certs/default.pem", "a.example.org")
    (conf / beside).mkdir(exist_ok=True)
    monkeypatch.chdir(conf / beside)
    words = ("--config", conf / "lbgen.yml", "--from", MESH)
    result = run("render", "--once", *words)
    assert "bind :443 ssl" in result.stdout
    assert str(conf / "certs/default.pem") in result.stdout
    assert "default.pem" not in run("lint", *words).stdout


@pytest.mark.parametrize(
    ("proxy", "status", "told"), [("haproxy", 5, True), ("nginx", 5, True), ("traefik", 0, False), ("", 5, True)]
)
def test_costly_passwords(tmp_path, proxy, status, told):
    """They are a problem, and slow ones a note, where other requests wait for them, or where nothing is known."""
    (tmp_path / "users").mkdir()
    hashed = "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"
    (tmp_path / "users" / "staff").write_text(f"bob:{hashed}\nanna:{hashed.replace('$12$', '$10$')}\n")
    (tmp_path / "lbgen.yml").write_text("users: users\n")
    checked = run("lint", "--from", MESH, *(("--proxy", proxy) if proxy else ()))
    assert checked.exit_code == status, checked.output
    said = " ".join(checked.stdout.split())
    assert ("problem: has hashes that take too long to compare" in said) == told
    assert ("note: HAProxy and Nginx let every other request wait while they compare" in said) == told
    assert ("user bob has bcrypt of cost 12" in said) == ("user anna has bcrypt of cost 10" in said) == told


def test_no_certificate_is_told(tmp_path):
    """A listener with TLS without a certificate stays closed: lint, --strict and render say so."""
    (tmp_path / "lbgen.yml").write_text(
        "listeners: {websecure: {bind: ':443', tls: true}}\ncertificates: certs\n"
        "targets: {edge: {templates: haproxy}}\n"
    )
    asked = ("lint", "--from", MESH)
    assert f"file {tmp_path / 'certs'}" in run(*asked).stdout  # a remark: in a pipeline there is no such directory
    (tmp_path / "certs").mkdir()
    result = run(*asked)
    assert (result.exit_code, "HAProxy and Nginx keep that closed" in " ".join(result.stdout.split())) == (5, True)
    assert run("render", "--once", "--strict", "--from", MESH).exit_code == 5


def test_json():
    """In JSON the result is one document: files, generation, problems."""
    document = json.loads(render("--output", "json", case=PROBLEMS).stdout)
    (target,) = document["targets"]
    assert set(target["files"]) == set(files_of(PROBLEMS))
    assert target["generation"] in target["files"]["haproxy.cfg"]
    (typo,) = [problem for problem in document["problems"] if problem["service"] == "typo"]
    assert (typo["label"], typo["value"], typo["remedy"]) == ("lbgen.prot", "80", "did you mean port?")


def test_several_targets(tmp_path):
    """Every target of the settings is rendered, each into a directory of its own; --proxy names one."""
    (tmp_path / "lbgen.yml").write_text(
        "targets: {a: {templates: haproxy}, b: {templates: haproxy, options: {maxconn: 7}}}\n"
    )
    assert run("render", "--once", "--from", MESH, "-o", tmp_path / "out").exit_code == 0
    assert "maxconn 7" not in (tmp_path / "out/a/haproxy.cfg").read_text()
    assert "maxconn 7" in (tmp_path / "out/b/haproxy.cfg").read_text()


def test_settings_and_flags(tmp_path):
    """Settings come from the file here, from --config or LBGEN_CONFIG; environment and flags lie over them."""
    (tmp_path / "lbgen.yml").write_text("listeners: {web: {bind: ':8081'}}\n")
    (tmp_path / "other.yml").write_text("listeners: {web: {bind: ':8082'}}\n")
    assert "bind :8081" in render().stdout
    assert "bind :8082" in render("--config", "other.yml").stdout
    assert "bind :8082" in render(LBGEN_CONFIG="other.yml").stdout
    assert "bind :8083" in render(LBGEN_LISTENERS__WEB__BIND=":8083").stdout
    assert "bind :8083" in render("--config", "other.yml", LBGEN_LISTENERS__WEB__BIND=":8083").stdout


def test_from_wins_over_settings(tmp_path):
    """--from takes the place of whatever source the settings name."""
    (tmp_path / "lbgen.yml").write_text("source: {docker: {endpoints: ['tcp://192.0.2.1:2375']}}\n")
    assert render().exit_code == 0


def test_stack_files(tmp_path):
    """--from may be repeated for stack files, and --stack says what they are deployed as; so do the settings."""
    (tmp_path / "a.yml").write_text("services:\n  web:\n    image: web:1\n    ports: ['80:80']\n")
    labels = "{lbgen.enable: 'true', lbgen.host: web.test}"
    (tmp_path / "b.yml").write_text(f"services:\n  web:\n    deploy:\n      labels: {labels}\n")
    words = ("render", "--once", "--proxy", "haproxy")
    by_flags = run(*words, "--from", "a.yml", "--from", "b.yml", "--stack", "shop")
    assert "backend shop_web\n" in by_flags.stdout
    (tmp_path / "lbgen.yml").write_text("source: {file: [a.yml, b.yml], stack: shop}\n")
    assert run(*words).stdout == by_flags.stdout


def test_notes_on_stack_files(tmp_path):
    """A note on a whole file has its line, and no empty place behind it."""
    (tmp_path / "a.yml").write_text("version: '3.8'\nservices: {}\n")
    result = run("lint", "--from", str(tmp_path / "a.yml"), "--proxy", "haproxy")
    assert "a.yml:1: note: the stack is called" in " ".join(result.stdout.split())


def test_own_templates(templates):
    """--templates lies over the set that --proxy names."""
    result = render("--templates", templates("mine {{ servers | length }}\n"))
    assert "# ======== haproxy.cfg ========\nmine 3\n# ======== " in result.stdout


def test_logs():
    """Logs go to standard error, in the form and from the level that was asked for."""
    text, as_json = render(case=PROBLEMS), render("--log-format", "json", case=PROBLEMS)
    assert text.stdout == as_json.stdout
    assert " warning problem problem=" in text.stderr.splitlines()[0]
    assert {json.loads(line)["event"] for line in as_json.stderr.splitlines()} == {"problem"}
    assert render("--log-level", "error", case=PROBLEMS).stderr == ""


def test_follow(tmp_path):
    """Without --once the files are printed again after each change, until a signal ends it."""
    document = yaml.safe_load(MESH.read_text())
    snapshot = tmp_path / "snapshot.yml"
    snapshot.write_text(yaml.safe_dump(document))
    out = tmp_path / "out"
    process = lbgen_process("render", "--from", snapshot, "--proxy", "haproxy", "-o", out)
    try:
        wait_for(lambda: (out / "haproxy.cfg").exists() or process.poll() is not None, "the first files")
        assert "192.168.1.100" in (out / "haproxy.cfg").read_text()
        document["nodes"][0]["Status"]["Addr"] = "192.168.1.200"
        (tmp_path / "new.yml").write_text(yaml.safe_dump(document))
        (tmp_path / "new.yml").replace(snapshot)
        wait_for(lambda: "192.168.1.200" in (out / "haproxy.cfg").read_text(), "the changed files")
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, stdout) == (0, ""), stderr


class Author:
    """``lbgen render`` without --once, as an author has it beside the editor."""

    def __init__(self, directory: Path, *words: object) -> None:
        self.templates = directory / "templates"
        self.templates.mkdir()
        self._out, self._err = directory / "stdout", directory / "stderr"
        words = ("render", "--from", MESH, "--proxy", "haproxy", "--templates", self.templates, *words)
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lbgen", *map(str, words)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._read = [0, 0]

    def verdict(self) -> tuple[str, str]:
        """Wait for the next verdict; return what was printed since the last one, and the verdict."""
        out, err = self._out, self._err
        said = re.compile(r"^== haproxy: .*\n", re.MULTILINE)
        wait_for(lambda: said.search(err.read_text()[self._read[1] :]) or self._process.poll(), "a verdict")
        texts = out.read_text()[self._read[0] :], err.read_text()[self._read[1] :]
        self._read = [len(out.read_text()), len(err.read_text())]
        return texts

    def save(self, text: str) -> tuple[str, str]:
        """Save a block for the end of haproxy.cfg; return what comes of it."""
        block = f"{{% extends 'haproxy/haproxy.cfg.j2' %}}{{% block extra %}}\n{text}\n{{% endblock %}}"
        (self.templates / "haproxy.cfg.j2").write_text(block)
        return self.verdict()

    def end(self) -> int:
        """End it; return its exit status."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE)


@pytest.mark.proxy(BINARY)
def test_author(tmp_path):
    """Each save shows what changes in the files, and the checker's verdict; an error is explained, and is no end."""
    author = Author(tmp_path, "--check")
    try:
        out, err = author.verdict()
        assert out == printed(MESH)
        assert re.fullmatch(r"== haproxy: rendered; HAProxy accepts it \(\d+ ms\)\n", err)
        out, err = author.save("# mine")
        assert "--- before/haproxy.cfg\n+++ after/haproxy.cfg\n@@" in out
        assert [line for line in out.splitlines() if line[0] in "+-"][2:] == ["+# mine"]
        assert "== haproxy: +1 -0 lines; HAProxy accepts it" in err
        out, err = author.save("{{ nope }}")
        assert out == ""
        assert "haproxy.cfg.j2:2: 'nope' is undefined" in err
        out, err = author.save("nonsense")
        assert [line for line in out.splitlines() if line[0] in "+-"][2:] == ["-# mine", "+nonsense"]
        assert "unknown keyword 'nonsense'" in err
        out, err = author.save("# mine")
        assert "HAProxy accepts it" in err
        out, err = author.save("{# a comment #}\n# mine")
        assert (out, "== haproxy: as before; HAProxy accepts it" in err) == ("", True)
    finally:
        assert author.end() == 0


def test_author_compares(tmp_path):
    """With --diff each round is compared with the directory."""
    assert render("-o", tmp_path / "out").exit_code == 0
    author = Author(tmp_path, "--diff", tmp_path / "out")
    try:
        assert author.verdict()[0] == ""
        for text in ("# one", "# two"):
            out, err = author.save(text)
            assert [line for line in out.splitlines() if line.startswith("+#") and "generation" not in line] == [
                f"+{text}"
            ]
            assert "differ from those in" in err
    finally:
        assert author.end() == 0


# ------------------------------------------------------------------------------------------------ the rest


def test_snapshot_round_trip(tmp_path):
    """``lbgen snapshot`` of a file records the same facts, on standard output or in a file."""
    (tmp_path / "lbgen.yml").write_text(f"source: {{file: {MESH}}}\n")
    printed_ = run("snapshot")
    written = run("snapshot", "-o", tmp_path / "recorded.json")
    assert (printed_.exit_code, written.exit_code, written.stdout) == (0, 0, "")
    assert json.loads(printed_.stdout) == json.loads((tmp_path / "recorded.json").read_text())
    assert load(tmp_path / "recorded.json") == load(MESH)


def test_config_check(tmp_path):
    """``lbgen config check`` says that the settings are fine, or what is not."""
    (tmp_path / "lbgen.yml").write_text("targets: {edge: {templates: haproxy}}\n")
    assert (run("config", "check").exit_code, run("config", "check").stdout) == (0, "the settings are fine\n")
    plain = run("config", "check", LBGEN_SOURCE__DOCKER__ENDPOINTS="tcp://manager:2375").stdout
    assert plain.startswith("risk: tcp://manager:2375: plain TCP, without TLS: ")
    assert plain.endswith("; use TLS (source.docker.tls), ssh:// or a network of its own\nthe settings are fine\n")
    (tmp_path / "lbgen.yml").write_text("targets: {edge: {templates: haproxy, options: {maxcon: 1}}}\n")
    refused = run("config", "check")
    assert refused.exit_code != 0
    assert "no option maxcon" in refused.stderr


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("targets: {edge: {templates: nginx, apply: {master_socket: /x}}}", 2, "targets.edge.apply: Nginx takes run"),
        ("targets: {edge: {templates: traefik, apply: {http: true}}, two: {templates: nope}}", 3, "nope: neither"),
        ("source: {docker: {endpoints: ['swarm://manager']}}", 4, "endpoint 'swarm://manager' is none of"),
        ("targets: {edge: {templates: haproxy}}", 0, ""),
    ],
)
def test_config_check_asks_what_run_asks(tmp_path, text, code, says):
    """What does not fit the proxy, or the source, is refused as `lbgen run` refuses it."""
    (tmp_path / "lbgen.yml").write_text(text)
    result = run("config", "check")
    assert result.exit_code == code
    assert says in result.stderr


def test_config_schema():
    """``lbgen config schema`` prints the JSON Schema of the settings."""
    assert json.loads(run("config", "schema").stdout) == Settings.model_json_schema()


def test_version():
    """``lbgen version`` prints the version, for people or for programs."""
    assert run("version").stdout.startswith(f"lbgen {lbgen.__version__} (Python 3.")
    assert json.loads(run("version", "--output", "json").stdout)["lbgen"] == lbgen.__version__


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_table_of_commands():
    """The table that `lbgen --help` prints has each command's own name and summary."""
    context = click.Context(main)
    for name, (_, summary) in COMMANDS.items():
        command = main.get_command(context, name)
        assert (command.name, command.get_short_help_str(limit=200)) == (name, summary)
        assert f"{name} " in run("--help").stdout
        assert summary in run("--help").stdout


@pytest.mark.parametrize(
    ("words", "command"), list(commands(main)), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_help(words, command):
    """Every command explains itself and each of its options."""
    result = run(*words, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (command.help or "").split("\n")[0].split(".")[0][:60] in " ".join(result.stdout.split())
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_help_of_all():
    """The help of lbgen itself lists the commands and the exit codes."""
    result = run("--help")
    assert all(name in result.stdout for name in ("run", "render", "snapshot", "config", "version"))
    assert all(f"  {code}  " in result.stdout for code in range(7))
    assert run("-h").stdout == result.stdout


STACK = """\
version: "3.8"
services:
  web:
    image: shop:1
    networks: [edge]
    deploy:
      replicas: 2
      labels: {lbgen.enable: "true", lbgen.host: shop.example.org, lbgen.port: "8080"}
networks: {edge: {driver: overlay}}
"""


def test_stack_files_in_all_commands(tmp_path, monkeypatch):
    """--from takes stack files, several of them merged, and --stack names what they would be deployed as."""
    monkeypatch.chdir(tmp_path)
    Path("a.yml").write_text(STACK)
    Path("b.yml").write_text('version: "3.8"\nservices: {web: {deploy: {replicas: 3}, build: .}}\n')
    words = ["render", "--once", "--proxy", "haproxy", "--from", "a.yml"]
    done = run(*words, "--stack", "shop")
    assert done.exit_code == 0
    assert "backend shop_web\n" in done.stdout
    assert done.stdout.count("    server shop_web.") == 2
    more = run(*words, "--from", "b.yml", "--stack", "shop", "--strict")
    assert more.exit_code == 0
    assert more.stdout.count("    server shop_web.") == 3
    assert "b.yml:2: services.web.build: `docker stack deploy` ignores it" in more.stderr
    refused = Path("refused.yml")
    refused.write_text(STACK + "name: shop\n")
    assert run(*words[:-1], "refused.yml").exit_code == 0
    assert run(*words[:-1], "refused.yml", "--strict").exit_code == 5
    explained = run("explain", "shop_web", "--from", "a.yml", "--stack", "shop")
    assert explained.exit_code == 0
    wrong = run("lint", "--stack", "shop")
    assert (wrong.exit_code, "stack is the name that stack files are deployed under" in wrong.stderr) == (2, True)


def test_output_of_a_running_lbgen(tmp_path):
    """A directory that a running lbgen writes is refused: its proxy would load files unknown to it."""
    directory = kept(tmp_path / "out")
    lock = OutputLock(directory)
    assert lock.take()
    before = contents(directory)
    result = render("-o", directory)
    assert (result.exit_code, contents(directory)) == (2, before)
    assert f"{directory}: lbgen with pid {os.getpid()} " in result.stderr
    lock.release()
    assert render("-o", directory).exit_code == 0
