"""A template set as it was read at one moment: it renders on, whatever is saved over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lbgen.base.errors import TemplateError
from lbgen.model import Model
from lbgen.render.context import TargetContext
from lbgen.render.environment import Compiled, Environment, environment
from lbgen.render.limits import Budget
from lbgen.render.outputs import EACH, Output, expanded, items
from lbgen.render.template_errors import explained
from lbgen.render.templates import BUILTIN, TemplateSet, of
from lbgen.snapshot import Snapshot


@dataclass(slots=True, eq=False)
class Edition:
    """Templates, manifest and options that belong together."""

    templates: TemplateSet
    outputs: Sequence[Output]
    target: TargetContext  # with the set's options
    environment: Environment
    sections: dict[object, tuple[object, str]] = field(default_factory=dict)  # of the last rendering, see `Renderer`

    @classmethod
    def read(cls, directories: tuple[Path, ...], given: TargetContext, compiled: dict[str, Compiled]) -> Edition:
        """Read everything; raise TemplateError where it cannot be used.

        Args:
            given: its options are those that the settings choose.
            compiled: by quoting, what was compiled for editions before.
        """
        for directory in directories:
            if not directory.is_dir():  # without it there would be fewer templates, or the built-in ones
                raise TemplateError(f"{directory}: is not there; put it back, or take it off the target's templates")
        templates = of(directories)
        quote = templates.manifest.quote  # it is compiled into templates where its value is known
        made = environment(list(directories), BUILTIN, quote, compiled.setdefault(quote, Compiled()))
        target = replace(given, options=templates.options(given.options))
        return cls(templates, templates.outputs(), target, made)

    def names(self) -> list[str]:
        """Return the files that are the same whatever there is in the cluster."""
        return [output.pattern for output in self.outputs if not output.each]

    def render(self, context: Mapping[str, Any], model: Model, snapshot: Snapshot, budget: Budget) -> dict[str, str]:
        """Return the text of every file by its name; raise TemplateError with file and line."""
        if not self.outputs:
            raise TemplateError(f"{', '.join(map(str, self.templates.directories))}: no template (NAME.j2) in it")
        self.environment.budget = budget
        drafts: dict[str, str] = {}
        size = 0
        for name, template, more in self._files(model, snapshot):
            try:
                drafts[name] = str(self.environment.get_template(template).render(context, **more))
                size += len(drafts[name])
                budget.allow(size)
            except Exception as error:  # a template can raise anything; what it did is the author's to know
                raise explained(error, template, self.environment, self.templates.directories) from error
        return drafts

    def _files(self, model: Model, snapshot: Snapshot) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield each file's name, its template, and what that sees besides the context."""
        for output in self.outputs:
            if output.each:
                for name, thing in expanded(output, items(output.each, model, snapshot)).items():
                    yield name, output.template, {EACH[output.each]: thing}
            else:
                yield output.pattern, output.template, {}
