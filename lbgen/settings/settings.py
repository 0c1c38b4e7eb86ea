"""Settings: one YAML file, the environment over it, flags over both; read once at start.

Everything wrong is listed at once, each with the line or the variable it stands in. Other modules are handed
values, never settings.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from lbgen.base import documents
from lbgen.base.address import split_bind
from lbgen.base.errors import SettingsError
from lbgen.labels.context import Provider
from lbgen.labels.rule import parser
from lbgen.labels.traefik import constraints as traefik_constraints
from lbgen.labels.traefik import routers
from lbgen.labels.values import basic, policy
from lbgen.model import Listener, Rules
from lbgen.model.placement import chooser
from lbgen.render.limits import Bounds

ENV_PREFIX = "LBGEN_"
ENV_FILE = "LBGEN_CONFIG"
DEFAULT_FILES = (Path("lbgen.yml"), Path("/etc/lbgen/lbgen.yml"))
STATE_DIRECTORY = Path("/var/lib/lbgen")


def _seconds(value: object) -> object:
    """Read ``10s``; leave what is no text to pydantic."""
    if not isinstance(value, str):
        raise ValueError("write a duration with its unit, such as 500ms, 10s or 1m")
    try:
        return basic.duration(0, 86400)(value)
    except basic.BadValue as bad:
        raise ValueError(f"{bad.message}; {bad.remedy}") from bad


def _characters(value: object) -> object:
    """Read ``64m``; leave what is no text to pydantic."""
    try:
        return policy.size(str(value))
    except basic.BadValue as bad:
        raise ValueError(f"{bad.message}; {bad.remedy}") from bad


def _listed(value: object) -> object:
    """Let one item, or a comma-separated text (as in the environment), stand for a list."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


