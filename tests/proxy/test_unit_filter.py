"""What deploy/external/lbgen.service forbids does not keep a proxy's program from checking files."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import real_haproxy, real_traefik
from tests.support.paths import ROOT
from tests.support.unit_filter import ANALYZE

UNIT = ROOT / "deploy/external/lbgen.service"
PROGRAMS = {"haproxy": real_haproxy.BINARY, "nginx": "nginx", "traefik": real_traefik.BINARY}
EXPRESSIONS = {
    "lbgen.enable": "true",
    "lbgen.host": "shop.example.org",
    "lbgen.path-regex": "^/a[0-9]+/",
    "lbgen.redirect-regex": "^http://shop.example.org/old/(.*) https://new.example.org/$$1",
    "lbgen.strip-prefix-regex": "^/api/v[0-9]+",
}

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="no systemd-analyze: apt-get install systemd"
)
proxies = pytest.mark.parametrize(
    "proxy", [pytest.param(name, marks=pytest.mark.proxy(program)) for name, program in PROGRAMS.items()]
)


def checked(unit: Path, proxy: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Have lbgen render a service with expressions, and the proxy's program check it, as a process of that unit."""
    service = {"image": "shop", "ports": ["8081:80"], "deploy": {"labels": EXPRESSIONS}}
    stack = directory / "stack.yml"
    stack.write_text(yaml.safe_dump({"services": {"shop": service}}))
    words = [sys.executable, "-m", "lbgen", "render", "--once", "--check", "--strict", "--stack", "s", "--proxy", proxy]
    return subprocess.run(
        [sys.executable, "-m", "tests.support.unit_filter", unit, *words, "--from", stack, "-o", directory / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )


@proxies
def test_checks_pass_under_the_unit(proxy, tmp_path):
    """The program takes expressions under the filter of the unit that is shipped."""
    done = checked(UNIT, proxy, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "checked_without" not in done.stderr, done.stderr


@pytest.mark.proxy("haproxy")
def test_filter_holds(tmp_path):
    """The filter is in force: with the line that once was in the unit HAProxy refuses expressions, as on a machine."""
    unit = tmp_path / "lbgen.service"
    unit.write_text(UNIT.read_text().replace("[Install]", "MemoryDenyWriteExecute=yes\n[Install]"))
    done = checked(unit, "haproxy", tmp_path)
    assert done.returncode == 3
    assert "jit compilation failed" in done.stderr


@pytest.mark.skipif(not shutil.which(ANALYZE), reason=f"no {ANALYZE}: apt-get install systemd")
def test_calls_are_refused():
    """The unit's filter on calls is in force as well: its processes choose no processors and open no raw devices."""
    for call, error in {"os.sched_setaffinity(0, {0})": "EPERM", "socket.socket(17, 3)": "EAFNOSUPPORT"}.items():
        script = f"import os, socket; {call}"
        words = [sys.executable, "-m", "tests.support.unit_filter", UNIT, sys.executable, "-c", script]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
        assert f"[Errno {getattr(errno, error)}]" in done.stderr
