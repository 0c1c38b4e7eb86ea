"""`lbgen hub` and `lbgen join`: what they print, write and end with, with a real hub where there is one to ask."""

from __future__ import annotations

import http.server
import json
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from lbgen.base import logs
from lbgen.hub.authority import read_bundle
from lbgen.hub.ledger import Edge, Entries, write
from lbgen.hub.upkeep import kept_up
from lbgen.source.hub.identity import Identity
from tests.support.clock import Clock
from tests.support.command import run
from tests.support.fleet import Hub
from tests.support.small_disk import needs_root, small_disk


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lbgen.settings.loader.DEFAULT_FILES", (Path("lbgen.yml"),))


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    assert run("hub", "init", "--dir", tmp_path / "keys").exit_code == 0
    return tmp_path / "keys/authority.pem"


@pytest.fixture
def hub(tmp_path: Path, authority: Path) -> Iterator[Hub]:
    logs.configure("error", "text")  # of the hub, which runs in this process
    with (
        Hub(read_bundle(authority), "m1", tmp_path / "hub", Clock(time.time())) as hub,
        kept_up(authority, hub.authority, hub.ledger, hub.registrar),
    ):
        yield hub
    structlog.reset_defaults()


def token_for(name: str, authority: Path, *words: str) -> str:
    result = run("hub", "token", name, "--authority", authority, *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def test_init(tmp_path: Path) -> None:
    """It makes a private file, once, and says what to do with it."""
    result = run("hub", "init", "--dir", tmp_path / "keys", "--output", "json")
    document, file = json.loads(result.stdout), tmp_path / "keys/authority.pem"
    assert document["file"] == str(file)
    assert re.fullmatch("[0-9a-f]{64}", *document["fingerprints"])
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    content = file.read_bytes()
    again = run("hub", "init", "--dir", tmp_path / "keys")
    assert (again.exit_code, file.read_bytes()) == (2, content)
    assert "there is one already" in again.stderr
    assert "docker secret create lbgen-hub" in run("hub", "init", "--dir", tmp_path / "other").stdout


def test_join(hub: Hub, authority: Path, tmp_path: Path) -> None:
    """A token on the command line or on standard input makes an edge, whose files nobody else may read."""
    token = token_for("e1", authority, "--label", "zone=eu", "--offer", "10.200.0.7", "--expires", "15m")
    result = run("join", hub.url, "--token", token, "--state", tmp_path / "e1")
    assert (result.exit_code, result.stdout.split(";")[0]) == (0, "joined as e1")
    files = list((tmp_path / "e1").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in [tmp_path / "e1", *files]] == [0o700, *[0o600] * len(files)]
    assert Identity(tmp_path / "e1").holder.labels == {"zone": "eu"}
    again = run("join", hub.url, "--token", "-", "--state", tmp_path / "e1", given=token_for("e2", authority) + "\n")
    assert (again.exit_code, "joined already, as e1; --again" in again.stderr) == (2, True)
    given = token_for("e2", authority) + "\n"
    assert run("join", hub.url, "--token", "-", "--state", tmp_path / "e1", "--again", given=given).exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["join", "https://127.0.0.1:1", "--token", "TOKEN"], 4, "hub https://127.0.0.1:1: no answer"),
        (["join", "https://127.0.0.1:1", "--token", "nonsense"], 4, "not a whole token"),
        (["join", "http://127.0.0.1:1", "--token", "TOKEN"], 2, "write https://HOST:PORT"),
        (["join", "https://127.0.0.1", "--token", "TOKEN"], 2, "write https://HOST:PORT"),
        (["hub", "token", "e1"], 2, "--authority, or in setting hub.authority"),
        (["hub", "token", "E_1", "--authority", "FILE"], 2, "'E_1' cannot be the name of an edge: 1 to 32 letters"),
        (["hub", "token", "e1", "--authority", "none"], 2, "none: cannot be read: No such file"),
        (["hub", "token", "e1", "--authority", "FILE", "--expires", "1y"], 2, "--expires 1y: is not a duration"),
        (["hub", "token", "e1", "--authority", "FILE", "--expires", "721h"], 2, "is outside 1s to 720h"),
        (["hub", "token", "e1", "--authority", "FILE", "--offer", "here"], 2, "--offer here: write the IP address"),
        (["hub", "token", "e1", "--authority", "FILE", "--label", "x"], 2, "--label x: write KEY=VALUE"),
        (["hub", "edges", "--state", "none"], 2, "none: there is no such directory"),
        (["hub", "edges"], 2, "--state, or in setting hub.state"),
        (["hub", "revoke", "E 1", "--state", "."], 2, "'E 1' is not the name of an edge"),
    ],
)
def test_mistakes(authority: Path, words: list[str], code: int, message: str) -> None:
    """Thing, value, remedy."""
    token = token_for("e1", authority)
    result = run(
        *[{"TOKEN": token, "FILE": authority}.get(word, word) for word in words],
        *["--state", "e"][: 2 * (words[0] == "join")],
    )
    assert result.exit_code == code
    assert message in result.stderr
    assert token[-20:] not in result.stderr


