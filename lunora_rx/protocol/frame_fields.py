"""Where the attributes of a frame stand in its JSON object, and what they may hold there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

Tree: TypeAlias = Any
Position: TypeAlias = int
Epoch: TypeAlias = str | int


class Field(NamedTuple):
    """Where one attribute stands in the JSON object, and what it may hold there."""

    attribute: str
    path: tuple[str, ...]
    accepts: Callable[[Any], bool]
    expected: str


def is_position(value: object) -> bool:
    """Tell whether ``value`` can be a cursor: an int, not a bool."""
    return type(value) is int


def is_epoch(value: object) -> bool:
    """Tell whether ``value`` can be an epoch or a checkpoint: an opaque string or int that can be sent back."""
    return is_sendable(value) or type(value) is int


def is_sendable(value: object) -> bool:
    """Tell whether ``value`` is a string that can be sent: one without a lone surrogate."""
    if type(value) is not str:
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def text_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds a string; ``path`` is its dotted place where its name is another one there."""
    return _field(attribute, path, lambda value: type(value) is str, "a string")


def position_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds a cursor."""
    return _field(attribute, path, is_position, "an integer")


def epoch_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds an epoch or a checkpoint."""
    return _field(attribute, path, is_epoch, "a string or an integer")


def flag_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds true or false."""
    return _field(attribute, path, lambda value: type(value) is bool, "a boolean")


def object_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds an object."""
    return _field(attribute, path, lambda value: type(value) is dict, "an object")


def array_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds an array."""
    return _field(attribute, path, lambda value: isinstance(value, list | tuple), "an array")


def text_array_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds an array of strings."""
    return _field(attribute, path, _is_text_array, "an array of strings")


def nullable_text_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds a string, or a null that says something."""
    return _field(attribute, path, lambda value: value is None or is_sendable(value), "a string or null")


def any_field(attribute: str, path: str = "") -> Field:
    """Return a field that holds any value in wire form."""
    return _field(attribute, path, lambda value: True, "any value")


def _is_text_array(value: object) -> bool:
    return isinstance(value, list | tuple) and all(type(each) is str for each in value)


def _field(attribute: str, path: str, accepts: Callable[[Any], bool], expected: str) -> Field:
    return Field(attribute, tuple((path or attribute).split(".")), accepts, expected)


ID: Final = text_field("id")
