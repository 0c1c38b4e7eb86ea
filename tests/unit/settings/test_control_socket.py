"""The setting `source.docker.control_socket`, from the file or the environment to the source."""

from __future__ import annotations

import pytest

from lbgen.base.errors import SettingsError
from lbgen.daemon import assembly
from lbgen.settings import DockerSettings, load_settings

VARIABLE = "LBGEN_SOURCE__DOCKER__CONTROL_SOCKET"


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {}, "auto"),
        ("source: {docker: {}}", {}, "auto"),
        ("source: {docker: {control_socket: off}}", {}, "off"),
        ("source: {docker: {control_socket: /run/x.sock}}", {}, "/run/x.sock"),
        ("source: {docker: {control_socket: off}}", {VARIABLE: "auto"}, "auto"),
        ("", {VARIABLE: "off"}, "off"),
    ],
)
def test_control_socket(tmp_path, text, environ, expected):
    """Tried unless it is turned off."""
    path = tmp_path / "lbgen.yml"
    path.write_text(text)
    settings = load_settings(path, environ, {})
    assert (settings.source.docker or DockerSettings()).control_socket == expected
    assert assembly.source(settings).control_socket == expected


@pytest.mark.parametrize("value", ["on", "control.sock", "''", "true", "unix:///run/x.sock"])
def test_nonsense(tmp_path, value):
    """Refused with what to write."""
    path = tmp_path / "lbgen.yml"
    path.write_text(f"source: {{docker: {{control_socket: {value}}}}}")
    with pytest.raises(SettingsError, match=r"source\.docker\.control_socket: "):
        load_settings(path, {}, {})