def test_config_check_of_a_hub(authority: Path, tmp_path: Path) -> None:
    """An authority that `lbgen run` would not take is told before."""
    for file, code in ((authority, 0), (tmp_path / "none.pem", 2)):
        (tmp_path / "lbgen.yml").write_text(f"source: {{file: none.yml}}\nhub: {{authority: {file}}}\n")
        result = run("config", "check")
        assert result.exit_code == code, result.stderr
    assert "none.pem: cannot be read" in result.stderr


def test_edges_and_revoke(hub: Hub, authority: Path, tmp_path: Path) -> None:
    """The table has who has joined; who is revoked is so at once, and is told apart."""
    assert "no edge has joined" in run("hub", "edges", "--state", tmp_path / "hub").stdout
    for name in ("e1", "e2"):
        token = token_for(name, authority, "--label", f"zone={name}")
        assert run("join", hub.url, "--token", token, "--state", tmp_path / name).exit_code == 0
    result = run("hub", "revoke", "e1", "--state", tmp_path / "hub")
    assert (result.exit_code, result.stdout) == (0, "e1 is revoked\n")
    assert hub.revoked == ["e1"]
    lines = run("hub", "edges", "--state", tmp_path / "hub").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["NAME", "STATE"], ["e1", "revoked"], ["e2", "joined"]]
    assert lines[2].endswith("zone=e2")
    assert lines[1].index("zone=") == lines[2].index("zone=")  # whatever colour it is in
    first, second = json.loads(run("hub", "edges", "--state", tmp_path / "hub", "--output", "json").stdout)
    assert (first["name"], first["revoked"], second["revoked"]) == ("e1", True, False)
    assert (first["connected"], first["ready"], first["behind"]) == (None, None, None)
    unknown = run("hub", "revoke", "e9", "--state", tmp_path / "hub")
    assert unknown.stdout == "no edge has joined as e9; its tokens are void\n"


