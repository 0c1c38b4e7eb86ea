"""The bytes of every file, from a model and a template set. Equal input gives equal bytes, in any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lbgen.model import CONTEXT_VERSION, Model
from lbgen.render.budget import Budget
from lbgen.render.context import Context, TargetContext
from lbgen.render.credentials import CredentialDirectories, CredentialReader
from lbgen.render.environment import BytecodeMemory
from lbgen.render.files import PLACEHOLDER, Files
from lbgen.render.limits import Limits
from lbgen.render.loaded_templates import LoadedTemplates
from lbgen.render.templates import TemplateSet
from lbgen.snapshot import Snapshot


class Renderer:
    """Renders one target's files; keeps the compiled templates, which are read again when they change on disk."""

    def __init__(
        self,
        templates: TemplateSet,
        target: TargetContext,
        settings: CredentialDirectories,
        listeners: Sequence[str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 -- frozen
    ) -> None:
        """
        Args:
            target: its options are those that the settings choose.
            listeners: names of those that this target serves; None: all.
        Raises:
            TemplateError: the set does not have one of the chosen options.
        """
        self.settings = settings
        self._target, self.limits = target, limits
        # As in HAProxy and Nginx: relative paths are relative to the files.
        self.credentials = CredentialReader(settings, Path(target.output))
        self.listeners = None if listeners is None else frozenset(listeners)
        self.produced = 0  # sections rendered so far, as opposed to taken over from the rendering before
        self._bytecode: dict[str, BytecodeMemory] = {}
        self._loaded = LoadedTemplates.load(templates, target, self._bytecode)

    @property
    def templates(self) -> TemplateSet:
        """The set as it was last read."""
        return self._loaded.templates

    @property
    def target(self) -> TargetContext:
        """What templates know of the proxy, with the set's options."""
        return self._loaded.target

    def render(self, model: Model, snapshot: Snapshot, loaded: LoadedTemplates | None = None) -> Files:
        """Return every file of the target.

        Args:
            loaded: templates to use; None: those on disk now.
        Raises:
            TemplateError: a template cannot be read, parsed or rendered; the message names file and line.
        """
        loaded = loaded or self.loaded_templates()
        model = self.served(model)
        sections, once = self._once(loaded)
        credentials = self.credentials.read()
        context = Context(
            context_version=CONTEXT_VERSION,
            listeners=model.listeners,
            routes=model.routes,
            backends=model.backends,
            servers=model.servers,
            certificates=credentials.certificates,
            users=credentials.users,
            client_cas=credentials.client_cas,
            problems=model.problems,
            target=loaded.target,
            options=loaded.target.options,
            settings=self.settings,
            snapshot=snapshot,
            generation=PLACEHOLDER,
            once=once,
        )
        drafts = loaded.render(dict(context.items()), model, snapshot, Budget(self.limits))
        loaded.sections = sections
        return Files.of(drafts)

    def served(self, model: Model) -> Model:
        """Return the part of the model that this target serves."""
        return model if self.listeners is None else model.only(self.listeners)

    def loaded_templates(self) -> LoadedTemplates:
        """Return the templates as they are on disk now: the same object while none of their files changes.

        Jinja would notice a change of a file that it has read, but not a file that now goes before it, nor, since
        macros call macros, what else was made with it.

        Raises:
            TemplateError: they cannot be used.
        """
        templates = self._loaded.templates.reread()
        if templates is not self._loaded.templates:
            self._loaded = LoadedTemplates.load(templates, self._target, self._bytecode)
        return self._loaded

    def _once(self, loaded: LoadedTemplates) -> tuple[dict[object, tuple[object, str]], Callable[..., str]]:
        """Return a fresh memory, and the function that templates call as ``once(macro, object, ...)``.

        It gives the macro's text for the object: that of the last rendering, if the object is still the very same and
        the template has not changed. The macro must not depend on anything else that changes.
        """
        sections: dict[object, tuple[object, str]] = {}

        def once(macro: Any, subject: object, *more: object) -> str:
            key = (macro._func.__code__, id(subject), more)
            known = loaded.sections.get(key)
            if known is None or known[0] is not subject:
                self.produced += 1
                known = subject, macro(subject, *more)
            sections[key] = known
            return known[1]

        return sections, once
