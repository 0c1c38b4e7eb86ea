"""Changes a running HAProxy through its runtime API, and reads back whether it is as it should be.

The replies carry no status, so they are not relied on: what `show servers state` and `show map` say afterwards is.
Facts (observed on 2.6 and 3.0): a new server starts in maintenance, without its default-server and with its check
off; a server with connections cannot be deleted, one in maintenance gets no new ones; from 3.0 on only the first line
of a connection is executed, so commands are joined by ``;``; 3.2 refuses lines above 16 KiB. From 3.0 on a new address
is taken up by a task of its own (``server_atomic_sync`` in its source), so it can show a moment after the reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from lbgen.base.address import host_port
from lbgen.base.errors import ApplyFailed
from lbgen.base.logs import log
from lbgen.proxies.haproxy.configuration import CHANGEABLE, ServerLine
from lbgen.proxies.haproxy.plan import Commands, MapChange
from lbgen.proxies.wait import looks

GENERATION = "proc.lbgen_generation"
OLDEST = (2, 6)  # earlier versions cannot add servers that are checked
_LONGEST = 8000  # characters of a line, half of what the strictest version takes
_PATIENCE = 2.0  # seconds for addresses to be taken up
_PAUSE = 0.005  # between two looks
_MAINTENANCE, _CHECK_ENABLED = 1, 4  # bits of srv_admin_state and srv_check_state
Row = dict[str, str]  # of ``show servers state``: column -> value
Leftovers = Mapping[str, ServerLine]  # removed servers by path, in maintenance until their connections end


class Runtime:
    """The runtime API of one HAProxy process."""

    def __init__(
        self,
        ask: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``ask`` sends one line to the stats socket and returns the whole reply; it raises ProxyUnreachable."""
        self._ask = ask
        self._looks = partial(looks, _PATIENCE, _PAUSE, clock=clock, sleep=sleep)
        self.leftovers: Leftovers = {}

    def change(self, live: Commands, generation: str) -> None:
        """Make the change, prove it, and mark the process with the generation it now has.

        Raises:
            ApplyFailed: the process is not as it should be; only a reload will help.
        """
        commands = list(_commands(live, self.leftovers))
        added = {line.path for line in live.added}
        held = {path: line for path, line in self.leftovers.items() if path not in added}
        self.leftovers = held | {line.path: line for line in live.removed}
        self._send(commands)
        self._prove(live)
        self._send(["experimental-mode on", f"set var {GENERATION} str({generation})"])
        self.tidy()

    def tidy(self) -> bool:
        """Delete removed servers whose connections have ended; return whether some still have any."""
        self.leftovers = {path: line for path, line in self.leftovers.items() if not self._deleted(path)}
        return bool(self.leftovers)

    def forget(self) -> None:
        """Begin anew: the process was reloaded, and has the servers of the file alone."""
        self.leftovers = {}

    def _deleted(self, path: str) -> bool:
        reply = self._ask(f"del server {path}")
        return "deleted" in reply or "No such" in reply

    def _prove(self, live: Commands) -> None:
        for backend, servers in live.expected.items():
            state = self._settled(backend, servers)
            for line in servers:
                if wrong := _wrong(line, state.pop(line.name, None)):
                    raise ApplyFailed(f"server {line.path}: {wrong}")
            alive = [name for name, row in state.items() if not _in_maintenance(row)]
            if alive:
                raise ApplyFailed(f"backend {backend} still has server {', '.join(alive)}")
        entries = {file: dict(_map_rows(self._ask(f"show map {file}"))) for file in {each.file for each in live.maps}}
        for change in live.maps:
            value = entries[change.file].get(change.key)
            if value != change.new:
                raise ApplyFailed(f"map {change.file}: {change.key} is {value}, not {change.new}")

    def _settled(self, backend: str, servers: Sequence[ServerLine]) -> dict[str, Row]:
        """Return the backend's state once its servers have taken up their addresses, or when time is over."""
        state: dict[str, Row] = {}
        for _ in self._looks():
            state = read_state(self._ask(f"show servers state {backend}"))
            if all(line.name not in state or _is_at(line, state[line.name]) for line in servers):
                break
        return state

    def _send(self, commands: Iterable[str]) -> None:
        for batch in _batches(commands):
            reply = self._ask(batch)
            log.debug("runtime_api", commands=batch, reply=" ".join(reply.split()))


def _commands(live: Commands, leftovers: Leftovers) -> Iterator[str]:
    """New servers come before old ones leave, so that a backend is never without any."""
    for line in live.added:
        yield from _revived(leftovers[line.path], line) if line.path in leftovers else _added(line)
    for before, after in live.changed:
        yield from _changed(before, after)
    yield from map(_map_command, live.maps)
    for line in live.removed:
        yield f"set server {line.path} state maint"


