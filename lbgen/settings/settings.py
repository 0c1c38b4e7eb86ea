"""All settings, as one value. Other modules are handed what they need of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from lbgen.model import Rules
from lbgen.render.limits import Limits
from lbgen.settings.claims import ClaimSettings
from lbgen.settings.discovery import DiscoverySettings
from lbgen.settings.entry_points import SETTING
from lbgen.settings.hub import HubSettings, with_state
from lbgen.settings.listeners import ListenerSettings
from lbgen.settings.source import Source, SourceSettings
from lbgen.settings.status import StatusSettings
from lbgen.settings.value_types import Name, Program, Seconds, Section, Size, Templates, Texts

STATE_DIRECTORY = Path("/var/lib/lbgen")  # where lbgen keeps what outlives it, unless setting `state` says it


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

    templates: Templates
    """Built-in set or directory; of a list, the first that has a file wins."""
    output: Path | None = None
    """Directory of the rendered files; default: STATE/TARGET, STATE being setting state."""
    render: RenderSettings = RenderSettings.default()
    apply: ApplySettings = ApplySettings.default()
    stats_socket: Path | None = None
    """HAProxy's stats socket; default: haproxy.sock beside the master socket or in `output`."""
    probe: str = ""
    """ADDRESS:PORT where the proxy answers what it serves. Nginx: for lbgen alone, default 127.0.0.1:9180; Traefik: its
    API, default 127.0.0.1:8080."""
    listeners: Texts | None = None
    """Listeners that this proxy serves; default: all."""
    binary: Program | None = None
    """The proxy's program, for the check and for apply.run; default: that of the template set."""
    options: dict[str, Any] = {}
    """Values for the template set's own options, see its set.yml."""


