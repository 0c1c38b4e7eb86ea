"""Dataclasses that cost little until they are used.

The standard library writes and compiles up to ten functions for each dataclass when its module is imported: nearly a
millisecond for each class, a fifth of the time that a command took to start. Here `__init__` is written when the first
object is made, and the others need not be written: they go by the fields. All else is the standard library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter, ge, gt, le, lt
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """Make a class a dataclass, as `dataclasses.dataclass` does with eq, frozen, kw_only, order and slots."""
        return _made(cls, **options) if cls else lambda decorated: _made(decorated, **options)


def _made(
    cls: type, *, eq: bool = True, frozen: bool = False, kw_only: bool = False, order: bool = False, slots: bool = False
) -> type:
    own = set(vars(cls))
    if "__eq__" in own and cls.__hash__ is None:  # which is Python's doing, not the class's
        own.discard("__hash__")
    cls.__doc__ = cls.__doc__ or cls.__name__  # or its signature would be worked out
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(cls)
    fields = dataclasses.fields(made)
    methods: dict[str, object] = {"__init__": _first_init(made), "__repr__": _repr}
    if eq:
        methods |= _comparing(_key(field.name for field in fields if field.compare), order=order)
        hashed = _key(field.name for field in fields if (field.compare if field.hash is None else field.hash))
        methods["__hash__"] = _hashing(hashed) if frozen else None
    if frozen:
        methods |= {"__setattr__": _assign, "__delattr__": _delete}
        methods |= {"__getstate__": _state, "__setstate__": _restore} if slots else {}
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _first_init(cls: type) -> Callable[..., None]:
    """Return the `__init__` that writes the class's own, and puts it in its place."""

    def __init__(self: object, *args: Any, **kwargs: Any) -> None:
        init = _init(cls)
        type.__setattr__(cls, "__init__", init)
        init(self, *args, **kwargs)

    return __init__


def _init(cls: Any) -> Callable[..., None]:
    known: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
    positional: list[str] = []
    keywords: list[str] = []
    lines: list[str] = []
    assignment = "_set(self, {!r}, {})" if cls.__setattr__ is _assign else "self.{} = {}"
    for field in dataclasses.fields(cls):
        name, factory, value = field.name, field.default_factory is not MISSING, field.name
        parameter = name
        if field.default is not MISSING or factory:
            known[f"_{name}"] = field.default_factory if factory else field.default
            parameter = f"{name}={'_MISSING' if factory else f'_{name}'}"
        if not field.init:
            value = f"_{name}()" if factory else f"_{name}" if field.default is not MISSING else ""
        elif factory:
            value = f"_{name}() if {name} is _MISSING else {name}"
        if field.init:
            (keywords if field.kw_only else positional).append(parameter)
        if value:
            lines.append(assignment.format(name, value))
    lines += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    parameters = ", ".join(["self", *positional, *(["*", *keywords] if keywords else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(lines or ["pass"]), known)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"  # for "missing 1 required positional argument"
    return init


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _key(fields: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return the function that gives an object's values of these fields."""
    names = tuple(fields)
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _comparing(key: Callable[[Any], tuple[Any, ...]], *, order: bool) -> dict[str, object]:
    """Return the methods that compare objects of one class by their values."""

    def __eq__(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return {
        "__eq__": __eq__,
        **({f"__{op.__name__}__": _ordering(op, key) for op in (lt, le, gt, ge)} if order else {}),
    }


def _ordering(
    op: Callable[[Any, Any], bool], key: Callable[[Any], tuple[Any, ...]]
) -> Callable[[object, object], bool]:
    def ordered(self: object, other: object) -> bool:
        return op(key(self), key(other)) if other.__class__ is self.__class__ else NotImplemented

    return ordered


def _hashing(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[object], int]:
    return lambda self: hash(key(self))


def _assign(self: Any, name: str, value: object) -> None:
    if _frozen(self, name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _delete(self: Any, name: str) -> None:
    if _frozen(self, name):
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _frozen(self: Any, name: str) -> bool:
    """Tell whether a name may not be assigned: any of a dataclass, and the fields of what is derived from one."""
    return name in self.__dataclass_fields__ or "__dataclass_fields__" in vars(type(self))


def _state(self: Any) -> list[Any]:
    """Return what copies and pickles are made of, since slots cannot be assigned afterwards."""
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
