"""One try to bring a proxy to a model."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from lbgen.daemon.template_rollback import Templates
from lbgen.model import Model
from lbgen.render.files import Files
from lbgen.snapshot import Snapshot


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
        return set(self.templates.edition.names())

    def of(self, model: Model, snapshot: Snapshot) -> Attempt:
        """Return it for other facts."""
        return replace(self, model=model, snapshot=snapshot)

    def render(self) -> Files:
        """Return the files; raise TemplateError."""
        return self.templates.render(self.model, self.snapshot)
