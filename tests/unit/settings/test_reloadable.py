"""Which settings change while lbgen runs, and which wait for a restart."""

from __future__ import annotations

from typing import Any

import pytest

from lbgen.settings import Settings
from lbgen.settings.reloadable import changed, revised

BASE: dict[str, Any] = {
    "source": {"file": "a.yml"},
    "listeners": {"web": {"bind": ":80"}},
    "targets": {"edge": {"templates": ["haproxy"], "output": "/out", "apply": {"run": True}}},
}


def settings(**keys: Any) -> Settings:
    """The base with other sections."""
    return Settings.model_validate({**BASE, **keys})


def edge(**keys: Any) -> dict[str, Any]:
    """The targets with another edge."""
    return {"edge": {**BASE["targets"]["edge"], **keys}}


@pytest.mark.parametrize(
    ("keys", "live", "waiting"),
    [
        ({}, [], []),
        ({"discovery": {"dialects": ["traefik"]}}, ["discovery.dialects"], []),
        ({"discovery": {"traefik": {"default_rule": "Host(`a`)"}}}, ["discovery.traefik.default_rule"], []),
        ({"listeners": {"web": {"bind": ":81"}}}, ["listeners.web.bind"], []),
        ({"listeners": {"x": {"bind": ":80"}}}, ["listeners.web", "listeners.x"], []),
        ({"certificates": "/certs", "min_reload_interval": "2s"}, ["certificates", "min_reload_interval"], []),
        ({"log": {"level": "debug"}}, ["log.level"], []),
        ({"targets": edge(options={"maxconn": 7})}, ["targets.edge.options"], []),
        ({"targets": edge(templates=["mine", "haproxy"])}, ["targets.edge.templates"], []),
        ({"targets": edge(listeners=["web"])}, ["targets.edge.listeners"], []),
        ({"targets": edge(output="/other")}, [], ["targets.edge.output"]),
        ({"targets": edge(apply={"command": ["x"]})}, [], ["targets.edge.apply.run", "targets.edge.apply.command"]),
        ({"targets": edge(probe="127.0.0.1:1", options={"a": 1})}, ["targets.edge.options"], ["targets.edge.probe"]),
        ({"targets": {}}, [], ["targets.edge"]),
        ({"targets": {**edge(), "b": {"templates": "nginx"}}}, [], ["targets.b"]),
        ({"source": {"file": "b.yml"}}, [], ["source.file"]),
        ({"status": {"bind": ":9"}, "log": {"level": "debug"}}, ["log.level"], ["status.bind"]),
    ],
)
def test_revised(keys, live, waiting):
    """What can be is in force at once, and the rest is named; it stays as it was, beside what changes."""
    running, read = settings(), settings(**keys)
    now, later = revised(running, read)
    assert list(changed(running, now)) == live
    assert sorted(later) == sorted(waiting)
    assert sorted({*changed(running, read)} - {*changed(running, now)}) == sorted(later)
