"""The model without the secrets that labels have put into it, for anyone who asks what is routed. Pure.

Configuration files have them, and nothing else: what people and programs are told has MASK in their place.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from lbgen.base.problem import is_secret
from lbgen.labels.match import Test
from lbgen.model import HealthCheck, Model
from lbgen.model.policy import Policy

MASK = "..."
# What is many, or has names in it that sound like secrets, and never a value that somebody wrote.
_PLAIN = frozenset({"name", "service", "backend", "servers", "cells", "names", "hosts", "listeners", "certificate"})


def masked(model: Model) -> Model:
    """Return the model with MASK for every value that may be a secret."""
    return replace(
        model, listeners=_masked(model.listeners), routes=_masked(model.routes), backends=_masked(model.backends)
    )


def masked_check(check: HealthCheck) -> HealthCheck:
    """Return a health check with MASK for every header's value that may be a secret."""
    return replace(check, headers=_masked(check.headers))


def masked_value(name: str, value: str) -> str:
    """Return a value under this name as it may be told."""
    return MASK if value and (is_secret(name, value) or is_secret("", f"{name} {value}")) else value


def _masked(value: Any) -> Any:
    match value:
        case str():
            return masked_value("", value)
        case Test():
            return _test(value)
        case Policy():
            return _policy(value)
        case (str(name), str(text)):  # a header: its name, its value
            return name, masked_value(name, text)
        case tuple():
            return tuple(map(_masked, value))
    return _each(value) if is_dataclass(value) else value


def _each(value: Any) -> Any:
    """Mask the fields of an object; return the same one if nothing changes."""
    changes = {}
    for field in fields(value):
        if field.name not in _PLAIN:
            was = getattr(value, field.name)
            now = _masked(was)
            if now != was:
                changes[field.name] = now
    return replace(value, **changes) if changes else value


@lru_cache(maxsize=65536)
def _test(test: Test) -> Test:
    value = masked_value(test.name, test.value)
    return test if value == test.value else replace(test, value=value)


@lru_cache(maxsize=4096)
def _policy(policy: Policy) -> Any:
    return _each(policy)
