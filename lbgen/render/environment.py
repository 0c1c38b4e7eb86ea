"""The Jinja2 environment that templates run in: sandboxed, strict, and safe to print values with.

Text that templates themselves produce (macros, blocks) may span lines; a *value* with a control character is an
error wherever it is printed, so that nothing from a label can break out of its place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial, wraps
from itertools import chain, compress
from operator import not_
from pathlib import Path
from types import BuiltinMethodType
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateRuntimeError, Undefined, pass_environment
from jinja2.filters import FILTERS as JINJAS
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from lbgen.base.address import host_port
from lbgen.base.problem import printable
from lbgen.labels.values.basic import spell_duration
from lbgen.model.numbers import numbered
from lbgen.model.tables import by_host, in_order
from lbgen.render import quoting
from lbgen.render.budget import FILTERS, METHODS, OPERATORS, Budget, LimitedCodeGenerator, allow_result, guarded, total
from lbgen.render.bytecode import Bytecode
from lbgen.render.client_headers import forged_headers, twins
from lbgen.render.limits import Limits
from lbgen.render.loader import Loader
from lbgen.render.nginx_directives import directives, internal_locations
from lbgen.render.nginx_networks import geo
from lbgen.render.sni import SniTable
from lbgen.render.template_errors import described, suggestion

REMOVED = ("random", "urlize")  # Jinja's filters: equal input gives equal bytes, and no configuration is HTML


class Produced(str):
    """Text that a template produced, as opposed to a value it was given."""

    __slots__ = ()


class _Undefined(StrictUndefined):
    """An error as soon as it is used; what is missing of an object comes with the name that was probably meant."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        inside = self._undefined_obj
        if inside is missing or self._undefined_hint:
            return super()._undefined_message
        known = inside if isinstance(inside, Mapping) else [name for name in dir(inside) if not name.startswith("_")]
        return f"{described(inside)} has no {self._undefined_name!r}{suggestion(str(self._undefined_name), known)}"


class BlockContext(Context):
    """What a template, or one of its blocks, sees."""

    def derived(self, locals: dict[str, Any] | None = None) -> Context:
        """Return the context of a scoped block: there are thousands of them, and none changes what the blocks are."""
        names = self.get_all() | {name: value for name, value in (locals or {}).items() if value is not missing}
        context = type(self)(self.environment, names, self.name, {})
        context.eval_ctx, context.blocks = self.eval_ctx, self.blocks
        return context


