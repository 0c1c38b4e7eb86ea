"""The load balancers that are compared, by name."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

from bench import process
from bench.seat import NETWORK, Place, Seat, labels, traefik_program
from bench.seats_lbgen import Applied, Lbgen, LbgenFallback, LbgenNginx, LbgenPush, LbgenTraefik, NginxStatic
from bench.seats_others import DnsDefault, DnsTuned, Traefik1s, TraefikDefault, TraefikTuned

__all__ = [
    "ALL",
    "DEFAULT",
    "NETWORK",
    "Applied",
    "Lbgen",
    "LbgenFallback",
    "LbgenNginx",
    "LbgenPush",
    "NginxStatic",
    "Place",
    "Seat",
    "TraefikDefault",
    "labels",
    "versions",
]

ALL: dict[str, type[Seat]] = {
    seat.name: seat
    for seat in (
        *(LbgenPush, LbgenFallback, LbgenNginx, LbgenTraefik),
        *(TraefikDefault, Traefik1s, TraefikTuned, DnsDefault, DnsTuned),
    )
}
DEFAULT = [name for name in ALL if name != TraefikTuned.name]


def versions(program: str) -> dict[str, str]:
    """Versions of what takes part, as each says it itself."""

    def ask(pattern: str, *command: str) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=process.ROOT)
        except OSError:
            return "none"
        found = re.search(pattern, done.stdout + done.stderr, re.MULTILINE)
        return found[1] if found else "unknown"

    commit = ask(r"^([0-9a-f]+)$", "git", "rev-parse", "--short", "HEAD")
    changed = ask(r"^(.)", "git", "status", "--porcelain", "--", "lbgen", "templates") not in ("none", "unknown")
    return {
        "dockerd": ask(r"version ([\w.]+)", "dockerd", "--version"),
        "haproxy": ask(r"version ([\w.]+)", program, "-v"),
        "nginx": ask(r"version: nginx/([\w.]+)", "nginx", "-v"),
        "traefik": ask(r"Version:\s+(\S+)", traefik_program() or "traefik", "version"),
        "lbgen": f"{importlib.metadata.version('lbgen')} {commit}{' + changes' if changed else ''}",
        "python": sys.version.split()[0],
        "kernel": ask(r"(\S+)", "uname", "-r"),
    }
