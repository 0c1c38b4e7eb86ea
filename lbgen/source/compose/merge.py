"""Several files as one stack, by the rules of `docker stack deploy -c one.yml -c two.yml`.

What a later file says wins; maps are joined; constraints are appended; a later network replaces one of its name. Ports
are joined by the published port alone: of several with the same one, ``53:53/tcp`` and ``53:53/udp`` as much as all
that leave the choice to Swarm, the last remains as soon as another file mentions the service. That is a trap, so it
is told.
Source: docker/cli, cli/compose/loader/merge.go; compared with `docker stack config` in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lbgen.snapshot import PublishedPort
from lbgen.source.compose.stack import Stack, StackService
from lbgen.source.compose.stack_file import StackFile


def merged_stack(stacks: Sequence[tuple[StackFile, Stack]]) -> Stack:
    """Return the stack that the files make together, in this order; ports that get lost are noted in the later file."""
    (_, whole), *later = stacks
    for file, stack in later:
        services = dict(whole.services)
        for name, service in stack.services.items():
            before = services.get(name)
            services[name] = _merged(file, name, before, service) if before else service
        whole = Stack(services, {**whole.networks, **stack.networks})
    return whole


def _merged(file: StackFile, name: str, before: StackService, after: StackService) -> StackService:
    ports = _merged_ports(before.ports, after.ports)
    for lost in _lost(before.ports, after.ports, ports):
        file.note(
            ("services", name, "ports") if after.ports else ("services", name),
            f"merging loses port {lost.published or ''}:{lost.target}/{lost.protocol}: of several ports with the same "
            "published one the last remains",
            "publish them on distinct ports, or in one file",
        )
    return replace(
        before,
        image=after.image or before.image,
        labels={**before.labels, **after.labels},
        mode=after.mode or before.mode,
        replicas=before.replicas if after.replicas is None else after.replicas,
        endpoint_mode=after.endpoint_mode or before.endpoint_mode,
        constraints=before.constraints + after.constraints,
        most_on_a_node=after.most_on_a_node or before.most_on_a_node,
        ports=ports,
        networks=tuple(dict.fromkeys(before.networks + after.networks)),
    )


def _merged_ports(before: Sequence[PublishedPort], after: Sequence[PublishedPort]) -> tuple[PublishedPort, ...]:
    if not before:
        return tuple(after)
    by_published = {port.published: port for port in (*before, *after)}
    return tuple(by_published[published] for published in sorted(by_published))


def _lost(
    before: Sequence[PublishedPort], after: Sequence[PublishedPort], kept: Sequence[PublishedPort]
) -> list[PublishedPort]:
    """Return the ports that are lost to another one of the same file, which nobody means to happen."""
    replaced, left = {port.published for port in after}, set(kept)
    return [port for port in (*(port for port in before if port.published not in replaced), *after) if port not in left]
