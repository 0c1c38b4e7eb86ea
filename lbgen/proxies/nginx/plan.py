"""What Nginx needs for a change: a reload, always; the reason names upstreams and servers. Pure."""

from __future__ import annotations

import re

from lbgen.proxies import plan
from lbgen.proxies.plan import Plan
from lbgen.render.renderer import Files

_SERVER = re.compile(r"^    server \{\n(?=(?:        listen .*\n)*        server_name (.*);)", re.MULTILINE)


def between(running: Files | None, desired: Files) -> Plan:
    """Return the smallest change from one set of files to the other; None: not known what it runs."""
    return plan.between(running and _flat(running), _flat(desired))


def _flat(files: Files) -> Files:
    """Return the files with the blocks inside ``http {}`` and ``stream {}`` as their top level."""
    texts = {}
    for name, text in files.texts.items():
        lines = [line.removeprefix("    ") for line in _SERVER.sub(r"    server \1 {\n", text).splitlines()]
        texts[name] = "\n".join(line.removesuffix(" {") for line in lines if line != "}")
    return Files(texts, files.generation)
