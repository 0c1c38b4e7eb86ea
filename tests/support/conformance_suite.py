"""The files of tests/conformance: services, questions, and how they are to be answered.

A case is a line, ``QUESTION -> ANSWER``, and after it ``; WHO ANSWER (REASON)`` for each who decides otherwise.

Questions:

- ``METHOD HOST/PATH [from ADDRESS] [NAME=VALUE [| NAME=VALUE]] [at LISTENER]``: over HTTP, on listener ``web``; with
  ``https://`` before the host on listener ``secure`` (those with TLS have names that begin so); from another address
  than 127.0.0.1; with these headers.
- ``TLS LISTENER/NAME``, ``TCP LISTENER``, ``UDP LISTENER``: one line, on a TLS connection for the name (or for none),
  on a plain one, or in a datagram.

Answers: the name of the service that answers, a status, a status with the address to go to, ``refused``; ``<secure>``
in an address is the port of that listener; ``A or B``
where several questions get now the one and now the other; ``100 A + 256 B`` where 356 questions get so many answers of
each, and of each server of one service as many; ``A gets PATH`` where the path and the query matter that A receives.

WHO is one or several of ``haproxy``, ``nginx``, ``traefik`` and, in files with ``dialects: [traefik]``, ``original``: a
Traefik that was given the labels themselves; ``haproxy-newest`` and ``nginx-newest``: the newest version, where it does
not decide as the installed one. REASON is ``SERVICE: FEATURE``, words that `lbgen lint` has to say about
that service, or a heading under which docs/proxies.md, or docs/migration.md for the original, explains it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from lbgen.settings import Settings
from lbgen.settings.traefik_files import TraefikFile
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.certificates import certificate
from tests.support.paths import TESTS
from tests.support.ports import free_port

DIRECTORY = TESTS / "conformance"
WHO = ("haproxy", "nginx", "traefik", "original", "haproxy-newest", "nginx-newest")
_WHO = f"(?:{'|'.join(reversed(WHO))})"  # the longer of two that begin alike is tried first
_EXCEPTION = re.compile(rf"({_WHO}(?:, {_WHO})*) (.+) \((.+)\)")
_SHARE = re.compile(r"(\d+) (\S+)")
_QUESTION = re.compile(
    r"([A-Z]+) (https://)?([^/ ]+)(/[^ ]*)?(?: from ([0-9.]+))?(?: ([A-Za-z_-]+=.*?))?(?: at ([a-z-]+))?"
)
# What the labels of each dialect begin with, and those that a service has unless it says otherwise.
_DIALECTS = {
    "lbgen": ("lbgen.", {"enable": "true", "port": "<http>", "health-check": "off"}),
    "traefik": ("traefik.", {"http.services.<name>.loadbalancer.server.port": "<http>"}),
    "dockerflow": ("com.df.", {"notify": "true", "port": "<http>"}),
}


@dataclass(frozen=True)
class Otherwise:
    """Who decides a case otherwise, and why."""

    answer: str
    reason: str

    @property
    def limit(self) -> tuple[str, str] | None:
        """The service and the feature that lint has to name; None: the reason is a heading of the documentation."""
        service, colon, feature = self.reason.partition(": ")
        return (service, feature) if colon else None


@dataclass(frozen=True)
class Case:
    """One line of a file."""

    line: str
    how: str  # method, or TLS, TCP, UDP
    listener: str
    host: str
    path: str  # or the name that a TLS client asks for
    source: str  # the client's address; empty: any
    headers: tuple[tuple[str, str], ...]
    answer: str
    exceptions: Mapping[str, Otherwise] = field(default_factory=dict)

    @classmethod
    def of(cls, line: str) -> Case:
        """Read a line."""
        question, answer = line.rsplit(" -> ", 1)
        found = _QUESTION.fullmatch(question)
        assert found, f"no question: {question}"
        how, secure, host, path, source, said, at = (text or "" for text in found.groups())
        answer, *others = answer.split("; ")
        exceptions = {}
        for other in others:
            told = _EXCEPTION.fullmatch(other)
            assert told, f"no exception: {other}"
            exceptions |= dict.fromkeys(told[1].split(", "), Otherwise(told[2], told[3]))
        headers = tuple((name, value) for name, _, value in (part.partition("=") for part in said.split(" | ")) if name)
        if how in ("TLS", "TCP", "UDP"):
            return cls(line, how, host, "", path[1:], source, headers, answer, exceptions)
        listener = at or ("secure" if secure else "web")
        return cls(line, how, listener, host, path, source, headers, answer, exceptions)

    def expected(self, who: str) -> str:
        """What this one answers."""
        otherwise = self.exceptions.get(who) or self.exceptions.get(who.removesuffix("-newest"))
        return otherwise.answer if otherwise else self.answer


def shares(answer: str) -> dict[str, int]:
    """Read an answer that says how many questions each service answers; another one is none."""
    parts = [_SHARE.fullmatch(part) for part in answer.split(" + ")]
    return {part[2]: int(part[1]) for part in parts if part} if len(parts) > 1 else {}


def answering(answer: str) -> set[str]:
    """Return what an answer names: services, or a status."""
    return set(shares(answer) or answer.partition(" gets ")[0].split(" or "))


@dataclass(frozen=True)
class Suite:
    """One file."""

    name: str
    listeners: dict[str, str]  # name -> http, https, tcp, tcps (which ends TLS), udp
    # name -> labels without what all of the dialect begin with, `tasks`, `leaving` if Swarm wants them gone, and
    # `dialect` if it is another one
    services: dict[str, dict[str, Any]]
    reported: frozenset[str]  # services that lbgen has to report a problem of; of the others it must not
    silent: frozenset[str]  # services at which no case ends: they redirect, or stand in another's way
    cases: list[Case]
    dialect: str
    default_rule: str  # of the dialect traefik
    claims: tuple[dict[str, Any], ...] = ()  # as in the settings
    entry_points: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # in Traefik's words, by listener
    file: Mapping[str, Any] = field(default_factory=dict)  # of Traefik's file provider; <NAME> is a service's address

    @classmethod
    def read(cls, path: Path) -> Suite:
        """Read a file."""
        document = yaml.safe_load(path.read_text())
        return cls(
            path.stem,
            document.get("listeners", {"web": "http"}),
            document["services"],
            frozenset(document.get("reported", ())),
            frozenset(document.get("silent", ())),
            [Case.of(line) for line in document["cases"]],
            document.get("dialect", "lbgen"),
            document.get("default_rule", ""),
            tuple(document.get("claims", ())),
            document.get("entry_points", {}),
            document.get("file", {}),
        )

    @property
    def dialects(self) -> dict[str, None]:
        """Those of its labels, its own first."""
        return dict.fromkeys((self.dialect, *(given.get("dialect", self.dialect) for given in self.services.values())))

    def answering(self, address: str) -> str:
        """Return the service whose server has this address."""
        return list(self.services)[int(address.split(".")[2]) - 1]

    def labels(self, ports: Mapping[str, int]) -> dict[str, dict[str, str]]:
        """Return each service's labels, with the ports of its servers in their places: ``<http>``, ``<tls>``."""
        return {name: self._labels(name, given, ports) for name, given in self.services.items()}

    def _labels(self, name: str, given: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, str]:
        prefix, usual = _DIALECTS[given.get("dialect", self.dialect)]
        keys = {key: str(value) for key, value in given.items() if key not in ("tasks", "leaving", "dialect")}
        other = any("<" in value for value in keys.values())  # a port that is not HTTP's
        keys = {
            key.replace("<name>", name): value for key, value in usual.items() if not other or "<" not in value
        } | keys
        for kind, port in ports.items():
            keys = {key: value.replace(f"<{kind}>", str(port)) for key, value in keys.items()}
        # Beside those of another dialect there may be lbgen's own.
        return {key if key.lower().startswith((prefix, "lbgen.")) else prefix + key: keys[key] for key in keys}

    def file_provider(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """Return what the file of Traefik's file provider says, with addresses and ports in their places."""
        text = json.dumps(self.file)
        for name in self.services:
            text = text.replace(f"<{name}>", next(iter(self.addresses(name)), ""))
        for kind, port in ports.items():
            text = text.replace(f"<{kind}>", str(port))
        found: dict[str, Any] = json.loads(text)
        return found

    def addresses(self, service: str) -> list[str]:
        """Return those of a service's tasks: 127.1.<number of the service>.<slot>."""
        number = list(self.services).index(service) + 1
        return [f"127.1.{number}.{slot}" for slot in range(1, self.services[service].get("tasks", 1) + 1)]

    def snapshot(self, ports: Mapping[str, int]) -> Snapshot:
        """Return the services, the first the oldest, with their tasks."""
        facts: list[Fact] = [a_node(), a_network("edge")]
        for number, (name, labels) in enumerate(self.labels(ports).items()):
            created = f"2026-11-22T{10 + number // 60}:{number % 60:02}:00Z"
            facts.append(a_service(name, labels=labels, networks=("edge-id",), created_at=created))
            wanted = "shutdown" if self.services[name].get("leaving") else "running"
            for slot, address in enumerate(self.addresses(name), 1):
                facts.append(a_task(name, slot, addresses={"edge-id": address}, desired_state=wanted))
        return a_snapshot(*facts)

    def settings(
        self, proxy: str, directory: Path, binary: str = "", ports: Mapping[str, int] = MappingProxyType({})
    ) -> Settings:
        """Return settings with its listeners on free ports, and one proxy that lbgen runs.

        Args:
            ports: of the servers, where a file of Traefik's names some.
            binary: its program; empty: the one that is installed.
        """
        directory.chmod(0o755)  # Nginx's workers read files of users in it, on an account of their own
        certificate(directory / "certs/default.pem", "any.example.org")
        listeners = {
            name: {
                "bind": f"127.0.0.1:{free_port()}",
                "protocol": {"https": "http", "tcps": "tcp"}.get(kind, kind),
                "tls": kind in ("https", "tcps"),
            }
            for name, kind in self.listeners.items()
        }
        target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
        target |= {"binary": binary} if binary else {}
        return Settings.model_validate(
            {
                "listeners": listeners,
                "default_listeners": list(listeners),
                "discovery": {
                    "dialects": list(self.dialects),
                    "expose_by_default": self.dialect == "traefik",
                    "traefik": {
                        "default_rule": self.default_rule,
                        "entrypoints": dict(self.entry_points),
                        "files": [TraefikFile(path="dynamic.yml", content=self.file_provider(ports))],
                    },
                },
                "claims": list(self.claims),
                "status": {"bind": ""},
                "certificates": str(directory / "certs"),
                "targets": {"edge": {**target, "apply": {"run": True}}},
            }
        )


SUITES = [Suite.read(path) for path in sorted(DIRECTORY.glob("*.yml"))]
