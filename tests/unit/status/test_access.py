"""Who may ask for what of the status port, and how the commands ask."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base import password
from lbgen.base.errors import SettingsError
from lbgen.proxies.traefik.feed import Document, Feed
from lbgen.settings import StatusSettings, load_settings
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.command import run
from tests.support.wait import PATIENCE
from tests.support.watched import FakeLoop

TOKEN, OTHER = "0123456789abcdef0123", "fedcba9876543210fedc"
# Of "hunter2", as htpasswd -B makes it.
BCRYPT = "$2y$05$EnM8cM7DtSb4CCv5o1YQSuTAXVaWDSa0Far6l79NUgYd9os.jROce"
OPEN = ("/healthz", "/readyz", "/metrics")
CLOSED = (
    "/api/v1/status",
    "/api/v1/model",
    "/api/v1/problems",
    "/api/v1/history",
    "/api/v1/explain/web",
    "/",
    "/other",
)
FEED = "/traefik/edge"
ELSEWHERE = "0.0.0.0:9099"


@dataclass
class Served:
    """A status port."""

    port: int
    texts: list[str] = field(default_factory=list)

    def get(self, path: str, **headers: str) -> int:
        """Ask, return the status; the text of the answer is kept."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.putrequest("GET", path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            self.texts.append(answer.read().decode())
            self.challenge = answer.headers.get_all("WWW-Authenticate") or []
            return answer.status

    def bearer(self, path: str, token: str) -> int:
        return self.get(path, Authorization=f"Bearer {token}")

    def basic(self, path: str, name: str, secret: str) -> int:
        return self.get(path, Authorization="Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode())


@contextlib.contextmanager
def serving(**settings: object) -> Iterator[Served]:
    """Serve on loopback, as if bound where the settings say."""
    feed = Feed()
    feed.publish(Document("1" * 12, b"# 1\n"))
    status = StatusSettings.model_validate(settings)
    with serve_status(("127.0.0.1", 0), View(FakeLoop(), []), {"edge": feed}, settings=status) as port:
        yield Served(port)


@pytest.fixture
def token(tmp_path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture
def users(tmp_path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"ada:{BCRYPT}\n")
    return path


def test_hashes():
    """The machine's own crypt, of which the tests that follow make use."""
    assert password.known()
    assert password.matches("hunter2", BCRYPT)
    assert not password.matches("hunter3", BCRYPT)
    assert not password.matches("hunter2\0", BCRYPT)
    assert not password.matches("hunter2", "$apr1$x$y")
    assert not password.matches("", "")


def test_bound_elsewhere():
    """Without a word on who may ask, only health and metrics are told; the rest says what to set."""
    with serving(bind=ELSEWHERE) as status:
        assert {status.get(path) for path in OPEN} <= {200, 503}
        for path in CLOSED:
            assert status.get(path) == 403, path
            assert "status.auth" in status.texts[-1]
            assert "status.public" in status.texts[-1]
            assert len(status.texts[-1].splitlines()) == 1
        assert status.get(FEED) == 403
        assert "status.traefik_token" in status.texts[-1]


def test_public():
    """Everybody may ask, by any name."""
    with serving(bind=ELSEWHERE, public=True) as status:
        assert status.get("/api/v1/status", Host="lb.example.org") == 200
        assert status.get(FEED) == 200


def test_loopback():
    """As it is by default: this machine may ask."""
    with serving() as status:
        assert status.get("/api/v1/status") == 200
        assert status.get(FEED) == 200


@pytest.mark.parametrize("bind", ["127.0.0.1:9099", "127.9.0.1:9099", "[::1]:9099"])
@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1:9099", 200),
        ("localhost", 200),
        ("LOCALHOST.:1", 200),
        ("[::1]:9099", 200),
        ("", 200),
        ("lb1:9099", 200),
        ("evil.example", 403),
        ("evil.example:9099", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
def test_page_on_the_web(bind, host, answer):
    """A name that a page has made an alias of this machine's is no way in; health is no secret."""
    with serving(bind=bind) as status:
        assert status.get("/api/v1/status", Host=host) == answer
        assert status.get(FEED, Host=host) == answer
        assert status.get("/healthz", Host=host) == 200


@pytest.mark.parametrize("bind", [ELSEWHERE, "127.0.0.1:9099"])
def test_token(token, bind):
    """Who has it may ask for everything, on loopback too; who has not gets 401 with what to send."""
    with serving(bind=bind, auth={"token": str(token)}) as status:
        assert status.get("/healthz") == 200
        for path in (*CLOSED, FEED):
            for wrong in ("", OTHER, TOKEN + "0", TOKEN[:-1], "\xff" * 20):
                assert status.bearer(path, wrong) == 401, path
            assert status.get(path) == status.get(path, Authorization=TOKEN) == 401
            assert status.get(path, Authorization=f"Basic {TOKEN}") == 401
            assert "status.auth.token" in status.texts[-1]
            assert status.challenge == ['Bearer realm="lbgen"']
        assert status.bearer("/api/v1/status", TOKEN) == 200
        assert status.get("/api/v1/status", Authorization=f"bearer  {TOKEN}", Host="lb.example.org") == 200
        assert status.bearer("/other", TOKEN) == 404
        assert status.bearer(FEED, TOKEN) == 200
    assert not any(secret in text for text in status.texts for secret in (TOKEN, str(token)))


def test_users(users):
    """The same for people."""
    with serving(bind=ELSEWHERE, auth={"users": str(users)}) as status:
        for name, secret in (("ada", "hunter3"), ("bob", "hunter2"), ("", ""), ("ada", ""), ("ada", BCRYPT)):
            assert status.basic("/api/v1/status", name, secret) == 401
        assert status.challenge == ['Basic realm="lbgen"']
        assert "status.auth.users" in status.texts[-1]
        for garbage in ("Basic", "Basic !", "Basic YWRh", "Negotiate x", "Basic " + "A" * 9000):
            assert status.get("/api/v1/status", Authorization=garbage) == 401
        for _ in range(2):  # the second time it is known
            assert status.basic("/api/v1/status", "ada", "hunter2") == 200
        assert status.basic(FEED, "ada", "hunter2") == 200
        users.write_text(f"bob:{BCRYPT}\n")
        assert status.basic("/api/v1/status", "ada", "hunter2") == 401
        assert status.basic("/api/v1/status", "bob", "hunter2") == 200


@pytest.mark.parametrize("more", [{}, {"public": True}])
def test_token_of_traefik(token, more):
    """It opens what Traefik asks for and nothing else; where it is set, Traefik's configuration needs it."""
    with serving(bind=ELSEWHERE, traefik_token=str(token), **more) as status:
        assert status.get(FEED) == status.bearer(FEED, OTHER) == 401
        assert "status.traefik_token" in status.texts[-1]
        assert "providers.http.headers" in status.texts[-1]
        assert status.bearer(FEED, TOKEN) == 200
        assert status.bearer("/api/v1/model", TOKEN) == (200 if more else 403)


def test_token_is_exchanged(token):
    """The file is read anew when it has changed; while there is none nobody is let in, and the log says why, once."""
    with capture_logs() as logs, serving(auth={"token": str(token)}) as status:
        assert status.bearer("/api/v1/status", TOKEN) == 200
        token.write_text(OTHER)
        assert status.bearer("/api/v1/status", TOKEN) == 401
        assert status.bearer("/api/v1/status", OTHER) == 200
        for content in ("", "short", "two words of enough length", "a" * 100_000):
            token.write_text(content)
            assert status.bearer("/api/v1/status", content[:5000]) == 401
            assert status.bearer("/api/v1/status", "") == 401
        token.unlink()
        assert status.bearer("/api/v1/status", OTHER) == 401
        token.write_text(TOKEN)
        assert status.bearer("/api/v1/status", TOKEN) == 200
    told = [entry for entry in logs if entry["event"] == "status_auth_unusable"]
    assert [entry["setting"] for entry in told] == ["status.auth.token"] * 3  # no token, too large, away
    assert not any(secret in str(entry) for entry in logs for secret in (TOKEN, OTHER, "two words"))


def test_settings(tmp_path):
    """What cannot be meant is refused; relative paths are relative to the file."""
    (tmp_path / "lbgen.yml").write_text("status: {auth: {token: secrets/t}, traefik_token: f}\n")
    status = load_settings(tmp_path / "lbgen.yml", {}, {}).status
    assert status.auth
    assert (status.auth.token, status.traefik_token) == (tmp_path / "secrets/t", tmp_path / "f")
    for wrong in ("{auth: {}}", "{auth: {token: a, users: b}}", "{auth: {token: a}, public: true}"):
        (tmp_path / "lbgen.yml").write_text(f"status: {wrong}\n")
        with pytest.raises(SettingsError):
            load_settings(tmp_path / "lbgen.yml", {}, {})


# ------------------------------------------------------------------------------------------------ commands


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch) -> None:
    """No settings but the test's."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LBGEN_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("words", [["status"], ["history"]])
def test_commands(token, users, tmp_path, words):
    """They send a token or a password, from a file or the environment; without one they say what is missing."""
    (tmp_path / "login").write_text("ada:hunter2\n")
    with serving(bind=ELSEWHERE, auth={"token": str(token)}) as status:
        url = f"http://127.0.0.1:{status.port}"
        refused = run(*words, "--status", url)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "status.auth.token" in refused.stderr
        assert "LBGEN_STATUS_AUTH" in refused.stderr
        assert run(*words, "--status", url, "--auth", token).exit_code == 0
        assert run(*words, "--status", url, LBGEN_STATUS_AUTH=TOKEN).exit_code == 0
        assert run(*words, "--status", url, LBGEN_STATUS_AUTH=OTHER).exit_code == 2
        # The settings' own token goes to nobody but the daemon of these settings.
        Path("lbgen.yml").write_text(f"status: {{bind: ':{status.port}', auth: {{token: {token}}}}}\n")
        assert run(*words).exit_code == 0
        assert run(*words, "--status", url).exit_code == 2
    with serving(bind=ELSEWHERE, auth={"users": str(users)}) as status:
        url = f"http://127.0.0.1:{status.port}"
        assert run(*words, "--status", url, "--auth", tmp_path / "login").exit_code == 0
        assert run(*words, "--status", url, "--auth", token).exit_code == 2


def test_explain_command(token):
    """The same of the command that asks only if told to."""
    with serving(bind=ELSEWHERE, auth={"token": str(token)}) as status:
        words = ["explain", "web", "--status", f"http://127.0.0.1:{status.port}"]
        assert run(*words).exit_code == 2
        assert "no snapshot yet" in run(*words, "--auth", token).stderr


def test_ready_command_needs_no_token(token):
    """Whether it is ready is no secret."""
    with serving(bind=ELSEWHERE, auth={"token": str(token)}) as status:
        assert run("status", "--ready", "--status", f"http://127.0.0.1:{status.port}").exit_code == 0


@pytest.mark.parametrize("content", [None, "", "a\nb", b"\xff"])
def test_file_that_holds_nothing(tmp_path, content):
    """It is named."""
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("history", "--status", "http://127.0.0.1:1", "--auth", path)
    assert result.exit_code == 2
    assert str(path) in result.stderr
