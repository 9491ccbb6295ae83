"""The value codec: every row of its table, every refusal with its path, and the round trips."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import types
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunora_rx.errors import CodecError
from lunora_rx.protocol import decode as decoding
from lunora_rx.protocol import tags
from lunora_rx.protocol.values import (
    UNDEFINED,
    WireBigInt,
    WireBytes,
    WireDate,
    WireError,
    WireMap,
    WireSet,
    WireUrl,
)
from lunora_rx.protocol.wire import TAG, decode_parsed, decode_wire, encode_for_key, encode_wire

UTC = dt.UTC
MAX_INT = 2**53 - 1
NINES = "9" * 1024
LONE = "\ud800"


class Colour(enum.StrEnum):
    RED = "red"
    TAG = TAG


class Level(enum.IntEnum):
    LOW = 1


class Ratio(float):
    pass


class Link(WireUrl):
    pass


class Count(WireBigInt):
    pass


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Row:
    a: int = 1


class NoZone(dt.tzinfo):
    def utcoffset(self, when: object) -> None:
        return None


def tagged(*rest: Any) -> list[Any]:
    """Write a tagged array."""
    return [TAG, *rest]


def parsed(tree: Any) -> Any:
    """Give a tree as a parser gives it: no container is in it twice."""
    return json.loads(json.dumps(tree))


def same(left: Any, right: Any) -> bool:
    """Compare values as strictly as the wire does: types as well, NaN equal to NaN, signs of zero apart."""
    return _spelled(left) == _spelled(right)


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{','.join(f'{key!r}:{_spelled(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_spelled, value))}]"
    return f"{type(value).__name__} {value!r}"


# Each pair is fixed both ways.
PAIRS: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (False, False),
    ("", ""),
    ("😀\x00", "😀\x00"),
    (0, 0),
    (MAX_INT, MAX_INT),
    (-MAX_INT, -MAX_INT),
    (1.5, 1.5),
    (1.0, 1.0),
    (-0.0, -0.0),
    (1e300, 1e300),
    ([], []),
    ({}, {}),
    ({"__proto__": [1, "a"], "": None}, {"__proto__": [1, "a"], "": None}),
    (math.nan, tagged("nan")),
    (math.inf, tagged("inf")),
    (-math.inf, tagged("-inf")),
    (UNDEFINED, tagged("undefined")),
    ([UNDEFINED, 1], [tagged("undefined"), 1]),
    (WireBigInt(0), tagged("bigint", "0")),
    (WireBigInt(-7), tagged("bigint", "-7")),
    (WireBigInt(NINES), tagged("bigint", NINES)),
    (WireBigInt("-" + NINES[1:]), tagged("bigint", "-" + NINES[1:])),
    (dt.datetime(1970, 1, 1, tzinfo=UTC), tagged("date", 0)),
    (dt.datetime(1, 1, 1, tzinfo=UTC), tagged("date", -62135596800000)),
    (dt.datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), tagged("date", 253402300799999)),
    (dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), tagged("date", -1)),
    (WireDate(-62135596800001), tagged("date", -62135596800001)),
    (WireDate(253402300800000), tagged("date", 253402300800000)),
    (WireDate(8.64e15), tagged("date", 8640000000000000)),
    (WireDate(math.nan), tagged("date", tagged("nan"))),
    (WireUrl("HTTP://[x"), tagged("url", "HTTP://[x")),
    (WireUrl("a+1.-:"), tagged("url", "a+1.-:")),
    (WireMap(), tagged("map", [])),
    (WireMap([(1, "a"), (True, [UNDEFINED])]), tagged("map", [[1, "a"], [True, [tagged("undefined")]]])),
    (
        WireMap([(WireUrl("a:b"), {}), (WireUrl("a:b"), 0)]),
        tagged("map", [[tagged("url", "a:b"), {}], [tagged("url", "a:b"), 0]]),
    ),
    (WireSet(), tagged("set", [])),
    (WireSet(["b", "a", b""]), tagged("set", ["b", "a", tagged("bytes", "")])),
    (b"", tagged("bytes", "")),
    (b"\xff\xfe", tagged("bytes", "//4=")),
    (WireBytes(b"", "Float64Array"), tagged("bytes", "", "Float64Array")),
    (WireBytes(b"abc", "ArrayBuffer"), tagged("bytes", "YWJj", "ArrayBuffer")),
    (WireError("E", "m", {}), tagged("error", "E", "m", {})),
    (WireError("E", "m", {"a": WireBigInt(1)}, None), tagged("error", "E", "m", {"a": tagged("bigint", "1")}, None)),
    (WireError("", "", {}, WireError("F", "n", {})), tagged("error", "", "", {}, tagged("error", "F", "n", {}))),
    ([TAG], tagged("arr", [TAG])),
    ([TAG, "future", WireBigInt(1)], tagged("arr", [TAG, "future", tagged("bigint", "1")])),
    ([TAG, "nan"], tagged("arr", [TAG, "nan"])),
    ([[TAG], "x"], [tagged("arr", [TAG]), "x"]),
    (["x", TAG], ["x", TAG]),
]


@pytest.mark.parametrize(("value", "tree"), PAIRS)
def test_value_of_the_table_encodes_to_its_wire_form(value: Any, tree: Any) -> None:
    """A value has one wire form."""
    assert same(encode_wire(value), tree)


@pytest.mark.parametrize(("value", "tree"), PAIRS)
@pytest.mark.parametrize("decode", [decode_wire, decode_parsed])
def test_tree_of_the_table_decodes_to_its_value(decode: Any, value: Any, tree: Any) -> None:
    """A wire form has one value."""
    assert same(decode(parsed(tree)), value)


@pytest.mark.parametrize("kind", sorted(set(tags.ELEMENT_SIZES) - {"Uint8Array"}))
def test_typed_array_of_a_known_kind_keeps_its_kind(kind: str) -> None:
    """Eight bytes are aligned for every element size."""
    tree = tagged("bytes", "AAAAAAAAAAA=", kind)
    assert decode_wire(tree) == WireBytes(bytes(8), kind)
    assert encode_wire(WireBytes(bytes(8), kind)) == tree


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        *[("Int16Array", 2), ("Uint16Array", 2), ("Int32Array", 4), ("Uint32Array", 4), ("Float32Array", 4)],
        *[("Float64Array", 8), ("BigInt64Array", 8), ("BigUint64Array", 8)],
    ],
)
def test_typed_array_of_a_partial_element_is_refused(kind: str, size: int) -> None:
    """The length of the bytes is a multiple of the element size, both ways."""
    data = bytes(size + size // 2)
    with pytest.raises(CodecError, match=f"multiple of {size}"):
        encode_wire(WireBytes(data, kind))
    with pytest.raises(CodecError, match=f"multiple of {size}"):
        decode_wire([TAG, "bytes", encode_wire(data)[2], kind])  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (Colour.RED, "red"),
        ([Colour.TAG], tagged("arr", [TAG])),
        (Level.LOW, 1),
        (Link("a:b"), tagged("url", "a:b")),
        (Count(7), tagged("bigint", "7")),
        (Ratio(1.5), 1.5),
        (Ratio("nan"), tagged("nan")),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ({Colour.RED: 1, "é": 2}, {"red": 1, "é": 2}),
        (bytearray(b"\x00"), tagged("bytes", "AA==")),
        (memoryview(b"a-b-c")[::2], tagged("bytes", "YWJj")),
        (WireBytes(b"abc", "Uint8Array"), tagged("bytes", "YWJj")),
        ({"a": UNDEFINED, "b": 1}, {"b": 1}),
        (WireError("E", "m", {"a": UNDEFINED}), tagged("error", "E", "m", {})),
        (WireError(Colour.RED, "é", {}), tagged("error", "red", "é", {})),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 998001, tzinfo=UTC), tagged("date", -1)),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), tagged("date", 0)),
        (
            dt.datetime(2024, 5, 17, 2, 0, 0, 1999, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            tagged("date", 1715904000001),
        ),
        (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), tagged("date", -62135600400000)),
        ({3, 1, 20}, tagged("set", [1, 20, 3])),
        (frozenset({"b", None, (1,)}), tagged("set", ["b", [1], None])),
        ({float("nan"), float("nan")}, tagged("set", [tagged("nan")])),
    ],
)
def test_python_value_encodes_to_the_nearest_row(value: Any, tree: Any) -> None:
    """Some Python values share a row of the table, and do not come back as themselves."""
    assert same(encode_wire(value), tree)


@pytest.mark.parametrize(
    ("tree", "value"),
    [
        (tagged("bigint", "007"), WireBigInt(7)),
        (tagged("bigint", "-0"), WireBigInt(0)),
        (tagged("bigint", "7", "more"), WireBigInt(7)),
        (tagged("date", 1.9), dt.datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)),
        (tagged("date", -1.9), dt.datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (tagged("date", -0.0), dt.datetime(1970, 1, 1, tzinfo=UTC)),
        (tagged("date", 8640000000000001), WireDate(math.nan)),
        (tagged("date", 10**400), WireDate(math.nan)),
        (tagged("date", tagged("inf", 1)), WireDate(math.nan)),
        (tagged("date", tagged("-inf")), WireDate(math.nan)),
        (tagged("map", [[0, "a"], ["x", 1], [-0.0, "b"]]), WireMap([(0, "b"), ("x", 1)])),
        (tagged("set", [1, 1.0, True, tagged("nan"), tagged("nan")]), WireSet([1, True, math.nan])),
        (tagged("set", [tagged("date", 0)] * 2), WireSet([dt.datetime(1970, 1, 1, tzinfo=UTC)] * 2)),
        (tagged("bytes", "YWJj", "Uint8Array"), b"abc"),
        (tagged("bytes", "YWJj", "Float128Array"), b"abc"),
        (tagged("bytes", "YWJj", 5), b"abc"),
        (tagged("bytes", "YWJj", ["Float64Array"]), b"abc"),
        (tagged("error", "E", "m", {"a": tagged("undefined")}), WireError("E", "m", {"a": UNDEFINED})),
        (tagged("error", "E", "m", {}, tagged("undefined")), WireError("E", "m", {})),
        (tagged("error", "E", "m", {}, None, tagged("url")), WireError("E", "m", {}, None)),
        ({"a": tagged("undefined")}, {"a": UNDEFINED}),
        (tagged("arr", []), []),
        (tagged(), [TAG]),
        (tagged("future", tagged("nan")), [TAG, "future", math.nan]),
        (tagged(None), [TAG, None]),
        (tagged([]), [TAG, []]),
        (tagged("toString"), [TAG, "toString"]),
        (MAX_INT + 1, float(2**53)),
        ([-MAX_INT - 1], [-float(2**53)]),
        ({"a": 2**53 + 1}, {"a": float(2**53)}),
        (2**53 + 3, float(2**53 + 4)),
        ([10**400, -(10**400)], [math.inf, -math.inf]),
    ],
)
@pytest.mark.parametrize("decode", [decode_wire, decode_parsed])
def test_tree_that_is_no_fixed_point_decodes_to_its_value(decode: Any, tree: Any, value: Any) -> None:
    """Some trees mean what another tree would say."""
    assert same(decode(parsed(tree)), value)


def naive() -> dt.datetime:
    """Make a datetime that names no instant."""
    return dt.datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (2**53, "", "WireBigInt, got int"),
        ({"a": [-(2**53)]}, ".a[0]", "WireBigInt, got int"),
        (WireBigInt(10**1024), "", "1024 characters, got WireBigInt"),
        (WireBigInt(-(10**1023)), "", "1024 characters, got WireBigInt"),
        ([WireBigInt(10**9000)], "[0]", "1024 characters, got WireBigInt"),
        ({"items": [0, 1, 2, {"when": naive()}]}, ".items[3].when", "time zone, got datetime.datetime"),
        (naive().replace(tzinfo=NoZone()), "", "time zone, got datetime.datetime"),
        (naive().date(), "", "no wire form, got datetime.date"),
        ((1, decimal.Decimal(1)), "[1]", "no wire form, got decimal.Decimal"),
        (uuid.UUID(int=0), "", "no wire form, got uuid.UUID"),
        (ValueError("secret"), "", "no wire form, got ValueError"),
        (Row(), "", "no wire form, got tests.protocol.test_wire.Row"),
        (object(), "", "no wire form, got object"),
        (1j, "", "no wire form, got complex"),
        (types.MappingProxyType({}), "", "no wire form, got mappingproxy"),
        (int, "", "no wire form, got type"),
        ({"a b": {1: 2}}, '["a b"]', "keys of an object must be str, got int"),
        ({"a": {None: 2}}, ".a", "keys of an object must be str, got NoneType"),
        (WireUrl("x"), "", "scheme, got WireUrl"),
        (WireUrl("é:x"), "", "scheme, got WireUrl"),
        (WireUrl("1a:x"), "", "scheme, got WireUrl"),
        (WireUrl(":x"), "", "scheme, got WireUrl"),
        (WireBytes(b"", "Float128Array"), "", "known constructor, got WireBytes"),
        (WireBytes(b"", ["ArrayBuffer"]), "", "known constructor, got WireBytes"),  # type: ignore[arg-type]
        (WireMap([(0, 0), (1j, 0)]), "[1].key", "got complex"),
        (WireMap([(0, 0), (0.5, {"a": 1j})]), "[1].value.a", "got complex"),
        (WireSet([0, [1j]]), "[1][0]", "got complex"),
        ({1j}, "[0]", "got complex"),
        (WireError(1, "m"), ".name", "must be str, got int"),  # type: ignore[arg-type]
        (WireError("E", None), ".message", "must be str, got NoneType"),  # type: ignore[arg-type]
        (WireError("E", "m", []), ".props", "must be a dict, got list"),  # type: ignore[arg-type]
        (WireError("E", "m", {"a": 1j}), ".props.a", "got complex"),
        (WireError("E", "m", {}, [1j]), ".cause[0]", "got complex"),
        ([LONE], "[0]", "lone surrogate cannot be sent, got str"),
        ({"é": LONE}, '["\\u00e9"]', "lone surrogate"),
        ({"a": {LONE: 1}}, ".a", "lone surrogate"),
        (WireUrl("a:" + LONE), "", "lone surrogate"),
        (WireError(LONE, "m"), ".name", "lone surrogate"),
        (WireError("E", "m", {LONE: 1}), ".props", "lone surrogate"),
    ],
)
def test_value_without_a_wire_form_is_refused_at_its_path(value: Any, path: str, reason: str) -> None:
    """The error names the place, the reason and the type, and has no code: the caller's value is at fault."""
    with pytest.raises(CodecError) as caught:
        encode_wire(value, root="args")
    assert caught.value.path == "args" + path
    assert str(caught.value).startswith(f"args{path}: ")
    assert str(caught.value).endswith(reason) or reason in str(caught.value)
    assert caught.value.code is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "value", ["TOP-SECRET" + LONE, naive(), 987654321987654321, WireUrl("TOP-SECRET"), ValueError("TOP-SECRET")]
)
def test_error_message_never_holds_the_value(value: Any) -> None:
    """What cannot be sent must not be logged either."""
    with pytest.raises(CodecError) as caught:
        encode_wire([value])
    assert "SECRET" not in str(caught.value)
    assert "987654321" not in str(caught.value)
    assert "2024" not in str(caught.value)


