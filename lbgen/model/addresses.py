"""Which address reaches a node, and which network reaches a service's tasks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbgen.base.problem import Problem
from lbgen.labels.values.value_type import BadValue
from lbgen.snapshot import Network, Node, Service

ADDRESS_LABEL = "lbgen.address"
NO_NETWORK = ("none",)  # setting networks of a proxy outside the Swarm; Docker's network of that name reaches nobody


def node_address(node: Node, cidrs: Sequence[str]) -> str | Problem:
    """Return the address that reaches the node's published ports, or the problem that names the fix.

    In this order: node label ``lbgen.address``, a known address inside ``node_cidrs``, ManagerStatus.Addr,
    Status.Addr. The engine can report 0.0.0.0 or 127.0.0.1 for managers (seen): such an address would send the
    traffic to the proxy's own machine, so it counts only where a label or ``node_cidrs`` asks for it, and for a host
    without Swarm, whose address a person has written.
    """
    labelled = node.labels.get(ADDRESS_LABEL, "")
    if labelled:
        if _is_address(labelled) and not ipaddress.ip_address(labelled).is_unspecified:
            return labelled
        return Problem(
            "",
            "is not the IP address of a node",
            f"docker node update --label-add {ADDRESS_LABEL}=ADDRESS {node.hostname}",
            ADDRESS_LABEL,
            labelled,
            node=node.hostname,
        )
    if node.role == "host":  # the settings name it, and may mean this machine
        return node.address
    known = [text for text in (node.manager_address, node.address) if _is_address(text)]
    inside = [text for text in known if any(_within(text, cidr) for cidr in cidrs)]
    usable = [text for text in known if _is_usable(text)]
    if inside or usable:
        return (inside or usable)[0]
    return Problem(
        "",
        f"has no address that reaches it (Swarm reports {', '.join(known) or 'none'})",
        f"docker node update --label-add {ADDRESS_LABEL}=ADDRESS {node.hostname}, or set discovery.node_cidrs",
        node=node.hostname,
    )


@dataclass(frozen=True, slots=True)
class SharedNetwork:
    """The network that was chosen, and how."""

    network: Network
    by: str  # "label"; "setting": networks; "only": there is no other
    candidates: tuple[str, ...]  # names of the networks that the service is on, sorted


def shared_network(
    service: Service,
    networks: Mapping[str, Network],
    label: str | None,
    preferred: Sequence[str],
    otherwise: str = "publish the port and write lbgen.via=mesh",
) -> SharedNetwork:
    """Return the network to reach the service's tasks on.

    In this order: the label, the first of setting ``networks`` that the service is on; without that setting the only
    one there is. Where the setting names some, on another one the proxy is not; ``none`` says that it is on none.

    Args:
        otherwise: how the service can be reached without a network, for the remedy.
    Raises:
        BadValue: there is none, or several and nothing says which.
    """
    by_name = {network.name: network for network in networks.values()}
    asked = (networks.get(id_) or by_name.get(id_) for id_ in {*service.networks, *service.virtual_ips})
    attached = {network.name: network for network in asked if network and not network.ingress}
    candidates = tuple(sorted(attached))
    names = ", ".join(candidates) or "none"
    if label is not None:
        chosen = attached.get(label) or next((network for network in attached.values() if network.id == label), None)
        if not chosen:
            raise BadValue(
                f"the service is not on network {label} (it is on: {names})", "name one it is attached to", "network"
            )
        return SharedNetwork(chosen, "label", candidates)
    for name in preferred:
        if name in attached:
            return SharedNetwork(attached[name], "setting", candidates)
    if len(attached) == 1 and not preferred:
        return SharedNetwork(attached[candidates[0]], "only", candidates)
    if service.on_hosts and (preferred or not candidates):
        message = f"the proxy is known to share none of the service's networks (it is on: {names})"
        remedy = f"{otherwise}, or name the network that it does share in networks of the host, in setting source"
        raise BadValue(message, remedy, "network")
    raise _none_shared(candidates, preferred, otherwise)


def networks_of(names: Sequence[str], part: str) -> tuple[str, ...]:
    """Return the networks that the proxy shares with a part: of setting ``networks``, whose ``PART/NAME`` is for one.

    Where the setting names only other parts' the proxy is on none of this one's.
    """
    split = [entry.rpartition("/") for entry in names]
    found = tuple(name for whose, slash, name in split if not slash or whose == part)
    return found if found or not names else NO_NETWORK


def _none_shared(attached: Sequence[str], preferred: Sequence[str], otherwise: str) -> BadValue:
    """Return why no network is known to be the proxy's as well.

    Args:
        attached: names of the networks that the service is on.
    """
    if tuple(preferred) == NO_NETWORK:
        message = "the proxy shares no network with services, as setting discovery.networks says"
        return BadValue(message, f"{otherwise}, or name the network that it does share", "network")
    if not attached:
        return BadValue(
            "the service is on no network that its tasks could be reached on",
            f"attach it to the proxy's network{f' ({preferred[0]})' if preferred else ''}, or {otherwise}",
            "network",
        )
    names = ", ".join(attached)
    if not preferred:
        return BadValue(f"the service is on several networks ({names})", "say which", "network")
    return BadValue(
        f"the service is on none of the networks of setting discovery.networks ({', '.join(preferred)}), it is on: "
        f"{names}",
        f"attach it to one of them, name the one that the proxy shares, or {otherwise}",
        "network",
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a scope ("fe80::1%eth0") means nothing to another machine, and can hold any character


def _is_usable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_unspecified or address.is_loopback)


def _within(text: str, cidr: str) -> bool:
    address, network = ipaddress.ip_address(text), ipaddress.ip_network(cidr, strict=False)
    return address.version == network.version and address in network and not address.is_unspecified