Seconds = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=str),
    Field(json_schema_extra={"examples": ["500ms", "10s", "1m"]}),
]
Size = Annotated[
    int,
    BeforeValidator(_characters, json_schema_input_type=str | int),
    Field(json_schema_extra={"examples": ["64m", "512k"]}),
]
Texts = Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Paths = Annotated[list[Path], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


class Section(BaseModel):
    """Strict and read-only: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Tls(Section):
    """Client certificate for tcp:// endpoints (as docker --tlsverify)."""

    ca: Path | None = None
    """CA certificate that signed the engine's; default: the system's."""
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    """Check the engine's certificate against the CA and its name."""


class Docker(Section):
    """Follow a Swarm through its managers' Engine API."""

    endpoints: Texts = []
    """unix://, tcp://, ssh:// or context:NAME, tried in order; default: DOCKER_HOST, else the current context."""
    cluster: str = ""
    """Id of the only cluster to accept; default: that of the first contact."""
    control_socket: str = "auto"
    """Path of a manager's control socket, which pushes every change; "off" for none. "auto" tries
    /var/run/docker/swarm/control.sock beside unix:// endpoints. Without it events and listing have to do."""
    tls: Tls | None = None

    @field_validator("control_socket")
    @classmethod
    def _socket(cls, value: str) -> str:
        if value not in ("auto", "off") and not Path(value).is_absolute():
            raise ValueError('write "auto", "off" or the absolute path of a socket')
        return value


class Source(Section):
    """Where the facts come from: a Swarm, a snapshot file or stack files."""

    docker: Docker | None = None
    file: Paths = []
    """A snapshot file; or stack files, which are merged in this order."""
    stack: str = ""
    """Name that stack files would be deployed as; empty: made from the first file's name."""

    @model_validator(mode="after")
    def _one(self) -> Source:
        if self.docker and self.file:
            raise ValueError("name one source, docker or file, not both")
        if self.stack and not self.file:
            raise ValueError("stack names what stack files are deployed as: name them, too")
        return self


class TraefikProvider(Section):
    """What Traefik's Swarm provider is told in its static configuration, for dialect traefik."""

    default_rule: str = ""
    """Rule of routers without one; {{ .Name }} and {{ normalize .Name }} stand for the service's name.
    Traefik's own default is Host(`{{ normalize .Name }}`); empty: such a router is a problem."""
    constraints: str = ""
    """Services whose traefik.* labels are read, e.g. Label(`traefik.constraint-label`,`public`); empty: all."""
    users_files: Texts = []
    """Middlewares basicauth.users whose users you have written into a file of that name in the directory of setting
    users: the file holds, and not the label."""
    insecure_transports: Texts = []
    """Names, as in legacy@file, of Traefik's serversTransports with insecureSkipVerify."""

    @field_validator("default_rule")
    @classmethod
    def _rule(cls, value: str) -> str:
        if value:
            parser.parse(routers.default_rule(value, "name"))
        return value

    @field_validator("constraints")
    @classmethod
    def _constraints(cls, value: str) -> str:
        traefik_constraints.hold(value, {})
        return value

    def provider(self) -> Provider:
        """Return what labels are read with; names have no case."""
        return Provider(
            self.default_rule,
            self.constraints,
            tuple(name.lower() for name in self.users_files),
            tuple(name.lower() for name in self.insecure_transports),
        )


class Discovery(Section):
    """Which services are routed, and where traffic goes."""

    expose_by_default: bool = False
    """Route services without label lbgen.enable too (traefik.enable or com.df.notify, if their labels are of those)."""
    dialects: Annotated[
        list[Literal["lbgen", "traefik", "dockerflow"]],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    ] = ["lbgen"]
    """Vocabularies of labels that are read: lbgen, traefik, dockerflow."""
    traefik: TraefikProvider = TraefikProvider()
    networks: Texts = []
    """Networks the proxy shares with services, the preferred first."""
    nodes: str = ""
    """Placement constraints for nodes that receive mesh traffic, e.g. node.role==worker."""
    node_cidrs: Texts = []
    """Prefer a node's address in one of these networks."""
    drain_grace: Seconds = 10.0
    """How long a leaving server stays, without new sessions, before it is removed."""

    @field_validator("dialects")
    @classmethod
    def _dialects(cls, value: list[str]) -> list[str]:
        if not value or len(set(value)) < len(value):
            raise ValueError("name each dialect once, and at least one")
        return value

    @field_validator("nodes")
    @classmethod
    def _constraints(cls, value: str) -> str:
        chooser(value)  # BadValue is a ValueError: its message is shown
        return value

    @field_validator("node_cidrs")
    @classmethod
    def _cidrs(cls, value: list[str]) -> list[str]:
        for item in value:
            ipaddress.ip_network(item, strict=False)
        return value


class ListenerSettings(Section):
    """A port the proxy listens on."""

    bind: str
    """ADDRESS:PORT; ":80" is port 80 on every address, "[::1]:80" an IPv6 address."""
    protocol: Literal["http", "tcp", "udp"] = "http"
    tls: bool = False
    """Terminate TLS with the certificates of the directory `certificates`."""

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        split_bind(value)
        return value


class Apply(Section):
    """How the proxy is made to take new files. One of these ways; default: that of the template set."""

    run: bool = False
    """Start the proxy and keep it running."""
    master_socket: Path | None = None
    """HAProxy's master CLI (haproxy -W -S PATH)."""
    pid_file: Path | None = None
    """Signal the process whose number this file holds."""
    command: list[str] | None = None
    """Run this command; exit status 0 means the proxy has taken the files."""
    process: bool = False
    """Signal the Nginx master that is found among this machine's processes."""
    http: bool = False
    """Traefik asks for its configuration at http://STATUS.BIND/traefik/TARGET, and is told as soon as it changes."""
    directory: bool = False
    """Traefik watches OUTPUT/dynamic."""

    @model_validator(mode="after")
    def _one(self) -> Apply:
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


class Rendering(Section):
    """What the target's templates may take: one that loops without end, or prints gigabytes, is stopped."""

    timeout: Seconds = Bounds().timeout
    """Of the processor, for all files together."""
    max_size: Size = Bounds().max_size
    """Characters of all files together, and of any text that templates make on the way."""


class Target(Section):
    """One proxy to feed."""

    templates: Texts
    """Built-in set or directory; of a list, the first that has a file wins."""
    output: Path | None = None
    """Directory of the rendered files; default: /var/lib/lbgen/TARGET."""
    render: Rendering = Rendering()
    apply: Apply = Apply()
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


class Status(Section):
    """Status and metrics over HTTP, for people and for Prometheus. Read-only, and without a password."""

    bind: str = "127.0.0.1:9099"
    """ADDRESS:PORT as for listeners; empty: off."""

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        if value:
            split_bind(value)
        return value

    @property
    def address(self) -> tuple[str, int] | None:
        """`bind` as address and port; None: off."""
        return split_bind(self.bind) if self.bind else None


class Log(Section):
    """Log lines go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Section):
    """All settings of lbgen."""

    source: Source = Source()
    discovery: Discovery = Discovery()
    listeners: dict[Name, ListenerSettings] = {"web": ListenerSettings(bind=":80")}
    default_listeners: Texts = []
    """Listeners of routes that name none; default: web if there is one, else the only one."""
    certificates: Path = Path("/etc/lbgen/certs")
    """Directory of PEM files (certificate chain and key) for listeners with tls; default.pem is for all other names."""
    users: Path = Path("/etc/lbgen/users")
    """Directory of the files that label basic-auth names: lines NAME:HASH, as `htpasswd -nB NAME` prints them."""
    client_cas: Path = Path("/etc/lbgen/client-ca")
    """Directory of the files NAME.pem that label client-ca names: authorities of clients' certificates."""
    targets: dict[Name, Target] = {}
    min_reload_interval: Seconds = 1.0
    """Least time between two reloads of a proxy; changes meanwhile are applied together."""
    status: Status = Status()
    log: Log = Log()

    @model_validator(mode="after")
    def _known_listeners(self) -> Settings:
        unknown = [name for name in self.default_listeners if name not in self.listeners]
        if unknown:
            raise ValueError(f"default_listeners names {', '.join(unknown)}, listeners are {', '.join(self.listeners)}")
        return self

    @model_validator(mode="after")
    def _known_listeners_of_targets(self) -> Settings:
        for name, target in self.targets.items():
            if unknown := [listener for listener in target.listeners or () if listener not in self.listeners]:
                raise ValueError(
                    f"targets.{name}.listeners names {', '.join(unknown)}, listeners are {', '.join(self.listeners)}"
                )
        return self

    @model_validator(mode="after")
    def _distinct_binds(self) -> Settings:
        """Two listeners of one proxy on one port: HAProxy would share the connections out between them."""
        for served in [target.listeners for target in self.targets.values()] or [None]:
            taken: dict[tuple[bool, tuple[str, int]], str] = {}
            for name, listener in self.listeners.items():
                if served is None or name in served:
                    first = taken.setdefault((listener.protocol == "udp", split_bind(listener.bind)), name)
                    if first != name:
                        raise ValueError(f"listeners {first} and {name} both bind {listener.bind}")
        return self

    def rules(self) -> Rules:
        """Return what the model depends on."""
        defaults = self.default_listeners or (
            ["web"] if "web" in self.listeners else list(self.listeners) if len(self.listeners) == 1 else []
        )
        return Rules(
            listeners=tuple(_listener(name, found) for name, found in sorted(self.listeners.items())),
            default_listeners=tuple(defaults),
            expose_by_default=self.discovery.expose_by_default,
            networks=tuple(self.discovery.networks),
            nodes=self.discovery.nodes,
            node_cidrs=tuple(self.discovery.node_cidrs),
            dialects=tuple(self.discovery.dialects),
            provider=self.discovery.traefik.provider(),
        )


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[tuple[str, ...], object]) -> Settings:
    """Read the settings file, lay the environment and the flags over it.

    Args:
        path: the file, or None for no file.
        flags: key path -> value, e.g. ("log", "level") -> "debug"; values of None are left out.
    Raises:
        SettingsError: with one line for everything that is wrong.
    """
    text = documents.read_text(path, SettingsError) if path else ""
    document = documents.parse(text, str(path), SettingsError) if text.strip() else {}
    if document is None:  # nothing but comments
        document = {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: expected a mapping of settings, found {type(document).__name__}")
    origins = {key: f"{path}:{line}" for key, line in documents.positions(text).items()}
    for variable, key, value in _environment(environ):
        _put(document, key, value)
        origins[key] = variable
    for key, value in flags.items():
        if value is not None:
            _put(document, key, value)
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        unknown = "unknown key; see 'lbgen config schema'"
        lines = documents.complaints(error, origins, str(path or "settings"), lambda _: unknown)
        raise SettingsError("\n".join(lines)) from error


def _listener(name: str, found: ListenerSettings) -> Listener:
    address, port = split_bind(found.bind)
    return Listener(name, address, port, found.protocol, found.tls)


def _environment(environ: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], object]]:
    """Return (variable, key path, value) of every setting in the environment; a value is read as YAML."""
    found = []
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and variable != ENV_FILE:
            key = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
            try:
                value = documents.parse(text, variable, SettingsError)
            except SettingsError:
                value = text  # ":80" is no YAML, but a good value
            found.append((variable, key, text if isinstance(value, str) or value is None else value))
    return found


def _put(document: dict[Any, Any], key: tuple[str, ...], value: object) -> None:
    """Set a value deep inside the document; what is in the way and is no mapping is replaced."""
    for part in key[:-1]:
        inner = document.get(part)
        if not isinstance(inner, dict):
            inner = document[part] = {}
        document = inner
    document[key[-1]] = value