BAD_TREES: list[tuple[Any, str, str]] = [
    *[
        (tagged("bigint", text), "", "decimal digits, got str")
        for text in ["", "-", "+5", "1.5", " 7 ", "7\n", "0x10", "1_0", "--1", "٣", "²", "1e3"]
    ],
    (tagged("bigint"), "", "slot 2 of a tagged bigint is missing"),
    (tagged("bigint", 7), "", "must be str, got int"),
    (tagged("bigint", None), "", "must be str, got NoneType"),
    (tagged("bigint", NINES + "9"), "", "1024 characters"),
    (tagged("bigint", "-" + NINES), "", "1024 characters"),
    *[
        (tagged("date", payload), "", f"must be a number, got {type(payload).__name__}")
        for payload in [
            None,
            "0",
            True,
            {},
            [],
            [TAG],
            ["nan"],
            tagged("bigint", "1"),
            tagged("undefined"),
            tagged("date", 0),
        ]
    ],
    (tagged("date"), "", "must be a number"),
    *[
        (tagged("url", href), "", "scheme, got str")
        for href in ["", "x", "//a/b", ":a", "1a:b", "é:b", " a:b", "a b:c", "/a:b"]
    ],
    (tagged("url"), "", "slot 2 of a tagged url is missing"),
    (tagged("url", 1), "", "must be str, got int"),
    *[
        (tagged("bytes", text), "", "canonical base64, got str")
        for text in [
            "YQ",
            "YQ=",
            "YR==",
            "YQ==\n",
            " YQ==",
            "Y=Q=",
            "YQ==YQ==",
            "_w==",
            "-w==",
            "Y",
            "YWJjY",
            "é===",
            "====",
            "=",
        ]
    ],
    (tagged("bytes"), "", "slot 2 of a tagged bytes is missing"),
    (tagged("bytes", []), "", "must be str, got list"),
    (tagged("map"), "", "slot 2 of a tagged map is missing"),
    (tagged("map", {}), "", "must be list, got dict"),
    *[
        (tagged("map", [[1, 2], entry]), "[1]", f"exactly two, got {type(entry).__name__}")
        for entry in [[], [1], [1, 2, 3], {}, "ab", None]
    ],
    (tagged("map", [[tagged("url"), 2]]), "[0].key", "missing"),
    (tagged("map", [[0, 0], [1, {"a": tagged("url")}]]), "[1].value.a", "missing"),
    (tagged("set"), "", "slot 2 of a tagged set is missing"),
    (tagged("set", "ab"), "", "must be list, got str"),
    (tagged("set", [0, tagged("url")]), "[1]", "missing"),
    (tagged("arr"), "", "slot 2 of a tagged arr is missing"),
    (tagged("arr", None), "", "must be list, got NoneType"),
    (tagged("arr", [TAG, tagged("url")]), "[1]", "missing"),
    (tagged("future", tagged("url")), "[2]", "missing"),
    (tagged("error"), "", "slot 2 of a tagged error is missing"),
    (tagged("error", "E"), "", "slot 3 of a tagged error is missing"),
    (tagged("error", "E", "m"), ".props", "slot 4 of a tagged error is missing"),
    (tagged("error", 1, "m", {}), "", "must be str, got int"),
    (tagged("error", "E", None, {}), "", "must be str, got NoneType"),
    *[(tagged("error", "E", "m", props), ".props", "must be dict") for props in [None, [], "a", 1, True]],
    (tagged("error", "E", "m", {"a": tagged("url")}), ".props.a", "missing"),
    (tagged("error", "E", "m", {}, [tagged("url")]), ".cause[0]", "missing"),
    ({"items": [0, {"a b": tagged("bigint", 1)}]}, '.items[1]["a b"]', "got int"),
]