@contextmanager
def a_status(edges: list[dict[str, object]]) -> Iterator[str]:
    """The status of a hub that says this of its edges."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"edges": edges}).encode())

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_edges_that_are_connected(tmp_path: Path) -> None:
    """The running hub says who is connected, how it goes with it, and how far behind it is; the ledger has the rest."""
    state = tmp_path / "state/hub"
    known = {name: Edge("k", 1.0, until=time.time() + 60) for name in ("behind", "newest", "new")}
    write(state, Entries({"away": Edge("k", 1.0, until=time.time() + 60, seen=5.0), **known}))
    usual = {"targets": [], "connected": True, "ready": True, "sequence": 7, "in_force": 7}
    said = [
        {"name": "away", **usual, "connected": False},
        {"name": "behind", **usual, "ready": False, "in_force": 4},
        {"name": "newest", **usual},
    ]
    settings: dict[str, object] = {"state": str(tmp_path / "state"), "hub": {"authority": "a.pem"}}
    with a_status(said) as bind:
        Path("lbgen.yml").write_text(json.dumps(settings | {"status": {"bind": bind}}))
        documents = {each["name"]: each for each in json.loads(run("hub", "edges", "--output", "json").stdout)}
        lines = [line.split("  ")[:1] + line.split()[1:4] for line in run("hub", "edges").stdout.splitlines()]
        alone = run("hub", "edges", "--state", state, "--output", "json")
    shown = [(documents[name]["connected"], documents[name]["ready"], documents[name]["behind"]) for name in documents]
    assert dict(zip(documents, shown, strict=True)) == {
        "away": (False, None, None),
        "behind": (True, False, 3),
        "new": (False, None, None),
        "newest": (True, True, 0),
    }
    assert [line[:3] for line in lines[1:]] == [
        ["away", "away", "-"],
        ["behind", "not", "ready"],
        ["new", "joined", "-"],
        ["newest", "ready", "newest"],
    ]
    assert [each["connected"] for each in json.loads(alone.stdout)] == [None] * 4
    gone = run("hub", "edges")
    assert (gone.exit_code, "who is connected is not known" in gone.stderr) == (0, True)
    assert run("hub", "edges", "--status", bind).exit_code == 4


@pytest.mark.parametrize(
    ("source", "directory"),
    [
        ({"hub": {"urls": ["https://m1:9443"], "state": "own"}}, "own"),
        ([{"name": "a", "hub": {"urls": ["https://m1:9443"]}}], "state/edge"),
        ({"docker": {}}, "state/edge"),
    ],
)
def test_join_goes_by_the_settings(hub: Hub, authority: Path, source: object, directory: str) -> None:
    """Without --state an edge is where the settings have it; those of several have to be told apart."""
    Path("lbgen.yml").write_text(json.dumps({"state": "state", "source": source}))
    assert run("join", hub.url, "--token", token_for("e1", authority)).exit_code == 0
    assert Identity(Path(directory)).name == "e1"


def test_join_of_several(authority: Path) -> None:
    """Which of several edges joins has to be said."""
    several = [{"name": name, "hub": {"urls": ["https://m1:9443"], "state": name}} for name in ("a", "b")]
    Path("lbgen.yml").write_text(json.dumps({"source": several}))
    result = run("join", "https://m1:9443", "--token", token_for("e1", authority))
    assert (result.exit_code, "name one by --state" in result.stderr) == (2, True)


def test_revoke_without_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is not in force yet."""
    monkeypatch.setattr("lbgen.base.request_file.PATIENCE", 0.0)
    (tmp_path / "hub").mkdir()
    result = run("hub", "revoke", "e1", "--state", tmp_path / "hub")
    assert (result.exit_code, "not revoked for good yet: no hub runs here" in result.stderr) == (4, True)


@needs_root
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_revoke_where_it_cannot_be_written(tmp_path: Path, how: str) -> None:
    """Not even the request is on disk: it says that nobody is revoked, where, and what to do."""
    with small_disk(tmp_path / "hub") as disk:
        with disk.broken(how) as why:
            result = run("hub", "revoke", "e1", "--state", disk.path)
        assert result.exit_code == 2
        assert re.search(rf"e1 is not revoked: {disk.path}/revocations\S*: cannot be written: {why}; ", result.stderr)
        assert not list(disk.path.rglob("*.json"))


def test_rotate(hub: Hub, authority: Path, tmp_path: Path) -> None:
    """Three steps; one that would leave an edge behind needs --force."""
    edge = hub.joined("e1", tmp_path / "e1")
    words = ("hub", "rotate", "--authority", authority, "--state", tmp_path / "hub")
    before = authority.read_text()
    assert "step 1 of 3" in run(*words).stdout
    assert authority.with_name("authority.pem.before").read_text() == before
    refused = run(*words)
    assert (refused.exit_code, "not renewed since the last step: e1" in refused.stderr) == (2, True)
    hub.authority.take(read_bundle(authority))
    hub.clock.now += 60
    edge.renew(hub.dial())
    hub.ledger.flush()
    assert "step 2 of 3" in run(*words).stdout
    assert run(*words).exit_code == 2
    result = run(*words, "--force", "--output", "json")
    assert json.loads(result.stdout)["step"] == "finish"
    assert stat.S_IMODE(authority.stat().st_mode) == 0o600
