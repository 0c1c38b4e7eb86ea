"""Compiled templates on disk: only the built-in sets', only of this very text, and only what nobody else can write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader
from jinja2.compiler import CodeGenerator

from lbgen.render.budget import FILTERS
from lbgen.render.bytecode import SOURCES, Bytecode
from lbgen.render.environment import FUNCTIONS, filters
from lbgen.render.quoting import QUOTING

NAME = "web.cfg.j2"


@pytest.fixture(autouse=True)
def _written(monkeypatch):
    """Byte code is written, whatever the environment says."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def builtin(tmp_path: Path) -> Path:
    """A directory of built-in sets with one template."""
    directory = tmp_path / "builtin"
    (directory / "set").mkdir(parents=True)
    (directory / "set" / NAME).write_text("{{ 1 + 1 }}\n")
    return directory


def compiled(directory: Path, builtin: Path, quote: str = "none", programs: bytes = b"1") -> tuple[str, bool]:
    """Render a directory's template as a new process would; return its text, and whether it was compiled."""
    generated = []

    class Counting(CodeGenerator):
        def visit_Template(self, node, frame=None):
            generated.append(node)
            super().visit_Template(node, frame)

    env = Environment(loader=FileSystemLoader(directory), bytecode_cache=Bytecode(builtin, quote, programs))
    env.code_generator_class = Counting
    return env.get_template(NAME).render(), bool(generated)


def kept(directory: Path) -> list[Path]:
    """The files with compiled code."""
    return [path for path in directory.rglob("*") if path.suffix == ".pyc"]


def test_compiled_once(builtin):
    """A built-in template is compiled by the first process that needs it."""
    assert compiled(builtin / "set", builtin) == ("2", True)
    assert compiled(builtin / "set", builtin) == ("2", False)


def test_changed(builtin):
    """Another text, another grammar and other programs compile anew."""
    compiled(builtin / "set", builtin)
    assert compiled(builtin / "set", builtin, quote="yaml") == ("2", True)
    assert compiled(builtin / "set", builtin, programs=b"2") == ("2", True)
    (builtin / "set" / NAME).write_text("{{ 2 + 1 }}\n")
    assert compiled(builtin / "set", builtin, programs=b"2") == ("3", True)
    assert compiled(builtin / "set", builtin, programs=b"2") == ("3", False)


def test_users(builtin, tmp_path):
    """Beside a user's templates nothing is written."""
    (tmp_path / NAME).write_text("{{ 1 }}\n")
    assert compiled(tmp_path, builtin) == ("1", True)
    assert compiled(tmp_path, builtin) == ("1", True)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_untrusted(builtin, mode):
    """Code that others could have written is not run."""
    compiled(builtin / "set", builtin)
    kept(builtin)[0].chmod(mode)
    assert compiled(builtin / "set", builtin) == ("2", True)


@pytest.mark.parametrize("size", [0, 10, 40])
def test_torn(builtin, size):
    """What is left of a file is compiled again, and replaced."""
    compiled(builtin / "set", builtin)
    path = kept(builtin)[0]
    path.write_bytes(path.read_bytes()[:size])
    assert compiled(builtin / "set", builtin) == ("2", True)
    assert compiled(builtin / "set", builtin) == ("2", False)


def test_not_writable(builtin, monkeypatch):
    """Where Python writes no byte code, and where none can be written, templates render all the same."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert compiled(builtin / "set", builtin) == ("2", True)
    assert kept(builtin) == []
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (builtin / "set/__pycache__").write_text("in the way")
    assert compiled(builtin / "set", builtin) == ("2", True)


def test_sources():
    """The results of filters stand in compiled code: it is made anew when one of their modules changes."""
    ours = [*FUNCTIONS.values(), *FILTERS.values(), *(each for quote in QUOTING for each in filters(quote).values())]
    modules = {each.__module__ for each in ours} - {"jinja2.filters"}
    rooms = {module.removeprefix("lbgen.").rpartition(".")[0].replace(".", "/") for module in modules}
    assert rooms <= set(SOURCES)