def read_state(reply: str) -> dict[str, Row]:
    """Read ``show servers state`` of one backend: {server: {column: value}}.

    Source: HAProxy management guide, section 9.3; a "1", a "# " line of columns, then one line for each server.
    """
    lines = reply.splitlines()
    columns = _columns(lines)
    rows = (line.split() for line in lines if not line.startswith("#") and len(line.split()) == len(columns) > 1)
    return {row["srv_name"]: row for row in (dict(zip(columns, values, strict=True)) for values in rows)}


def down_rows(reply: str, servers: Sequence[ServerLine]) -> list[str]:
    """Return the lines of ``show servers state`` (all backends) worth keeping over a reload, header first.

    Only those of servers that are down and, by address, port and weight, the same in the new file: the state file
    would give a server its old port and weight, but not its old address (observed).
    """
    lines = reply.splitlines()
    columns = _columns(lines)
    same = {(line.backend, line.name, line.address, str(line.port), str(line.weight)) for line in servers}
    kept = [line for line in lines if line.strip() == "1" or line.startswith("# ")]
    for line in lines:
        row = dict(zip(columns, line.split(), strict=False))
        key = tuple(row.get(name, "") for name in ("be_name", "srv_name", "srv_addr", "srv_port", "srv_uweight"))
        if key in same and row["srv_op_state"] == "0" and row["srv_admin_state"] == "0":
            kept.append(line)
    return kept


def _columns(lines: Iterable[str]) -> list[str]:
    return next((line[2:].split() for line in lines if line.startswith("# ")), [])


def _added(line: ServerLine) -> Iterator[str]:
    words = " ".join(f"{key} {value}".strip() for key, value in _with_check_as_requests(line).items())
    yield f"add server {line.path} {host_port(line.address, line.port)} {words}".strip()
    if "check" in line.keywords:
        yield f"enable health {line.path}"
    yield f"enable server {line.path}"


def _with_check_as_requests(line: ServerLine) -> dict[str, str]:
    """Return a server's keywords with those that its checks have of its requests only where it is in the file.

    Source: HAProxy 2.6 to 3.2, src/check.c, init_srv_check().
    """
    words = dict(line.keywords)
    plain = words.pop("no-check-ssl", None) is not None  # refused here, and what is done without it
    if "check" in words and not words.keys() & {"port", "addr"}:
        if "ssl" in words and not plain:
            words["check-ssl"] = ""
        if words.keys() & {"send-proxy", "send-proxy-v2"}:
            words["check-send-proxy"] = ""
    return words


def _revived(was: ServerLine, line: ServerLine) -> Iterator[str]:
    """Take up a server again that was removed a moment ago and is still held by a connection."""
    if _fixed(was) != _fixed(line):
        raise ApplyFailed(f"server {line.path} was removed with other keywords and still has connections")
    yield from _changed(was, line)
    yield f"set server {line.path} state ready"


def _changed(before: ServerLine, after: ServerLine) -> Iterator[str]:
    if (before.address, before.port) != (after.address, after.port):
        yield f"set server {after.path} addr {after.address} port {after.port}"
        if "check" in after.keywords:  # what was found out about the old address says nothing of the new one
            yield f"set server {after.path} health up"
    if before.weight != after.weight:
        yield f"set server {after.path} weight {after.weight}"
    if "maxconn" in after.keywords and before.keywords.get("maxconn") != after.keywords["maxconn"]:
        yield f"set maxconn server {after.path} {after.keywords['maxconn']}"


def _map_command(change: MapChange) -> str:
    if change.new is None:
        return f"del map {change.file} {change.key}"
    return f"{'add' if change.old is None else 'set'} map {change.file} {change.key} {change.new}"


def _fixed(line: ServerLine) -> dict[str, str]:
    return {key: value for key, value in line.keywords.items() if key not in CHANGEABLE}


def _in_maintenance(row: Row) -> bool:
    return bool(int(row["srv_admin_state"]) & _MAINTENANCE)


def _is_at(line: ServerLine, row: Row) -> bool:
    return (row["srv_addr"], row["srv_port"]) == (line.address, str(line.port))


def _wrong(line: ServerLine, row: Row | None) -> str:
    """Say in what the process differs from the line; empty if in nothing."""
    if row is None:
        return "is not there"
    shown = {"srv_addr": line.address, "srv_port": str(line.port), "srv_uweight": str(line.weight)}
    for column, expected in shown.items():
        if row[column] != expected:
            return f"{column} is {row[column]}, not {expected}"
    if _in_maintenance(row) and "disabled" not in line.keywords:
        return "is in maintenance"
    if "check" in line.keywords and not int(row["srv_check_state"]) & _CHECK_ENABLED:
        return "is not checked"
    return ""


def _map_rows(reply: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of each line of ``show map``: an address, the key, the value."""
    for line in reply.splitlines():
        words = line.split(" ", 2)
        if len(words) == 3:
            yield words[1], words[2]


def _batches(commands: Iterable[str]) -> Iterator[str]:
    batch = ""
    for command in commands:
        if batch and len(batch) + len(command) > _LONGEST:
            yield batch
            batch = ""
        batch = f"{batch};{command}" if batch else command
    if batch:
        yield batch
