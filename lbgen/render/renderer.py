"""The bytes of every file, from a model and a template set. Equal input gives equal bytes, in any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lbgen.base.fingerprint import fingerprint
from lbgen.model import CONTEXT_VERSION, Model
from lbgen.render.context import Context, TargetContext
from lbgen.render.credentials import Directories, Reader
from lbgen.render.environment import Compiled
from lbgen.render.files import PLACEHOLDER, Files
from lbgen.render.limits import Bounds, Budget
from lbgen.render.loaded_templates import Edition
from lbgen.render.manifest import MANIFEST
from lbgen.render.templates import BUILTIN, SUFFIX, TemplateSet, find
from lbgen.snapshot import Snapshot

__all__ = ["Edition", "Files", "Renderer", "TargetContext", "TemplateSet", "find"]


class Renderer:
    """Renders one target's files; keeps the compiled templates, which are read again when they change on disk."""

    def __init__(
        self,
        templates: TemplateSet,
        target: TargetContext,
        settings: Directories,
        listeners: Sequence[str] | None = None,
        bounds: Bounds = Bounds(),  # noqa: B008 -- frozen
    ) -> None:
        """
        Args:
            target: its options are those that the settings choose.
            listeners: names of those that this target serves; None: all.
            bounds: what a rendering may take.
        Raises:
            TemplateError: a chosen option is none of the set's.
        """
        self.settings = settings
        self._directories, self._given, self._bounds = templates.directories, target, bounds
        # As HAProxy and Nginx have it: what is relative is so to the files.
        self.reader = Reader(settings, Path(target.output))
        self.listeners = None if listeners is None else frozenset(listeners)
        self.produced = 0  # sections rendered so far, as opposed to taken over from the rendering before
        self._compiled: dict[str, Compiled] = {}
        self._stamp = self._looked_at()
        self._edition = Edition.read(self._directories, self._given, self._compiled)

    @property
    def templates(self) -> TemplateSet:
        """The set as it was last read."""
        return self._edition.templates

    @property
    def target(self) -> TargetContext:
        """What templates know of the proxy, with the set's options."""
        return self._edition.target

    def render(self, model: Model, snapshot: Snapshot, edition: Edition | None = None) -> Files:
        """Return every file of the target.

        Args:
            edition: of the templates; None: as they are on disk now.
        Raises:
            TemplateError: a template cannot be read, parsed or rendered; the message names file and line.
        """
        edition = edition or self.edition()
        model = self.served(model)
        sections, once = self._once(edition)
        files = self.reader.read()
        context = Context(
            context_version=CONTEXT_VERSION,
            listeners=model.listeners,
            routes=model.routes,
            backends=model.backends,
            servers=model.servers,
            certificates=files.certificates,
            users=files.users,
            client_cas=files.client_cas,
            problems=model.problems,
            target=edition.target,
            options=edition.target.options,
            settings=self.settings,
            snapshot=snapshot,
            generation=PLACEHOLDER,
            once=once,
        )
        drafts = edition.render(dict(context.items()), model, snapshot, Budget(self._bounds))
        edition.sections = sections
        return Files.of(drafts)

    def served(self, model: Model) -> Model:
        """Return the part of the model that this target serves."""
        return model if self.listeners is None else model.only(self.listeners)

    def edition(self) -> Edition:
        """Return the templates as they are on disk now: the same object as before while none of their files changes.

        Jinja would notice a change of a file it has read, but neither one that now goes before it nor, since macros
        call macros, what else was made with it.

        Raises:
            TemplateError: they cannot be used.
        """
        stamp = self._looked_at()
        if stamp != self._stamp:
            self._edition = Edition.read(self._directories, self._given, self._compiled)
            self._stamp = stamp
        return self._edition

    def _looked_at(self) -> object:
        """Return what is another value when a file was changed, added or removed."""
        roots = (*self._directories, BUILTIN)
        found = [path for root in roots for path in root.rglob("*") if path.suffix == SUFFIX or path.name == MANIFEST]
        there = [directory.is_dir() for directory in self._directories]
        return there, [(path, fingerprint(path)) for path in found]

    def _once(self, edition: Edition) -> tuple[dict[object, tuple[object, str]], Callable[..., str]]:
        """Return a fresh memory and the function that templates call as ``once(macro, object, ...)``.

        It gives the macro's text for the object: that of the last rendering, if the object is still the very same and
        the template was not changed. The macro may depend on nothing else that changes.
        """
        sections: dict[object, tuple[object, str]] = {}

        def once(macro: Any, subject: object, *more: object) -> str:
            key = (macro._func.__code__, id(subject), more)
            known = edition.sections.get(key)
            if known is None or known[0] is not subject:
                self.produced += 1
                known = subject, macro(subject, *more)
            sections[key] = known
            return known[1]

        return sections, once