@pytest.mark.parametrize(("tree", "path", "reason"), BAD_TREES)
@pytest.mark.parametrize("decode", [decode_wire, decode_parsed])
def test_tree_that_breaks_a_rule_is_refused_at_its_path(decode: Any, tree: Any, path: str, reason: str) -> None:
    """No slot is coerced and no default invented; the code says which side is at fault."""
    with pytest.raises(CodecError) as caught:
        decode(parsed(tree), root="data")
    assert caught.value.path == "data" + path
    assert reason in str(caught.value)
    assert caught.value.code == "WIRE_DECODE_FAILED"


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ((1,), ""),
        ([b"a"], "[0]"),
        ({"a": {1}}, ".a"),
        ({"a": {1: 2}}, ".a"),
        ([dt.datetime(1, 1, 1, tzinfo=UTC)], "[0]"),
        ([Level.LOW], "[0]"),
    ],
)
def test_tree_of_what_json_cannot_hold_is_refused(tree: Any, path: str) -> None:
    """A tree that no parser gives is an error of the caller, told by its place."""
    with pytest.raises(CodecError) as caught:
        decode_wire(tree)
    assert caught.value.path == "value" + path


# --- depth ---

NESTINGS: dict[str, tuple[Any, Any]] = {
    # name: (one level around a value, one level around a tree)
    "array": (lambda value: [value], lambda tree: [tree]),
    "object": (lambda value: {"a": value}, lambda tree: {"a": tree}),
    "map key": (lambda value: WireMap([(value, 0)]), lambda tree: tagged("map", [[tree, 0]])),
    "map value": (lambda value: WireMap([(0, value)]), lambda tree: tagged("map", [[0, tree]])),
    "set": (lambda value: WireSet([value]), lambda tree: tagged("set", [tree])),
    "arr": (lambda value: [TAG, value], lambda tree: tagged("arr", [TAG, tree])),
}


