"""`make demo` does what it says: renders, checks, serves, and follows the example file."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.wait import wait_for

SHOP = {f"200 shop on 127.0.0.{number}" for number in (11, 12, 13)}


def answer(host: str, path: str = "/") -> str:
    """Status and body of a request to the demo's proxy; the error if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        reply = connection.getresponse()
        return f"{reply.status} {reply.read().decode().strip()}"
    except OSError as error:
        return str(error)
    finally:
        connection.close()


@pytest.mark.proxy("haproxy")
def test_demo(tmp_path: Path) -> None:
    """The applications answer through HAProxy; an edit of the file is live; the output says what to look at next."""
    snapshot = tmp_path / "snapshot.yml"
    snapshot.write_text((ROOT / "examples" / "snapshot.yml").read_text())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN_")}
    with (tmp_path / "out").open("wb") as out:
        demo = subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "demo.py"), "--seconds", "100", "--snapshot", str(snapshot)],
            stdout=out,
            stderr=out,
            env=environment,
        )
    try:
        wait_for(lambda: {answer("shop.example.org") for _ in range(6)} == SHOP, "all of shop to answer")
        assert answer("shop.example.org", "/api/x").startswith("200 api on")
        text = snapshot.read_text()
        snapshot.write_text(text.replace("lbgen.path: /api", "lbgen.path: /v2"))
        wait_for(lambda: answer("shop.example.org", "/v2").startswith("200 api on"), "the edit to be live")
        assert answer("shop.example.org", "/api").startswith("200 shop on")
        wait_for(lambda: "What to look at next" in (tmp_path / "out").read_text(), "the demo to say what is next")
    finally:
        demo.terminate()
        assert demo.wait(60) == 0
