"""A thread for each target, so that none ever waits for another: not for a slow checker, a retry or a dead proxy.

It takes a model at once and brings its target to it in its own time; of what arrives meanwhile the newest counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from lbgen.base.errors import LbgenError
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.daemon.target import Target
from lbgen.model import Model
from lbgen.render.renderer import Files, Renderer
from lbgen.snapshot import Snapshot

TURN = 0.5  # seconds between two looks whether another lbgen still has the output directory
ENDING = 30.0  # seconds that a target under way may hold up the end

Work = tuple[Model, Snapshot]
Step = Callable[[], object]


class Watcher(Protocol):
    """What is looked at again and again, besides what the target is brought to."""

    def due(self) -> float | None:
        """Return when, by the clock, the next look is due, or None."""

    def look(self) -> None:
        """Look."""


class Worker:
    """One target in a thread of its own. To the loop it is a target that is always done at once."""

    def __init__(
        self,
        target: Target,
        *,
        turn: float = TURN,
        clock: Callable[[], float] = time.monotonic,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """
        Args:
            turn: seconds between two looks whether another lbgen still has the output directory.
            unexpected: goes by the same clock.
        """
        self.target, self._turn, self._clock = target, turn, clock
        self._guard = unexpected.guard(Part.TARGET, target.name, event="target_failed", target=target.name)
        watchers: dict[str, Watcher] = {"its old workers": target.old_workers, "its output": target.output_watch}
        self._looks = [
            (unexpected.guard(Part.TARGET, f"{target.name}: {what}"), each) for what, each in watchers.items()
        ]
        self._started = False
        self.in_force: Model | None = None  # the last that the target was proven to serve
        self.busy_since: float | None = None  # when what is under way began, by the clock
        self._news = threading.Condition()
        self._next: Work | None = None  # not begun yet
        self._last: Work | None = None
        self._revision: Callable[[], None] | None = None  # goes with the next model
        self._revising: Callable[[], None] | None = None  # goes with the model under way
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"target-{target.name}", daemon=True)

    def start(self) -> None:
        """Start the target, then follow. An error that starting it is known to raise is raised here.

        While another lbgen has its output directory, it is neither started nor touched. A second call does nothing.
        """
        if self._thread.ident:
            return
        try:
            self._start()
        except LbgenError:
            raise
        except Exception as error:
            self._failed(error)
        self._thread.start()

    def stop(self) -> None:
        """Let it finish what is under way, then end it."""
        self._end()
        self.target.stop()

    def leave(self) -> None:
        """Let it finish what is under way, then leave its proxy running."""
        self._end()
        self.target.leave()

    def due(self) -> float | None:
        """Return None: the worker itself waits for its target's time."""
        return None

    @property
    def renderer(self) -> Renderer:
        """The renderer of its files."""
        return self.target.renderer

    def revise(self, renderer: Renderer, check: Callable[[Files], None], min_reload_interval: float) -> None:
        """Render and check the next model, but none before it, by these."""
        with self._news:
            self._revision = partial(self.target.revise, renderer, check, min_reload_interval)

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:
        """Take the model over."""
        with self._news:
            if self._next:  # what is skipped was a cause of what follows
                snapshot = replace(snapshot, causes=self._next[1].causes + snapshot.causes)
            self._next = model, snapshot
            self._news.notify()
        return True

    def _run(self) -> None:
        while not self._started and not self._stopping:  # another lbgen has the output, or it failed unexpectedly
            self._guard.keep_up(self._start, self._paused)
            if not self._started:
                self._paused(self._turn)
        while step := self._await():
            self.busy_since = self._clock()
            try:
                step()
            finally:
                self.busy_since = None

    def _start(self) -> None:
        if not self._started and self.target.may_start():
            self.target.start()
            self._started = True

    def _bring_to(self, model: Model, snapshot: Snapshot) -> None:
        try:
            if self._revising:
                self._revising()
                self._revising = None
            if self.target.bring_to(model, snapshot):
                self.in_force = model
            self._guard.worked()
        except Exception as error:  # a mistake of lbgen's own: this target stays as it is, the others go on
            self._failed(error)

    def _look(self) -> None:
        """Look at what it is time for."""
        now = self._clock()
        for guard, watcher in self._looks:
            due = watcher.due() if guard.due is None else guard.due
            if due is not None and due <= now:
                guard.tried(watcher.look)

    def _failed(self, error: Exception) -> None:
        self._guard.failed(error)
        self.target.failed("target_failed", error)

    def _paused(self, seconds: float) -> bool:
        """Wait for so many seconds; return whether this is the end."""
        with self._news:
            return self._news.wait_for(lambda: self._stopping, seconds)

    def _end(self) -> None:
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(ENDING)

    def _await(self) -> Step | None:
        """Wait for a model, or for the target's own time; return what to do then, or None at the end."""
        with self._news:
            while not self._stopping:
                if self._next:
                    return partial(self._bring_to, *self._begin(self._next))
                due, look = (self._due(), self._look_due()) if self._last else (None, None)
                now = self._clock()
                if self._last and due is not None and due <= now:
                    return partial(self._bring_to, *self._last)
                if look is not None and look <= now:
                    return self._look
                moments = [moment - now for moment in (due, look) if moment is not None]
                self._news.wait(min(moments, default=None))
            return None

    def _due(self) -> float | None:
        """Return when to bring the target to the same once more: after a mistake not at once."""
        if self._guard.due is not None:
            return self._guard.due
        try:
            return self.target.due()
        except Exception as error:
            self._failed(error)
            return self._guard.due

    def _look_due(self) -> float | None:
        moments = [watcher.due() if guard.due is None else guard.due for guard, watcher in self._looks]
        return min((moment for moment in moments if moment is not None), default=None)

    def _begin(self, work: Work) -> Work:
        model, snapshot = work
        self._revising, self._revision = self._revision or self._revising, None
        self._next = None
        self._last = model, replace(snapshot, causes=())  # they are the target's to remember now
        return work
