"""The store's objects as the Engine API would list them, read by the same code: both say the same of the same object.

The engine's own conversion is in moby, daemon/cluster/convert; its listings leave out plugins and plain containers on
overlay networks (daemon/cluster/services.go, tasks.go) and predefined networks (networks.go), and so does this. One
field is in no message: ``ManagerStatus``, which the managers keep outside the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from lbgen.base.errors import SourceError
from lbgen.source import decode
from lbgen.source.decode_fields import Json
from lbgen.source.mailbox import Change
from lbgen.source.swarmkit import watch_pb2 as pb

_ANY: Any = pb.WATCH_ACTION_CREATE | pb.WATCH_ACTION_UPDATE | pb.WATCH_ACTION_REMOVE
_WANTED = [pb.WatchRequest.WatchEntry(kind=kind, action=_ANY) for kind in ("node", "service", "network", "task")]
REQUEST = pb.WatchRequest(entries=_WANTED).SerializeToString()  # what the stream is asked for


def changes(data: bytes) -> list[Change]:
    """Return the changes in one message of the stream, in its order; none in the first one, which is empty.

    Raises:
        SourceError: it is not a message, or an object in it makes no sense.
    """
    try:
        message = pb.WatchMessage.FromString(data)
    except DecodeError as error:
        raise SourceError(f"not a message of the Watch service: {error}") from error
    return list(_changes(message))


def _changes(message: pb.WatchMessage) -> Iterator[Change]:
    for event in message.events:
        kind = event.object.WhichOneof("Object")
        if kind is not None:
            source = getattr(event.object, kind)
            yield _change(f"{kind}s", event.action, source, _ITEMS[kind](source))


def _change(kind: str, action: int, source: Any, item: Json | None) -> Change:
    gone = item is None or action == pb.WATCH_ACTION_REMOVE
    read = None if gone else decode.read(kind, [item]).get(source.id)
    return Change(kind, source.id, read, source.meta.version.index)


def task(item: pb.Task) -> Json | None:
    """Return an item of ``GET /tasks``, None for what is not listed there."""
    if item.spec.WhichOneof("runtime") not in ("container", None):
        return None
    return {
        "ID": item.id,
        **_times(item.meta),
        "ServiceID": item.service_id,
        "NodeID": item.node_id,
        "Slot": item.slot,
        "Status": {
            "Timestamp": moment(item.status.timestamp),
            "State": _name(pb.TaskState, item.status.state),
            "PortStatus": {"Ports": _ports(item.status.port_status.ports)},
        },
        "DesiredState": _name(pb.TaskState, item.desired_state),
        "NetworksAttachments": [
            {"Network": {"ID": attached.network.id}, "Addresses": list(attached.addresses)}
            for attached in item.networks
        ],
    }


def service(item: pb.Service) -> Json | None:
    """Return an item of ``GET /services``, None for what is not listed there."""
    spec = item.spec
    if spec.task.WhichOneof("runtime") != "container":
        return None
    return {
        "ID": item.id,
        **_times(item.meta),
        "Spec": {
            "Name": spec.annotations.name,
            "Labels": dict(spec.annotations.labels),
            "Mode": _mode(spec),
            "TaskTemplate": {"Networks": [{"Target": network.target} for network in spec.task.networks]},
            "Networks": [{"Target": network.target} for network in spec.networks],
            "EndpointSpec": {
                "Mode": _name(pb.EndpointSpec.ResolutionMode, spec.endpoint.mode),
                "Ports": _ports(spec.endpoint.ports),
            },
        },
        "Endpoint": {
            "Ports": _ports(item.endpoint.ports),
            "VirtualIPs": [{"NetworkID": ip.network_id, "Addr": ip.addr} for ip in item.endpoint.virtual_ips],
        },
        "UpdateStatus": {"State": _update_state(item)},
    }


def node(item: pb.Node) -> Json:
    """Return an item of ``GET /nodes``, without its ManagerStatus."""
    spec, description = item.spec, item.description
    return {
        "ID": item.id,
        **_times(item.meta),
        "Spec": {
            "Role": _name(pb.NodeRole, spec.desired_role),
            "Availability": _name(pb.NodeSpec.Availability, spec.availability),
            "Labels": dict(spec.annotations.labels),
        },
        "Description": {
            "Hostname": description.hostname,
            "Platform": {"OS": description.platform.os, "Architecture": description.platform.architecture},
            "Engine": {"Labels": dict(description.engine.labels)},
        },
        "Status": {"State": _name(pb.NodeStatus.State, item.status.state), "Addr": item.status.addr},
    }


def network(item: pb.Network) -> Json | None:
    """Return an item of ``GET /networks``, None for what is not listed there."""
    name, labels = item.spec.annotations.name, dict(item.spec.annotations.labels)
    if labels.get("com.docker.swarm.predefined") == "true":  # stands for the "host" or "bridge" of every node
        return None
    return {
        "Id": item.id,
        "Name": name,
        "Scope": "swarm",
        "Driver": item.driver_state.name,
        # The label is how old versions of Swarm marked the network they made themselves.
        "Ingress": item.spec.ingress or ("com.docker.swarm.internal" in labels and name == "ingress"),
        "Labels": labels,
    }


def moment(time: Timestamp) -> str:
    """Return a time as Go writes it: RFC 3339 with nanoseconds, without trailing zeros; an absent one is 1970.

    Raises:
        SourceError: it is none that can be written so.
    """
    try:
        text = datetime.fromtimestamp(time.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError) as error:
        raise SourceError(f"{time.seconds} s after 1970 is no time") from error
    fraction = f"{time.nanos:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def _times(meta: pb.Meta) -> Json:
    return {"CreatedAt": moment(meta.created_at), "UpdatedAt": moment(meta.updated_at)}


def _mode(spec: pb.ServiceSpec) -> Json:
    match spec.WhichOneof("mode"):
        case "replicated":
            return {"Replicated": {"Replicas": spec.replicated.replicas}}
        case "global":
            return {"Global": {}}
        case "replicated_job":
            return {"ReplicatedJob": {}}
        case "global_job":
            return {"GlobalJob": {}}
        case _:
            return {}


def _update_state(item: pb.Service) -> str:
    state = item.update_status.state
    return _name(pb.UpdateStatus.UpdateState, state) if state else ""


def _ports(ports: Iterable[pb.PortConfig]) -> list[Json]:
    return [
        {
            "Protocol": _name(pb.PortConfig.Protocol, port.protocol),
            "TargetPort": port.target_port,
            "PublishedPort": port.published_port,
            "PublishMode": _name(pb.PortConfig.PublishMode, port.publish_mode),
        }
        for port in ports
    ]


def _name(enum: Any, value: int) -> str:
    """Return a value as the engine spells it; one that is not known here as its number, as Go does."""
    try:
        return str(enum.Name(value)).lower()
    except ValueError:
        return str(value)


_ITEMS: Mapping[str, Callable[[Any], Json | None]] = {
    "task": task,
    "service": service,
    "node": node,
    "network": network,
}
