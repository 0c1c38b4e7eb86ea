"""Facts to Engine API objects, in the reduced form that `lbgen snapshot` records: exactly what `decode` reads.

So no environment, mount, command or secret can be in it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lbgen.base.address import host_port
from lbgen.snapshot import Network, Node, PublishedPort, Service, Task
from lbgen.source.decode_fields import DRAIN_ASKED, MODES, OWN_NAME, UNLIKE

_MODE_KEYS = {mode: key for key, mode in MODES.items()}


def item(kind: str, fact: Any) -> dict[str, object]:
    """Return one of the facts of a kind as an object of a snapshot file."""
    written: dict[str, object] = _WRITERS[kind](fact)
    return written


def _node_item(item: Node) -> dict[str, object]:
    platform = {"OS": item.os, "Architecture": item.arch}
    written: dict[str, object] = {
        "ID": item.id,
        "UpdatedAt": item.updated_at,
        "Spec": {"Role": item.role, "Availability": item.availability, "Labels": dict(item.labels)},
        "Description": {
            "Hostname": item.hostname,
            "Platform": platform,
            "Engine": {"Labels": dict(item.engine_labels)},
        },
        "Status": {"State": item.state, "Addr": item.address},
    }
    if item.manager_address:
        written["ManagerStatus"] = {"Addr": host_port(item.manager_address, 2377)}
    if item.drain_asked:
        written[DRAIN_ASKED] = True
    return written


def _service_item(item: Service) -> dict[str, object]:
    mode = {_MODE_KEYS[item.mode]: {"Replicas": item.replicas} if item.mode == "replicated" else {}}
    written: dict[str, object] = {
        "ID": item.id,
        "CreatedAt": item.created_at,
        "UpdatedAt": item.updated_at,
        "Spec": {
            "Name": item.name,
            "Labels": dict(item.labels),
            "Mode": mode,
            "TaskTemplate": {"Networks": [{"Target": target} for target in item.networks]},
            "EndpointSpec": {"Mode": item.endpoint_mode},
        },
        "Endpoint": {
            "Ports": [_port_item(port) for port in item.ports],
            "VirtualIPs": [{"NetworkID": id_, "Addr": addr} for id_, addr in item.virtual_ips.items()],
        },
    }
    if item.update_state:
        written["UpdateStatus"] = {"State": item.update_state}
    if item.own:
        written[OWN_NAME] = item.own
    if item.unlike:
        written[UNLIKE] = dict(item.unlike)
    return written


def _task_item(item: Task) -> dict[str, object]:
    written: dict[str, object] = {
        "ID": item.id,
        "ServiceID": item.service_id,
        "NodeID": item.node_id,
        "Slot": item.slot,
        "CreatedAt": item.created_at,
        "UpdatedAt": item.updated_at,
        "DesiredState": item.desired_state,
        "Status": {
            "Timestamp": item.state_at,
            "State": item.state,
            "PortStatus": {"Ports": [_port_item(port) for port in item.ports]},
        },
        "NetworksAttachments": [
            {"Network": {"ID": id_}, "Addresses": [address]} for id_, address in item.addresses.items()
        ],
    }
    if item.drain_asked:
        written[DRAIN_ASKED] = True
    return written


def _network_item(item: Network) -> dict[str, object]:
    return {
        "Id": item.id,
        "Name": item.name,
        "Driver": item.driver,
        "Ingress": item.ingress,
        "Labels": dict(item.labels),
    }


_WRITERS: Mapping[str, Callable[[Any], dict[str, object]]] = {
    "nodes": _node_item,
    "services": _service_item,
    "tasks": _task_item,
    "networks": _network_item,
}


def _port_item(port: PublishedPort) -> dict[str, object]:
    written: dict[str, object] = {"Protocol": port.protocol, "TargetPort": port.target, "PublishMode": port.mode}
    if port.published:
        written["PublishedPort"] = port.published
    return written