def nested(times: int, around: Any, leaf: Any) -> Any:
    """Put a leaf that many levels deep."""
    for _ in range(times):
        leaf = around(leaf)
    return leaf


@pytest.mark.parametrize("name", NESTINGS)
@pytest.mark.parametrize(("leaf", "leaf_tree"), [(1, 1), (None, None), ([], []), (math.nan, tagged("nan"))])
def test_value_at_depth_64_passes_and_at_65_is_refused(name: str, leaf: Any, leaf_tree: Any) -> None:
    """The root is depth 0, and each position counts one, for scalars as for containers."""
    around, around_tree = NESTINGS[name]
    tree = nested(64, around_tree, leaf_tree)
    assert same(encode_wire(nested(64, around, leaf)), tree)
    assert same(decode_wire(tree), nested(64, around, leaf))
    for decode in (decode_wire, decode_parsed):
        with pytest.raises(CodecError, match="64 levels"):
            decode(nested(65, around_tree, leaf_tree))
    with pytest.raises(CodecError, match="64 levels"):
        encode_wire(nested(65, around, leaf))


@pytest.mark.parametrize(
    ("value", "tree", "levels"),
    [
        (WireDate(0), tagged("date", 0), 1),
        (dt.datetime(1970, 1, 1, tzinfo=UTC), tagged("date", 0), 1),
        (WireDate(math.nan), tagged("date", tagged("nan")), 1),
        (WireError("E", "m"), tagged("error", "E", "m", {}), 1),
        (WireError("E", "m", {"a": UNDEFINED}), tagged("error", "E", "m", {}), 1),
        (WireError("E", "m", {"a": 0}), tagged("error", "E", "m", {"a": 0}), 2),
        (WireError("E", "m", {}, 0), tagged("error", "E", "m", {}, 0), 1),
        (WireError("E", "m", {}, [0]), tagged("error", "E", "m", {}, [0]), 2),
        (WireBigInt(1), tagged("bigint", "1"), 0),
        (b"", tagged("bytes", ""), 0),
        (WireUrl("a:"), tagged("url", "a:"), 0),
        (WireMap(), tagged("map", []), 0),
        (WireSet(), tagged("set", []), 0),
        ({}, {}, 0),
        ({"a": UNDEFINED}, {}, 0),
        ([], tagged("arr", []), 0),
    ],
)
def test_value_with_inner_levels_counts_them(value: Any, tree: Any, levels: int) -> None:
    """A date's payload, an error's props and their values are deeper than their owner; a bigint's digits are not."""
    room = 64 - levels
    encode_wire(nested(room, lambda inner: [inner], value))
    decode_wire(nested(room, lambda inner: [inner], tree))
    with pytest.raises(CodecError, match="64 levels"):
        encode_wire(nested(room + 1, lambda inner: [inner], value))
    with pytest.raises(CodecError, match="64 levels"):
        decode_wire(nested(room + 1, lambda inner: [inner], tree))


