"""What a Traefik consists of that files are applied to, and how it is told of them."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from lbgen.base.address import ANY, dialable, split_bind
from lbgen.base.errors import SettingsError
from lbgen.base.logs import log
from lbgen.proxies.kind import Parts, Setup
from lbgen.proxies.supervisor import Supervisor
from lbgen.proxies.traefik.api import Fleet
from lbgen.proxies.traefik.apply import STATIC, VERIFY_TIMEOUT, Traefik
from lbgen.proxies.traefik.check import checker
from lbgen.proxies.traefik.feed import Feed
from lbgen.proxies.traefik.kind import ENTRY_POINT, NAME, OFF, feed_url, probe


def parts(setup: Setup) -> Parts:
    """Return the proxy, its checker, and what keeps it running."""
    way = _way(setup)
    if way == "http" and not setup.settings.status.bind:
        raise SettingsError(
            f"targets.{setup.name}.apply.http: lbgen hands its configuration out at status.bind, which is empty; set it"
        )
    feed = Feed() if feed_url(setup) else None
    api = _api(setup)
    if api is None and (way != "http"):
        raise SettingsError(
            f"targets.{setup.name}.probe: only with apply.http can lbgen do without Traefik's API; name its address"
        )
    if way == "http":
        _tell_of_token(setup)
    _refuse_clashes(setup, way)
    names = setup.templates.names
    check = checker(setup, setup.output)
    if way != "run":
        return Parts(Traefik(api, feed, names), check)
    static = str(setup.output / STATIC)
    words = [setup.binary, f"--configFile={static}"]
    supervisor = Supervisor(words, "traefik", lambda: _running(static), signal.SIGTERM)
    restart = partial(supervisor.restart, VERIFY_TIMEOUT)
    return Parts(Traefik(api, feed, names, restart, VERIFY_TIMEOUT), check, supervisor)


def _way(setup: Setup) -> str:
    """Return how it gets its configuration: "http", "directory", or "run" for whichever of the two lbgen likes."""
    chosen = setup.target.apply.chosen
    if chosen in ("http", "directory"):
        return chosen
    setup.needs_run("Traefik takes run, http or directory")
    return "run"


def _api(setup: Setup) -> Fleet | None:
    address = probe(setup)
    if address == OFF:
        return None
    if NAME.fullmatch(address):
        name, _, port = address.partition(":")
        return Fleet(name, int(port))
    host, number = split_bind(address)
    return Fleet(dialable(host), number)


def _tell_of_token(setup: Setup) -> None:
    """Log it if no Traefik elsewhere can be given its configuration."""
    status = setup.settings.status
    if not (status.traefik_asks_without_token or status.auth or status.traefik_token):
        log.error(
            "traefik_not_admitted",
            target=setup.name,
            bind=status.bind,
            effect="Traefik is answered 403, and keeps what it has",
            remedy="set status.traefik_token: FILE, and have Traefik send it by providers.http.headers",
        )


def _refuse_clashes(setup: Setup, way: str) -> None:
    """Raise SettingsError for listeners that clash with the API's own entry point."""
    served = setup.target.listeners
    for name, listener in setup.settings.listeners.items():
        if served is not None and name not in served:
            continue
        if name == ENTRY_POINT:
            raise SettingsError(f"listeners.{name}: Traefik's API has this name; call the listener something else")
        api = probe(setup)
        if way == "run" and listener.protocol != "udp" and split_bind(listener.bind)[1] == split_bind(api)[1]:
            addresses = {split_bind(listener.bind)[0], split_bind(api)[0]}
            if len(addresses) == 1 or addresses & {*ANY}:
                raise SettingsError(
                    f"listeners.{name}.bind: Traefik's API listens on {api}; set targets.{setup.name}.probe to "
                    "another ADDRESS:PORT"
                )


def _running(static: str) -> int | None:
    """Return the pid of a Traefik of this machine (and no container on it) that was started with this file."""
    own = Path("/proc/self/ns/mnt").stat().st_ino
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if f"--configFile={static}".encode() in words and (process / "ns/mnt").stat().st_ino == own:
                    return int(process.name)
            except OSError:  # gone meanwhile, or somebody else's
                continue
    return None
