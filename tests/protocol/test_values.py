"""The value types: what they hold, what equals what, and that they survive a copy."""

from __future__ import annotations

import copy
import enum
import math
import pickle
from typing import Any

import pytest

from lunora_rx.protocol.values import (
    UNDEFINED,
    Undefined,
    WireBigInt,
    WireBytes,
    WireDate,
    WireError,
    WireMap,
    WireSet,
    WireUrl,
)

FIVE_KINDS = [1, True, "1", WireBigInt(1), None]


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


VALUES: list[Any] = [
    WireBigInt(7),
    WireUrl("https://a.b/c"),
    WireBytes(b"\x00\x01", "Int16Array"),
    WireDate(math.nan),
    WireDate(9e14),
    WireError("TypeError", "no", {"a": 1}, None),
    WireMap([("a", 1), (math.nan, 2)]),
    WireSet([1, "1", math.nan]),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_undefined_pickled_is_the_same_object(protocol: int) -> None:
    """There is one UNDEFINED, whatever carries it."""
    assert pickle.loads(pickle.dumps([UNDEFINED], protocol))[0] is UNDEFINED


def test_undefined_copied_is_the_same_object() -> None:
    """Copies of containers keep the identity tests of their readers true."""
    assert copy.copy(UNDEFINED) is UNDEFINED
    assert copy.deepcopy({"a": UNDEFINED})["a"] is UNDEFINED


def test_undefined_is_falsy_and_reads_as_its_name() -> None:
    """It behaves like an absent value and says what it is."""
    assert not UNDEFINED
    assert repr(UNDEFINED) == str(UNDEFINED) == "UNDEFINED"
    assert isinstance(UNDEFINED, Undefined)
    assert UNDEFINED is not None


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_value_copied_or_pickled_is_equal(value: Any) -> None:
    """A value survives every way of copying it, with its type."""
    for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert twin == value
        assert type(twin) is type(value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_repr_evaluated_gives_an_equal_value(value: Any) -> None:
    """A repr is the expression that makes the value."""
    names = {kind.__name__: kind for kind in (WireBigInt, WireBytes, WireDate, WireError, WireMap, WireSet, WireUrl)}
    assert repr(eval(repr(value), names | {"nan": math.nan})) == repr(value)


def test_bigint_is_the_int_it_holds() -> None:
    """It computes, hashes and prints as a plain int."""
    assert WireBigInt(2**70) == 2**70
    assert hash(WireBigInt(7)) == hash(7)
    assert f"{WireBigInt(7)}" == str(WireBigInt(7)) == "7"
    assert repr(WireBigInt(-7)) == "WireBigInt(-7)"


def test_url_is_the_str_it_holds() -> None:
    """It compares and prints as a plain str."""
    assert WireUrl("x") == "x"
    assert f"{WireUrl('x')}" == "x"
    assert repr(WireUrl("x:'")) == """WireUrl("x:'")"""


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"a-b-c")[::2]], ids=["bytes", "array", "view"])
def test_wire_bytes_of_anything_bytes_like_holds_bytes(data: Any) -> None:
    """What is held cannot change under its owner."""
    held = WireBytes(data, "ArrayBuffer")
    assert type(held.data) is bytes
    assert bytes(held) == b"abc"


def test_wire_bytes_of_no_bytes_raises() -> None:
    """A count is not taken for that many zeros."""
    with pytest.raises(TypeError):
        WireBytes(3, "ArrayBuffer")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (0, 0),
        (-0.0, 0),
        (-0.9, 0),
        (1.9, 1),
        (-1.9, -1),
        (8.64e15, 8_640_000_000_000_000),
        (-8_640_000_000_000_000, -8_640_000_000_000_000),
    ],
)
def test_wire_date_of_a_number_in_range_truncates_toward_zero(given: float, held: int) -> None:
    """TimeClip gives whole milliseconds, and no negative zero."""
    date = WireDate(given)
    assert date.epoch_ms == held
    assert type(date.epoch_ms) is int
    assert date.is_valid


@pytest.mark.parametrize("given", [math.nan, math.inf, -math.inf, 8_640_000_000_000_001, -8.65e15, 10**400])
def test_wire_date_of_a_number_out_of_range_is_invalid(given: float) -> None:
    """TimeClip gives NaN for what is no instant."""
    assert math.isnan(WireDate(given).epoch_ms)
    assert not WireDate(given).is_valid


@pytest.mark.parametrize("given", ["0", None, True, [0]])
def test_wire_date_of_no_number_raises(given: Any) -> None:
    """Nothing is coerced into an instant."""
    with pytest.raises(TypeError, match=type(given).__name__):
        WireDate(given)


