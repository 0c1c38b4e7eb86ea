"""A HAProxy's stats socket without HAProxy: servers, maps and one variable, changed and shown as 2.6 and 3.0 do it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

# Source: HAProxy management guide, section 9.3, "show servers state".
HEADER = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
COLUMNS = HEADER.split()


class FakeHAProxy:
    """Answers single lines, as `Runtime` sends them."""

    def __init__(self, **servers: str) -> None:
        """
        Args:
            servers: ``b__s1="10.0.0.1:80 check weight 5"`` is server s1 of backend b, which takes requests.
        """
        self.servers: dict[str, dict[str, str]] = {}
        self.maxconn: dict[str, str] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self.generation = ""
        self.busy: set[str] = set()  # servers with connections, which cannot be deleted
        self.deaf: str = ""  # an expression for commands that do nothing
        self.lines: list[str] = []  # as they came
        for name, words in servers.items():
            path = name.replace("__", "/")
            self._add(path, *words.split())
            self.servers[path] |= {"srv_admin_state": "0", "srv_check_state": "6" if "check" in words.split() else "0"}
        self._commands: list[tuple[str, Callable[..., str | None]]] = [
            (r"add server (\S+) (.*)", lambda path, words: self._add(path, *words.split())),
            (r"enable server (\S+)", lambda path: self._set(path, srv_admin_state="0")),
            (r"enable health (\S+)", lambda path: self._set(path, srv_check_state="6")),
            (r"set server (\S+) state maint", lambda path: self._set(path, srv_admin_state="1")),
            (r"set server (\S+) state ready", lambda path: self._set(path, srv_admin_state="0")),
            (r"set server (\S+) addr (\S+) port (\S+)", lambda path, a, p: self._set(path, srv_addr=a, srv_port=p)),
            (r"set server (\S+) weight (\S+)", lambda path, weight: self._set(path, srv_uweight=weight)),
            (r"set server (\S+) health up", lambda path: self._set(path, srv_op_state="2")),
            (r"set maxconn server (\S+) (\S+)", self.maxconn.__setitem__),
            (r"del server (\S+)", self._delete),
            (r"(?:add|set) map (\S+) (\S+) (\S+)", lambda m, key, value: self.maps[m].__setitem__(key, value)),
            (r"del map (\S+) (\S+)", lambda m, key: str(self.maps[m].pop(key))[:0]),
            (r"set var proc.lbgen_generation str\((.*)\)", lambda value: setattr(self, "generation", value)),
            (r"experimental-mode on", lambda: None),
            (r"show servers state(?: (\S+))?", self._state),
            (r"show map (\S+)", lambda m: "\n".join(f"0x5 {key} {value}" for key, value in self.maps[m].items())),
        ]

    @property
    def commands(self) -> list[str]:
        """The single commands that came, questions left out."""
        return [each for line in self.lines for each in line.split(";") if not each.startswith("show ")]

    def __call__(self, line: str) -> str:
        """Answer one line."""
        self.lines.append(line)
        return "".join(self._answer(command) or "\n" for command in line.split(";"))

    def _answer(self, command: str) -> str | None:
        if self.deaf and re.match(self.deaf, command):
            return None
        for pattern, act in self._commands:
            if match := re.fullmatch(pattern, command):
                return act(*match.groups())
        raise AssertionError(f"HAProxy does not know this command: {command}")

    def _add(self, path: str, where: str, *words: str) -> str:
        assert path not in self.servers, f"Already exists a server with the same name in backend: {path}"
        backend, name = path.split("/")
        address, _, port = where.rpartition(":")
        weight = words[words.index("weight") + 1] if "weight" in words else "1"
        self.servers[path] = dict.fromkeys(COLUMNS, "0") | {
            "be_name": backend,
            "srv_name": name,
            "srv_addr": address.strip("[]"),
            "srv_port": port,
            "srv_uweight": weight,
            "srv_admin_state": "1",  # maintenance
            "srv_op_state": "2",
        }
        return "New server registered.\n"

    def _set(self, path: str, **columns: str) -> str:
        if path not in self.servers:
            return "No such server.\n"
        self.servers[path] |= columns
        return "\n"

    def _delete(self, path: str) -> str:
        if path in self.busy:
            return "Server still has connections attached to it, cannot remove it.\n"
        return "Server deleted.\n" if self.servers.pop(path, None) else "No such server.\n"

    def _state(self, backend: str | None) -> str:
        rows = [row for row in self.servers.values() if backend in (None, row["be_name"])]
        return "\n".join(["1", f"# {HEADER}", *(" ".join(row.values()) for row in rows), ""])


@contextlib.contextmanager
def listening(path: Path, answer: Callable[[str], str]) -> Iterator[list[str]]:
    """Answer what is sent to a socket, a line for each connection; yield the lines that came, in order."""
    came: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed: the test is over
                while True:
                    connection, _ = server.accept()
                    with connection, connection.makefile("rw", encoding="utf-8") as stream:
                        came.append(stream.readline().rstrip("\n"))
                        stream.write(answer(came[-1]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield came
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
