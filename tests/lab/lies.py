"""Facts as an agent might offer them that are not its own host's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lbgen.snapshot import Snapshot


def beyond_its_host(truth: Snapshot, swarm: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    """What an agent might say of others' nodes and tasks, and why a hub refuses it."""
    node, task = next(iter(swarm.nodes.values())), next(iter(swarm.tasks.values()))
    yield "more than 1 nodes on one host", replace(truth, nodes={**truth.nodes, node.id: node})
    yield "a task of a service that is not there", replace(truth, tasks={**truth.tasks, task.id: task})


def in_place_of(swarm: Snapshot, truth: Snapshot) -> Snapshot:
    """An agent's facts under the name and address of a Swarm's node, with the Swarm's service, older than it is."""
    node, (task,) = next(iter(swarm.nodes.values())), truth.tasks.values()
    (service,) = [each for each in swarm.services.values() if each.name == "shop"]
    task = replace(task, node_id=node.id)
    more = replace(task, id="more", slot=2, ports=task.ports[:1])
    return replace(
        truth,
        nodes={node.id: node},
        services={**truth.services, service.id: replace(service, created_at="2001-01-01T00:00:00Z")},
        tasks={each.id: each for each in (task, more, replace(more, id="theirs", service_id=service.id))},
    )
