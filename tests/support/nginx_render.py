"""What the built-in Nginx set renders for an Nginx that need not be there."""

from __future__ import annotations

from pathlib import Path

from lbgen.model import build
from lbgen.render.context import TargetContext
from lbgen.render.renderer import Renderer
from lbgen.render.templates import find
from lbgen.settings import Settings
from tests.support import golden_cases
from tests.support.builders import Fact, a_node, a_rules, a_snapshot
from tests.support.real_nginx import EDGE

STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


def a_renderer(
    version: tuple[int, ...] = (1, 22, 1),
    modules: tuple[str, ...] = (STREAM,),
    output: Path | str = "/var/lib/lbgen/edge",
    made: Settings | None = None,
    **options: object,
) -> Renderer:
    """A renderer for an Nginx of this version, with certificates."""
    templates = find(["nginx"])
    context = TargetContext(
        "edge",
        str(output),
        templates.options(options),
        version=version,
        modules=modules,
        pid_file=f"{output}/nginx.pid",
        probe="127.0.0.1:9180",
    )
    renderer = Renderer(templates, context, made or Settings())
    renderer.credentials = golden_cases.Beside()
    return renderer


def rendered(*facts: Fact, **more: object) -> str:
    """The nginx.conf for these facts on one listener."""
    snapshot = a_snapshot(a_node(), EDGE, *facts)
    model = build(snapshot, a_rules())
    assert model.problems == ()
    return a_renderer(**more).render(model, snapshot).texts["nginx.conf"]
