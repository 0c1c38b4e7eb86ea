"""The bytes of every file, from a model and a template set. Equal input gives equal bytes, in any process.

A template set is loaded as it is at one moment, and renders on, whatever is saved over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.errors import TemplateError
from lbgen.model import CONTEXT_VERSION, Model
from lbgen.render.budget import Budget
from lbgen.render.context import Context, TargetContext
from lbgen.render.credentials import CredentialDirectories, CredentialReader
from lbgen.render.environment import Environment, environment
from lbgen.render.kept_credentials import KeptCredentials
from lbgen.render.limits import Limits
from lbgen.render.outputs import EACH, NAME, USERS, Named, Output, file_name, items_by_path, items_for
from lbgen.render.template_errors import template_error
from lbgen.render.templates import BUILTIN, TemplateSet
from lbgen.render.unverifiable import Unverifiable
from lbgen.snapshot import Snapshot

# What templates print for `generation` before it is known. It can be in no honest value, and a dishonest one
# gains nothing: it is replaced by hexadecimal digits wherever it stands.
PLACEHOLDER = hashlib.sha256(b"lbgen generation").hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Files:
    """The text of every file of one target, by its path relative to the output directory.

    ``generation`` is twelve hexadecimal digits made of the names and texts: equal files, equal generation.
    """

    texts: Mapping[str, str]
    generation: str

    @classmethod
    def of(cls, drafts: Mapping[str, str]) -> Files:
        """Name the drafts' generation and write it in place of the placeholder."""
        digest = hashlib.sha256()
        for name, text in sorted(drafts.items()):
            digest.update(f"{len(name)} {len(text)} {name}{text}".encode())
        generation = digest.hexdigest()[:12]
        return cls({name: text.replace(PLACEHOLDER, generation) for name, text in sorted(drafts.items())}, generation)


@dataclass(slots=True, eq=False)
class LoadedTemplates:
    """Templates, manifest and options that belong together."""

    templates: TemplateSet
    outputs: Sequence[Output]
    target: TargetContext  # with the set's options
    environment: Environment
    sections: dict[object, tuple[object, str]] = field(default_factory=dict)  # of the last rendering, see `Renderer`

    @classmethod
    def load(cls, templates: TemplateSet, target: TargetContext) -> LoadedTemplates:
        """Read the templates; raise TemplateError if they cannot be used.

        Args:
            target: its options are those that the settings choose.
        """
        env = environment(list(templates.directories), BUILTIN, templates.manifest.quote)
        return cls(templates, templates.outputs(), replace(target, options=templates.options(target.options)), env)

    def names(self) -> list[str]:
        """Return the files that are the same whatever the cluster holds."""
        return [output.pattern for output in self.outputs if not output.each]

    def render(self, context: Mapping[str, Any], model: Model, snapshot: Snapshot, budget: Budget) -> dict[str, str]:
        """Return the text of every file by its name; raise TemplateError with file and line."""
        if not self.outputs:
            raise TemplateError(f"{', '.join(map(str, self.templates.directories))}: no template (NAME.j2) in it")
        self.environment.budget = budget
        drafts: dict[str, str] = {}
        size = 0
        for name, template, item in self._files(model, snapshot, Named(context["users"], context["pages"])):
            try:
                drafts[name] = str(self.environment.get_template(template).render(context, **item))
                size += len(drafts[name])
                budget.allow(size)
            except Exception as error:  # a template can raise anything; what it did is the author's to know
                raise template_error(error, template, self.environment, self.templates.directories) from error
        return drafts

    def _files(self, model: Model, snapshot: Snapshot, named: Named) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield each file's name, its template, and the item that the template sees besides the context."""
        for output in self.outputs:
            if output.each:
                for name, item in items_by_path(output, items_for(output.each, model, snapshot, named)).items():
                    yield name, output.template, {EACH[output.each]: item}
            else:
                yield output.pattern, output.template, {}


class Renderer:
    """Renders one target's files; keeps the compiled templates, which are read again when they change on disk."""

    def __init__(
        self,
        templates: TemplateSet,
        target: TargetContext,
        settings: CredentialDirectories,
        listeners: Sequence[str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 -- frozen
        kept: KeptCredentials | None = None,
    ) -> None:
        """
        Args:
            target: its options are those that the settings choose.
            listeners: names of those that this target serves; None: all.
            kept: the last good content of certificates and the like; None: there is no past.
        Raises:
            TemplateError: the set does not have one of the chosen options.
        """
        self.settings = settings
        self._target, self.limits = target, limits
        self.credentials = CredentialReader(settings, kept=kept)
        self.listeners = None if listeners is None else frozenset(listeners)
        self.produced = 0  # sections rendered so far, as opposed to taken over from the rendering before
        self._loaded = LoadedTemplates.load(templates, target)
        self._unverifiable = Unverifiable()

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
        sections, once = self._once(loaded)
        credentials = self.credentials.read()
        model = self._unverifiable.left_out(self.served(model), credentials.server_cas)
        context = Context(
            context_version=CONTEXT_VERSION,
            listeners=model.listeners,
            routes=model.routes,
            backends=model.backends,
            servers=model.servers,
            certificates=credentials.certificates,
            users={**credentials.users, **{item.name: item.users for item in model.users}},
            users_files={**credentials.users_files, **self._users_files(model)},
            client_cas=credentials.client_cas,
            server_cas=credentials.server_cas,
            pages=credentials.pages,
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

    def _users_files(self, model: Model) -> dict[str, str]:
        """Return where a set has the users of labels written."""
        directory = f"{self._target.output}/{USERS}"
        return {item.name: directory.replace(NAME, file_name(item.name)) for item in model.users}

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
            self._loaded = LoadedTemplates.load(templates, self._target)
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
