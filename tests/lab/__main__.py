"""``python -m tests.lab up | down | status``: the lab by hand."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from tests.lab import host
from tests.lab.services import Lab
from tests.lab.settings import LabError, Settings


def up(lab: Lab) -> None:
    """Have a lab running."""
    began = time.monotonic()
    reason = lab.adopt()
    if reason:
        print(f"building: {reason}")
        lab.up()
        print(f"built in {time.monotonic() - began:.1f} s")
    show(lab)


def down(lab: Lab) -> None:
    """Remove the lab, or what is left of one, and of those that the tests make beside it."""
    found = lab.down()
    for settings in (Settings.second(), Settings.single("")):
        beside = Lab(settings=settings)
        with beside.claim(5):
            found += beside.down()
    print("\n".join(f"removed {item}" for item in found) or "there was nothing to remove")


def status(lab: Lab) -> None:
    """Say what is there."""
    if reason := lab.adopt(repair=False):
        print(f"no usable lab: {reason}")
        left = [str(pid) for pid in sorted(host.lab_processes(lab.settings))]
        print(f"processes of a lab: {' '.join(left) or 'none'}")
        print("try: python -m tests.lab up      (or down, to remove what is left)")
        sys.exit(1)
    show(lab)


def show(lab: Lab) -> None:
    """Nodes, sockets, services, and what to try."""
    states = lab.swarm_nodes()
    print(f"a Swarm of {len(lab.nodes)} nodes; this machine is {lab.host_address} on their network")
    for name, node in lab.nodes.items():
        engine = node.api("GET", "/version")["Version"]
        state, role = states[name]["Status"]["State"], states[name]["Spec"]["Role"]
        print(f"  {name}  {node.address:15}  {state:6} {role:8} engine {engine:8} unix://{node.socket}")
    print(f"control socket of {lab.manager.name}: {lab.manager.control_socket}")
    for name, image in sorted(lab.images.items()):
        print(f"image {name}: {image}")
    for service in lab.services():
        print(f"service {service['Spec']['Name']}")
    print("\ntry:")
    print(f"  export DOCKER_HOST=unix://{lab.manager.socket}")
    print(
        "  docker service create --no-resolve-image --name shop --replicas 3 --label lbgen.enable=true \\\n"
        f"    --publish target=8080,mode=host {lab.images['app']} --version v1"
    )
    print("  docker service ps shop")
    print("  python -m tests.lab down")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="A Swarm on this machine.")
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--nodes", type=int, help="default: LBGEN_LAB_NODES, else what runs, else 3")
    parser.add_argument("--managers", type=int, help="default: LBGEN_LAB_MANAGERS, else what runs, else 1")
    parser.add_argument("--engine", help="28.5, or one a node: 20.10,28.5; default: LBGEN_LAB_ENGINE, else what runs")
    options = parser.parse_args()
    try:
        lab = Lab(settings=_settings(options))
        if options.command == "status":
            status(lab)
            return
        with lab.claim(5):
            {"up": up, "down": down}[options.command](lab)
    except LabError as problem:
        sys.exit(f"lab: {problem}")


def _settings(options: argparse.Namespace) -> Settings:
    wanted = Settings.from_environment()
    size = {"nodes": wanted.nodes, "managers": wanted.managers, "engines": wanted.engines}
    if options.command != "down":
        try:
            record = json.loads((wanted.directory / "lab.json").read_text())
        except (OSError, ValueError):
            record = {}
        for key, variable in (("nodes", "NODES"), ("managers", "MANAGERS"), ("engines", "ENGINE")):
            if f"LBGEN_LAB_{variable}" not in os.environ:
                size[key] = record.get(key, size[key])
    engines = tuple(options.engine.split(",")) if options.engine else tuple(size["engines"])
    return Settings(options.nodes or size["nodes"], options.managers or size["managers"], engines=engines)


if __name__ == "__main__":
    main()