def test_cyclic_value_ends_with_the_depth_error() -> None:
    """A cycle is only a very deep value."""
    cycle: list[Any] = []
    cycle.append({"a": cycle})
    for codec in (encode_wire, decode_wire):
        with pytest.raises(CodecError, match="64 levels") as caught:
            codec(cycle)
        assert caught.value.path == "value" + "[0].a" * 32 + "[0]"


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("leaf", [0, "a", tagged("bigint", "1")])
def test_rows_at_the_depth_limit_are_refused_at_the_first_field(rows: int, leaf: Any) -> None:
    """Rows that are decoded side by side obey the same limit."""
    tree = nested(63, lambda inner: [inner], [{"a": leaf} for _ in range(rows)])
    with pytest.raises(CodecError, match="64 levels") as caught:
        decode_parsed(tree)
    assert caught.value.path == "value" + "[0]" * 64 + ".a"


@pytest.mark.parametrize("rows", [3, 40])
def test_arrays_in_rows_at_the_depth_limit_are_refused_at_their_first_item(rows: int) -> None:
    """A column of arrays that hold nothing to decode obeys the same limit."""
    tree = nested(62, lambda inner: [inner], [{"a": [0]} for _ in range(rows)])
    with pytest.raises(CodecError, match="64 levels") as caught:
        decode_parsed(tree)
    assert caught.value.path == "value" + "[0]" * 63 + ".a[0]"


