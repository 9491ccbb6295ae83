"""Frozen values that cost a tenth of a frozen dataclass to define.

There are some eighty kinds of frames, events, outcomes and options. As dataclasses their definitions
alone took more than a third of what importing the package takes, because six functions of each are
compiled at every start; here all kinds share theirs.  What users hold in their hands stays a dataclass.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, NoReturn, TypeVar, dataclass_transform

C = TypeVar("C", bound=type)
V = TypeVar("V")


@dataclass_transform(frozen_default=True)
def frozen(cls: C) -> C:
    """Make a class of annotated fields one of frozen, hashable values with slots, as ``dataclass`` does.

    A default is shared by all values, so it is one that cannot change. Values are equal if their class and their
    fields are. There are no ``dataclasses.fields``.

    Raises:
        TypeError: A field without a default follows one that has one.
    """
    names = tuple(name for name, kind in cls.__annotations__.items() if not str(kind).startswith("ClassVar"))
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    body = {name: each for name, each in cls.__dict__.items() if name not in _UNSLOTTED and name not in defaults}
    if list(defaults) != list(names[len(names) - len(defaults) :]):
        raise TypeError(f"{cls.__qualname__}: fields without a default come before those with one")
    body |= {"__qualname__": cls.__qualname__, "__slots__": names, "__match_args__": names, "_defaults": defaults}
    made: Any = type(cls)(cls.__name__, cls.__bases__, {**_SHARED, **body})
    made.__init__ = _constructor(made, names)
    return made  # type: ignore[no-any-return]


def replace(value: V, **changes: Any) -> V:
    """Return a frozen value that has other values in some fields, as ``dataclasses.replace`` does.

    Raises:
        TypeError: There is no field of that name.
    """
    cls: Any = type(value)
    return cls(**dict(zip(cls.__match_args__, _fields(value), strict=True)) | changes)  # type: ignore[no-any-return]


def required_fields(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a frozen class that have no default."""
    return tuple(name for name in cls.__match_args__ if name not in cls._defaults)


def _constructor(cls: Any, names: tuple[str, ...]) -> Any:
    setters = tuple([getattr(cls, name).__set__ for name in names])

    required, tail = len(required_fields(cls)), tuple(cls._defaults.values())
    finish = getattr(cls, "__post_init__", None)

    def construct(self: Any, *args: Any, **named: Any) -> None:
        if named or not required <= len(args) <= len(setters):
            args = _complete(cls, args, named)
        else:
            args += tail[len(args) - required :]
        for assign, value in zip(setters, args, strict=True):
            assign(self, value)
        if finish is not None:
            finish(self)

    return construct


def _complete(cls: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    names = cls.__match_args__
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or not named.keys() <= set(names[len(args) :]):
        raise TypeError(f"{cls.__qualname__} has the fields {names}, not {len(args)} of them and then {[*named]}")
    fields = {**cls._defaults, **given, **named}
    if len(fields) < len(names):
        raise TypeError(f"{cls.__qualname__} misses {[name for name in names if name not in fields]}")
    return tuple([fields[name] for name in names])


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({shown})"


def _fields(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


def _is_equal(self: Any, other: Any) -> Any:
    return _fields(self) == _fields(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_fields(self))


def _refuse_assignment(self: Any, name: str, value: Any) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _reduce(self: Any) -> tuple[Any, ...]:
    return type(self), _fields(self)


_UNSLOTTED = ("__dict__", "__weakref__")
_SHARED = {
    "__repr__": _repr,
    "__eq__": _is_equal,
    "__hash__": _hash,
    "__setattr__": _refuse_assignment,
    "__delattr__": _refuse_deletion,
    "__reduce__": _reduce,
}
