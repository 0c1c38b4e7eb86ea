"""Settings on trial: a real HAProxy says whether they can be in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbgen.base.errors import CheckFailed, SettingsError, TemplateError
from lbgen.daemon.bisection import Held
from lbgen.daemon.settings_trial import try_out
from lbgen.settings import Settings
from lbgen.source.file import load
from tests.support.golden_cases import GOLDEN

pytestmark = pytest.mark.proxy("haproxy")
SNAPSHOT = load(GOLDEN / "mesh.yaml")
EXTENDED = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\n"


def settings(directory: Path, extra: str, **more: object) -> Settings:
    """Settings with something in the block for extras."""
    templates = directory / "templates"
    templates.mkdir(exist_ok=True)
    (templates / "haproxy.cfg.j2").write_text(f"{EXTENDED}{extra}\n{{% endblock %}}")
    target = {"templates": [str(templates), "haproxy"], "output": directory / "output"}
    return Settings.model_validate({"targets": {"edge": target}, **more})


def test_good(tmp_path: Path) -> None:
    """What the proxy accepts passes, and nothing of it is left anywhere."""
    try_out(settings(tmp_path, "# nothing"), SNAPSHOT, {})
    assert not (tmp_path / "output").exists()


def test_refused(tmp_path: Path) -> None:
    """The proxy's own words are what is told."""
    with pytest.raises(CheckFailed, match="unknown keyword 'nonsense'"):
        try_out(settings(tmp_path, "frontend x\n  nonsense"), SNAPSHOT, {})


def test_a_template_that_fails(tmp_path: Path) -> None:
    """A mistake in a template is found before any proxy is asked."""
    with pytest.raises(TemplateError, match="unheard_of"):
        try_out(settings(tmp_path, "{{ unheard_of }}"), SNAPSHOT, {})


def test_settings_that_do_not_fit_the_proxy(tmp_path: Path) -> None:
    """Nor do options that the set does not have come through."""
    chosen = settings(tmp_path, "")
    target = chosen.targets["edge"].model_copy(update={"options": {"unheard_of": 1}})
    with pytest.raises((SettingsError, TemplateError), match="unheard_of"):
        try_out(chosen.model_copy(update={"targets": {"edge": target}}), SNAPSHOT, {})


def test_services_that_are_held(tmp_path: Path) -> None:
    """A service that the proxy refuses anyhow is no fault of the settings."""
    service = next(iter(SNAPSHOT.services.values()))
    failing = f"{{% for route in routes if route.service == {service.name!r} %}}\nnonsense\n{{% endfor %}}"
    chosen = settings(tmp_path, failing)
    with pytest.raises(CheckFailed):
        try_out(chosen, SNAPSHOT, {})
    held = Held(service.name, service.labels, None, "nonsense")
    try_out(chosen, SNAPSHOT, {"edge": {service.id: held}})
    with pytest.raises(CheckFailed):
        try_out(chosen, SNAPSHOT, {"other": {service.id: held}})
