"""``${VARIABLE:-default}``: one text with the environment filled in, to the letter as `docker stack deploy` does it.

Its ways are older than the Compose Specification's and stranger: an operator counts without braces as well, defaults
are not looked into, and a dash anywhere makes a default of what follows it, even in ``${TOKEN:?set-me}``. Where that is
not what it looks like, a remark says so. ``${VAR:+text}`` it does not know: that is read as Compose means it, with a
remark of its own.
Source: docker/cli, cli/compose/template/template.go; compared with `docker stack config` in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = "[_A-Za-z][_A-Za-z0-9]*"
_SUBSTITUTION = rf"{_NAME}(?::?[-?][^}}]*)?"
_PATTERN = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<named>{_SUBSTITUTION})|{{(?P<braced>{_SUBSTITUTION})}}"
    rf"|{{(?P<plus>{_NAME}:?\+[^}}]*)}}|(?P<invalid>))"
)
# In this order they are looked for anywhere in what the braces hold.
_OPERATORS = (":-", "-", ":?", "?")


class BadTemplate(Exception):
    """A text that `docker stack deploy` refuses: it says why, and what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a template that its author may not know."""

    message: str
    remedy: str
    refused: bool = False  # `docker stack deploy` does not take it


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with the variables filled in."""

    text: str
    remarks: tuple[Remark, ...] = ()


def fill(template: str, variables: Mapping[str, str]) -> Filled:
    """Return the text with every ``$NAME`` and ``${NAME}`` replaced, ``$$`` by a dollar.

    Raises:
        BadTemplate: a ``$`` begins nothing that is known, or a variable is missing that must be there.
    """
    remarks: list[Remark] = []

    def replaced(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["plus"]:
            return _alternative(match["plus"], variables, remarks)
        substitution = match["named"] or match["braced"]
        if not substitution:
            raise BadTemplate("a $ begins no variable", "write $$ for a dollar, ${NAME} for a variable")
        if match["named"] and not re.fullmatch(_NAME, substitution):
            remarks.append(_unbraced(substitution))
        return _value(substitution, variables, remarks)

    text = _PATTERN.sub(replaced, template)
    return Filled(text, tuple(remarks))


def _value(substitution: str, variables: Mapping[str, str], remarks: list[Remark]) -> str:
    operator = next((operator for operator in _OPERATORS if operator in substitution), "")
    if not operator:
        if substitution not in variables:
            remarks.append(Remark(f"variable {substitution} is not set: it stands for nothing", f"set {substitution}"))
        return variables.get(substitution, "")
    name, _, rest = substitution.partition(operator)
    value = variables.get(name)
    if operator.endswith("-"):
        _remark_on_default(substitution, name, rest, remarks)
        return rest if value is None or (operator == ":-" and not value) else value
    if value is None or (operator == ":?" and not value):
        said = f": {rest}" if rest else ""
        raise BadTemplate(f"variable {name} is not set{' or empty' if operator == ':?' else ''}{said}", f"set {name}")
    return value


def _unbraced(substitution: str) -> Remark:
    name = re.match(_NAME, substitution)[0]  # type: ignore[index]
    rest = substitution[len(name) :]
    message = f"{rest!r} belongs to the variable, as in ${{{substitution}}}: an operator counts without braces as well"
    return Remark(message, f"write ${{{name}}}{rest} if it is text")


def _remark_on_default(substitution: str, name: str, default: str, remarks: list[Remark]) -> None:
    if not re.fullmatch(_NAME, name):
        message = f"a dash makes a default of what follows it: ${{{substitution}}} is always {default!r}"
        remarks.append(Remark(message, "write the text without a dash"))
    elif "$" in default:
        message = f"the default {default!r} is taken as it is: `docker stack deploy` looks for no variables in it"
        remarks.append(Remark(message, "write it out, or set the variable"))


def _alternative(substitution: str, variables: Mapping[str, str], remarks: list[Remark]) -> str:
    name, _, text = substitution.partition("+")
    remarks.append(
        Remark(f"`docker stack deploy` does not know ${{{name}+...}}", "set another variable to the whole text", True)
    )
    value = variables.get(name.removesuffix(":"))
    return "" if value is None or (name.endswith(":") and not value) else text
