"""Section `hub.fleet`: the settings and templates that a hub hands out to edges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lbgen.settings.value_types import Seconds, Section, Texts


class FleetSettings(Section):
    """Settings and template sets for edges; what an edge's own file does not accept it refuses."""

    directory: Path
    """One directory for each group of edges, with group.yml, settings.yml and templates; saving makes a new version."""
    canaries: Annotated[Texts, Field(min_length=1)]
    """Edges that try a new version before the others."""
    pause: Seconds = 300.0
    """How long all canaries have to be ready with a new version before the others get it."""
