"""A manager's control socket: swarmkit's Watch service, for what a real manager cannot be made to do at will.

Copied from the real one (moby/swarmkit, manager/watchapi; seen on engine 20.10): TLS with a certificate for
``swarm-manager`` and no question for the client's; the first message is empty; then one message for each transaction,
with the objects as they are after it. Objects are made of what the fake engine would list.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as lbgen does: gRPC writes to standard error by itself

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from lbgen.source.swarmkit import watch_pb2 as pb
from tests.support.tls import Authority

Item = Mapping[str, Any]
CREATE, UPDATE, REMOVE = pb.WATCH_ACTION_CREATE, pb.WATCH_ACTION_UPDATE, pb.WATCH_ACTION_REMOVE
WATCHED = ("WATCH", "subscribed")  # what stands among an engine's requests when a call was answered
_END = object()


class FakeManager:
    """One control socket. Its attributes may be changed at any time, from the test's thread."""

    def __init__(self, path: Path, authority: Authority, requests: list[tuple[str, str]]) -> None:
        """`requests`: those of the engine beside it, so that the order of both can be seen."""
        self.path, self.authority, self._requests = path, authority, requests
        self.first: bytes | None = b""  # the first message; None for never any
        self.calls: list[pb.WatchRequest] = []
        self._streams: list[queue.Queue[Any]] = []
        self._server: grpc.Server | None = None
        self.start()

    def start(self) -> None:
        """Listen, again if it was stopped, with a certificate of the authority it has now."""
        certificate, key = (path.read_bytes() for path in self.authority.issue("swarm-manager"))
        self._server = grpc.server(ThreadPoolExecutor(8))
        watch = grpc.unary_stream_rpc_method_handler(self._watch, pb.WatchRequest.FromString, lambda message: message)
        handler = grpc.method_handlers_generic_handler("docker.swarmkit.v1.Watch", {"Watch": watch})
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_secure_port(f"unix://{self.path}", grpc.ssl_server_credentials([(key, certificate)]))
        self._server.start()

    def stop(self) -> None:
        """Be gone, as a stopped daemon: no socket, all calls ended."""
        self.end()
        server, self._server = self._server, None
        if server is not None:
            server.stop(0).wait()
        self.path.unlink(missing_ok=True)

    def end(self) -> None:
        """End all calls."""
        for stream in list(self._streams):
            stream.put(_END)

    def send(self, data: bytes) -> None:
        """Send a message to all calls."""
        for stream in list(self._streams):
            stream.put(data)

    def push(self, *changes: tuple[str, Item] | tuple[str, Item, int]) -> None:
        """Send one transaction: (kind as in "services", Engine API object, action) each."""
        self.send(message(*changes))

    @property
    def streams(self) -> int:
        """How many calls there are now."""
        return len(self._streams)

    def _watch(self, request: pb.WatchRequest, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls.append(request)
        stream: queue.Queue[Any] = queue.Queue()
        context.add_callback(lambda: stream.put(_END))
        if self.first is not None:
            self._requests.append(WATCHED)
            self._streams.append(stream)
            yield self.first
        try:
            while (data := stream.get()) is not _END:
                yield data
        finally:
            if stream in self._streams:
                self._streams.remove(stream)


def message(*changes: tuple[str, Item] | tuple[str, Item, int]) -> bytes:
    """One message of the stream."""
    events = []
    for kind, item, *action in changes:
        made = {kind.removesuffix("s"): _MADE[kind](item)}
        events.append(pb.WatchMessage.Event(action=(action or [UPDATE])[0], object=pb.Object(**made)))
    return pb.WatchMessage(events=events).SerializeToString()


def task(item: Item) -> pb.Task:
    """An object of ``GET /tasks`` as it is in the store."""
    status = item["Status"]
    return pb.Task(
        id=item["ID"],
        meta=_meta(item),
        spec=pb.TaskSpec(container=pb.ContainerSpec()),
        service_id=item["ServiceID"],
        slot=item.get("Slot", 0),
        node_id=item.get("NodeID", ""),
        status=pb.TaskStatus(
            timestamp=_time(status["Timestamp"]),
            state=status["State"].upper(),
            port_status=pb.PortStatus(ports=_ports((status.get("PortStatus") or {}).get("Ports"))),
        ),
        desired_state=item["DesiredState"].upper(),
        networks=[
            pb.NetworkAttachment(network=pb.Network(id=attached["Network"]["ID"]), addresses=attached.get("Addresses"))
            for attached in item.get("NetworksAttachments") or []
        ],
    )


def service(item: Item) -> pb.Service:
    """An object of ``GET /services`` as it is in the store."""
    spec, endpoint = item["Spec"], item["Endpoint"]
    made = pb.Service(
        id=item["ID"],
        meta=_meta(item),
        spec=pb.ServiceSpec(
            annotations=pb.Annotations(name=spec["Name"], labels=spec["Labels"]),
            task=pb.TaskSpec(container=pb.ContainerSpec(), networks=_targets(spec["TaskTemplate"].get("Networks"))),
            networks=_targets(spec.get("Networks")),
            endpoint=pb.EndpointSpec(
                mode=spec.get("EndpointSpec", {}).get("Mode", "vip").upper(),
                ports=_ports(spec.get("EndpointSpec", {}).get("Ports")),
            ),
        ),
        endpoint=pb.Endpoint(
            ports=_ports(endpoint.get("Ports")),
            virtual_ips=[
                pb.Endpoint.VirtualIP(network_id=ip["NetworkID"], addr=ip.get("Addr", ""))
                for ip in endpoint.get("VirtualIPs") or []
            ],
        ),
    )
    match list(spec["Mode"]):
        case ["Replicated"]:
            made.spec.replicated.replicas = spec["Mode"]["Replicated"]["Replicas"]
        case ["Global"]:
            getattr(made.spec, "global").SetInParent()
        case ["ReplicatedJob"]:
            made.spec.replicated_job.SetInParent()
        case ["GlobalJob"]:
            made.spec.global_job.SetInParent()
    if state := item.get("UpdateStatus", {}).get("State"):
        made.update_status.state = pb.UpdateStatus.UpdateState.Value(state.upper())
    return made


def node(item: Item) -> pb.Node:
    """An object of ``GET /nodes`` as it is in the store: without what the managers know of each other."""
    spec, description = item["Spec"], item["Description"]
    return pb.Node(
        id=item["ID"],
        meta=_meta(item),
        spec=pb.NodeSpec(
            annotations=pb.Annotations(labels=spec["Labels"]),
            desired_role=spec["Role"].upper(),
            availability=spec["Availability"].upper(),
        ),
        description=pb.NodeDescription(
            hostname=description["Hostname"],
            platform=pb.Platform(
                architecture=description["Platform"]["Architecture"], os=description["Platform"]["OS"]
            ),
            engine=pb.EngineDescription(labels=description["Engine"].get("Labels")),
        ),
        status=pb.NodeStatus(state=item["Status"]["State"].upper(), addr=item["Status"]["Addr"]),
    )


def network(item: Item) -> pb.Network:
    """An object of ``GET /networks`` as it is in the store."""
    return pb.Network(
        id=item["Id"],
        spec=pb.NetworkSpec(
            annotations=pb.Annotations(name=item["Name"], labels=item["Labels"]), ingress=item["Ingress"]
        ),
        driver_state=pb.Driver(name=item["Driver"]),
    )


_MADE: dict[str, Any] = {"tasks": task, "services": service, "nodes": node, "networks": network}


def _meta(item: Item) -> pb.Meta:
    return pb.Meta(
        version=pb.Version(index=item["Version"]["Index"]),
        created_at=_time(item["CreatedAt"]),
        updated_at=_time(item["UpdatedAt"]),
    )


def _time(text: str) -> Timestamp:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return Timestamp(seconds=int(datetime.fromisoformat(f"{whole}+00:00").timestamp()), nanos=int(f"{fraction:0<9}"))


def _targets(networks: Any) -> list[pb.NetworkAttachmentConfig]:
    return [pb.NetworkAttachmentConfig(target=network["Target"]) for network in networks or []]


def _ports(ports: Any) -> list[pb.PortConfig]:
    return [
        pb.PortConfig(
            protocol=port["Protocol"].upper(),
            target_port=port["TargetPort"],
            published_port=port.get("PublishedPort", 0),
            publish_mode=port["PublishMode"].upper(),
        )
        for port in ports or []
    ]
