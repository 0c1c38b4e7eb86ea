"""What another proxy takes: a folder with the same files, a line in the registry, and a template set of its name."""

from __future__ import annotations

from typing import get_args

import pytest

from lbgen.proxies.registry import KINDS, kind_of
from lbgen.render.manifest import Manifest
from lbgen.render.templates import builtin_names
from tests.support.paths import ROOT

FOLDERS = {path.parent.name: path.parent for path in (ROOT / "lbgen" / "proxies").glob("*/kind.py")}


def test_every_folder_is_listed():
    """A folder that the registry does not know would never be used, nor a kind that no set.yml can name."""
    assert set(FOLDERS) == set(KINDS) == set(get_args(Manifest.model_fields["proxy"].annotation))


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_same_files(name):
    """Each folder answers the same questions in files of the same names."""
    assert {f"{file}.py" for file in ("kind", "check", "plan", "apply")} <= {
        path.name for path in FOLDERS[name].iterdir()
    }


def test_known_proxies_have_a_set():
    """What lbgen knows by name it can also write for."""
    assert {name for name in KINDS if kind_of(name).title} == set(builtin_names())