# --- ownership ---


def test_encode_shares_no_container_with_the_value() -> None:
    """What the caller changes afterwards is not sent."""
    value: dict[str, Any] = {"a": [{"b": []}], "e": WireError("E", "m", {"p": []})}
    tree: Any = encode_wire(value)
    value["a"][0]["b"].append(1)
    value["e"].props["p"].append(1)
    assert tree == {"a": [{"b": []}], "e": tagged("error", "E", "m", {"p": []})}


@pytest.mark.parametrize("rows", [2, 60])
def test_decode_wire_leaves_its_input_alone_and_shares_nothing(rows: int) -> None:
    """A stored tree may be decoded again, and its value changed."""
    row = {
        "n": tagged("bigint", "1"),
        "l": [],
        "d": {},
        "s": tagged("set", [[]]),
        "b": 2**60,
        "u": tagged("future", []),
    }
    tree = [copy.deepcopy(row) for _ in range(rows)]
    value = decode_wire(tree)
    for decoded in value:
        decoded["l"].append(1)
        decoded["d"]["x"] = 1
        next(iter(decoded["s"])).append(1)
        decoded["u"][2].append(1)
    assert tree == [row] * rows


def test_decode_parsed_hands_the_containers_over() -> None:
    """The hot path copies nothing."""
    tree = [{"a": [1, tagged("bigint", "1")]}]
    value = decode_parsed(tree)
    assert value is tree
    assert value == [{"a": [1, 1]}]
    assert type(value[0]["a"][1]) is WireBigInt


