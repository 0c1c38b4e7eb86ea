"""Which of the settings can change while lbgen runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from lbgen.settings.settings import Settings, TargetSettings

# A connection to Docker, a port and a process of a proxy's are made once; a changed template needs none of them anew.
FIXED = ("source", "state", "hub", "status")
FIXED_OF_TARGETS = ("output", "apply", "stats_socket", "probe", "binary")


def revised(running: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """Return the settings to go by from now on, and the keys whose new values have to wait for a restart.

    Args:
        running: in force now.
        read: what the file, the environment and the flags say now.
    """
    waiting = [key for name in FIXED for key in _changed(getattr(running, name), getattr(read, name), name)]
    waiting += [f"targets.{name}" for name in sorted({*running.targets} ^ {*read.targets})]
    targets = {}
    for name, old in running.targets.items():
        new = read.targets.get(name, old)
        waiting += [f"targets.{name}.{key}" for key in changed(old, new) if key.split(".")[0] in FIXED_OF_TARGETS]
        targets[name] = _but_for_fixed(old, new)
    fixed = {name: getattr(running, name) for name in FIXED}
    return read.model_copy(update={**fixed, "targets": targets}), waiting


def changed(old: BaseModel, new: BaseModel, prefix: str = "") -> Iterator[str]:
    """Return the keys that differ, as the file has them: ``targets.edge.options``."""
    for name in type(new).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        key = f"{prefix}.{name}" if prefix else name
        if name in ("targets", "listeners") and isinstance(before, dict) and isinstance(after, dict):
            for each in sorted({*before, *after}):
                if each in before and each in after:
                    yield from changed(before[each], after[each], f"{key}.{each}")
                else:
                    yield f"{key}.{each}"
        else:
            yield from _changed(before, after, key)


def _changed(before: object, after: object, key: str) -> Iterator[str]:
    """Return the keys that differ, of any setting."""
    if isinstance(before, BaseModel) and type(before) is type(after):
        yield from changed(before, after, key)
    elif before != after:
        yield key


def _but_for_fixed(old: TargetSettings, new: TargetSettings) -> TargetSettings:
    return new.model_copy(update={name: getattr(old, name) for name in FIXED_OF_TARGETS})