class LogSettings(Section):
    """Log lines go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Section):
    """All settings of lbgen."""

    source: Source = SourceSettings.default()
    """Where the facts come from: one source, or a list of several, each with a name."""
    state: Path = STATE_DIRECTORY
    """Directory of what lbgen keeps over a restart; a target's files are in it, too, unless `output` is set."""
    discovery: DiscoverySettings = DiscoverySettings.default()
    listeners: dict[Name, ListenerSettings] = {"web": ListenerSettings.default(bind=":80")}
    default_listeners: Texts = []
    """Listeners of routes that name none; default: web if there is one, else the only one."""
    certificates: Path = Path("/etc/lbgen/certs")
    """Directory of PEM files (certificate chain and key) for listeners with tls; default.pem is for all other names."""
    users: Path = Path("/etc/lbgen/users")
    """Directory of the files that label basic-auth names: lines NAME:HASH, as `htpasswd -nB NAME` prints them."""
    client_cas: Path = Path("/etc/lbgen/client-ca")
    """Directory of the files NAME.pem that label client-ca names: authorities of clients' certificates."""
    server_cas: Path = Path("/etc/lbgen/server-ca")
    """Directory of the files NAME.pem that label server-ca names: authorities of servers' certificates."""
    pages: Path = Path("/etc/lbgen/pages")
    """Directory of the pages that label error-pages names, .html, .txt, .json, .xml or .svg, each of 14 kB at most."""
    claims: list[ClaimSettings] = []
    """Which services may use what: a route is allowed if one entry that is for its service allows all of it. Without
    entries everything is allowed."""
    targets: dict[Name, TargetSettings] = {}
    hub: HubSettings | None = None
    min_reload_interval: Seconds = 1.0
    """Least time between two reloads of a proxy; changes meanwhile are applied together."""
    status: StatusSettings = StatusSettings.default()
    log: LogSettings = LogSettings.default()

    @property
    def parts(self) -> dict[str, SourceSettings]:
        """The sources by name; one that is not in a list has the name ""."""
        return (
            {"": self.source} if isinstance(self.source, SourceSettings) else {each.name: each for each in self.source}
        )

    @property
    def source_files(self) -> list[Path]:
        """The files that the facts are read from."""
        return [file for each in self.parts.values() for file in each.file]

    @model_validator(mode="after")
    def _states(self) -> Settings:
        """Say where hub and edge keep what they know, if the settings do not."""
        sources = [self.source] if isinstance(self.source, SourceSettings) else self.source
        placed = [
            each.model_copy(update={"hub": with_state(each.hub, self.state / "edge")}) if each.hub else each
            for each in sources
        ]
        hub = with_state(self.hub, self.state / "hub")
        if placed == sources and hub == self.hub:
            return self
        one = isinstance(self.source, SourceSettings)
        return self.model_copy(update={"source": placed[0] if one else placed, "hub": hub})

    @model_validator(mode="after")
    def _directories(self) -> Settings:
        """No proxy's files are among what lbgen keeps to itself: a proxy may have to read them, and others not."""
        own = {"state": self.state / "source"}
        if self.hub and self.hub.state:
            own["hub.state"] = self.hub.state
        for name, part in self.parts.items():
            if part.hub and part.hub.state:
                setting = f"source.{name}.hub.state" if name else "source.hub.state"
                if other := next((other for other, path in own.items() if path == part.hub.state), ""):
                    raise ValueError(
                        f"{setting}: {part.hub.state} is that of {other}: give each a directory of its own"
                    )
                own[setting] = part.hub.state
        for name, target in self.targets.items():
            output = target.output or self.state / name
            if setting := next((setting for setting, path in own.items() if path == output), ""):
                what = f"targets.{name}: {output} is where {setting} keeps what is lbgen's alone"
                raise ValueError(f"{what}: give the target another name or another output")
        return self

    @model_validator(mode="after")
    def _entry_points(self) -> Settings:
        """Have listeners do what is said of the entry points that they stand for."""
        changed = {}
        for name, entry_point in self.discovery.traefik.entrypoints.items():
            if name not in self.listeners:
                known = ", ".join(self.listeners)
                raise ValueError(f"{SETTING}.{name}: there is no listener {name}; listeners are {known}")
            changed[name] = entry_point.listener(name, self.listeners[name])
        return self.model_copy(update={"listeners": {**self.listeners, **changed}}) if changed else self

    @model_validator(mode="after")
    def _known_listeners(self) -> Settings:
        named = {"default_listeners": self.default_listeners}
        named |= {f"claims.{number}.listeners": claim.listeners or [] for number, claim in enumerate(self.claims)}
        named |= {f"targets.{name}.listeners": target.listeners or [] for name, target in self.targets.items()}
        for setting, names in named.items():
            if unknown := [name for name in names if name not in self.listeners]:
                raise ValueError(f"{setting} names {', '.join(unknown)}, listeners are {', '.join(self.listeners)}")
        return self

    @model_validator(mode="after")
    def _redirects(self) -> Settings:
        for name, listener in self.listeners.items():
            if listener.redirect:
                try:
                    listener.redirect.target(name, self.listeners)
                except ValueError as error:
                    raise ValueError(f"listeners.{name}.redirect.to: {error}") from error
        return self

    @model_validator(mode="after")
    def _distinct_binds(self) -> Settings:
        """Two listeners of one proxy on one port: HAProxy would share the connections out between them."""
        for served in [target.listeners for target in self.targets.values()] or [None]:
            by_bind: dict[tuple[bool, tuple[str, int]], str] = {}
            for name, listener in self.listeners.items():
                if served is None or name in served:
                    address, port = listener.where
                    where = ("*" if address == "0.0.0.0" else address, port)
                    first = by_bind.setdefault((listener.protocol == "udp", where), name)
                    if first != name:
                        raise ValueError(f"listeners {first} and {name} both bind {listener.bind}")
        return self

    def rules(self) -> Rules:
        """Return the settings that the model depends on."""
        defaults = self.default_listeners or (
            ["web"] if "web" in self.listeners else list(self.listeners) if len(self.listeners) == 1 else []
        )
        return Rules(
            listeners=tuple(
                listener.listener(name, self.listeners) for name, listener in sorted(self.listeners.items())
            ),
            default_listeners=tuple(defaults),
            expose_by_default=self.discovery.expose_by_default,
            networks=tuple(self.discovery.networks),
            nodes=self.discovery.nodes,
            node_cidrs=tuple(self.discovery.node_cidrs),
            dialects=tuple(self.discovery.dialects),
            any_health_check=self.discovery.any_health_check,
            claims=tuple(claim.claim() for claim in self.claims),
            provider=self.discovery.traefik.provider(),
            ways=self.discovery.ways(),
        )
