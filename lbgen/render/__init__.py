"""The bytes of every file, from a model and a template set. Equal input gives equal bytes, in any process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lbgen.errors import TemplateError
from lbgen.model import CONTEXT_VERSION, Model
from lbgen.named_files import Directories, Reader
from lbgen.render.bounds import Bounds, Budget
from lbgen.render.context import Context, TargetContext
from lbgen.render.environment import environment
from lbgen.render.faults import explained
from lbgen.render.files import PLACEHOLDER, Files
from lbgen.render.manifest import MANIFEST
from lbgen.render.outputs import EACH, expanded, items
from lbgen.render.templates import BUILTIN, SUFFIX, TemplateSet, find, of
from lbgen.snapshot import Snapshot

__all__ = ["Files", "Renderer", "TargetContext", "TemplateSet", "find"]


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
        self.templates, self.settings = templates, settings
        self._given, self._bounds = target, bounds
        # As HAProxy and Nginx have it: what is relative is so to the files.
        self.reader = Reader(settings, Path(target.output))
        self._listeners = None if listeners is None else frozenset(listeners)
        self.produced = 0  # sections rendered so far, as opposed to taken over from the rendering before
        self._sections: dict[object, tuple[object, str]] = {}
        self._stamp: object = None
        self._edition = 0
        self.edition()

    def render(self, model: Model, snapshot: Snapshot) -> Files:
        """Return every file of the target.

        Raises:
            TemplateError: a template cannot be read, parsed or rendered; the message names file and line.
        """
        self.edition()
        budget = self._environment.budget = Budget(self._bounds)
        model = self.served(model)
        sections, once = self._once()
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
            target=self.target,
            options=self.target.options,
            settings=self.settings,
            snapshot=snapshot,
            generation=PLACEHOLDER,
            once=once,
        )
        names = dict(context.items())
        if not self._outputs:
            raise TemplateError(f"{', '.join(map(str, self.templates.directories))}: no template (NAME.j2) in it")
        drafts: dict[str, str] = {}
        size = 0
        for name, template, more in self._files(model, snapshot):
            try:
                drafts[name] = str(self._environment.get_template(template).render(names, **more))
                size += len(drafts[name])
                budget.allow(size)
            except Exception as error:  # a template can raise anything; what it did is the author's to know
                raise explained(error, template, self._environment, self.templates.directories) from error
        self._sections = sections
        return Files.of(drafts)

    def _files(self, model: Model, snapshot: Snapshot) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
        """Return each file's name, its template, and what that sees besides the context."""
        for output in self._outputs:
            if output.each:
                for name, thing in expanded(output, items(output.each, model, snapshot)).items():
                    yield name, output.template, {EACH[output.each]: thing}
            else:
                yield output.pattern, output.template, {}

    def served(self, model: Model) -> Model:
        """Return the part of the model that this target serves."""
        return model if self._listeners is None else model.only(self._listeners)

    def edition(self) -> int:
        """Return which edition of the templates this is; forget everything once one was changed, added or removed.

        Jinja would notice a change of a file it has read, but neither one that now goes before it nor, since macros
        call macros, what else was made with it.
        """
        roots = (*self.templates.directories, BUILTIN)
        found = [path for root in roots for path in root.rglob("*") if path.suffix == SUFFIX or path.name == MANIFEST]
        stamp = [(path, state.st_mtime_ns, state.st_size, state.st_ino) for path in found if (state := _stat(path))]
        if stamp != self._stamp:
            self.templates = of(self.templates.directories)
            self._outputs = self.templates.outputs()
            self.target = replace(self._given, options=self.templates.options(self._given.options))
            self._environment = environment(list(self.templates.directories), BUILTIN, self.templates.manifest.quote)
            self._edition, self._stamp, self._sections = self._edition + 1, stamp, {}
        return self._edition

    def _once(self) -> tuple[dict[object, tuple[object, str]], Callable[..., str]]:
        """Return a fresh memory and the function that templates call as ``once(macro, object, ...)``.

        It gives the macro's text for the object: that of the last rendering, if the object is still the very same and
        the template was not changed. The macro may depend on nothing else that changes.
        """
        sections: dict[object, tuple[object, str]] = {}

        def once(macro: Any, subject: object, *more: object) -> str:
            key = (macro._func.__code__, id(subject), more)
            known = self._sections.get(key)
            if known is None or known[0] is not subject:
                self.produced += 1
                known = subject, macro(subject, *more)
            sections[key] = known
            return known[1]

        return sections, once


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # gone meanwhile
        return None
