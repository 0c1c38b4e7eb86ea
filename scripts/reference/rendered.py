"""Values read from what the built-in sets render for a small cluster: cells of tables in the documentation.

A cell is an error where it speaks of a word that is no longer rendered, or calls the program's own what is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lbgen.daemon import assembly
from lbgen.model import build
from lbgen.proxies.haproxy.configuration import split
from lbgen.render.credential_files import Certificate
from lbgen.render.credentials import CredentialReader, Credentials
from lbgen.render.renderer import Files
from lbgen.settings import Settings, TargetSettings
from lbgen.snapshot import Network, Node, Service, Snapshot, Task

# What is rendered for, whatever programs there are.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "haproxy": {},
    "nginx": {"version": "1.30.0", "modules": ["/usr/lib/nginx/modules/ngx_stream_module.so"]},
    "traefik": {"version": "3.7"},
}
LISTENERS = {
    "web": {"bind": ":80"},
    "websecure": {"bind": ":443", "tls": True},
    "pg": {"bind": ":5432", "protocol": "tcp"},
}
LABELS = {
    "web": {"lbgen.port": "8080", "lbgen.host": "web.example.org", "lbgen.listener": "web,websecure"},
    "db": {"lbgen.tcp.pg.port": "5432", "lbgen.tcp.pg.listener": "pg"},
}


class NotRendered(Exception):
    """A table speaks of what the sets do not render, or says that they do not render what they do."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files of all sets, in the forms in which values are looked up."""

    haproxy: Mapping[str, str]  # "SECTION/FIRST WORDS" -> the rest of the line
    traefik: Mapping[str, Any]  # traefik.yml and the dynamic file as one document
    texts: Mapping[str, str]  # proxy -> its main files


Cell = Callable[[Rendered], str]


class _OneCertificate(CredentialReader):
    """Says that there is one certificate, whatever files there are."""

    def read(self) -> Credentials:
        """Return it."""
        return Credentials((Certificate("default.pem", "/etc/lbgen/certs/default.pem", "0" * 16),))


def rendered() -> Rendered:
    """Render the small cluster with every set."""
    texts = {proxy: dict(_files(proxy).texts) for proxy in OPTIONS}
    documents = [yaml.safe_load(text) for name, text in texts["traefik"].items() if name.endswith(".yml")]
    return Rendered(
        _haproxy(texts["haproxy"]["haproxy.cfg"]),
        {key: value for document in documents for key, value in document.items()},
        {
            "haproxy": texts["haproxy"]["haproxy.cfg"],
            "nginx": texts["nginx"]["nginx.conf"],
            "traefik": "\n".join(texts["traefik"].values()),
        },
    )


def haproxy(section: str, words: str) -> Cell:
    """Read a line of a section: "http defaults", "global", "backend web"."""

    def read(found: Rendered) -> str:
        value = found.haproxy.get(f"{section}/{words}")
        if value is None:
            raise NotRendered(f"haproxy.cfg: no {words!r} in section {section}")
        return f"{value} (`{words}`)" if value else f"`{words}`"

    return read


def nginx(directive: str) -> Cell:
    """Read a directive of nginx.conf, the first of its name."""

    def read(found: Rendered) -> str:
        match = re.search(rf"^ *{directive} ([^;]+);", found.texts["nginx"], re.MULTILINE)
        if not match:
            raise NotRendered(f"nginx.conf: no {directive}")
        return f"{'none' if match[1] == '0' else match[1]} (`{directive}`)"

    return read


def traefik(path: str) -> Cell:
    """Read a value of Traefik's files by its path; the step ``*`` is the first of several."""

    def read(found: Rendered) -> str:
        value: Any = found.traefik
        for step in path.split("."):
            inside = value if isinstance(value, dict) else {}
            value = next(iter(inside.values()), None) if step == "*" else inside.get(step)
        if value is None:
            raise NotRendered(f"Traefik's files: no {path}")
        return f"{'none' if value == '0s' else value} (`{path.rpartition('.')[2]}`)"

    return read


def matching(proxy: str, expression: str) -> Cell:
    """Read what an expression finds in a proxy's files: its group."""

    def read(found: Rendered) -> str:
        match = re.search(expression, found.texts[proxy], re.MULTILINE)
        if not match:
            raise NotRendered(f"{proxy}: nothing like {expression}")
        return f"`{match[1]}`"

    return read


def own(proxy: str, expression: str, value: str) -> Cell:
    """Say what a program does by itself, where nothing that the expression finds is rendered."""

    def read(found: Rendered) -> str:
        if match := re.search(expression, found.texts[proxy], re.MULTILINE):
            raise NotRendered(f"{proxy}: {match[0]!r} is rendered, so this is not its own: {value}")
        return value

    return read


def none(text: str = "none") -> Cell:
    """Say that a program has no such thing."""
    return lambda _: text


def _files(proxy: str) -> Files:
    settings = Settings.model_validate({"listeners": LISTENERS})
    target = TargetSettings(templates=[proxy], options=dict(OPTIONS[proxy]))
    snapshot = _snapshot()
    model = build(snapshot, settings.rules())
    if model.problems:
        raise NotRendered(str(model.problems[0]))
    renderer = assembly.Assembly("edge", target, settings).renderer(program=False)
    renderer.credentials = _OneCertificate(settings)
    return renderer.render(model, snapshot)


def _snapshot() -> Snapshot:
    """A web application and a database, each with one task."""
    services = [
        Service(f"{name}-id", name, {"lbgen.enable": "true", **labels}, networks=("edge-id",))
        for name, labels in LABELS.items()
    ]
    tasks = [
        Task(f"{name}-1-id", f"{name}-id", "node1-id", 1, "running", addresses={"edge-id": f"10.0.0.{number}"})
        for number, name in enumerate(LABELS, 2)
    ]
    return Snapshot(
        nodes={"node1-id": Node("node1-id", "node1")},
        networks={"edge-id": Network("edge-id", "edge")},
        services={service.id: service for service in services},
        tasks={task.id: task for task in tasks},
    )


def _haproxy(text: str) -> dict[str, str]:
    """Return every line of a section under its first word, and its first two; of several the first."""
    lines: dict[str, str] = {}
    for section in split(text):
        words = [line.split() for line in section.frame]
        mode = next((parts[1] for parts in words if parts[0] == "mode"), "")
        name = f"{mode} defaults" if section.heading == "defaults" else section.heading
        for parts in words:
            for count in (1, 2):
                lines.setdefault(f"{name}/{' '.join(parts[:count])}", " ".join(parts[count:]))
    return lines
