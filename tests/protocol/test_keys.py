"""The stable key against the protocol's examples and against oracles of its own."""

from __future__ import annotations

import json
import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lunora_rx.errors import CodecError
from lunora_rx.protocol.keys import stable_key_of_tree, stable_wire_key, subscription_key, subscription_key_of_tree
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireError, WireMap, WireSet
from lunora_rx.protocol.wire import TAG, encode_wire


def spelled_by_ecmascript(value: float) -> str:
    """Spell a number by the steps of ``Number::toString``, from exact decimals and not from the text of ``repr``."""
    sign, digit_tuple, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    digits, minus = "".join(map(str, digit_tuple)), "-" if sign else ""
    count, point = len(digits), len(digits) + exponent
    if value == 0:
        return minus + "0"
    if count <= point <= 21:
        return minus + digits + "0" * (point - count)
    if 0 < point <= 21:
        return minus + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return minus + "0." + "0" * -point + digits
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return minus + digits[0] + ("." + digits[1:] if count > 1 else "") + power


def code_units(text: str) -> tuple[int, ...]:
    """Give the UTF-16 code units of a text by arithmetic."""
    units: list[int] = []
    for code in map(ord, text):
        over = code - 0x10000
        units += [code] if over < 0 else [0xD800 + (over >> 10), 0xDC00 + (over & 0x3FF)]
    return tuple(units)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"b": 2, "a": 1}, '{"a":1,"b":2}'),
        ({"😀": 1, "\ue000": 2, "z": 3}, '{"z":3,"😀":1,"\ue000":2}'),
        (WireBigInt(7), f'["{TAG}","bigint","7"]'),
        ({"a": None, "u": UNDEFINED}, '{"a":null}'),
        ([UNDEFINED, None, True, False], f'[["{TAG}","undefined"],null,true,false]'),
        ([{"b": {"d": 1, "c": []}, "a": {}}], '[{"a":{},"b":{"c":[],"d":1}}]'),
        ([3, 1, 2], "[3,1,2]"),
        (WireSet(["b", "a"]), f'["{TAG}","set",["b","a"]]'),
        ({"b", "a"}, f'["{TAG}","set",["a","b"]]'),
        (WireMap([("b", {"y": 1, "x": 2}), ("a", 1)]), f'["{TAG}","map",[["b",{{"x":2,"y":1}}],["a",1]]]'),
        (WireError("E", "m", {"b": 1, "a": 2}), f'["{TAG}","error","E","m",{{"a":2,"b":1}}]'),
        ([TAG], f'["{TAG}","arr",["{TAG}"]]'),
        (math.nan, f'["{TAG}","nan"]'),
        (b"\xff", f'["{TAG}","bytes","/w=="]'),
    ],
)
def test_stable_key_of_a_value_is_its_canonical_text(value: Any, key: str) -> None:
    """Keys are sorted, nulls kept, undefined fields dropped, and order kept where it has a meaning."""
    assert stable_wire_key(value) == key


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1, "-1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1.2345e22, "1.2345e+22"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (1.5e300, "1.5e+300"),
        (-1.5e-300, "-1.5e-300"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (123.456, "123.456"),
        (0.1, "0.1"),
        (100.0, "100"),
        (2**53 - 1, "9007199254740991"),
        (-(2**53) + 1, "-9007199254740991"),
    ],
)
def test_stable_key_of_a_number_is_spelled_as_ecmascript_does(number: float, spelled: str) -> None:
    """One number has one spelling; only negative zero differs from ECMAScript."""
    assert stable_wire_key(number) == spelled


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(1e21)
@example(1e-7)
@example(9.5e-7)
def test_stable_key_of_any_float_agrees_with_the_oracle(number: float) -> None:
    """The spelling is that of Number::toString for every double, and reads back as the same double."""
    assert stable_wire_key(number) == spelled_by_ecmascript(number)
    assert struct.pack("d", float(stable_wire_key(number))) == struct.pack("d", number)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_stable_key_of_an_int_equals_that_of_its_float(number: int) -> None:
    """Whether a number came as an int or a float makes no other key."""
    assert stable_wire_key(number) == stable_wire_key(float(number)) == str(number)


