"""`lbgen drain`: takes a host, node or server out of the proxies before it stops, and puts it back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from lbgen.base.errors import LbgenError, NoDaemon, NotAdmitted, ProblemsFound, SettingsError
from lbgen.base.problem import printable
from lbgen.cli.daemon import daemon_at, daemon_of, status_options
from lbgen.cli.drain_text import asked_lines, listed_lines, still_served, written_lines
from lbgen.cli.options import CommonOptions, common_options
from lbgen.cli.output import OUTPUT, print_json, print_lines
from lbgen.daemon import drain_store
from lbgen.daemon.drain_store import LONGEST_NAME, LONGEST_REASON, Drain
from lbgen.labels.suggestions import alike
from lbgen.labels.values.basic import duration
from lbgen.labels.values.value_type import BadValue
from lbgen.settings import Settings
from lbgen.status import client

PAUSE = 0.2  # seconds between two questions to the daemon
TAKEN = 5.0  # seconds in which a daemon takes what was written
LONGEST = 366 * 86400.0  # seconds that a drain may be for
Document = dict[str, Any]
_STATUS = "URL of the daemon's status. Default: setting status.bind, on this host. The file is this host's in any case."


class NotDrained(LbgenError):
    """What was asked for is written, and the daemon is not known to have done it."""


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return duration(1.0, LONGEST)(str(value))
        except BadValue as bad:
            self.fail(f"{value!r} {bad.message}; {bad.remedy}", param, ctx)


@click.command()
@common_options(source=False, target=False)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--undo", is_flag=True, help="Put it back: it gets requests again.")
@click.option("--list", "listing", is_flag=True, help="Show what is drained, as without a NAME.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who look at 'lbgen ls' and 'lbgen history'.")
@click.option("--for", "for_", type=_Duration(), metavar="DURATION", help="Put it back by itself after 30m, 2h, ...")
@click.option("--wait", is_flag=True, help="Wait until it has no more sessions, or its time to drain is over.")
@click.option(
    "--timeout", type=_Duration(), default="10m", show_default=True, metavar="DURATION", help="Of --wait, at most."
)
@click.option("--allow-served", is_flag=True, help="Exit 0 also where requests still go there; see below.")
@click.option("--force", is_flag=True, help="Write the name whatever the daemon says of it, or without asking.")
@status_options(_STATUS)
@OUTPUT
def drain(common: CommonOptions, names: tuple[str, ...], url: str | None, auth: Path | None, **options: Any) -> None:
    """Take a host, a node or a server out, so that it can be stopped.

    NAME is a node or a host, by hostname or id, or a server as 'lbgen ls' shows it: web.1, web.node2. PART/NAME is that
    of one of several sources. The proxies send it no new sessions; those that it has go on, for at most setting
    discovery.drain_grace. It stays drained until --undo, over restarts of lbgen and of the machine. A name stands for
    a place: a new task in the slot of web.1 is drained as well.

    \b
    Before a reboot:
      lbgen drain node2 --wait && ssh node2 reboot
      lbgen drain --undo node2

    What only it can serve it goes on serving: a backend that has no other server would have none. Nor can lbgen keep
    requests from a task that Swarm chooses by itself, behind a port of its mesh or a virtual IP: 'docker node update
    --availability drain NODE' moves these tasks. Both are told, with exit code 5. Where the proxy finds all other
    servers of a backend down, nothing is drained.

    It is written to drains.json in the directory of setting state, which the daemon watches: run this where lbgen runs,
    as its user or as root. Nothing can be drained over the network. Without a daemon, the next one goes by it.

    \b
    Exit codes:
      0  it is drained (with --wait: it can be stopped), or put back
      1  the daemon has not done it in time; it stays written
      2  there is no such name (similar ones are suggested), or the file cannot be written
      4  no daemon answers, and --wait was given
      5  it is drained, but requests still go there, or it is not drained since others are down (see --allow-served)
    """
    settings = common.settings("warning")
    call = _Call(settings, url, auth, names, **options)
    if options["listing"] or not names:
        call.show_list()
    elif options["undo"]:
        call.undo()
    else:
        call.drain()


class _Call:
    """One call of the command."""

    def __init__(self, settings: Settings, url: str | None, auth: Path | None, names: Sequence[str], **options: Any):
        self._options, self._names = options, list(dict.fromkeys(names))
        self._path = settings.state / drain_store.FILE
        self._json: bool = options["form"] == "json"
        if options["undo"] and not names:
            raise SettingsError("drain --undo: name what to put back; 'lbgen drain --list' shows what is drained")
        for name in self._names:
            if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
                raise SettingsError(f"drain: {printable(name)!r} is no name: see 'lbgen ls' for those that there are")
        if len(options["reason"]) > LONGEST_REASON or not options["reason"].isprintable():
            raise SettingsError(f"drain --reason: write one line of at most {LONGEST_REASON} characters")
        self._daemon: client.Daemon | None = None
        self._no_daemon = ""
        try:
            self._daemon = daemon_at(url, auth) if url else daemon_of(settings.status, auth)
        except SettingsError as error:
            if url or settings.status.address:
                raise
            self._no_daemon = str(error)

    def show_list(self) -> None:
        """Show what is drained."""
        stored = drain_store.read(self._path)
        documents = self._asked([*self._names] or list(stored)) if stored or self._names else []
        if documents is None:
            documents = [{"name": name, "asked": name in stored} for name in self._names or stored]
        for document in documents:
            known = stored.get(document["name"])
            document |= _times(known) if known else {}
        if self._json:
            print_json({"file": str(self._path), "daemon": not self._no_daemon, "drains": documents})
        else:
            print_lines(listed_lines(documents, self._no_daemon))

    def drain(self) -> None:
        """Write the names, and say what becomes of them."""
        before = self._asked(self._names) or []
        if not self._options["force"]:
            _refuse_unusable(before)
            if not self._options["allow_served"]:
                _refuse_the_last_that_answers(before)
        self._need_daemon()
        now = time.time()
        until = now + self._options["for_"] if self._options["for_"] else None
        with drain_store.changing(self._path) as drains:
            for name in self._names:
                known = drains.get(name)
                reason = self._options["reason"] or (known.reason if known else "")
                drains[name] = Drain(name, known.since if known else now, reason, until)
        if not self._json:
            print_lines(written_lines(self._names, self._path, self._no_daemon))
        wait: bool = self._options["wait"]
        failure = "is not drained yet" if wait else "has not been taken"
        documents = self._awaited(lambda each: bool(each["done" if wait else "asked"]), failure)
        self._show(documents)
        if not self._options["allow_served"] and any(map(still_served, documents)):
            sys.exit(ProblemsFound.exit_code)

    def undo(self) -> None:
        """Put the names back."""
        self._need_daemon()
        with drain_store.changing(self._path) as drains:
            unknown = [name for name in self._names if name not in drains]
            for name in unknown:
                if not self._options["force"] and not self._is_there(name):
                    nearest = alike(name, drains) if drains else ""
                    remedy = f"did you mean {nearest}?" if nearest else "'lbgen drain --list' shows what is"
                    raise SettingsError(f"drain --undo: {printable(name)} is not drained: {remedy}")
            for name in self._names:
                drains.pop(name, None)
        if not self._json:
            print_lines(f"{name} {'was not drained' if name in unknown else 'is put back'}" for name in self._names)
        documents = self._awaited(lambda each: not each["asked"], "has not been put back")
        if self._json:
            print_json({"file": str(self._path), "daemon": not self._no_daemon, "drains": documents})
        elif self._no_daemon:
            print_lines([f"no daemon was asked: {self._no_daemon}"])

    def _show(self, documents: Sequence[Document]) -> None:
        if self._json:
            print_json({"file": str(self._path), "daemon": not self._no_daemon, "drains": documents})
        else:
            print_lines(asked_lines(documents, waited=self._options["wait"]))

    def _is_there(self, name: str) -> bool:
        return any(each["kind"] for each in self._asked([name]) or [])

    def _need_daemon(self) -> None:
        if self._options["wait"] and self._no_daemon:
            raise NoDaemon(self._no_daemon)

    def _asked(self, names: Sequence[str]) -> list[Document] | None:
        """Ask the daemon what names mean, and how far they are; None: there is none, or it is not to be asked."""
        if self._daemon is None:
            return None
        try:
            document = client.ask(self._daemon, f"/api/v1/drains?{urlencode([('name', name) for name in names])}")
        except (NoDaemon, NotAdmitted) as error:
            if isinstance(error, NotAdmitted) and not self._options["force"]:
                raise
            self._daemon, self._no_daemon = None, str(error)
            return None
        if document["file"] != str(self._path) and not self._options["force"]:
            read = document["file"] or "no file"
            raise SettingsError(
                f"state: the daemon at {self._daemon.url} reads {read}, and this would write {self._path}; use its "
                "settings (--config), or run this where it runs"
            )
        drains: list[Document] = document["drains"]
        return drains

    def _awaited(self, done: Callable[[Document], bool], failure: str) -> list[Document]:
        """Ask until it is so for all names; raise NotDrained if that takes too long."""
        ends = time.monotonic() + (self._options["timeout"] if self._options["wait"] else TAKEN)
        while True:
            documents = self._asked(self._names)
            if documents is None:
                if self._options["wait"]:
                    raise NoDaemon(self._no_daemon)
                return []
            if all(map(done, documents)):
                return documents
            if time.monotonic() >= ends:
                self._show(documents)
                late = ", ".join(each["name"] for each in documents if not done(each))
                raise NotDrained(f"{late} {failure}; it stays written in {self._path}, and lbgen's log says more")
            time.sleep(PAUSE)


def _times(known: Drain) -> Mapping[str, object]:
    until = None if known.until is None else drain_store.stamp(known.until)
    return {"since": drain_store.stamp(known.since), "reason": known.reason, "until": until}


def _refuse_the_last_that_answers(documents: Sequence[Document]) -> None:
    """Raise ProblemsFound where all others of a backend are down: its requests would fail at once."""
    for each in documents:
        if not each["asked"] and (down := each["others_down"]):
            raise ProblemsFound(
                f"drain: {printable(each['name'])} is not drained: of {', '.join(down)} the proxy finds all other "
                "servers down, so requests would fail; mend them first (--allow-served drains it all the same)"
            )


def _refuse_unusable(documents: Sequence[Document]) -> None:
    """Raise SettingsError where a name cannot be drained: nothing has it, several have, or Swarm would not obey."""
    for each in documents:
        name = printable(each["name"])
        if each["choices"]:
            raise SettingsError(f"drain: {name} is in several sources: name one of {', '.join(each['choices'])}")
        if each["mesh_node"]:
            node = each["mesh_node"]
            raise SettingsError(
                f"drain: {name} stands for node {node} in Swarm's mesh, which is shared by all services: drain {node}"
            )
        if not each["kind"]:
            near = " or ".join(map(printable, each["near"]))
            remedy = f"did you mean {near}?" if near else "'lbgen ls' shows those that there are"
            raise SettingsError(f"drain: no node, host or server has the name {name}: {remedy} (--force writes it)")
        if each["kind"] == "server" and each["by_swarm"] and not each["servers"]:
            services = ", ".join(each["by_swarm"])
            raise SettingsError(
                f"drain: Swarm itself chooses the tasks of {services}, so {name} cannot be kept from requests here; "
                "scale the service, or drain the node in Swarm (--force writes it)"
            )