class Environment(ImmutableSandboxedEnvironment):
    """Sandbox whose macros and blocks return `Produced` text, within a budget. Not for two threads at a time."""

    context_class = BlockContext
    code_generator_class = LimitedCodeGenerator
    intercepted_binops = frozenset(OPERATORS)

    def __init__(self, **options: Any) -> None:
        self.budget = Budget(Limits())  # of the rendering that is under way
        self._safe: dict[tuple[type, str], bool] = {}  # (type, attribute) -> whether a template may have it
        super().__init__(finalize=self._printed, **options)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return ``obj.attribute``. Fields of the model's objects are data, which need not be looked at twice."""
        return getattr(obj, attribute) if attribute in _fields(obj) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return ``obj[argument]``, or what filters such as selectattr ask for."""
        return getattr(obj, argument) if argument in _fields(obj) else super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator whose result could be larger than what it is made from."""
        allow_result(OPERATORS[operator], self.budget, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a macro, a function or a method."""
        __self.budget.tick()
        if type(__obj) is Macro:  # a template's own: there is nothing to refuse, and no context to give
            for name in ("_block_vars", "_loop_vars") if kwargs else ():
                kwargs.pop(name, None)
            return __obj(__context.eval_ctx, *args, **kwargs)
        if isinstance(__obj, BuiltinMethodType) and (estimate := METHODS.get(__obj.__name__)):
            if __obj.__name__ == "join" and args:
                args = ([str(part) if isinstance(part, Undefined) else part for part in args[0]],)
            allow_result(estimate, __self.budget, __obj.__self__, *args, **kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return the replacement for a text's own ``format`` and ``format_map``."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        return guarded(wrapped, partial(METHODS[value.__name__], value.__self__), lambda: self.budget)

    def joined(self, parts: Iterable[Any]) -> str:
        """Return ``a ~ b``: produced text, if all the rest could be printed as well."""
        texts = [part if isinstance(part, str) else str(part) for part in parts]
        self.budget.allow(sum(map(len, texts)))
        produced = [isinstance(text, Produced) for text in texts]
        if any(produced) and not any(map(control_character, compress(texts, map(not_, produced)))):
            return Produced("".join(texts))
        return "".join(texts)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse whatever a path can do: settings have paths, and a template has no business with files."""
        key = type(obj), attr  # the answer depends on nothing else, and is asked for a hundred thousand times
        if key not in self._safe:
            if len(self._safe) >= _MOST_KNOWN:
                self._safe.clear()
            self._safe[key] = not isinstance(obj, Path) and super().is_safe_attribute(obj, attr, value)
        return self._safe[key]

    def concat(self, parts: list[str] | Generator[str, None, None]) -> Produced:  # type: ignore[override]
        """Join what a template, block or macro printed."""
        if not isinstance(parts, list):
            parts = self._collected(parts)
        size = sum(map(len, parts))
        self.budget.allow(size)
        self.budget.made(size)
        return Produced("".join(parts))

    def _printed(self, value: Any) -> Any:
        if isinstance(value, Produced):
            return value
        text = str(value)
        self.budget.made(len(text))
        if control_character(text):
            raise TemplateRuntimeError(f"prints a value with a control character: {printable(text)!r}")
        return text

    def _collected(self, parts: Generator[str, None, None]) -> list[str]:
        """Take what a template prints until it is too much, which is then an error at the line that printed it."""
        texts, size = [], 0
        for text in parts:
            size += len(text)
            if size > self.budget.largest:
                parts.throw(self.budget.too_large(size))
            texts.append(text)
        return texts


_MOST_KNOWN = 4096  # answers


def _fields(obj: Any) -> Mapping[str, Any]:
    return getattr(type(obj), "__dataclass_fields__", _NO_FIELDS)


_NO_FIELDS: Mapping[str, Any] = {}


# Of the process, by the grammar whose quoting is compiled into templates where a value is known. The same text gives
# the same code, so targets share it, and a template that is saved costs the compiling of that one, not of the set.
_COMPILED: dict[tuple[Path, str], Bytecode] = {}


def environment(directories: list[Path], builtin: Path, quote: str) -> Environment:
    """Return the environment for a template set.

    Args:
        directories: searched in order.
        builtin: directory of the built-in sets; ``haproxy/haproxy.cfg.j2`` always means the built-in file.
        quote: the grammar whose quoting the filter ``quote`` applies.
    """
    env = Environment(
        loader=Loader(directories, builtin),
        auto_reload=False,
        undefined=_Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        bytecode_cache=_COMPILED.setdefault((builtin, quote), Bytecode(builtin, quote)),
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    env.globals |= FUNCTIONS
    env.filters |= filters(quote)
    env.filters |= {
        name: guarded(env.filters[name], estimate, lambda: env.budget) for name, estimate in FILTERS.items()
    }
    for name in REMOVED:
        del env.filters[name]
    del env.globals["lipsum"]
    return env


def fail(message: str) -> NoReturn:
    """Refuse to render: the message is the error, told with the file and line of the template that called.

    For what a template has no words for: what it writes nothing for would hold for every request.
    """
    raise TemplateRuntimeError(printable(message))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {"fail": fail, "forged_headers": forged_headers}


def filters(quote: str) -> dict[str, Callable[..., Any]]:
    """Return the filters that Jinja does not have, or has otherwise."""
    return {
        "in_order": in_order,
        "numbered": numbered,
        "by_host": by_host,
        "handshakes": SniTable,
        "quote": quoting.QUOTING[quote],
        "word": quoting.word,
        "comment": quoting.comment,
        "host_port": host_port,
        "directives": directives,
        "geo": geo,
        "internal_locations": internal_locations,
        "duration": spell_duration,
        "decoded": quoting.decoded,
        "argument": quoting.argument,
        "regex_literal": quoting.regex_literal,
        "twins": twins,
        "indent": _indent,
        "trim": _trim,
        "join": _join,
        "sum": _sum,
    }


@pass_environment
def _join(env: Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    """Return the items, or an attribute of theirs, as one text with ``d`` between them."""
    texts = [str(part) for part in (value if attribute is None else map(make_attrgetter(env, attribute), value))]
    env.budget.allow(sum(map(len, texts)) + len(d) * len(texts))
    return str(d).join(texts)


@pass_environment
def _sum(env: Environment, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Return the sum of the items, or of an attribute of theirs; with ``start=[]`` or ``start=()`` that of lists."""
    parts = list(iterable if attribute is None else map(make_attrgetter(env, attribute), iterable))
    if isinstance(start, (list, tuple)):
        env.budget.allow(sum(total(part, ()) for part in parts))
        return type(start)(chain(start, *parts))
    return sum(parts, start)


def control_character(text: str) -> bool:
    """Tell whether there is one, or half a character, which no file could hold."""
    return not text.isprintable() and any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in text
    )


def _producing(filter_: Callable[..., str]) -> Callable[..., str]:
    """Keep produced text what it is through a filter that only moves it."""

    @wraps(filter_)
    def moved(value: str, *args: Any, **kwargs: Any) -> str:
        result = filter_(value, *args, **kwargs)
        return Produced(result) if isinstance(value, Produced) else result

    return moved


_indent, _trim = _producing(JINJAS["indent"]), _producing(JINJAS["trim"])
