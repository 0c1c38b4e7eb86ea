"""A thread for each target, so that none ever waits for another: not for a slow checker, a retry or a dead proxy.

It takes a model at once and brings its target to it in its own time; of what arrives meanwhile the newest counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from lbgen.base.logs import log
from lbgen.daemon.target import Target
from lbgen.model import Model
from lbgen.render.renderer import Files, Renderer
from lbgen.snapshot import Snapshot

PAUSE = 1.0  # seconds after a mistake: whatever is due at once would be due at once again
ENDING = 30.0  # seconds that a target under way may hold up the end

Work = tuple[Model, Snapshot]
Step = Callable[[], object]


class Worker:
    """One target in a thread of its own. To the loop it is a target that is always done at once."""

    def __init__(self, target: Target, *, pause: float = PAUSE, clock: Callable[[], float] = time.monotonic) -> None:
        self.target, self._pause, self._clock = target, pause, clock
        self.busy_since: float | None = None  # when what is under way began, by the clock
        self._news = threading.Condition()
        self._next: Work | None = None  # not begun yet
        self._last: Work | None = None
        self._revision: Callable[[], None] | None = None  # goes with the next model
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"target-{target.name}", daemon=True)

    def start(self) -> None:
        """Start the target, then follow. What starting it raises is raised here."""
        self.target.start()
        self._thread.start()

    def stop(self) -> None:
        """Let it finish what is under way, then end it."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(ENDING)
        self.target.stop()

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
        while step := self._await():
            self.busy_since = self._clock()
            try:
                step()
            except Exception as error:  # a mistake of lbgen's own: this target stays as it is, the others go on
                log.exception("target_failed", target=self.target.name)
                self.target.failed("target_failed", error)
                with self._news:
                    self._news.wait_for(lambda: self._stopping, self._pause)
            finally:
                self.busy_since = None

    def _await(self) -> Step | None:
        """Wait for a model, or for the target's own time; return what to do then, or None at the end."""
        with self._news:
            while not self._stopping:
                if self._next:
                    return partial(self.target.bring_to, *self._begin(self._next))
                due, look = (self.target.due(), self.target.old_workers.due()) if self._last else (None, None)
                now = self._clock()
                if self._last and due is not None and due <= now:
                    return partial(self.target.bring_to, *self._last)
                if look is not None and look <= now:
                    return self.target.old_workers.look
                moments = [moment - now for moment in (due, look) if moment is not None]
                self._news.wait(min(moments, default=None))
            return None

    def _begin(self, work: Work) -> Work:
        model, snapshot = work
        if self._revision:
            self._revision()
        self._next = self._revision = None
        self._last = model, replace(snapshot, causes=())  # they are the target's to remember now
        return work
