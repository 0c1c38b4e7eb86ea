"""Which templates a target renders by: those that are saved, or those accepted last while these are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from lbgen.base.errors import CheckFailed, TemplateError
from lbgen.model import Model
from lbgen.render.renderer import Files, LoadedTemplates, Renderer
from lbgen.snapshot import Snapshot

PAUSE = 60.0  # seconds until what was refused is tried again, though nothing about it changed


@dataclass(frozen=True, slots=True)
class Templates:
    """What renders the files: the settings' renderer, and its templates at one moment."""

    renderer: Renderer
    loaded: LoadedTemplates

    def render(self, model: Model, snapshot: Snapshot) -> Files:
        """Return the files; raise TemplateError."""
        return self.renderer.render(model, snapshot, self.loaded)


Saved = Templates | TemplateError  # an error: what is saved cannot even be read


def saved(renderer: Renderer) -> Saved:
    """Return the templates as they are on disk."""
    try:
        return Templates(renderer, renderer.loaded_templates())
    except TemplateError as error:
        return error


@dataclass(frozen=True, slots=True)
class _Refused:
    saved: Saved
    error: CheckFailed | TemplateError
    until: float  # by the clock; then the cluster may be one that they render


class TemplateRollback:
    """The templates accepted last, and what was saved since and is refused."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.kept: Templates | None = None  # by which all was accepted last
        self._clock = clock
        self._refused: _Refused | None = None

    def due(self) -> float | None:
        """Return when, by the clock, what was refused is to be tried again, or None."""
        return self._refused.until if self._refused else None

    def refusal(self, newest: Saved) -> CheckFailed | TemplateError | None:
        """Return why the newest are not to be tried now; None if they are."""
        refused = self._refused
        if refused is None or self._clock() >= refused.until or not _same(newest, refused.saved):
            return None
        return refused.error.with_traceback(None)

    def replaces(self, newest: Saved) -> bool:
        """Return whether there are others to go on with should the newest be refused."""
        return self.kept is not None and self.kept != newest

    def accept(self, templates: Templates) -> None:
        """Note that all was accepted by these."""
        self.kept = templates

    def refuse(self, newest: Saved, error: CheckFailed | TemplateError) -> None:
        """Note that these are refused."""
        self._refused = _Refused(newest, error, self._clock() + PAUSE)

    def retry(self) -> bool:
        """Note that what is saved is tried; return whether something was refused before."""
        before, self._refused = self._refused, None
        return before is not None


def _same(one: Saved, other: Saved) -> bool:
    if isinstance(one, TemplateError) and isinstance(other, TemplateError):
        return str(one) == str(other)
    return one == other


@dataclass(frozen=True, slots=True)
class Attempt:
    """The facts to serve, by the templates of one moment."""

    model: Model
    snapshot: Snapshot
    began: float  # by the target's clock
    templates: Templates
    falls_back: bool = False  # should these templates be refused, those accepted last are next

    @property
    def stamp(self) -> object:
        """What a verdict depends on besides the services: templates, settings."""
        return self.templates, self.model.basis and self.model.basis.rules

    @property
    def fixed(self) -> AbstractSet[str]:
        """Names of the files that are the same whatever there is in the cluster."""
        return set(self.templates.loaded.names())

    def of(self, model: Model, snapshot: Snapshot) -> Attempt:
        """Return it for other facts."""
        return replace(self, model=model, snapshot=snapshot)

    def render(self) -> Files:
        """Return the files; raise TemplateError."""
        return self.templates.render(self.model, self.snapshot)
