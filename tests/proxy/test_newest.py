"""The newest HAProxy and Nginx that Debian has: they take what is rendered, and decide as the installed ones do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from lbgen.report.golden import GoldenSuite
from tests.support import proxies
from tests.support.conformance_suite import SUITES
from tests.support.conformance_traffic import differing, servers
from tests.support.golden_cases import CASES, GOLDEN, SHARED
from tests.support.running import running

# The first of them on a machine downloads and unpacks a Debian tree, which is minutes where much else runs.
pytestmark = pytest.mark.timeout(1800)
# Its questions take a quarter of the time of all, and ask how servers take turns.
ASKED = [suite for suite in SUITES if suite.name != "shares"]
GOLDEN_CASES = [*(("haproxy", case) for case in CASES), *(("nginx", case) for case in SHARED)]
each_proxy = pytest.mark.parametrize(
    "proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")]
)


def version_of(proxy: str) -> str:
    """The version of the newest one."""
    done = subprocess.run([proxies.newest(proxy), "-v"], capture_output=True, text=True, check=True)
    found = re.search(r"version:? (?:nginx/)?([0-9.]+)", done.stdout + done.stderr)
    assert found
    return found[1]


@each_proxy
def test_version(proxy):
    """What is asked here is not what is installed."""
    major, minor, *_ = map(int, version_of(proxy).split("."))
    assert (major, minor) >= {"haproxy": (3, 2), "nginx": (1, 30)}[proxy]


@each_proxy
@pytest.mark.parametrize("suite", ASKED, ids=lambda suite: suite.name)
def test_conformance(proxy, suite, short_dir):
    """The newest version decides every case of tests/conformance as the file says."""
    program = proxies.newest(proxy)
    with servers(suite, short_dir) as ports:
        settings = suite.settings(proxy, short_dir, program, ports=ports)
        with running(settings, suite.snapshot(ports)) as listeners:
            assert differing(suite, f"{proxy}-newest", listeners) == []


@pytest.mark.parametrize(
    ("proxy", "case"),
    [pytest.param(name, case, marks=pytest.mark.proxy(name)) for name, case in GOLDEN_CASES],
    ids=lambda value: getattr(value, "stem", value),
)
def test_golden(proxy, case, monkeypatch):
    """The newest version accepts what is rendered for it of every golden case."""
    options = {"version": version_of(proxy)} if proxy == "nginx" else {}
    monkeypatch.setenv("PATH", f"{Path(proxies.newest(proxy)).parent}{os.pathsep}{os.environ['PATH']}")
    GoldenSuite([proxy], GOLDEN, options=options).check(case)
