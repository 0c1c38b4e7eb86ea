"""A whole file with the environment filled in: every value, and the types that some values then get."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lbgen.base.problem import printable
from lbgen.base.yaml_tree import KeyPath
from lbgen.source.compose.stack_file import StackFile
from lbgen.source.compose.variables import BadTemplate, Filled, fill


def _integer(text: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise ValueError("a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _boolean(text: str) -> bool:
    if text.lower() not in ("y", "yes", "true", "on", "n", "no", "false", "off"):
        raise ValueError("true or false")
    return text.lower() in ("y", "yes", "true", "on")


# Where a text with variables becomes another type; "*" is any key, "[]" any item. Everywhere else it stays a text.
# Source: docker/cli, cli/compose/loader/interpolate.go.
_CASTS: Mapping[Callable[[str], object], str] = {
    _integer: """
        services.*.configs.[].mode services.*.secrets.[].mode services.*.healthcheck.retries
        services.*.deploy.replicas services.*.deploy.update_config.parallelism
        services.*.deploy.rollback_config.parallelism services.*.deploy.restart_policy.max_attempts
        services.*.deploy.placement.max_replicas_per_node services.*.ports.[].target services.*.ports.[].published
        services.*.ulimits.* services.*.ulimits.*.hard services.*.ulimits.*.soft services.*.oom_score_adj
    """,
    _number: "services.*.deploy.update_config.max_failure_ratio services.*.deploy.rollback_config.max_failure_ratio",
    _boolean: """
        services.*.healthcheck.disable services.*.privileged services.*.read_only services.*.stdin_open services.*.tty
        services.*.volumes.[].read_only services.*.volumes.[].volume.nocopy
        networks.*.external networks.*.internal networks.*.attachable
        volumes.*.external secrets.*.external configs.*.external
    """,
}
_CAST_PATHS = tuple((tuple(path.split(".")), cast) for cast, paths in _CASTS.items() for path in paths.split())


def interpolated_file(file: StackFile, variables: Mapping[str, str]) -> StackFile:
    """Return the file with its variables filled in; what is wrong with a template is added to the file's errors."""
    told: set[str] = set()  # a variable that is not set is told once

    def walked(value: Any, path: KeyPath) -> Any:
        if isinstance(value, str):
            return _filled(file, value, path, variables, told)
        if isinstance(value, Mapping):
            return {key: walked(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walked(item, (*path, index)) for index, item in enumerate(value)]
        return value

    return replace(file, data=walked(file.data, ()))


def _filled(file: StackFile, text: str, path: KeyPath, variables: Mapping[str, str], told: set[str]) -> object:
    try:
        filled = fill(text, variables)
    except BadTemplate as bad:
        file.wrong(path, f"{printable(text)!r}: {bad.message}", bad.remedy)
        return text
    _tell(file, filled, path, told)
    return filled.text if filled.text == text else _cast(file, filled.text, path)


def _tell(file: StackFile, filled: Filled, path: KeyPath, told: set[str]) -> None:
    for remark in filled.remarks:
        if remark.message not in told:
            told.add(remark.message)
            (file.refused if remark.refused else file.note)(path, remark.message, remark.remedy)


def _cast(file: StackFile, text: str, path: KeyPath) -> object:
    for pattern, cast in _CAST_PATHS:
        if len(pattern) == len(path) and all(map(_fits, pattern, path)):
            try:
                return cast(text)
            except ValueError as error:
                file.wrong(path, f"{printable(text)!r} is not {error}", "set the variable to one")
    return text


def _fits(pattern: str, part: str | int) -> bool:
    return pattern == ("[]" if isinstance(part, int) else part) or (pattern == "*" and isinstance(part, str))
