"""The lab's fixtures, and the marker ``lab`` on everything in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.fixtures import lab, lab_session, managers, managers_session, mark  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, whatever pyproject.toml says."""
    config.addinivalue_line("markers", "lab: runs on a real Docker Swarm on this machine; needs root")
    config.addinivalue_line("markers", "managers: of those, runs on a second Swarm of three managers")
    config.addinivalue_line("markers", "engines: of those, runs on one node with a newer engine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests."""
    mark(items, Path(__file__).parent)
