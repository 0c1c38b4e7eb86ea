"""Services, tasks, nodes and networks as a source saw them at one moment.

Facts only, frozen, and complete: a source never hands on half a listing. Everything downstream is a
function of these objects, so what is not read here cannot reach a template.
``lbgen/source/decode.py`` reads them from Engine API objects and writes them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

STACK = "com.docker.stack.namespace"  # the label in which Docker keeps the name of a service's stack
ON_HOSTS = "none"  # endpoint mode of services that are in no Swarm
PROJECT = "com.docker.compose.project"  # likewise Compose, of containers that are in no Swarm


@dataclass(frozen=True, slots=True)
class Node:
    """A Swarm node (``GET /nodes``), or a host without Swarm."""

    id: str
    hostname: str
    role: str = "worker"  # worker, manager; host: it is in no Swarm
    availability: str = "active"  # active, pause, drain
    state: str = "ready"  # ready, down, unknown, disconnected; unreachable: a host whose engine does not answer
    address: str = ""  # Status.Addr; on managers it can be 0.0.0.0 or 127.0.0.1
    manager_address: str = ""  # host part of ManagerStatus.Addr; empty on workers
    labels: Mapping[str, str] = field(default_factory=dict)  # Spec.Labels
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    os: str = ""
    arch: str = ""
    updated_at: str = field(default="", compare=False)  # RFC 3339, as the engine wrote it
    drain_asked: bool = False  # an operator takes it out, by lbgen drain
    part: str = ""  # name of the source that it is of; empty: there is one, without a name


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port as the service asks for it (``Service.Endpoint.Ports``) or as a task has it (``PortStatus``)."""

    target: int  # where the application listens, 1..65535
    published: int = 0  # 0: not known (host mode, chosen by the node: see the task)
    protocol: str = "tcp"  # tcp, udp, sctp
    mode: str = "ingress"  # ingress, host


@dataclass(frozen=True, slots=True)
class Service:
    """A service (``GET /services``)."""

    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)  # of the service, not of its containers
    created_at: str = ""  # RFC 3339, as the engine wrote it
    updated_at: str = ""
    mode: str = "replicated"  # replicated, global, replicated-job, global-job
    replicas: int = 1
    endpoint_mode: str = "vip"  # vip, dnsrr; none: see `on_hosts`
    ports: tuple[PublishedPort, ...] = ()
    networks: tuple[str, ...] = ()  # ids (or, in hand-written files, names) the specification asks for
    virtual_ips: Mapping[str, str] = field(default_factory=dict)  # network id -> address without prefix length
    update_state: str = ""  # updating, paused, completed, rollback_started, ...
    unlike: Mapping[str, str] = field(default_factory=dict)  # on hosts: label -> "CONTAINER on HOST" that differs
    part: str = ""  # as in `Node`
    own: str = ""  # its name in its part, where `name` is PART_NAME since another part has the name, too; else empty

    @property
    def own_name(self) -> str:
        """Its name in its part: what labels and claims call it. `name` is what everything else is called after."""
        return self.own or self.name

    @property
    def key(self) -> str:
        """What it is remembered by over a restart: its name in its part, and the part's."""
        return f"{self.part}/{self.own_name}" if self.part else self.name

    @property
    def on_hosts(self) -> bool:
        """Whether it is of containers on hosts without Swarm: there is neither a mesh nor a virtual IP."""
        return self.endpoint_mode == ON_HOSTS

    @property
    def stack(self) -> str:
        """The name of its stack, or of its Compose project; empty: it is of none.

        The stack's label is read first: in a Swarm Docker sets it, and Compose's could be anybody's. Where there is
        no Swarm it is the other way round, and what gives facts of hosts leaves the stack's label out.
        """
        return self.labels.get(STACK) or self.labels.get(PROJECT, "")


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a service (``GET /tasks``); tasks without a service are not recorded."""

    id: str
    service_id: str
    node_id: str = ""  # empty until scheduled
    slot: int = 0  # 0 for global services
    state: str = "new"  # new .. running .. failed: Status.State
    desired_state: str = "running"  # what Swarm wants next: running, shutdown, remove, ...
    created_at: str = ""
    updated_at: str = ""
    state_at: str = field(default="", compare=False)  # since when it is in its state, by its node's clock
    addresses: Mapping[str, str] = field(default_factory=dict)  # network id -> address without prefix length
    ports: tuple[PublishedPort, ...] = ()  # host-mode ports really in use; of one target, that of IPv4 is first
    drain_asked: bool = False  # an operator takes it out, by lbgen drain


@dataclass(frozen=True, slots=True)
class Network:
    """A network that services can share (``GET /networks``, scope swarm)."""

    id: str
    name: str
    driver: str = "overlay"
    ingress: bool = False  # the routing mesh's own network: never send traffic to addresses on it
    labels: Mapping[str, str] = field(default_factory=dict)
    part: str = ""  # as in `Node`


@dataclass(frozen=True, slots=True)
class Part:
    """One of several sources, by what its facts have in common."""

    name: str
    cluster: str = ""  # its cluster's id; empty: in hand-written files, and while it is not known


@dataclass(frozen=True, slots=True)
class Cause:
    """One change that led to a snapshot, for people."""

    text: str  # "task web.3 on node2: desired state shutdown"
    at: float  # seconds since 1970: Swarm's own time of the change, else when it was learnt


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something in a file that its author should know; no fact of the cluster."""

    file: str  # its path
    line: int  # from 1; 0: not known
    place: str  # in the document: "services.web.ports[0]"
    message: str
    remedy: str = ""
    refused: bool = False  # `docker stack deploy` does not take the file because of it
    unread: tuple[str, ...] = ()  # labels for routing that stand where nothing reads them

    @property
    def what(self) -> str:
        """What there is to know, and what to do about it."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.place}: {self.what}" if self.place else f"{where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole cluster at one moment, each kind keyed by id in id order.

    Two snapshots are equal when their facts are, whenever and however they were taken.
    """

    cluster: str = ""  # the cluster's id; empty in hand-written files
    nodes: Mapping[str, Node] = field(default_factory=dict)  # by id, as all that follows
    services: Mapping[str, Service] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)  # by name; none: one source, without a name
    taken_at: float = field(default=0.0, compare=False)  # seconds since 1970
    listing: int = field(default=0, compare=False)  # counts the source's full listings; larger is independent
    causes: tuple[Cause, ...] = field(default=(), compare=False)  # what changed since the source's one before
    notes: tuple[Note, ...] = field(default=(), compare=False)  # about the files that it was read from

    def tasks_by_service(self) -> dict[str, list[Task]]:
        """Group the tasks by service id, in task id order."""
        grouped: dict[str, list[Task]] = {}
        for task in self.tasks.values():
            grouped.setdefault(task.service_id, []).append(task)
        return grouped


def moment(text: str) -> float:
    """Return an RFC 3339 time as seconds since 1970; 0.0 where there is none or it cannot be read.

    Go writes nanoseconds and drops trailing zeros, so the texts themselves do not sort.
    """
    try:
        time = datetime.fromisoformat(text)  # digits after the sixth are dropped
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return 0.0
