"""Whether one of several endpoints can be listed; the log is told what is wrong with each of them once."""

from __future__ import annotations

from collections.abc import Callable

from lbgen.base.errors import SourceError
from lbgen.base.logs import log


class Contact:
    """Whether the Swarm can be listed. Logs what is wrong with each endpoint once, until one of them works again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: dict[str, float] = {}  # endpoint -> since when it fails, while none works
        self._errors: dict[str, str] = {}  # endpoint -> why, likewise
        self._since: float | None = None  # when this session was begun

    @property
    def established(self) -> bool:
        return self._since is not None

    def begun(self) -> float | None:
        """Begin a session: something was listed; return for how many seconds nothing could be, None if it could."""
        self._since = self._clock()
        gone = self._since - min(self._failed.values()) if self._failed else None
        self._failed.clear()
        self._errors.clear()
        return gone

    def failing(self) -> tuple[str, float]:
        """Return why no endpoint can be listed, empty if one can or none was tried; and for how many seconds now."""
        failed, errors = self._failed.copy(), self._errors.copy()
        since = min(failed.values(), default=self._clock())
        return ("" if self.established else "; ".join(errors.values())), self._clock() - since

    def ended(self) -> float:
        """End the session, if there is one; return how many seconds it has lasted."""
        since, self._since = self._since, None
        return 0.0 if since is None else self._clock() - since

    def failed(self, endpoint: str, error: SourceError) -> None:
        self._errors[endpoint] = str(error)
        if endpoint in self._failed:
            log.debug("source_failed_again", error=str(error))
        else:
            self._failed[endpoint] = self._clock()
            log.warning("source_failed", error=str(error), effect="what was known last stays in force")