def test_encode_for_key_accepts_a_lone_surrogate_and_nothing_else_more() -> None:
    """A received value can be compared, though it cannot be sent back."""
    value = {LONE: [LONE, WireUrl("a:" + LONE), WireBigInt(1)]}
    assert encode_for_key(value) == {LONE: [LONE, tagged("url", "a:" + LONE), tagged("bigint", "1")]}
    with pytest.raises(CodecError) as caught:
        encode_for_key({"a": 1j}, root="args")
    assert caught.value.path == "args.a"


# --- rows by columns ---

CELLS = [
    *[1, 1.5, None, "a", True, 2**53, {}, {"x": tagged("bigint", "5")}, [], [1, 2, 3], [TAG], tagged("nan")],
    *[tagged("bigint", text) for text in ("5", "-5", "007", "-0", NINES)],
    *[["a", "b"], ["a", TAG], [2**60], [[1]], [{"x": tagged("nan")}]],
    *[["x", "bigint", "5"], tagged("future", "5"), [TAG, 1, 2], tagged("date", 0), tagged("set", [1, 1])],
]


@pytest.mark.parametrize("first", CELLS)
@pytest.mark.parametrize("other", CELLS)
def test_rows_decoded_side_by_side_equal_rows_decoded_alone(first: Any, other: Any) -> None:
    """However cells are mixed in a column, each means what it means alone."""
    rows = [{"k": first if index % 40 else other, "n": index} for index in range(150)]
    assert same(decode_parsed(parsed(rows)), [decode_wire(row) for row in rows])


def test_rows_with_other_field_names_and_orders_keep_their_own() -> None:
    """Rows of one length need not be rows of one table."""
    big = tagged("bigint", "5")
    rows = [
        row
        for _ in range(12)
        for row in ({"a": None, "b": big}, {"b": big, "a": None}, {"c": None, "d": big}, {"b": None, "a": big})
    ]
    assert same(decode_parsed(parsed(rows)), [decode_wire(row) for row in rows])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("x", "digits"),
        ("", "digits"),
        ("1-2", "digits"),
        ("1_0", "digits"),
        (" 7", "digits"),
        ("+5", "digits"),
        ("٣", "digits"),
        (5, "got int"),
        (NINES + "9", "1024"),
    ],
)
@pytest.mark.parametrize("index", [0, 70, 199])
def test_rows_with_one_bad_cell_are_refused_at_its_row_and_field(index: int, bad: Any, reason: str) -> None:
    """The place is exact even where a whole column is read at once."""
    rows = [{"a": 1, "n": tagged("bigint", "5")} for _ in range(200)]
    rows[index] = {"b": 1, "odd name": tagged("bigint", bad)}
    with pytest.raises(CodecError, match=reason) as caught:
        decode_parsed(rows)
    assert caught.value.path == f'value[{index}]["odd name"]'


@pytest.mark.parametrize(
    "rows",
    [
        [{}] * 30,
        [{"a": tagged("nan")}] * 23 + [{}],
        [{"a": tagged("inf")}] * 29 + [1],
        [{"a": 2**53}] * 30,
        [{"a": -(2**60)}] * 30,
    ],
)
def test_rows_of_any_shape_decode_like_rows_alone(rows: Any) -> None:
    """Empty, ragged and mixed arrays, and numbers beyond the range, are no special case to the reader."""
    assert same(decode_parsed(parsed(rows)), [decode_wire(row) for row in rows])


# --- properties ---

scalars = (
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
)
epochs = st.integers(-8_640_000_000_000_000, 8_640_000_000_000_000)
base64s = st.binary(max_size=24).map(lambda data: encode_wire(data)[2])  # type: ignore[index]
leaf_trees = st.one_of(
    scalars,
    st.sampled_from(["nan", "inf", "-inf", "undefined"]).map(tagged),
    st.integers().map(lambda number: tagged("bigint", str(number))),
    epochs.map(lambda epoch: tagged("date", epoch)),
    st.just(tagged("date", tagged("nan"))),
    st.text().map(lambda rest: tagged("url", "a:" + rest)),
    base64s.map(lambda text: tagged("bytes", text)),
    base64s.map(lambda text: tagged("bytes", text, "ArrayBuffer")),
)


def _unique(keys: Any) -> Any:
    return st.lists(keys, max_size=4, unique_by=repr)


