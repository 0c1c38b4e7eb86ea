"""A template set as it was read at one moment: it renders on, whatever is saved over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.errors import TemplateError
from lbgen.model import Model
from lbgen.render.budget import Budget
from lbgen.render.context import TargetContext
from lbgen.render.environment import BytecodeMemory, Environment, environment
from lbgen.render.outputs import EACH, Output, items_by_path, items_for
from lbgen.render.template_errors import template_error
from lbgen.render.templates import BUILTIN, TemplateSet
from lbgen.snapshot import Snapshot


@dataclass(slots=True, eq=False)
class LoadedTemplates:
    """Templates, manifest and options that belong together."""

    templates: TemplateSet
    outputs: Sequence[Output]
    target: TargetContext  # with the set's options
    environment: Environment
    sections: dict[object, tuple[object, str]] = field(default_factory=dict)  # of the last rendering, see `Renderer`

    @classmethod
    def load(
        cls, templates: TemplateSet, target: TargetContext, bytecode: dict[str, BytecodeMemory]
    ) -> LoadedTemplates:
        """Read the templates; raise TemplateError if they cannot be used.

        Args:
            target: its options are those that the settings choose.
            bytecode: by quoting, what was compiled for templates loaded before.
        """
        quote = templates.manifest.quote  # it is compiled into templates where its value is known
        env = environment(list(templates.directories), BUILTIN, quote, bytecode.setdefault(quote, BytecodeMemory()))
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
        for name, template, item in self._files(model, snapshot):
            try:
                drafts[name] = str(self.environment.get_template(template).render(context, **item))
                size += len(drafts[name])
                budget.allow(size)
            except Exception as error:  # a template can raise anything; what it did is the author's to know
                raise template_error(error, template, self.environment, self.templates.directories) from error
        return drafts

    def _files(self, model: Model, snapshot: Snapshot) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield each file's name, its template, and the item that the template sees besides the context."""
        for output in self.outputs:
            if output.each:
                for name, item in items_by_path(output, items_for(output.each, model, snapshot)).items():
                    yield name, output.template, {EACH[output.each]: item}
            else:
                yield output.pattern, output.template, {}
