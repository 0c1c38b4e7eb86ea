"""Section `targets.NAME`: one proxy to feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from lbgen.render.limits import Limits
from lbgen.settings.value_types import Seconds, Section, Size, Texts

STATE_DIRECTORY = Path("/var/lib/lbgen")  # has a directory for each target whose `output` is not set


class ApplySettings(Section):
    """How the proxy loads new files. One of these ways; default: that of the template set."""

    run: bool = False
    """Start the proxy and keep it running."""
    master_socket: Path | None = None
    """HAProxy's master CLI (haproxy -W -S PATH)."""
    pid_file: Path | None = None
    """Signal the process whose id this file holds."""
    command: list[str] | None = None
    """Run this command; exit status 0 means that the proxy has loaded the files."""
    process: bool = False
    """Signal the Nginx master among this machine's processes."""
    http: bool = False
    """Traefik polls http://STATUS.BIND/traefik/TARGET, which answers as soon as the configuration changes."""
    directory: bool = False
    """Traefik watches OUTPUT/dynamic."""

    @model_validator(mode="after")
    def _one(self) -> ApplySettings:
        ways = self._ways()
        if len(ways) > 1:
            raise ValueError(f"choose one of {', '.join(ways)}")
        return self

    @property
    def chosen(self) -> str:
        """The way that the settings name; empty: none."""
        return "".join(self._ways())

    def _ways(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name)]


class RenderSettings(Section):
    """Limits of the target's templates: one that loops without end, or prints gigabytes, is stopped."""

    timeout: Seconds = Limits().timeout
    """Processor time for all files together."""
    max_size: Size = Limits().max_size
    """Characters of all files together, and of any text that templates make on the way."""


class TargetSettings(Section):
    """One proxy to feed."""

    templates: Texts
    """Built-in set or directory; of a list, the first that has a file wins."""
    output: Path | None = None
    """Directory of the rendered files; default: /var/lib/lbgen/TARGET."""
    render: RenderSettings = RenderSettings()
    apply: ApplySettings = ApplySettings()
    stats_socket: Path | None = None
    """HAProxy's stats socket; default: haproxy.sock beside the master socket or in `output`."""
    probe: str = ""
    """ADDRESS:PORT where the proxy answers what it serves. Nginx: for lbgen alone, default 127.0.0.1:9180; Traefik: its
    API, default 127.0.0.1:8080."""
    listeners: Texts | None = None
    """Listeners that this proxy serves; default: all."""
    binary: str | None = None
    """The proxy's program, for the check and for apply.run; default: that of the template set."""
    options: dict[str, Any] = {}
    """Values for the template set's own options, see its set.yml."""