@pytest.mark.parametrize("number", [2**53, 2**60, -(2**60) - 1, 10**21])
def test_stable_key_of_a_tree_with_a_wide_integer_spells_its_nearest_double(number: int) -> None:
    """A tree that was parsed and never walked may hold one: ECMAScript would have read a double."""
    assert stable_key_of_tree(number) == spelled_by_ecmascript(float(number))


@given(st.lists(st.text(), unique=True))
def test_stable_key_of_an_object_orders_keys_by_utf16(keys: list[str]) -> None:
    """The order is that of the code units, wherever it differs from that of the code points."""
    written = json.loads(stable_wire_key(dict.fromkeys(keys)), object_pairs_hook=list)
    assert [key for key, _ in written] == sorted(keys, key=code_units)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ('a"\\/', r'"a\"\\/"'),
        ("\b\t\n\f\r", r'"\b\t\n\f\r"'),
        ("\x00\x0b\x1f", r'"\u0000\u000b\u001f"'),
        ("\x7f é \u2028\u2029 😀 \uffff", '"\x7f é \u2028\u2029 😀 \uffff"'),
        ("\ud800", r'"\ud800"'),
        ("a\udfffé\udbff", r'"a\udfffé\udbff"'),
    ],
)
def test_stable_key_of_a_text_is_escaped_like_json_stringify(text: str, spelled: str) -> None:
    """Only what must be escaped is; a lone surrogate has a spelling though it cannot be sent."""
    assert stable_wire_key(text) == spelled
    assert stable_wire_key({text: text}) == f"{{{spelled}:{spelled}}}"


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(plain)
def test_stable_key_is_json_of_the_value_and_independent_of_field_order(value: Any) -> None:
    """The key says the whole value, and says it in one way."""
    key = stable_wire_key(value)
    assert json.loads(key, parse_int=float) == encode_wire(value)
    assert stable_wire_key(_reversed_fields(value)) == key
    assert stable_key_of_tree(encode_wire(value)) == key


def _reversed_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed_fields(item) for key, item in reversed(value.items())}
    return [_reversed_fields(item) for item in value] if isinstance(value, list) else value


@given(st.frozensets(st.text() | st.integers(-100, 100) | st.floats(allow_nan=False)))
def test_stable_key_of_equal_sets_is_one(items: frozenset[Any]) -> None:
    """A set of Python has no order, so its wire form takes the order of the items' keys."""
    tree: Any = encode_wire(set(items))
    assert stable_wire_key(frozenset(reversed(list(items)))) == stable_key_of_tree(tree)
    assert list(map(stable_key_of_tree, tree[2])) == sorted(map(stable_key_of_tree, tree[2]))
    assert len(tree[2]) == len(items)


@pytest.mark.parametrize(
    ("args", "shard", "key"),
    [
        (None, None, "m:l::{}::"),
        ({}, "", "m:l::{}::"),
        ({"b": 1, "a": WireBigInt(2)}, "room", f'm:l::{{"a":["{TAG}","bigint","2"],"b":1}}::room'),
        ({"a": UNDEFINED}, None, "m:l::{}::"),
        ({"a": None}, None, 'm:l::{"a":null}::'),
        ([], None, "m:l::[]::"),
    ],
)
def test_subscription_key_joins_path_args_and_shard(args: Any, shard: str | None, key: str) -> None:
    """Missing args are an empty object, and both names of the default shard are one."""
    assert subscription_key("m:l", args, shard) == key
    assert subscription_key_of_tree("m:l", encode_wire({} if args is None else args), shard) == key


def test_subscription_key_without_args_and_shard_is_that_of_the_defaults() -> None:
    """Both may be left out."""
    assert subscription_key("m:l") == subscription_key_of_tree("m:l", {}) == "m:l::{}::"


def test_subscription_key_of_args_that_do_not_encode_raises_with_their_path() -> None:
    """The place is named from the arguments on."""
    with pytest.raises(CodecError) as caught:
        subscription_key("m:l", {"a": [1j]})
    assert caught.value.path == "args.a[0]"
    with pytest.raises(CodecError):
        stable_wire_key(2**53)
