"""The seats that lbgen is compared with: Traefik with its own Swarm provider, HAProxy with Docker's DNS."""

from __future__ import annotations

from typing import ClassVar

from bench.seat import API_PORT, NETWORK, PORT, SLOTS, TARGET, Seat, ask, in_traefik, traefik_program, usable


class Traefik(Seat):
    """Traefik with its own Swarm provider."""

    refresh: ClassVar[float | None] = None  # seconds; None: Traefik's default
    entry_point, suffix = "web", ""

    @classmethod
    def missing(cls) -> str:
        return "" if traefik_program() else "no traefik: pip install -r bench/requirements.txt"

    def command(self) -> list[str]:
        options = [
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            f"--entrypoints.{self.entry_point}.address=:{PORT}",
            f"--providers.swarm.endpoint=unix://{self.place.manager.socket}",
            "--providers.swarm.exposedbydefault=false",
            f"--providers.swarm.network={NETWORK}",
            "--api.insecure=true",  # asked when a container is killed
            f"--entrypoints.traefik.address=:{API_PORT}",
        ]
        options += [] if self.refresh is None else [f"--providers.swarm.refreshseconds={self.refresh:g}"]
        return [traefik_program(), *options]

    look_interval = 0.05

    def in_rotation(self, service: str, address: str) -> bool:
        return in_traefik(self.netns, f"{service}{self.suffix}@swarm", address)


class TraefikDefault(Traefik):
    """As it comes."""

    name, what = "traefik-15s", "Traefik 3, Swarm provider as it comes (a poll each 15 s)"


class Traefik1s(Traefik):
    """Polling as fast as it can be told to."""

    name, what, refresh = "traefik-1s", "Traefik 3, Swarm provider with refreshSeconds=1", 1.0


class TraefikTuned(Traefik):
    """The strongest that its own settings give."""

    name, what = "traefik-tuned", "Traefik 3, refreshSeconds=1, retry x4, health check 500 ms, dial timeout 250 ms"
    refresh, entry_point, suffix = 1.0, "tuned", "-tuned"

    def command(self) -> list[str]:
        return [*super().command(), "--serverstransport.forwardingtimeouts.dialtimeout=250ms"]


class Dns(Seat):
    """HAProxy with Docker's embedded DNS, no sidecar."""

    # Nothing but what every guide has; the time-outs are those of Debian's haproxy.cfg.
    resolvers = ""
    defaults = """\
    timeout connect 5s
    timeout client 50s
    timeout server 50s
"""
    backend = ""
    server = "check"

    def command(self) -> list[str]:
        text = f"global\n    stats socket {self.place.directory}/haproxy.sock level admin\n"
        text += f"resolvers docker\n    nameserver embedded 127.0.0.11:53\n{self.resolvers}"
        text += f"defaults\n    mode http\n{self.defaults}"
        text += f"frontend web\n    bind :{PORT}\n    use_backend %[req.hdr(host),field(1,.)]\n"
        for service in self.place.services:
            where = f"{SLOTS} tasks.{service}:{TARGET} resolvers docker init-addr none"
            text += f"backend {service}\n    balance roundrobin\n{self.backend}"
            text += f"    server-template {service} {where} {self.server}\n"
        path = self.place.directory / "haproxy.cfg"
        path.write_text(text)
        return [self.place.haproxy, "-db", "-f", str(path)]

    def in_rotation(self, service: str, address: str) -> bool:
        return usable(ask(self.place.directory / "haproxy.sock", f"show servers state {service}"), address)


class DnsDefault(Dns):
    """At HAProxy's own timings."""

    name, what = "haproxy-dns", "HAProxy alone, server-template tasks.NAME over 127.0.0.11, default timings"


class DnsTuned(Dns):
    """The strongest a user can do by hand."""

    name, what = "haproxy-dns-tuned", "the same: resolve each 200 ms, short holds, retries, redispatch, fast checks"
    resolvers = """\
    resolve_retries 3
    timeout resolve 200ms
    timeout retry 200ms
    hold valid 200ms
    hold obsolete 0s
    hold nx 1s
    hold timeout 5s
    hold refused 5s
    hold other 5s
"""
    defaults = """\
    timeout connect 250ms
    timeout client 50s
    timeout server 50s
    timeout check 250ms
    retries 3
    option redispatch 1
    retry-on all-retryable-errors
"""
    backend = "    option httpchk GET /health\n"
    server = "check inter 250ms fall 2 rise 1"
