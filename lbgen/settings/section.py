"""What all sections of the settings are: strict, read-only, and described in their schema by their docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Section(BaseModel):
    """Strict and read-only: unknown keys are refused.

    Each command that reads settings pays for what is made of these classes. So one validator is made of all, when it
    is needed, and docstrings of attributes are read for the schema only (pydantic's use_attribute_docstrings reads
    the source of each class when it is imported).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def default(cls, **said: Any) -> Self:
        """Return the section that says only this, known to be good: unlike ``cls(...)`` it needs no validator."""
        return cls.model_construct(**said)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe each setting by the docstring below it."""
        document = handler(schema)
        properties = handler.resolve_ref_schema(document).get("properties", {})
        described = {name: text for each in reversed(cls.__mro__) for name, text in _docstrings(each)}
        for name, text in described.items():
            key = cls.model_fields[name].alias or name if name in cls.model_fields else name
            if key in properties:
                properties[key].setdefault("description", text)
        return document


def _docstrings(section: type) -> Iterator[tuple[str, str]]:
    """Yield name and docstring of each attribute that a section's class has one below."""
    if not issubclass(section, Section):
        return
    body = ast.parse(textwrap.dedent(inspect.getsource(section))).body[0]
    assert isinstance(body, ast.ClassDef)
    for statement, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.target.id, inspect.cleandoc(text)
