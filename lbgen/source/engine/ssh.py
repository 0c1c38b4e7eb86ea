"""HTTP over the standard input and output of a command: how the docker command line speaks ``ssh://``.

One ``ssh ... docker system dial-stdio`` per connection, reused for many requests. The command's streams are one end
of a socket pair, so that the HTTP side has a real socket: timeouts work, and another thread can end a read.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, unquote

from urllib3.connection import HTTPConnection


def ssh_command(url: SplitResult) -> list[str]:
    """Return the command for ``ssh://[user@]host[:port][/path/of/docker.sock]``; ~/.ssh/config has its say.

    BatchMode: nobody is there to type a password. Source: docker/cli, ``cli/connhelper``.
    """
    command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    if url.username:
        command += ["-l", unquote(url.username)]
    if url.port:
        command += ["-p", str(url.port)]
    socket_path = url.path.rstrip("/")
    option = [f"--host=unix://{unquote(socket_path)}"] if socket_path else []
    remote = shlex.join(["docker", *option, "system", "dial-stdio"])
    return [*command, "--", str(url.hostname), remote]


class CommandConnection(HTTPConnection):
    """One run of the command."""

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: Any = None
        self._last_line = ""

    def connect(self) -> None:
        """Start the command."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by close(); a pipe could fill up and block it
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: Ctrl-C is for lbgen to handle, and ssh must not reach for the terminal.
            end = theirs.fileno()
            self._process = subprocess.Popen(
                self._command, stdin=end, stdout=end, stderr=self._errors, start_new_session=True
            )
        ours.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
        self.sock = ours

    def send(self, data: Any) -> None:
        try:
            super().send(data)
        except ConnectionError as error:
            raise self._explained(error) from None

    def getresponse(self) -> Any:
        try:
            return super().getresponse()
        except ConnectionError as error:
            raise self._explained(error) from None

    def close(self) -> None:
        """Hang up, and have the command end, by force if it does not take the hint."""
        super().close()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._errors.seek(0)
        self._last_line = self._errors.read(20_000).decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._errors.close()

    def _explained(self, error: Exception) -> ConnectionError:
        """Replace the bare "remote end closed" of the HTTP side by the last line the command wrote to stderr."""
        self.close()
        return ConnectionError(self._last_line.strip() or str(error))