def test_wire_date_compares_by_epoch_and_nan_equals_nan() -> None:
    """A cached invalid date equals the one that is delivered again."""
    assert WireDate(math.nan) == WireDate(math.inf)
    assert hash(WireDate(math.nan)) == hash(WireDate(math.inf))
    assert WireDate(5) == WireDate(5.5)
    assert hash(WireDate(5)) == hash(WireDate(5.5))
    assert WireDate(5) != WireDate(6)
    assert WireDate(5) != WireDate(math.nan)
    assert WireDate(5) != 5


def test_wire_error_without_props_and_cause_has_none() -> None:
    """An error has fields of its own only where they are given."""
    first, second = WireError("Error", "no"), WireError("Error", "no")
    assert first.props == {}
    assert first.props is not second.props
    assert first.cause is UNDEFINED
    assert first != WireError("Error", "no", {}, None)


def test_wire_map_keys_of_different_kinds_stay_apart() -> None:
    """Equality of keys is by value within their kind, unlike Python's."""
    pairs = [(key, str(index)) for index, key in enumerate([*FIVE_KINDS, UNDEFINED, False, 0, "", WireBigInt(0)])]
    mapping = WireMap(pairs)
    assert list(mapping.items()) == pairs
    assert [mapping[key] for key, _ in pairs] == [value for _, value in pairs]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (0, -0.0),
        (1, 1.0),
        (math.nan, float("nan")),
        (None, None),
        (UNDEFINED, UNDEFINED),
        ("red", Colour.RED),
        (1, Level.LOW),
        (WireBigInt(2**70), WireBigInt(2**70)),
    ],
    ids=repr,
)
def test_wire_map_with_equal_keys_keeps_the_first_key_and_the_last_value(first: Any, again: Any) -> None:
    """The position and the key object of the first, the value of the last."""
    mapping = WireMap([(first, "old"), ("z", 0), (again, "new")])
    assert next(iter(mapping)) is first
    assert list(mapping.values()) == ["new", 0]
    assert again in mapping
    assert list(WireSet([first, "z", again])) == [first, "z"]


@pytest.mark.parametrize("key", [WireUrl("a:b"), b"a", b"", WireDate(1), WireSet(), WireMap(), (), [], {}], ids=repr)
def test_wire_map_keys_with_no_identity_are_never_equal(key: Any) -> None:
    """A date is no other date, not even itself met twice: Python shares equal constants."""
    mapping = WireMap([(key, 1), (key, 2)])
    assert len(mapping) == 2
    assert key not in mapping
    assert mapping.get(key, "none") == "none"
    assert len(WireSet([key, key])) == 2


def test_wire_map_reads_like_a_mapping() -> None:
    """It can be iterated, measured and asked."""
    mapping = WireMap({"ab": 1, "cd": None})
    assert list(mapping) == list(mapping.keys()) == ["ab", "cd"]
    assert len(mapping) == 2
    assert mapping["cd"] is None
    assert mapping.get("cd", 0) is None
    assert mapping.get("x") is None
    assert WireMap(mapping) == mapping
    assert not WireMap()
    with pytest.raises(KeyError):
        mapping["x"]


def test_wire_map_equals_a_map_of_the_same_entries_in_order() -> None:
    """The order of the entries is a part of the value."""
    assert WireMap([(1, 2), (3, 4)]) == WireMap([(1, 2), (3, 4)])
    assert WireMap([(1, 2), (3, 4)]) != WireMap([(3, 4), (1, 2)])
    assert WireMap([(1, 2)]) != WireMap([(1, 3)])
    assert WireMap([(1, 2)]) != WireMap([(True, 2)])
    assert WireMap([(1, 2)]) != {1: 2}


def test_wire_set_reads_like_a_set() -> None:
    """It can be iterated, measured and asked."""
    items = WireSet(iter(FIVE_KINDS))
    assert list(items) == FIVE_KINDS
    assert [type(item) for item in items] == [type(item) for item in FIVE_KINDS]
    assert len(items) == 5
    assert "1" in items
    assert False not in items
    assert WireSet([1, 2]) == WireSet([1, 2])
    assert WireSet([1, 2]) != WireSet([2, 1])
    assert WireSet([1]) != {1}
    assert WireSet([1]) != WireSet([True])
    assert WireSet([WireDate(1)]) == WireSet([WireDate(1)])


@pytest.mark.parametrize("value", [WireMap(), WireSet()])
def test_container_hashed_raises(value: Any) -> None:
    """What may hold lists has no hash."""
    with pytest.raises(TypeError):
        hash(value)
