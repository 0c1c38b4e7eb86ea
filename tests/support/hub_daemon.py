"""``lbgen run`` as a hub without targets, in a process of its own, and daemons that join it by commands."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.command import printed
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, wait_for


class HubDaemon(Daemon):
    """A hub on loopback, called m1, that hands out what its snapshot file says; its authority is made with it."""

    def __init__(self, directory: Path, port: int, **hub: object) -> None:
        """
        Args:
            directory: is made.
            port: of the servers.
            hub: more of setting hub.
        """
        directory.mkdir()
        super().__init__(directory, port)
        bind = f"127.0.0.1:{free_port()}"
        self.url, self.authority = f"https://{bind}", directory / "authority.pem"
        printed("hub", "init", "--dir", directory)
        self.settings |= {
            "hub": {"bind": bind, "authority": str(self.authority), "name": "m1", **hub},
            "state": str(directory / "state"),
            "targets": {},
        }
        self.save()

    def ready(self) -> None:
        """Wait until it hands out."""
        wait_for(lambda: self.status("/readyz")[0] == 200, "the hub")

    def edge(self, directory: Path, **source: object) -> Daemon:
        """Return a daemon that has this hub as its source; more of that is given."""
        directory.mkdir()
        made = Daemon(directory, self.server_port)
        made.settings |= {"source": {"hub": {"urls": [self.url], **source}}, "state": str(directory / "state")}
        made.save()
        return made

    def admit(self, daemon: Daemon, name: str, *words: str, again: bool = False) -> str:
        """Have a daemon join as an edge, whose token is made with these flags; return the token."""
        token = printed("hub", "token", name, "--authority", self.authority, *words)
        flags = ["--again"] if again else []
        joined = printed("join", self.url, "--token", token, "--state", daemon.directory / "state/edge", *flags)
        assert f"joined as {name}" in joined
        return token

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, if it runs; return its exit status. It has no HAProxy to wait for."""
        if not self.process:
            return 0
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)
