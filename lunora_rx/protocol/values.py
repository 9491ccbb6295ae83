"""The Python values that stand for what JSON cannot carry.

They are what ``decode_wire`` gives and ``encode_wire`` takes; the wire form of
each is in ``docs/protocol.md``, section "Value codec".  None of them knows how
it is written: limits of the wire (a known array kind, the scheme of a url, the
length of a bigint) are checked when a value is encoded.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

__all__ = [
    "UNDEFINED",
    "Undefined",
    "WireBigInt",
    "WireBytes",
    "WireDate",
    "WireError",
    "WireMap",
    "WireSet",
    "WireUrl",
]

_MAX_EPOCH_MS: Final = 8_640_000_000_000_000
_NAN: Final = math.nan


class Undefined(Enum):
    """The type of ``UNDEFINED``: an enum, so that type checkers narrow on ``is UNDEFINED``."""

    UNDEFINED = object()  # not a JSON value: a serializer refuses it instead of writing it

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNDEFINED"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: object) -> str:  # type: ignore[override]
        return "UNDEFINED"


UNDEFINED: Final = Undefined.UNDEFINED
"""JavaScript's ``undefined``: falsy, one object even after a copy or a pickle."""


class WireBigInt(int):
    """An integer that travels as a bigint; equal to and usable as the ``int`` it is.

    At most 1024 characters, the sign included, can be encoded.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"WireBigInt({int.__repr__(self)})"

    __str__ = int.__repr__


class WireUrl(str):
    """An absolute url, kept character by character; equal to the ``str`` it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"WireUrl({str.__repr__(self)})"


@dataclass(frozen=True, slots=True)
class WireBytes:
    """Bytes with the JavaScript constructor they belong to.

    Attributes:
        data: The bytes; a ``bytearray`` or ``memoryview`` is copied.
        kind: ``"ArrayBuffer"``, ``"Float32Array"``, ...; the length of ``data``
            must be a multiple of its element size to be encoded.
    """

    data: bytes
    kind: str

    def __post_init__(self) -> None:
        if type(self.data) is not bytes:
            object.__setattr__(self, "data", memoryview(self.data).tobytes())

    def __bytes__(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True, eq=False)
class WireDate:
    """A date that ``datetime`` cannot hold: before year 1, after 9999, or invalid.

    Attributes:
        epoch_ms: Whole milliseconds since 1970, after TimeClip: NaN if what was
            given is not finite or beyond 8.64e15 either way.
    """

    epoch_ms: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "epoch_ms", _time_clip(self.epoch_ms))

    @property
    def is_valid(self) -> bool:
        """Whether it names an instant."""
        return not math.isnan(self.epoch_ms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WireDate):
            return NotImplemented
        return self.epoch_ms == other.epoch_ms or not (self.is_valid or other.is_valid)

    def __hash__(self) -> int:
        return hash((WireDate, self.epoch_ms if self.is_valid else None))


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as data: it is never raised, and it has no stack.

    Attributes:
        name: Such as ``"TypeError"``.
        message: What it says.
        props: Its own further fields; an UNDEFINED one is dropped on encode.
        cause: What caused it; UNDEFINED means no cause, ``None`` a cause of null.
    """

    name: str
    message: str
    props: dict[str, object] = field(default_factory=dict)
    cause: object = UNDEFINED


class WireMap:
    """An immutable map in insertion order whose keys may be any wire value.

    Keys are told apart by SameValueZero: ``1``, ``True``, ``"1"`` and
    ``WireBigInt(1)`` are four keys, and a url, date, byte string or container
    never equals another one, so it is found by iterating only.  Where keys
    are equal the first key and position stay, the last value wins.

    Args:
        entries: Pairs of key and value, or a mapping.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[object, object]] | Mapping[object, object] | WireMap = ()) -> None:
        pairs = entries.items() if isinstance(entries, (Mapping, WireMap)) else entries
        slots: dict[Hashable, tuple[object, object]] = {}
        for key, value in pairs:
            identity = _identity(key)
            first = slots.get(identity)
            slots[identity] = (key, value) if first is None else (first[0], value)
        self._entries = slots

    def items(self) -> Iterator[tuple[object, object]]:
        """Iterate over the pairs of key and value."""
        return iter(self._entries.values())

    def keys(self) -> Iterator[object]:
        """Iterate over the keys."""
        return (key for key, _ in self._entries.values())

    def values(self) -> Iterator[object]:
        """Iterate over the values."""
        return (value for _, value in self._entries.values())

    def get(self, key: object, default: object = None) -> object:
        """Return the value under a key, or a default."""
        entry = self._entries.get(_identity(key))
        return default if entry is None else entry[1]

    def __getitem__(self, key: object) -> object:
        entry = self._entries.get(_identity(key))
        if entry is None:
            raise KeyError(key)
        return entry[1]

    def __contains__(self, key: object) -> bool:
        return _identity(key) in self._entries

    def __iter__(self) -> Iterator[object]:
        return self.keys()

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WireMap):
            return NotImplemented
        return _compared(self) == _compared(other) and list(self.values()) == list(other.values())

    def __repr__(self) -> str:
        return f"WireMap({list(self.items())!r})"

    def __reduce__(self) -> tuple[type[WireMap], tuple[list[tuple[object, object]]]]:
        return (WireMap, (list(self.items()),))


class WireSet:
    """An immutable set in insertion order whose items may be any wire value.

    Items are told apart like the keys of a ``WireMap``; later equal ones are dropped.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[object] = ()) -> None:
        slots: dict[Hashable, object] = {}
        for item in items:
            slots.setdefault(_identity(item), item)
        self._items = slots

    def __contains__(self, item: object) -> bool:
        return _identity(item) in self._items

    def __iter__(self) -> Iterator[object]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WireSet):
            return NotImplemented
        return _compared(self) == _compared(other)

    def __repr__(self) -> str:
        return f"WireSet({list(self)!r})"

    def __reduce__(self) -> tuple[type[WireSet], tuple[list[object]]]:
        return (WireSet, (list(self),))


def _time_clip(epoch_ms: float) -> float:
    if isinstance(epoch_ms, bool) or not isinstance(epoch_ms, (int, float)):
        raise TypeError(f"epoch_ms must be a number, not {type(epoch_ms).__name__}")
    return math.trunc(epoch_ms) if abs(epoch_ms) <= _MAX_EPOCH_MS else _NAN


def _identity(value: object) -> Hashable:
    """Return what a key or item is told apart by: its kind and value, or nothing that ever comes again."""
    if type(value) is str or value is None or value is UNDEFINED:
        return value
    if isinstance(value, (bool, WireBigInt)):
        return (bool if isinstance(value, bool) else WireBigInt, int(value))
    if isinstance(value, (int, float)):
        return value if value == value else _NAN
    if isinstance(value, str) and not isinstance(value, WireUrl):
        return value
    return object()  # not the object itself: Python shares equal bytes and tuples as it likes


def _compared(keys: Iterable[object]) -> list[object]:
    """Return what stands for keys or items in a comparison: their identity, or themselves if they have none."""
    identities = ((_identity(key), key) for key in keys)
    return [key if type(identity) is object else identity for identity, key in identities]
