"""Tests share what is in tests/support, and reach for nothing that a module keeps to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BY_TEXT = ("setattr", "getattr", "delattr")
PUBLIC = ("os._exit",)  # documented, whatever it is called


def imported_tests(tree: ast.AST) -> Iterator[str]:
    """The test modules that a file imports, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                name = f"{module}.{alias.name}".strip(".")
                if name.startswith(("tests.", "bench.")) and ".test_" in name:
                    yield f"line {node.lineno}: {name}"


def foreign_names(tree: ast.AST) -> Iterator[str]:
    """The private names of others that a file uses, be it as text, each with its line."""
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"line {node.lineno}: {alias.name}" for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            if not is_self(node.value) and node.attr not in own and ast.unparse(node) not in PUBLIC:
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_TEXT:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from (f"line {node.lineno}: {text}" for text in texts if is_private(text.rpartition(".")[2]))


def own_names(tree: ast.AST) -> set[str]:
    """What a file defines, its classes' methods and attributes among it."""
    nodes = list(ast.walk(tree))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute) and is_self(node.value)}
    return attributes | {node.name for node in nodes if isinstance(node, DEFINITIONS)}


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_layout() -> None:
    """No test module is imported, and no private name of another module is used."""
    complaints = []
    for path in sorted(path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        complaints += [f"{path.relative_to(ROOT)}, {each}" for each in (*imported_tests(tree), *foreign_names(tree))]
    assert complaints == []


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("from tests.unit.test_x import app", ["line 1: tests.unit.test_x.app"]),
        ("from tests.unit import test_x", ["line 1: tests.unit.test_x"]),
        ("import tests.proxy.test_x", ["line 1: tests.proxy.test_x"]),
        ("from lbgen.model import test_of", []),
        ("from lbgen.x import _y", ["line 1: _y"]),
        ("target._retry.at = 0", ["line 1: target._retry"]),
        ("target._retry = 0", ["line 1: target._retry"]),
        ("monkeypatch.setattr(x, '_y', 1)", ["line 1: _y"]),
        ("monkeypatch.setattr('lbgen.x._y', 1)", ["line 1: lbgen.x._y"]),
        ("class A:\n    def __init__(self):\n        self._x = 1\nA()._x", []),
        ("x.__class__", []),
    ],
)
def test_complaints(text: str, complaints: list[str]) -> None:
    """Both rules are seen to be broken in every way to write it, and only then."""
    tree = ast.parse(text)
    assert [*imported_tests(tree), *foreign_names(tree)] == complaints
