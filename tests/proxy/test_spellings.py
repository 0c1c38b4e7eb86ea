"""The form that proxies match paths in is that of paths in labels, for whatever a client may write."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from lbgen.base.address import split_bind
from lbgen.labels.values import paths
from lbgen.settings import Settings
from tests.support.builders import a_network, a_node, a_snapshot, app
from tests.support.clients import raw
from tests.support.ports import free_port
from tests.support.running import PROXIES, running

PIECES = [
    "/",
    "/",
    "/",
    "//",
    ".",
    "..",
    "/./",
    "/../",
    "%2e",
    "%2E",
    "%2F",
    "%2f",
    "%5C",
    "\\",
    "%7E",
    "%2d",
    "%5F",
    "%61",
]
PIECES += ["%41", "%c3%a9", "%C3%A9", "%25", "%20", "%3B", ";", "a", "b", "c%", "~", "%3a", ":", "%00", "%zz", "&"]


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def proxy(request, tmp_path_factory) -> Iterator[tuple[str, int]]:
    """A proxy that answers every request with the path as it is matched: its name, and its port."""
    directory = tmp_path_factory.mktemp("s")
    target = {"templates": [request.param], "output": str(directory / "o"), "probe": f"127.0.0.1:{free_port()}"}
    bind = f"127.0.0.1:{free_port()}"
    settings = Settings.model_validate(
        {
            "listeners": {"web": {"bind": bind}},
            "targets": {"edge": {**target, "apply": {"run": True}}},
            "status": {"bind": ""},
        }
    )
    facts = app("show", {"redirect": "https://seen.test{path}"}, 80)
    with running(settings, a_snapshot(a_node(), a_network("edge"), *facts)):
        yield request.param, split_bind(bind)[1]


def test_every_spelling(proxy):
    """A path is matched in normal form, or refused where docs/proxies.md says so."""
    name, port = proxy
    draw = random.Random(20261129)
    wrong = []
    for _ in range(600):
        path = "/" + "".join(draw.choices(PIECES, k=draw.randrange(1, 9)))
        if name == "traefik":
            path = path.replace("\\", "")  # Go decodes and encodes a path anew that has one
        reply = raw(port, f"GET {path} HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n").decode()
        found = re.search(r"(?i)^location: https://seen\.test(\S*)\r$", reply, re.MULTILINE)
        seen = paths.CODE.sub(lambda code: code[0].upper(), found[1] if found else reply[9:12])
        if seen not in expected(name, path):
            wrong.append((path, seen, expected(name, path)))
    assert wrong == []


def expected(name: str, path: str) -> list[str]:
    """What may come of a path: what is matched, or 400."""
    normal = paths.normal(path)
    if re.search("%(?![0-9A-Fa-f]{2})", path) or "%00" in (normal if name == "traefik" else path):
        return ["400"]
    if name == "traefik":  # a slash and a dot at the end go together
        return [normal, normal.rstrip("/") or "/"]
    meaningful = re.search("%(?!2[deDE]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])", path)
    steps = name == "nginx" and meaningful and normal != paths.CODE.sub(lambda code: code[0].upper(), path)
    return [normal, "400"] if steps or (name == "nginx" and beyond(path)) else [normal]


def beyond(path: str) -> bool:
    """Tell whether a path goes up beyond the root."""
    depth = 0
    for segment in re.sub("%2[eE]", ".", path).split("/"):
        depth += -1 if segment == ".." else segment not in ("", ".")
        if depth < 0:
            return True
    return False
