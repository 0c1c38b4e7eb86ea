"""What templates see. This is a contract: authors of templates rely on it, and on nothing else.

`CONTEXT_VERSION` counts up when a template that worked may no longer do so: a name, a field, a filter or a value is
taken away or renamed, or its type, its unit, its meaning or its order changes. What is added does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lbgen.base import bounded_file
from lbgen.base.problem import Problem
from lbgen.labels.values.users import User
from lbgen.model.types import Backend, Listener, Route, Server
from lbgen.render.credential_files import Certificate, Page
from lbgen.render.credentials import CredentialDirectories
from lbgen.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What a template knows of the proxy it writes for: ``target``."""

    name: str  # as in the settings
    output: str  # directory the files are read from
    options: Mapping[str, Any]  # the template set's options
    version: tuple[int, ...] = ()  # of the proxy's program, (1, 22, 1); empty: not known, as in CI without it
    modules: tuple[str, ...] = ()  # Nginx: paths of modules to load; "stream" alone: it is built in
    features: tuple[str, ...] = ()  # what it was built with: "http3", "lua", "auth_request", "X25519MLKEM768"
    stats_socket: str = ""  # HAProxy: path of its stats socket
    pid_file: str = ""  # Nginx: where it writes its process number
    probe: str = ""  # ADDRESS:PORT: Nginx's answers which generation it serves, Traefik's API
    feed: str = ""  # Traefik: URL where lbgen hands out the dynamic configuration; empty: it watches a directory

    reads_output: bool = True  # the proxy reads the output directory; Traefik that is fed over HTTP may not have it

    ipv6: bool = True  # where it listens on all addresses, it does so on those of IPv6: the kernel knows it

    @property
    def own_certificate(self) -> str:
        """Traefik: the text of OUTPUT/default.pem, which says nothing about anybody; empty without one."""
        try:
            return bounded_file.read_text(Path(self.output) / "default.pem", 1 << 20)
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Context:
    """The names that every template has. All lists are sorted, so equal facts give equal bytes."""

    context_version: int  # of this contract
    listeners: tuple[Listener, ...]  # ports the proxy accepts connections on, by name
    routes: tuple[Route, ...]  # which requests go to which backend, by name
    backends: tuple[Backend, ...]  # the servers of a route and how they are used, by name
    servers: tuple[Server, ...]  # all of all backends, in their order
    certificates: tuple[Certificate, ...]  # of the directory `certificates`, default.pem first, then by name
    users: Mapping[str, tuple[User, ...]]  # by the users file's name; of a label "label:SERVICE..."
    users_files: Mapping[str, str]  # path of each users file, by its name; of a label where a set writes it
    client_cas: Mapping[str, Certificate]  # authorities of clients' certificates, by name without suffix
    server_cas: Mapping[str, Certificate]  # authorities of servers' certificates, likewise; "system": this machine's
    pages: Mapping[str, Page]  # in place of errors, by the file's name
    problems: tuple[Problem, ...]  # what is wrong with services, nodes and files
    target: TargetContext  # the proxy the files are for
    options: Mapping[str, Any]  # the set's options: those of set.yml, and over them targets.NAME.options
    settings: CredentialDirectories  # all settings, as `lbgen config schema` describes them
    snapshot: Snapshot  # the facts as Docker told them, for uses that the rest does not foresee
    generation: str  # names these files; print it where the running proxy can be asked for it
    once: Callable[..., str]  # once(MACRO, OBJECT, ...): its text, taken over from before if OBJECT is the same

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each name and what it stands for."""
        return ((field.name, getattr(self, field.name)) for field in fields(self))
