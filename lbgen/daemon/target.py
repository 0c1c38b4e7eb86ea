"""One proxy: brought to a model, step by step, and kept at the last good state when a step fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lbgen.base.errors import ApplyFailed, CheckFailed, CheckUnavailable, LbgenError, SettingsError, TemplateError
from lbgen.base.logs import log
from lbgen.daemon import quarantine_store
from lbgen.daemon.closed_listeners import ClosedListeners
from lbgen.daemon.counters import Counters
from lbgen.daemon.deployment import Check, Deployment
from lbgen.daemon.history import Change, Event, Failure, History, Progress
from lbgen.daemon.old_workers import OldWorkers
from lbgen.daemon.output_watch import OutputWatch
from lbgen.daemon.quarantine import Quarantine
from lbgen.daemon.reload_schedule import ReloadSchedule
from lbgen.daemon.template_rollback import Attempt, TemplateRollback, saved
from lbgen.model import Model
from lbgen.proxies.output_lock import OutputLock
from lbgen.proxies.plan import Live, Method, Nothing, Reload, ReloadKind
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.supervisor import Supervisor
from lbgen.render.renderer import Files, Renderer
from lbgen.snapshot import Snapshot

TIDY_INTERVAL = 1.0  # seconds between two looks whether a removed server's connections have ended


class Target:
    """One proxy and the files it runs.

    Whatever fails here leaves the proxy with its last good configuration, and other targets untouched.
    """

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        output: Path,
        check: Check,
        proxy: Proxy,
        *,
        supervisor: Supervisor | None = None,
        unservable: Mapping[str, str] | None = None,
        min_reload_interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            check: raises CheckFailed or CheckUnavailable.
            supervisor: starts the proxy and keeps it running, if that is ours to do.
            unservable: listeners that the proxy cannot serve, and why.
        """
        self.name, self.renderer, self.output, self.proxy, self._clock = name, renderer, output, proxy, clock
        self.counters, self.history, self.progress = Counters(), History(), Progress()
        self.lock = OutputLock(output)
        self.deployment = Deployment(output, check, proxy, self.counters, supervisor, clock)
        self.schedule = ReloadSchedule(min_reload_interval, clock)
        self.output_watch = OutputWatch(name, self.deployment, self.lock, self.history, clock)
        self.old_workers = OldWorkers(name, proxy, self.schedule, clock)
        self.quarantine, self.rollback = Quarantine(clock), TemplateRollback(clock)
        self.closed = ClosedListeners(name, proxy, unservable, clock)

    @property
    def running(self) -> Files | None:
        """What the proxy was last proven to serve."""
        return self.deployment.running

    @property
    def ready(self) -> bool:
        """Whether a model was live here once."""
        return self.progress.ready

    @property
    def failing(self) -> bool:
        """Whether something has failed since a model was live, or the proxy has ended and does not come up."""
        return self.progress.failing or self.deployment.down is not None

    @property
    def failure(self) -> Failure | None:
        """The last failure, over or not."""
        return self.progress.failure if self.progress.failing else self.deployment.down or self.progress.failure

    def may_start(self) -> bool:
        """Take the output directory; return False while another lbgen has it, which is logged."""
        return self.lock.take_or_tell(self.name)

    def start(self) -> None:
        """Find out what the proxy runs; start it on the last good files if starting it is ours to do."""
        try:
            files = self.deployment.start(self.renderer.templates.names())
            self.quarantine.good = quarantine_store.read(self.output)
        except OSError as error:
            raise SettingsError(f"targets.{self.name}.output: {self.output}: {error.strerror}") from error
        log.info(
            "target", target=self.name, output=str(self.output), files=files, generation=self.deployment.generation
        )

    def stop(self) -> None:
        """End what was started here; what was changed live a moment ago is on disk then."""
        self._save_at_the_end()
        self.deployment.stop()
        self.lock.release()

    def leave(self) -> None:
        """Leave running what was started here, for the next lbgen to take over; what was changed live is on disk."""
        self._save_at_the_end()
        self.deployment.leave()
        self.lock.release()

    def revise(self, renderer: Renderer, check: Check, min_reload_interval: float) -> None:
        """Render and check with these from now on; what the proxy runs stays as it is."""
        self.renderer, self.schedule.interval = renderer, min_reload_interval
        self.deployment.revise(check)

    def due(self) -> float | None:
        """Return when, by the clock, `bring_to` has something left to do, or None."""
        wanted = self._clock() if self.output_watch.wanted else None
        moments = self.schedule.due(), self.quarantine.due(), self.rollback.due(), self.closed.due(), wanted
        return min((moment for moment in moments if moment is not None), default=None)

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Bring the proxy to the model; return whether it serves it now. Errors are logged and retried, not raised.

        The order: templates to try -> services to hold -> render -> plan -> check -> apply -> verify -> save.
        """
        self.schedule.begin()
        self.deployment.begin()
        self.closed.begin()
        self.history.expect(snapshot.causes)
        held = self.quarantine.held
        try:
            self.output_watch.mend(self.renderer.templates.names())
            served = self._by_newest_templates(model, snapshot, self._clock())
            if self.closed.report():
                self.failed("apply_failed", ApplyFailed(self.closed.failure))
            whole = served and not self.closed.failure
            self.progress = self.progress.after(Event.SERVED if whole else Event.POSTPONED)
            return served
        except LbgenError as error:
            self._report_failure(error)
            return False
        finally:
            if self.quarantine.tell(self.name, held, self.counters):
                quarantine_store.write(self.output, self.quarantine.fallbacks())

    def failed(self, kind: str, error: Exception) -> None:
        """Write down that the proxy cannot be brought to the newest model."""
        event = Event.REFUSED if kind == "refused" else Event.FAILED
        self.progress = self.progress.after(event, Failure(time.time(), kind, str(error)))
        self.counters.count(kind)

    def _by_newest_templates(self, model: Model, snapshot: Snapshot, began: float) -> bool:
        """Serve the model by the templates as they are saved, or else by those that were accepted last."""
        newest = saved(self.renderer)
        refusal = self.rollback.refusal(newest)
        if refusal is None:
            if self.rollback.retry():
                self.deployment.refused = ""  # what is tried again is to be judged again
            falls_back = self.rollback.replaces(newest)
            try:
                if isinstance(newest, TemplateError):
                    raise newest
                return self._less_held_services(Attempt(model, snapshot, began, newest, falls_back))
            except (CheckFailed, TemplateError) as error:
                if not falls_back:
                    raise
                self.rollback.refuse(newest, error)
                refusal = error
        if self.rollback.kept:
            self._less_held_services(Attempt(model, snapshot, began, self.rollback.kept))
        raise refusal

    def _less_held_services(self, attempt: Attempt) -> bool:
        """Serve the model, less the services whose configuration the proxy's checker, or a template, refuses."""
        try:
            return self._serve(self._to_serve(attempt))
        except (CheckFailed, TemplateError) as error:
            refused, self.deployment.refused = self.deployment.refused, ""  # who is tried again is to be judged again

            def judge(model: Model, snapshot: Snapshot) -> None:
                self.deployment.judge(attempt.of(model, snapshot).render())

            facts = attempt.model, attempt.snapshot
            if not self.quarantine.hold_culprits(*facts, error, judge, attempt.stamp):
                self.deployment.refused = refused
                raise
            return self._serve(self._to_serve(attempt))

    def _to_serve(self, attempt: Attempt) -> Attempt:
        return attempt.of(*self.quarantine.to_serve(attempt.model, attempt.snapshot, attempt.stamp))

    def _serve(self, attempt: Attempt) -> bool:
        """Render the files and bring the proxy to them as far as they may be now; return whether it serves them."""
        self.counters.count("renders")
        desired = self.closed.render(attempt, self.deployment)
        if self.deployment.tidy():
            self.schedule.ask_again(TIDY_INTERVAL)
        step = self.proxy.plan(self.running, desired)
        if isinstance(step, Live) and (failure := self._change(attempt, step, desired)):
            self._reload_if_due(
                attempt, Reload(f"runtime API: {failure}", ReloadKind.RUNTIME_API, urgent=True), desired
            )
        elif isinstance(step, Reload):
            self._reload_or_meanwhile(attempt, step, desired)
        elif isinstance(step, Nothing):
            self.history.settle()
        self._save()
        if self.deployment.holds(desired):
            self.rollback.accept(attempt.templates)
            self.quarantine.accepted(attempt.snapshot, attempt.stamp)
        return self.deployment.serves(desired)

    def _reload_or_meanwhile(self, attempt: Attempt, step: Reload, desired: Files) -> None:
        """Reload if that is due, else make live what needs no reload: it waits neither for one nor for a correction."""
        try:
            reloaded = self._reload_if_due(attempt, step, desired)
        except CheckFailed:
            if not attempt.falls_back:
                self._meanwhile(attempt, desired)
            raise
        if not reloaded:
            self._meanwhile(attempt, desired)

    def _meanwhile(self, attempt: Attempt, desired: Files) -> None:
        if self.running:
            partial = self.proxy.meanwhile(self.running, desired)
            live = self.proxy.plan(self.running, partial)
            if isinstance(live, Live):
                self._change(attempt, live, partial, whole=False)
                self.schedule.follow_up()  # for the files

    def _change(self, attempt: Attempt, live: Live, desired: Files, *, whole: bool = True) -> str:
        """Change the running proxy, with the files to follow; return why that was not possible, if so."""
        failure = self.deployment.change(live, desired)
        if not failure:
            self.counters.count("live_changes")
            self._applied(attempt, Method.RUNTIME_API, live.summary, desired, whole=whole)
        return failure

    def _reload_if_due(self, attempt: Attempt, step: Reload, desired: Files) -> bool:
        """Check the files, put them on disk and reload, unless that has to wait or was refused; return whether."""
        if step.spaced:
            self.old_workers.look()
        may = self.schedule.may_reload(spaced=step.spaced, urgent=step.urgent)
        if not may or desired.generation == self.deployment.refused:
            return False
        self.deployment.check(desired)
        before = self.deployment.place(desired, attempt.fixed)
        self.schedule.reloading()
        method = self.deployment.load(desired, before, attempt.fixed)
        self.schedule.retry.reset()
        self.old_workers.reloaded()
        if method is Method.PUBLISH:
            self.counters.count("published")
        else:
            self.counters.count("reloads", method if method is Method.START else step.kind)
        self._applied(attempt, method, step.reason, desired)
        return True

    def _save_at_the_end(self) -> None:
        try:
            if self.deployment.unsaved:
                self.deployment.save()
        except Exception as error:  # whatever it is, what was started here is to be ended
            log.error("not_saved", target=self.name, error=str(error))

    def _save(self) -> None:
        if self.deployment.unsaved and self.schedule.may_save():
            self.schedule.saving()
            self.deployment.save()

    def _applied(self, attempt: Attempt, method: str, detail: str, desired: Files, *, whole: bool = True) -> None:
        """Write down that these files are live now.

        Args:
            whole: else part of what is desired still waits for a reload.
        """
        seconds = self._clock() - attempt.began
        change = Change(time.time(), self.name, desired.generation, method, detail, seconds, self.history.causes)
        self.history.changes.append(change)
        if whole:
            self.history.settle()
            for lag in change.lags:
                self.counters.observe("change_live", lag, method)
        change.tell(attempt.model)

    def _report_failure(self, error: LbgenError) -> None:
        if isinstance(error, ApplyFailed | CheckUnavailable):
            log.error("apply_failed", target=self.name, error=str(error), retry_in_s=self.schedule.retry.pause())
            self.failed("apply_failed", error)
        # The same input gives the same answer: say it once and wait for a change.
        elif str(error) != self.progress.refusal:
            log.error("refused", target=self.name, error=str(error), generation=self.deployment.generation)
            self.failed("refused", error)
        if isinstance(error, CheckFailed) and error.in_haste:
            self.schedule.retry.pause()
