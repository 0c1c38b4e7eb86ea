"""pytest fixtures of the lab, for the tests in this folder and for any other folder that imports them.

>>> from tests.lab.fixtures import lab, lab_session  # noqa: F401   (in that folder's conftest.py)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from tests.lab import host
from tests.lab.services import Lab
from tests.lab.settings import LabError, Settings


def unavailable() -> str:
    """Why this machine can run no lab; "" if it can."""
    if os.geteuid() != 0:
        return "the lab needs root (network namespaces, dockerd): run the tests as root"
    if missing := host.missing_tools():
        return f"the lab needs more packages: apt-get install {' '.join(missing)}"
    return ""


def cannot(reason: str) -> NoReturn:
    """Skip the test; under CI=true fail, as a skip would hide there that nothing was tested."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def claimed(settings: Settings, keep: bool = False) -> Iterator[Lab]:
    """A lab with these settings: a running one if it fits, emptied, else a new one that is taken down at the end.

    Args:
        keep: a new one stays.
    """
    if reason := unavailable():
        cannot(reason)
    lab = Lab(settings=settings)
    with lab.claim(150):  # less than the suite's timeout for a test, so that the reason is told
        built = lab.ensure()
        try:
            if not built:
                lab.clean()
            yield lab
        finally:
            if built and not keep:
                lab.down()


@pytest.fixture(scope="session")
def lab_session() -> Iterator[Lab]:
    """The lab of the whole session."""
    with claimed(Settings.from_environment(), keep=os.environ.get("LBGEN_LAB_KEEP") == "1") as lab:
        yield lab


@pytest.fixture(scope="session")
def managers_session() -> Iterator[Lab]:
    """A Swarm of three managers beside the common lab, for the whole session."""
    with claimed(Settings.second()) as lab:
        yield lab


@pytest.fixture
def managers(managers_session: Lab) -> Iterator[Lab]:
    """The three managers, empty and healthy; rebuilt if a test cannot be undone."""
    managers_session.clean()
    yield managers_session
    try:
        managers_session.clean()
    except (LabError, OSError):  # it has no quorum yet, say: the next test gets another
        managers_session.up()


@pytest.fixture
def lab(lab_session: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab, empty and healthy; what the test makes in it is removed afterwards."""
    yield lab_session
    try:
        lab_session.clean()
    except (LabError, OSError) as problem:
        # A lab that cannot be healed would fail every later test for this one's sake.
        lab_session.up()
        pytest.fail(f"{request.node.name} left the lab in a state that had to be rebuilt: {problem}")


def mark(items: list[Any], folder: Any) -> None:
    """Mark all tests below `folder` with ``lab``, and those of the second Swarm with ``managers``."""
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if "managers_session" in item.fixturenames:
                item.add_marker(pytest.mark.managers)
