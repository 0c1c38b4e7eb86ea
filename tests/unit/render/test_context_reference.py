"""The contract with template authors: what templates see is described whole, as text and as a schema, and kept."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lbgen.model import CONTEXT_VERSION
from lbgen.render import context_reference
from lbgen.render.context import Context
from lbgen.render.environment import filters
from tests.support.builders import a_renderer
from tests.support.command import run
from tests.support.golden_cases import GOLDEN, TRIALS, modelled
from tests.support.paths import ROOT, TESTS

DOCUMENT = ROOT / "docs" / "context.md"
PROMISED = TESTS / "golden" / "context-1.json"


def plain(value: Any) -> Any:
    """A value of the context as JSON has it: with properties, without functions."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            name: plain(getattr(value, name)) for name in context_reference.public(type(value)) if name not in ("once",)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def faults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str = "") -> list[str]:
    """What is wrong with a value: of JSON Schema, as much as lbgen writes."""
    if "$ref" in schema:
        return faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
    if "anyOf" in schema:
        tried = [faults(value, each, root, path) for each in schema["anyOf"]]
        return [] if [] in tried else tried[0]
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list}
    kind = schema.get("type")
    if kind == "null":
        return [] if value is None else [f"{path}: {value!r} is not null"]
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{path}: {value!r} is no {kind}"]
    found: list[str] = []
    if kind == "object":
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", {})
        found += [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            each = known.get(name, more)
            found += [f"{path}.{name} is unknown"] if each is False else faults(item, each, root, f"{path}.{name}")
    if kind == "array":
        items = schema.get("prefixItems") or [schema["items"]] * len(value)
        assert schema.get("maxItems", len(value)) == len(value)
        for number, (item, each) in enumerate(zip(value, items, strict=True)):
            found += faults(item, each, root, f"{path}[{number}]")
    return found


def a_context(monkeypatch, case: Path) -> dict[str, Any]:
    """The context that a case is really rendered with."""
    seen: list[Context] = []
    made, _ = TRIALS["haproxy"]
    original = Context.items

    def items(self):
        seen.append(self)
        return original(self)

    monkeypatch.setattr(Context, "items", items)
    made.files_of(case)
    return plain(dataclasses.replace(seen[0], settings=None))


def test_document_is_fresh():
    """docs/context.md is what the code says; if not: python -m lbgen.render.context_reference > docs/context.md"""
    assert context_reference.markdown() == DOCUMENT.read_text()
    assert run("templates", "context").output == DOCUMENT.read_text()


def test_document_is_whole():
    """Every name, every type that leads somewhere, and every filter is described; all links lead somewhere."""
    text = context_reference.markdown()
    for name in context_reference.public(Context):
        assert f"| `{name}` | " in text
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= {title.lower() for title in re.findall(r"^## (\w+)$", text, re.M)}
    for name in filters("none"):
        assert re.search(rf"^\| `{name}` \| .{{10,}} \|$", text, re.M), name
    assert all(context_reference.comments(Context).values())
    assert set(context_reference.comments(Context)) == set(context_reference.public(Context))


def test_comments():
    """The comment behind a field is its description, and a property's first line."""

    @dataclasses.dataclass
    class Thing:
        """A thing."""

        one: int  # the first
        two: dict[str, int] = dataclasses.field(default_factory=dict)  # a mapping: of numbers
        three: str = ""

        @property
        def four(self) -> str:
            """What it is.

            And more.
            """
            local: int = 1  # not a field
            return str(local)

    assert context_reference.comments(Thing) == {
        "one": "the first",
        "two": "a mapping: of numbers",
        "four": "What it is.",
    }
    assert list(context_reference.public(Thing)) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("name", ["policies", "rules", "tls", "tcp-sni", "problems", "health-checks", "empty"])
def test_schema_holds(monkeypatch, name):
    """What templates really see is what the schema says, no more and no less."""
    schema = json.loads(run("templates", "context", "--json-schema").output)
    found = a_context(monkeypatch, GOLDEN / f"{name}.yaml")
    assert faults(found, schema, schema) == []
    assert found["context_version"] == CONTEXT_VERSION
    json.dumps(found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"extra": 1}, ".extra is unknown"),
        ({"generation": 1}, ".generation: 1 is no string"),
        ({"listeners": [{}]}, ".listeners[0]: name is missing"),
    ],
)
def test_schema_can_tell(monkeypatch, change, fault):
    """A context that is not as described is not taken for one."""
    schema = context_reference.schema()
    assert fault in faults({**a_context(monkeypatch, GOLDEN / "rules.yaml"), **change}, schema, schema)


def test_promise_is_kept():
    """Whatever this version of the contract had is still there, of the same type; what was added may be recorded too.

    If this fails, either the change is a mistake, or CONTEXT_VERSION has to count up, with a new file of promises.
    """
    assert PROMISED.name == f"context-{CONTEXT_VERSION}.json"
    current = {
        f"{cls.__name__}.{name}": context_reference.type_name(kind)
        for cls in context_reference.described_types()
        for name, kind in context_reference.public(cls).items()
    } | {f"filter {name}": "" for name in filters("none")}
    promised = json.loads(PROMISED.read_text())
    assert {name: current.get(name) for name in promised} == promised


def test_example_of_the_document(tmp_path):
    """The example in docs/context.md renders."""
    (template,) = re.findall(r"```jinja\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "set.yml").write_text("proxy: other\n")
    (tmp_path / "out.j2").write_text(template)
    text = a_renderer(tmp_path).render(*modelled(GOLDEN / "mesh.yaml")).texts["out"]
    assert text.startswith("# web: 3 servers\n192.168.1.100:80 weight=100\n")
