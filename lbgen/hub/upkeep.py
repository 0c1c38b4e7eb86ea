"""What a hub does about trust of its own accord: it takes revocations and a new authority from files, talks to its
peers, and keeps its ledger on disk."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from lbgen.base.errors import SettingsError
from lbgen.base.file_watch import watched
from lbgen.base.logs import log
from lbgen.base.private_file import make_private_directory
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.base.unwritable import unwritable
from lbgen.hub import revocations
from lbgen.hub.authority import Authority, read_bundle
from lbgen.hub.ledger import FILE, Ledger
from lbgen.hub.registrar import Registrar
from lbgen.hub.steady_clock import SteadyClock

FLUSHED = 10.0  # seconds after which what is new in the ledger is on disk, if it may wait


@contextlib.contextmanager
def kept_up(
    file: Path,
    authority: Authority,
    ledger: Ledger,
    registrar: Registrar,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Do all of that while the block runs.

    Args:
        file: the authority's.
        clock, monotonic: what has ended by the first is forgotten once both have gone along for a while.
    Raises:
        SettingsError: the hub's state cannot be written.
    """
    asked, ended = _made(ledger.state), threading.Event()

    def changed() -> None:
        revocations.take(ledger.state, registrar.revoke)
        _reread(file, authority)

    peers = threading.Thread(target=registrar.peers.run, name="lbgen-hub-peers", daemon=True)
    with watched(lambda: [asked, file], changed) as watch:
        watch.ask()  # for what was there before
        keep = partial(_keep, ledger, clock, monotonic, ended, watch.ask)
        disk = threading.Thread(target=keep, name="lbgen-hub-ledger", daemon=True)
        peers.start()
        disk.start()
        try:
            yield
        finally:
            ended.set()
            registrar.peers.end()
            disk.join(5)


def _made(state: Path) -> Path:
    """Make the hub's directories; return the one in which revocations are asked for."""
    asked = revocations.directory(state)
    try:
        make_private_directory(state)
        make_private_directory(asked)
    except OSError as error:
        remedy = "give it to lbgen's account, or set hub.state or state to a directory that this may write"
        raise SettingsError(f"hub.state {error.filename}: cannot be made: {error.strerror}; {remedy}") from error
    return asked


def _reread(file: Path, authority: Authority) -> None:
    try:
        bundle = read_bundle(file)
    except SettingsError as error:
        log.warning("hub_authority_unread", error=str(error), effect="the one that was read before stays in force")
        return
    if bundle.text() != authority.bundle.text():
        authority.take(bundle)
        log.info("hub_authority_changed", fingerprints=",".join(each[:16] for each in authority.fingerprints))


def _keep(
    ledger: Ledger,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
    ended: threading.Event,
    ask: Callable[[], None],
) -> None:
    """Have what is new on disk soon, and revocations tried again that could not be; until `ended`."""
    complaint, watch = "", SteadyClock(clock, monotonic)

    def keep() -> None:
        nonlocal complaint
        if watch.steady():
            ledger.forget(clock())
        try:
            ledger.flush()
        except OSError as error:
            said = unwritable(ledger.state / FILE, error)
            if complaint != said:
                effect = "it is tried again; after a restart some of it is learnt anew, and nobody can join meanwhile"
                log.error("hub_ledger_unwritten", error=said, effect=effect)
            complaint = said
            return
        if complaint:
            log.info("hub_ledger_written_again", file=str(ledger.state / FILE))
        complaint = ""
        if revocations.waiting(ledger.state):
            ask()

    guard = UNEXPECTED.guard(Part.HUB, "keeping its ledger", event="hub_failed")
    while not ended.wait(FLUSHED):
        guard.tried(keep)
    guard.tried(keep)