def _branch_trees(inner: Any) -> Any:
    # No field and no cause holds UNDEFINED, and no two keys are equal: those trees are no fixed points.
    defined = inner.filter(lambda tree: tree != tagged("undefined"))
    fields = st.dictionaries(st.text(max_size=5), defined, max_size=4)
    arrays = st.lists(inner, max_size=4).filter(lambda items: items[:1] != [TAG])
    return st.one_of(
        arrays,
        fields,
        st.lists(inner, max_size=3).map(lambda items: tagged("arr", [TAG, *items])),
        st.builds(lambda keys, value: tagged("map", [[key, value] for key in keys]), _unique(st.text()), inner),
        _unique(st.text()).map(lambda items: tagged("set", items)),
        st.builds(lambda name, props: tagged("error", name, "m", props), st.text(), fields),
        st.builds(lambda props, cause: tagged("error", "E", "m", props, cause), fields, defined),
        # Rows of leaves only: thirty copies of thirty copies would be examples of hundreds of kilobytes.
        st.builds(lambda row, count: [dict(row) for _ in range(count)], _flat_rows, st.integers(24, 30)),
    )


_flat_rows = st.dictionaries(
    st.text(max_size=5), leaf_trees.filter(lambda tree: tree != tagged("undefined")), max_size=4
)
trees = st.recursive(leaf_trees, _branch_trees, max_leaves=12)


@given(trees)
def test_wire_value_decoded_and_encoded_is_itself(tree: Any) -> None:
    """The codec's contract, but for the named exceptions."""
    before = copy.deepcopy(tree)
    assert same(encode_wire(decode_wire(tree)), before)
    assert same(tree, before)
    assert same(decode_parsed(parsed(tree)), decode_wire(tree))


values = st.recursive(
    st.one_of(
        scalars,
        st.floats(),
        st.just(UNDEFINED),
        st.integers().map(WireBigInt),
        st.binary(),
        st.floats(-8e15, 8e15)
        .map(WireDate)
        .filter(lambda date: not -62135596800000 <= date.epoch_ms <= 253402300799999),
        st.datetimes(timezones=st.just(UTC)).map(
            lambda when: when.replace(microsecond=when.microsecond // 1000 * 1000, fold=0)
        ),
        st.text().map(lambda rest: WireUrl("x-y:" + rest)),
        st.binary(max_size=4).map(lambda data: WireBytes(data * 8, "Float64Array")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5), inner.filter(lambda value: value is not UNDEFINED), max_size=4),
        st.lists(st.tuples(inner, inner), max_size=4).map(WireMap),
        st.lists(inner, max_size=4).map(WireSet),
        st.builds(WireError, st.text(), st.text(), st.just({}), inner),
    ),
    max_leaves=12,
)


@given(values)
def test_python_value_encoded_and_decoded_is_itself(value: Any) -> None:
    """What goes out comes back, with its types."""
    assert same(decode_wire(encode_wire(value)), value)


junk = st.recursive(
    st.one_of(
        scalars,
        st.floats(),
        st.integers(),
        st.sampled_from([TAG, *decoding._DECODERS, *tags.ELEMENT_SIZES, LONE, "YQ=="]),
    ),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(lambda rest: [TAG, *rest])
        | st.dictionaries(st.text(), inner)
    ),
    max_leaves=20,
)


@settings(max_examples=300)
@given(junk)
def test_json_junk_decodes_or_raises_codec_error(tree: Any) -> None:
    """Whatever a server says is a value or a CodecError, the same by both decoders."""
    value, refusal = _outcome(decode_wire, tree)
    value_of_parsed, refusal_of_parsed = _outcome(decode_parsed, parsed(tree))
    assert refusal == refusal_of_parsed
    assert same(value, value_of_parsed)
    encode_for_key(value)


def _outcome(decode: Any, tree: Any) -> tuple[Any, str]:
    try:
        return decode(tree), ""
    except CodecError as error:
        return None, str(error)


python_junk = st.recursive(
    st.one_of(
        junk,
        st.sampled_from([1j, object(), int, naive(), Row(), Colour.TAG, Level.LOW, UNDEFINED, ..., range(3), iter(())]),
        st.builds(WireBytes, st.binary(), st.text()),
        st.builds(WireUrl, st.text()),
        st.builds(WireError, st.integers() | st.text(), st.text(), st.just({}) | st.integers()),
        st.integers(10**1020, 10**1030).map(WireBigInt),
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=4)
        | st.lists(inner).map(WireSet)
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(python_junk)
def test_python_junk_encodes_or_raises_codec_error(value: Any) -> None:
    """Whatever an application passes is a wire value or a CodecError; what encodes also decodes."""
    try:
        tree = encode_wire(value)
    except CodecError:
        return
    decode_wire(tree)
