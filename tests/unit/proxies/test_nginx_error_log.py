"""What counts as a refusal in Nginx's error log, and from when on."""

from __future__ import annotations

import pytest

from lbgen.base.errors import ProxyUnreachable, VerifyFailed
from lbgen.proxies.nginx import apply, error_log
from lbgen.proxies.nginx.error_log import Excerpt, from_now
from tests.support.ports import free_port

STAMP = "2026/11/28 12:00:00"


def line(text: str, level: str = "emerg") -> str:
    return f"{STAMP} [{level}] 7#7: {text}\n"


@pytest.mark.parametrize(
    ("text", "refusal", "said"),
    [
        ("", "", []),
        (line("bad", "alert"), "", ["bad"]),
        (line("bad"), "bad", ["bad"]),
        (line("bad") * 2 + line("worse"), "bad\nworse", ["bad", "worse"]),
        (line("bind() to :80 failed") * 3, "", ["bind() to :80 failed"]),  # it is still trying
        (
            line("bind() to :80 failed") + line("still could not bind()"),
            "bind() to :80 failed\nstill could not bind()",
            ["bind() to :80 failed", "still could not bind()"],
        ),
        (line("started", "notice") + "no line of Nginx's\n", "", []),
    ],
)
def test_refusal(tmp_path, text, refusal, said):
    """A line at level emerg is a refusal; a port in use is one when Nginx gives up trying."""
    path = tmp_path / "log"
    path.write_text(text)
    assert (Excerpt(path).refusal(), Excerpt(path).said()) == (refusal, said)


def test_from_now(tmp_path):
    """What was said before does not count, whether the file was there or not; a log that was emptied counts whole."""
    path = tmp_path / "log"
    before = from_now(path)
    assert before.said() == []
    path.write_text(line("old"))
    now = from_now(path)
    assert (before.said(), now.said()) == (["old"], [])
    path.write_text(path.read_text() + line("new"))
    assert now.said() == ["new"]
    path.write_text(line("n"))
    assert now.said() == ["n"]


def test_long_log(tmp_path, monkeypatch):
    """A log beyond the limit is emptied, one at the limit is not."""
    path = tmp_path / "log"
    path.write_text(line("old"))
    monkeypatch.setattr(error_log, "MOST", path.stat().st_size)
    assert from_now(path).offset == path.stat().st_size > 0
    monkeypatch.setattr(error_log, "MOST", path.stat().st_size - 1)
    assert from_now(path) == Excerpt(path)
    assert path.read_text() == ""


def test_old_refusals_do_not_count(tmp_path, monkeypatch):
    """An Nginx that is started with files that are in place already is not blamed for what an earlier one refused."""

    def master() -> int:
        raise ProxyUnreachable("it does not run")

    monkeypatch.setattr(apply, "VERIFY_TIMEOUT", 0.1)
    path = tmp_path / "log"
    path.write_text(line("old"))
    with pytest.raises(VerifyFailed, match="does not answer there"):
        apply.Nginx(("127.0.0.1", free_port()), path, lambda: None, master).verify("abc")
