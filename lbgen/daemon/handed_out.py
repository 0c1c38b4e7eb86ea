"""An edge's side of fleet settings: what a hub hands out is verified, limited, tried, and only then in force.

The edge's own file is the last word: what is handed out lies under it, as far as `source.hub.accept` goes, and its
templates come before the target's own ones. What is refused changes nothing, and the hub is told why.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from lbgen.base.errors import LbgenError, SettingsError, TemplateError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.daemon.handed_out_store import HandedOutStore, StoreFailed
from lbgen.render.templates import find
from lbgen.settings import Settings, TargetSettings
from lbgen.settings.accepted import TEMPLATES, refuse
from lbgen.source.hub.handout import Bundle, ContentRefused, Handout, HandoutRefused, Replayed, opened

AGAIN = 60.0  # seconds until what cannot be written is tried again: a trial runs the proxy's checker
ReadOwn = Callable[[Mapping[str, Any]], Settings]  # the edge's settings, with others laid under them
Trial = Callable[[Settings], None]  # raises an LbgenError where settings cannot be in force


class HandedOut:
    """What hubs have handed out to this edge."""

    def __init__(
        self,
        store: HandedOutStore,
        name: str,
        signed: Callable[[bytes, bytes], bool],
        read_own: ReadOwn,
        accept: Callable[[Settings], Collection[str]],
        again: float = AGAIN,
    ) -> None:
        """
        Args:
            again: seconds until what cannot be written is tried again.
            name: the edge's.
            signed: tells whether an authority that this edge trusts has made a signature for a text.
            read_own: reads the edge's settings; raises SettingsError.
            accept: of the edge's own settings.
        """
        self._store, self._name, self._signed, self._read_own, self._accept = store, name, signed, read_own, accept
        self._in_force, self._unusable = (
            "",
            "",
        )  # version that the settings read last are with; why it is not the store's
        self._complaint, self._seconds = "", again
        self._trial: Trial = lambda _settings: None
        self._taken: Callable[[], None] = lambda: None
        # Only the newest message is kept: each may have megabytes, and a trial takes its time.
        self._news: deque[Mapping[str, Any]] = deque(maxlen=1)
        self._woken, self._ended = threading.Event(), False
        self._guard = UNEXPECTED.guard(Part.EDGE, "settings of a hub", effect="those before stay in force")
        self._thread = threading.Thread(target=self._run, name="handed-out", daemon=True)

    @property
    def file(self) -> Path:
        """The file that changes when other settings are to be read."""
        return self._store.file

    def read(self) -> Settings:
        """Return the settings to go by: the edge's own, over those that were handed out, if these can still be used.

        Raises:
            SettingsError: the edge's own cannot be used.
        """
        current = self._store.current
        try:
            self._store.check()
            settings = self._with(Bundle(current.settings, dict.fromkeys(current.files, "")), current.version)
            self._in_force, self._unusable = current.version, ""
        except LbgenError as error:
            settings = self._read_own({})
            if str(error) != self._unusable:
                log.error("handed_out_unusable", version=current.version, error=str(error), effect="own settings alone")
            self._in_force, self._unusable = "", str(error)
        return settings

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take a hub's message; what follows happens in a thread of its own."""
        self._news.append(message)
        self._woken.set()

    def start(self, trial: Trial, taken: Callable[[], None] = lambda: None) -> None:
        """Begin to act on messages.

        Args:
            trial: tries settings out.
            taken: is called when other settings are to be read; who watches `file` needs none.
        """
        self._trial, self._taken = trial, taken
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended = True
        self._woken.set()

    def report(self) -> dict[str, Any]:
        """Return what the hub is told: what is in force, and what became of what it handed out last."""
        current, unusable = self._store.current, self._unusable
        refused, error = (current.version, unusable) if unusable else (current.refused, current.error)
        return {
            "version": self._in_force,
            "sequence": current.sequence,
            "refused": refused,
            "error": (error or self._complaint)[:3000],
        }

    def act(self, message: Mapping[str, Any]) -> None:
        """Do what a hub's message says, if it is for this edge, new, accepted and passes its trial.

        Raises:
            StoreFailed: what becomes of it cannot be kept.
        """
        try:
            handout = opened(message, self._name, self._store.current.sequence, self._signed)
        except Replayed as error:  # the same once more, after a connection that was lost
            log.warning("handed_out_before", error=str(error))
        except ContentRefused as error:
            self._refuse(error.handout, error)
        except HandoutRefused as error:
            self._complaint = str(error)
            log.error("handed_out_refused", error=str(error), effect="what is in force stays in force")
        else:
            self._judge(handout)
            self._complaint = ""

    def _judge(self, handout: Handout) -> None:
        bundle = handout.bundle
        try:
            self._store.unpack(bundle)
            self._trial(self._with(bundle, bundle.version))
        except StoreFailed:
            raise
        except LbgenError as error:
            self._refuse(handout, error)
        except Exception as error:  # whatever it is, it must not be in force
            self._guard.failed(error)
            self._refuse(handout, SettingsError(f"an unexpected error, see the edge's log: {type(error).__name__}"))
        else:
            self._store.take(bundle, handout.sequence)
            log.info("handed_out_taken", version=bundle.version or "none", sequence=handout.sequence)
            self._taken()

    def _refuse(self, handout: Handout, error: LbgenError) -> None:
        version = handout.bundle.version
        self._store.refuse(version, handout.sequence, str(error))
        effect = "what is in force stays in force"
        log.error("handed_out_refused", version=version, sequence=handout.sequence, error=str(error), effect=effect)

    def _with(self, bundle: Bundle, version: str) -> Settings:
        """Return the edge's settings with a version of handed-out ones; raise LbgenError where that cannot be."""
        own = self._read_own({})
        if not version:
            return own
        accept = self._accept(own)
        refuse(bundle.settings, accept)
        if bundle.templates and TEMPLATES not in accept:
            raise SettingsError(
                f"this edge does not accept {TEMPLATES}: add it to source.hub.accept in its own settings"
            )
        settings = self._read_own(bundle.settings) if bundle.settings else own
        if TEMPLATES not in accept:
            return settings
        targets = {name: self._with_templates(target, version) for name, target in settings.targets.items()}
        return settings.model_copy(update={"targets": targets})

    def _with_templates(self, target: TargetSettings, version: str) -> TargetSettings:
        """Return a target that looks for templates in those that were handed out for its proxy, then in its own."""
        try:
            path = self._store.templates(version, find(target.templates).manifest.proxy)
        except TemplateError:
            return target  # its own cannot be read: that is told where they are used
        return target.model_copy(update={"templates": [str(path), *target.templates]}) if path else target

    def _run(self) -> None:
        undone: Mapping[str, Any] | None = None
        while True:
            self._woken.wait(None if undone is None else self._seconds)
            if self._ended:
                return
            self._woken.clear()
            message, undone = self._news.pop() if self._news else undone, None
            if message is not None and not self._done(message):
                undone = message

    def _done(self, message: Mapping[str, Any]) -> bool:
        """Act on a message; return False if that is to be tried again, as what becomes of it cannot be written."""
        failed: list[str] = []

        def act() -> None:
            try:
                self.act(message)
            except StoreFailed as error:
                failed.append(str(error))

        self._guard.tried(act)
        for error in failed:
            if error != self._complaint:
                effect = "what is in force stays in force; it is tried again"
                log.error("handed_out_unwritten", error=error, effect=effect)
            self._complaint = error
        return not failed
