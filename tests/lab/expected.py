"""What the backends of a service have to look like, by what Swarm says of its tasks."""

from __future__ import annotations

from tests.lab.service import Service


def task_servers(service: Service, network: str = "web", port: int = 8080) -> dict[str, str]:
    """What a backend of the service's task addresses has to look like."""
    return {f"{service.name}.{task['Slot']}": f"{service.address(task, network)}:{port}" for task in service.running()}


def host_servers(service: Service) -> dict[str, str]:
    """What a backend of the service's host-mode ports has to look like."""
    ports = {f"{service.name}.{task['Slot']}": service.host_port(task) for task in service.running()}
    return {name: f"{address}:{port}" for name, (address, port) in ports.items()}
