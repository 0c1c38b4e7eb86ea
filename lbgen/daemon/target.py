"""One proxy: brought to a model, step by step, and kept at the last good state when a step fails."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lbgen.base.errors import (
    ApplyFailed,
    CheckFailed,
    CheckUnavailable,
    LbgenError,
    ProxyUnreachable,
    SettingsError,
    TemplateError,
)
from lbgen.base.logs import log
from lbgen.daemon import quarantine_store
from lbgen.daemon.counters import Counters
from lbgen.daemon.history import KEPT, MOST_CAUSES, Change, Failure
from lbgen.daemon.quarantine import Held, Quarantine
from lbgen.daemon.template_rollback import TemplateRollback, Templates, saved
from lbgen.model import Model
from lbgen.proxies import disk
from lbgen.proxies.check_command import clear_stages
from lbgen.proxies.plan import Live, Nothing, Reload
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.supervisor import Supervisor
from lbgen.render.renderer import Files, Renderer
from lbgen.snapshot import Cause, Snapshot

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds until a failed apply is tried again
TIDY_INTERVAL = 1.0  # seconds between two looks whether a removed server's connections have ended


@dataclass(slots=True)
class _Retry:
    """When to try again, and how long to wait the next time."""

    at: float = 0.0
    pause: float = FIRST_RETRY

    def later(self) -> float:
        """Put the next try off; return for how long."""
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_RETRY)
        self.at = time.monotonic() + pause
        return pause

    def reset(self) -> None:
        self.at, self.pause = 0.0, FIRST_RETRY


class Target:
    """One proxy and the files it runs.

    Whatever fails here leaves the proxy with its last good configuration, and other targets untouched.
    """

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        output: Path,
        check: Callable[[Files], None],
        proxy: Proxy,
        *,
        supervisor: Supervisor | None = None,
        min_reload_interval: float = 1.0,
    ) -> None:
        """
        Args:
            check: has files checked; raises CheckFailed or CheckUnavailable.
            supervisor: starts the proxy and keeps it running, if that is our business.
        """
        self.name, self.output, self.proxy = name, output, proxy
        self.running: Files | None = None  # what the proxy was last proven to serve
        self.renderer, self._checker, self._supervisor = renderer, check, supervisor
        self._interval = min_reload_interval
        self._last_reload = self._last_save = -min_reload_interval
        self._refused = ""  # generation that the checker refused: asking again would give the same answer
        self._accepted: set[str] = set()  # generations that need no verdict in this round
        self._said = ""  # the last refusal that was logged
        self._retry = _Retry()
        self._due = 0.0  # when something waits: a reload for its time, a removed server for its connections
        self._saved = ""  # generation on disk
        self._wanted = ""  # generation of the last rendering
        self._starts = 0  # of the supervised process, when it was last looked at
        self._causes: list[Cause] = []  # of what is not live yet
        self.quarantine = Quarantine()
        self._fixed = set(renderer.templates.names())  # files that are the same whatever there is in the cluster
        self.rollback = TemplateRollback()
        self._falls_back = False  # should the checker refuse, the kept templates are next
        self.history: deque[Change] = deque(maxlen=KEPT)
        self.counters = Counters()
        self.ready = False  # a model was live here once
        self.failing = False  # the newest model is not, because of
        self.failure: Failure | None = None  # the last one, over or not

    def start(self) -> None:
        """Find out what the proxy runs; start it on the last good files if starting it is our business."""
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            clear_stages(self.output)
            disk.clear(self.output)
            self.proxy.ready(self.output)
            self.quarantine.good = quarantine_store.read(self.output)
        except OSError as error:
            raise SettingsError(f"targets.{self.name}.output: {self.output}: {error.strerror}") from error
        texts = disk.read(self.output, self._names())
        if self._supervisor and texts:
            self._supervisor.start()
        self._discover()
        log.info("target", target=self.name, output=str(self.output), files=len(texts), generation=self._generation())

    def stop(self) -> None:
        """End what was started here; what was changed live a moment ago is on disk then."""
        self._last_save = -self._interval
        try:
            self._save()
        except LbgenError as error:
            log.error("not_saved", target=self.name, error=str(error))
        if self._supervisor:
            self._supervisor.stop()

    def revise(self, renderer: Renderer, check: Callable[[Files], None], min_reload_interval: float) -> None:
        """Render and check with these from now on; what the proxy runs stays as it is."""
        self.renderer, self._checker, self._interval = renderer, check, min_reload_interval
        self._refused = ""  # by the checker before

    def due(self) -> float | None:
        """Return when (time.monotonic) `bring_to` has something left to do, or None."""
        later = self.quarantine.due(), self.rollback.due()
        moments = [moment for moment in (self._due, self._retry.at, *later) if moment]
        return min(moments, default=None)

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Bring the proxy to the model; return whether it serves it now. Errors are logged and retried, not raised."""
        began = time.monotonic()
        self._due = 0.0
        self._causes = [*self._causes, *snapshot.causes][:MOST_CAUSES]
        if self._retry.at <= began:
            self._retry.at = 0.0
        held, self._accepted = self.quarantine.held, set()
        try:
            self._follow(model, snapshot, began)
            live = self.running is not None and self.running.generation == self._wanted
            if live:
                self.ready, self.failing, self._said = True, False, ""
            return live
        except (ApplyFailed, CheckUnavailable) as error:
            log.error("apply_failed", target=self.name, error=str(error), retry_in_s=self._retry.later())
            self.failed("apply_failed", error)
            return False
        except LbgenError as error:
            # The same input gives the same answer: say it once and wait for a change.
            if str(error) != self._said:
                log.error("refused", target=self.name, error=str(error), generation=self._generation())
                self.failed("refused", error)
            self._said = str(error)
        finally:
            self._report(held)
        return False

    def _follow(self, model: Model, snapshot: Snapshot, began: float) -> None:
        """Bring the proxy to the model, by the templates as they are saved or else by those that were accepted last."""
        newest = saved(self.renderer)
        complaint = self.rollback.complaint(newest, began)
        if complaint is None:
            self._falls_back = self.rollback.replaces(newest)
            if self.rollback.due():
                self._refused = ""  # what is tried again is to be judged again
            self.rollback.forget()
            try:
                if isinstance(newest, TemplateError):
                    raise newest
                self._follow_by(newest, model, snapshot, began)
                return
            except (CheckFailed, TemplateError) as error:
                if not self._falls_back:
                    raise
                self.rollback.refuse(newest, error, began)
                complaint = error
        if self.rollback.kept:
            said, self._falls_back = self._said, False
            self._follow_by(self.rollback.kept, model, snapshot, began)
            self._said = said  # of what is still refused
        raise complaint

    def _follow_by(self, templates: Templates, model: Model, snapshot: Snapshot, began: float) -> None:
        """Bring the proxy to the model, less the services that its checker, or a template, will not have."""
        stamp = templates, model.basis and model.basis.rules
        relieved = self.quarantine.relieved(model, snapshot, stamp, began)
        try:
            self._serve(templates, *relieved, stamp, began)
        except (CheckFailed, TemplateError) as error:
            refused = self._refused

            def judge(model: Model, snapshot: Snapshot) -> None:
                self._check(templates.render(model, snapshot))

            if not self.quarantine.find(model, snapshot, error, judge, stamp, began):
                self._refused = refused
                raise
            self._refused = ""  # whoever is tried again is to be judged again
            self._serve(templates, *self.quarantine.relieved(model, snapshot, stamp, began), stamp, began)

    def _serve(self, templates: Templates, model: Model, snapshot: Snapshot, stamp: object, began: float) -> None:
        self.counters.count("renders")
        self._fixed = set(templates.edition.names())
        self._bring_to(templates.render(model, snapshot), model, began)
        self._save()
        if self.running and self.running.generation == self._wanted == self._saved:
            self.rollback.accept(templates)
            self.quarantine.accepted(snapshot, stamp)

    def _report(self, before: Mapping[str, Held]) -> None:
        """Log who is held from now on, and who is no longer."""
        now = self.quarantine.held
        for id_, held in now.items():
            if held.error and before.get(id_) != held:
                instead = "what it asked for before" if held.instead is not None else "left out"
                log.error("quarantined", target=self.name, service=held.name, error=held.error, instead=instead)
                self.counters.count("refused")
        if now != before:
            quarantine_store.write(self.output, self.quarantine.fallbacks())
        for id_ in before.keys() - now.keys():
            log.info("quarantine_over", target=self.name, service=before[id_].name)

    def _bring_to(self, desired: Files, model: Model, began: float) -> None:
        self._wanted = desired.generation
        self._tidy()
        if self.running is None or self._restarted():
            self._discover()
        step = self.proxy.plan(self.running, desired)
        if isinstance(step, Live):
            failure = self._change(step, desired, model, began)
            instead = Reload(f"runtime API: {failure}", "runtime-api")
            if failure and self._may_reload(instead, desired):
                self._reload(instead, desired, model, began)
        elif isinstance(step, Reload) and self._may_reload(step, desired):
            try:
                self._reload(step, desired, model, began)
            except CheckFailed:
                if not self._falls_back:
                    self._meanwhile(desired, model, began)
                raise
        elif isinstance(step, Reload):
            self._meanwhile(desired, model, began)
        elif isinstance(step, Nothing):
            self._said = ""
            self._causes.clear()  # they concern nothing that this proxy serves

    def _meanwhile(self, desired: Files, model: Model, began: float) -> None:
        """Make live what needs no reload: it waits neither for one nor for the mending of what is refused."""
        if self.running:
            partial = self.proxy.meanwhile(self.running, desired)
            live = self.proxy.plan(self.running, partial)
            if isinstance(live, Live):
                self._change(live, partial, model, began)
                self._due = self._due or began  # for the files to follow

    def _may_reload(self, step: Reload, desired: Files) -> bool:
        """Tell whether a reload is due now; if it has to wait, note when it will be."""
        wait = max(self._last_reload + self._interval * step.spaced, self._retry.at) - time.monotonic()
        if wait > 0:
            self._due = min(self._due or math.inf, time.monotonic() + wait)
        return wait <= 0 and desired.generation != self._refused

    def _change(self, live: Live, desired: Files, model: Model, began: float) -> str:
        """Change the running proxy; the files follow when it is live. Return why that was not possible, if so."""
        try:
            self.proxy.change(live, desired.generation)
        except ProxyUnreachable:
            self.running = None
            raise
        except ApplyFailed as error:
            return str(error)
        self.running = desired
        self.counters.count("live_changes")
        self._applied("runtime-api", live.summary, model, desired, began)
        return ""

    def _reload(self, step: Reload, desired: Files, model: Model, began: float) -> None:
        self._check(desired)
        method = self._apply(desired)
        self._said = ""
        if method == "publish":
            self.counters.count("published")
        else:
            self.counters.count("reloads", "start" if method == "start" else step.kind)
        self._applied(method, step.reason, model, desired, began)

    def _save(self) -> None:
        """Have on disk what the proxy runs, so that it comes up the same when it is started again."""
        if self.running is None or self.running.generation in (self._saved, self._refused):
            return
        # Live changes come in bursts, and each check costs as much as a reload does.
        wait = self._last_save + self._interval - time.monotonic()
        if wait > 0:
            self._due = min(self._due or math.inf, time.monotonic() + wait)
            return
        self._last_save = time.monotonic()
        self._check(self.running)
        self.proxy.write(self.output, self.running.texts)
        self._saved = self.running.generation

    def _tidy(self) -> None:
        with contextlib.suppress(ProxyUnreachable):
            if self.proxy.tidy():
                self._due = min(self._due or math.inf, time.monotonic() + TIDY_INTERVAL)

    def _applied(self, method: str, detail: str, model: Model, desired: Files, began: float) -> None:
        """Write down that these files are live now."""
        causes = tuple(self._causes)
        change = Change(time.time(), self.name, desired.generation, method, detail, time.monotonic() - began, causes)
        self.history.append(change)
        if desired.generation == self._wanted:  # else part of it still waits for a reload
            self._causes.clear()
            for lag in change.lags:
                self.counters.observe("change_live", lag, method)
        log.info(
            "applied",
            target=self.name,
            method=method,
            detail=detail,
            cause=causes[0].text + (f" and {len(causes) - 1} more" if causes[1:] else "") if causes else "",
            servers_up=sum(server.state == "up" for server in model.servers),
            servers_draining=sum(server.state == "drain" for server in model.servers),
            problems=len(model.problems),
            duration_ms=round(change.seconds * 1000, 1),
            lag_ms=round(max(change.lags) * 1000, 1) if causes else None,
            generation=desired.generation,
        )

    def failed(self, kind: str, error: Exception) -> None:
        """Write down that the newest model cannot be brought to it."""
        self.failing, self.failure = True, Failure(time.time(), kind, str(error))
        self.counters.count(kind)

    def _restarted(self) -> bool:
        """Tell whether the supervised process is another than before: it runs what is on disk."""
        before, self._starts = self._starts, self._supervisor.starts if self._supervisor else 0
        return self._starts != before

    def _discover(self) -> None:
        """Find out whether the proxy serves the files that are on disk."""
        try:
            self.running = disk.generation_on_disk(disk.read(self.output, self._names()), self.proxy.generation())
        except ProxyUnreachable:
            self.running = None
        self._saved = self._generation()

    def _check(self, desired: Files) -> None:
        if desired.generation in self._accepted:
            return
        try:
            self._checker(desired)
        except CheckFailed:
            self.counters.count("checks", "refused")
            self._refused = desired.generation
            raise
        except CheckUnavailable:
            self.counters.count("checks", "unavailable")
            raise
        self._accepted.add(desired.generation)
        self.counters.count("checks", "accepted")

    def _apply(self, desired: Files) -> str:
        """Put the files in place and have the proxy serve them; put the previous ones back if it does not."""
        fixed = self._fixed
        names = {*desired.texts, *(self.running.texts if self.running else ()), *self._names()}
        before = disk.read(self.output, names)
        disk.note(self.output, names - fixed)
        self.proxy.write(self.output, desired.texts, names - set(desired.texts))
        try:
            self._last_reload = time.monotonic()
            method = self._load(desired)
        except ProxyUnreachable:
            self.running = None
            raise
        except ApplyFailed:
            self._put_back(before, set(desired.texts) - set(before))
            raise
        self.running, self._saved = desired, desired.generation
        self._retry.reset()
        disk.note(self.output, set(desired.texts) - fixed)
        return method

    def _load(self, desired: Files) -> str:
        """Have the proxy serve the files on disk; return how."""
        start = self._supervisor is not None and not self._supervisor.alive
        if self._supervisor and start:
            self._supervisor.start()
        else:
            self.proxy.reload(self.running, desired)
        self.proxy.verify(desired.generation)
        return "start" if start else self.proxy.takes

    def _put_back(self, before: dict[str, str], new: set[str]) -> None:
        """Restore the files on disk; reload only if the proxy has left what it ran before."""
        if not before:
            return
        self.proxy.write(self.output, before, new)
        if self.running and self.proxy.generation() != self.running.generation:
            # What ran may be ahead of the files by live changes; they are made again from there.
            self.running = disk.generation_on_disk(before, self._saved)
            if self.running:
                self.proxy.reload(None, self.running)
                self.proxy.verify(self.running.generation)

    def _names(self) -> set[str]:
        """Return the files that there may be on disk."""
        return disk.names(self.output, self._fixed)

    def _generation(self) -> str:
        return self.running.generation if self.running else ""
