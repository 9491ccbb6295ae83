"""The value codec: Python values to wire trees and back.

A wire tree is what JSON holds; whatever JSON cannot hold is an array that
starts with ``TAG``.  Source: ``docs/protocol.md``, section "Value codec".

The loops over arrays and objects test scalars in place and call nothing for
them; a path is put together only while a refusal unwinds.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from json import dumps as _quote
from typing import Any, Final

from lunora_rx.errors import CodecError
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

__all__ = ["TAG", "decode_parsed", "decode_wire", "encode_for_key", "encode_wire"]

TAG: Final = "$lunora.wire$"
"""First element of every array that stands for something else."""

_MAX_DEPTH: Final = 64
_MAX_INT: Final = 2**53 - 1
_MIN_INT: Final = -_MAX_INT
_BIGINT_CHARACTERS: Final = 1024
_BIGINT_LOW: Final = -(10 ** (_BIGINT_CHARACTERS - 1))
_BIGINT_HIGH: Final = 10**_BIGINT_CHARACTERS
_INF: Final = math.inf
_NAN: Final = math.nan

_ONLY_OBJECTS: Final = {dict}
_SEVERAL: Final = 24  # rows that are worth the setting up
_CHUNK: Final = 128  # rows that stay in the processor's cache
_ONLY_INTS: Final = {int}
_PASSIVE: Final = frozenset({str, float, bool, type(None)})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_DATETIME_MS: Final = -62_135_596_800_000
_LAST_DATETIME_MS: Final = 253_402_300_799_999

_MISSING: Final = object()
_NON_FINITE: Final = (["nan"], ["inf"], ["-inf"])

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")

_ELEMENT_SIZES: Final = {
    "ArrayBuffer": 1,
    "Int8Array": 1,
    "Uint8Array": 1,
    "Uint8ClampedArray": 1,
    "Int16Array": 2,
    "Uint16Array": 2,
    "Int32Array": 4,
    "Uint32Array": 4,
    "Float32Array": 4,
    "Float64Array": 8,
    "BigInt64Array": 8,
    "BigUint64Array": 8,
}

_TextRule = Callable[[str], None]


class _Refusal(Exception):
    """A value is refused: the reason, and the steps to it as far as they are unwound, innermost first."""

    def __init__(self, reason: str, *steps: str | int) -> None:
        self.reason = reason
        self.steps = list(steps)

    def error(self, root: str, *, code: str | None = None) -> CodecError:
        path = "".join(f"[{step}]" if isinstance(step, int) else step for step in reversed(self.steps))
        return CodecError(self.reason, path=root + path, code=code)


# --- encoding ---------------------------------------------------------------


def encode_wire(value: object, *, root: str = "value") -> object:
    """Return the wire tree of a value; it shares no container with the value.

    Args:
        value: Any value of the table in ``docs/protocol.md``, section "Value codec".
        root: What the path of an error starts with.

    Raises:
        CodecError: The value, or one inside it, cannot be sent; ``path`` names it.
    """
    return _encode_root(value, root, _refuse_lone_surrogates)


def encode_for_key(value: object, *, root: str = "value") -> object:
    """Return the wire tree of a value that is compared and never sent.

    The same as ``encode_wire``, but a lone surrogate is no reason to refuse:
    one may be received, and the stable key can spell it.

    Raises:
        CodecError: As ``encode_wire``.
    """
    return _encode_root(value, root, _accept_any_text)


def _encode_root(value: object, root: str, rule: _TextRule) -> object:
    try:
        return _encode(value, 0, rule)
    except _Refusal as refusal:
        error = refusal.error(root)
    raise error


def _encode(value: Any, depth: int, rule: _TextRule) -> Any:
    encoder = _ENCODERS.get(type(value)) or _encoder_of_subclass(value)
    return encoder(value, depth, rule)


def _encode_array(items: Collection[Any], depth: int, rule: _TextRule) -> list[Any]:
    tree = _encode_items(items, depth, rule)
    return [TAG, "arr", tree] if tree and tree[0] == TAG else tree


def _encode_items(items: Collection[Any], depth: int, rule: _TextRule) -> list[Any]:
    if depth >= _MAX_DEPTH and len(items):
        raise _too_deep(0)
    depth += 1
    tree: list[Any] = []
    try:
        for item in items:
            kind = type(item)
            if not (
                (kind is str and item.isascii())
                or (kind is int and _MIN_INT <= item <= _MAX_INT)
                or item is None
                or kind is bool
                or (kind is float and -_INF < item < _INF)
            ):
                item = _encode(item, depth, rule)
            tree.append(item)
    except _Refusal as refusal:
        refusal.steps.append(len(tree))
        raise
    return tree


def _encode_object(fields: dict[Any, Any], depth: int, rule: _TextRule) -> dict[str, Any]:
    depth += 1
    tree: dict[str, Any] = {}
    for key, item in fields.items():
        if type(key) is not str or not key.isascii():
            key = _encode_key(key, rule)
        kind = type(item)
        if depth > _MAX_DEPTH or not (
            (kind is str and item.isascii())
            or (kind is int and _MIN_INT <= item <= _MAX_INT)
            or item is None
            or kind is bool
            or (kind is float and -_INF < item < _INF)
        ):
            if item is UNDEFINED:
                continue
            item = _encode_field(key, item, depth, rule)
        tree[key] = item
    return tree


def _encode_field(key: str, item: object, depth: int, rule: _TextRule) -> Any:
    if depth > _MAX_DEPTH:
        raise _too_deep(_field_step(key))
    try:
        return _encode(item, depth, rule)
    except _Refusal as refusal:
        refusal.steps.append(_field_step(key))
        raise


def _encode_key(key: object, rule: _TextRule) -> str:
    if not isinstance(key, str):
        raise _refused("the keys of an object must be str", key)
    return _encode_str(key, 0, rule)


def _encode_as_is(value: object, depth: int, rule: _TextRule) -> object:
    return value


def _encode_undefined(value: Undefined, depth: int, rule: _TextRule) -> list[Any]:
    return [TAG, "undefined"]


def _encode_str(value: str, depth: int, rule: _TextRule) -> str:
    text = str.__str__(value)
    if not text.isascii():
        rule(text)
    return text


def _encode_int(value: int, depth: int, rule: _TextRule) -> int:
    if not _MIN_INT <= value <= _MAX_INT:
        raise _refused("an integer beyond 2**53 - 1 either way must be a WireBigInt", value)
    return int.__int__(value)


def _encode_bigint(value: WireBigInt, depth: int, rule: _TextRule) -> list[Any]:
    if not _BIGINT_LOW < value < _BIGINT_HIGH:
        raise _refused(f"a bigint must not exceed {_BIGINT_CHARACTERS} characters", value)
    return [TAG, "bigint", int.__repr__(value)]


def _encode_float(value: float, depth: int, rule: _TextRule) -> float | list[Any]:
    if -_INF < value < _INF:
        return float.__float__(value)
    if value != value:
        return [TAG, "nan"]
    return [TAG, "inf" if value > 0 else "-inf"]


def _encode_url(value: WireUrl, depth: int, rule: _TextRule) -> list[Any]:
    if not _SCHEME.match(value):
        raise _refused("a url must start with a scheme", value)
    return [TAG, "url", _encode_str(value, depth, rule)]


def _encode_bytes(value: bytes | bytearray | memoryview, depth: int, rule: _TextRule) -> list[Any]:
    return [TAG, "bytes", _base64(bytes(value))]  # a view need not be contiguous


def _encode_typed_bytes(value: WireBytes, depth: int, rule: _TextRule) -> list[Any]:
    size = _ELEMENT_SIZES.get(value.kind) if isinstance(value.kind, str) else None
    if size is None:
        raise _refused("the kind of bytes must be the name of a known constructor", value)
    _check_alignment(value.data, size, value.kind)
    tree = [TAG, "bytes", _base64(value.data)]
    return tree if value.kind == "Uint8Array" else [*tree, str.__str__(value.kind)]


def _encode_datetime(value: datetime, depth: int, rule: _TextRule) -> list[Any]:
    if value.tzinfo is None or value.utcoffset() is None:
        raise _refused("a datetime must have a time zone", value)
    microseconds = (value - _EPOCH) // _MICROSECOND
    magnitude = abs(microseconds) // 1000
    return _date_tree(magnitude if microseconds >= 0 else -magnitude, depth)


def _encode_date(value: WireDate, depth: int, rule: _TextRule) -> list[Any]:
    return _date_tree(value.epoch_ms if value.is_valid else [TAG, "nan"], depth)


def _date_tree(payload: object, depth: int) -> list[Any]:
    _one_deeper(depth)
    return [TAG, "date", payload]


def _encode_map(value: WireMap, depth: int, rule: _TextRule) -> list[Any]:
    entries: list[Any] = []
    step = "key"
    try:
        for key, item in value.items():
            inner = _one_deeper(depth)
            tree = _encode(key, inner, rule)
            step = "value"
            entries.append([tree, _encode(item, inner, rule)])
            step = "key"
    except _Refusal as refusal:
        refusal.steps.append(f"[{len(entries)}].{step}")
        raise
    return [TAG, "map", entries]


def _encode_set(value: WireSet, depth: int, rule: _TextRule) -> list[Any]:
    return [TAG, "set", _encode_items(value, depth, rule)]


def _encode_unordered_set(value: set[Any] | frozenset[Any], depth: int, rule: _TextRule) -> list[Any]:
    from lunora_rx.protocol.keys import stable_key_of_tree  # keys is built on this module; only sets need it here

    items = _encode_items(WireSet(value), depth, rule)
    return [TAG, "set", sorted(items, key=stable_key_of_tree)]


def _encode_error(value: WireError, depth: int, rule: _TextRule) -> list[Any]:
    step = ".name"
    try:
        name = _encode_text_slot(value.name, rule)
        step = ".message"
        message = _encode_text_slot(value.message, rule)
        step = ".props"
        inner = _one_deeper(depth)
        props = _encode_props(value.props, inner, rule)
        step = ".cause"
        cause = [] if value.cause is UNDEFINED else [_encode(value.cause, inner, rule)]
    except _Refusal as refusal:
        refusal.steps.append(step)
        raise
    return [TAG, "error", name, message, props, *cause]


def _encode_text_slot(value: object, rule: _TextRule) -> str:
    if not isinstance(value, str):
        raise _refused("the name and the message of an error must be str", value)
    return _encode_str(value, 0, rule)


def _encode_props(value: object, depth: int, rule: _TextRule) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused("the props of an error must be a dict", value)
    return _encode_object(value, depth, rule)


def _encoder_of_subclass(value: object) -> Callable[[Any, int, _TextRule], Any]:
    for base, encoder in _ENCODERS.items():
        if issubclass(type(value), base):
            return encoder
    raise _refused("this type has no wire form", value)


def _refuse_lone_surrogates(text: str) -> None:
    try:
        text.encode()
        return
    except UnicodeEncodeError:
        pass  # its message quotes the text
    raise _refused("a text with a lone surrogate cannot be sent", text)


def _accept_any_text(text: str) -> None:
    return


_ENCODERS: Final[dict[type, Callable[[Any, int, _TextRule], Any]]] = {  # a subclass before its base
    type(None): _encode_as_is,
    bool: _encode_as_is,
    WireUrl: _encode_url,
    str: _encode_str,
    WireBigInt: _encode_bigint,
    int: _encode_int,
    float: _encode_float,
    list: _encode_array,
    tuple: _encode_array,
    dict: _encode_object,
    Undefined: _encode_undefined,
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    memoryview: _encode_bytes,
    WireBytes: _encode_typed_bytes,
    datetime: _encode_datetime,
    WireDate: _encode_date,
    WireMap: _encode_map,
    WireSet: _encode_set,
    set: _encode_unordered_set,
    frozenset: _encode_unordered_set,
    WireError: _encode_error,
}


# --- decoding ---------------------------------------------------------------


def decode_wire(tree: object, *, root: str = "value") -> Any:
    """Return the value of a wire tree; the tree is left alone and shares no container with the value.

    Args:
        tree: What a JSON parser gives, or ``encode_wire``.
        root: What the path of an error starts with.

    Raises:
        CodecError: The tree, or a part of it, is not a wire value; its code is ``WIRE_DECODE_FAILED``.
    """
    return _decode_root(tree, root, reuse=False)


def decode_parsed(tree: object, *, root: str = "value") -> Any:
    """Return the value of a wire tree that nobody else holds: its containers become the value's.

    The same as ``decode_wire``, for a caller that has just parsed the tree.
    After an error the tree is half decoded and must be thrown away.

    Raises:
        CodecError: As ``decode_wire``.
    """
    return _decode_root(tree, root, reuse=True)


def _decode_root(tree: object, root: str, *, reuse: bool) -> Any:
    try:
        return _decode(tree, 0, reuse)
    except _Refusal as refusal:
        error = refusal.error(root, code="WIRE_DECODE_FAILED")
    raise error


def _decode(tree: Any, depth: int, reuse: bool) -> Any:
    kind = type(tree)
    if kind is list:
        if tree and type(tree[0]) is str and tree[0] == TAG:
            return _decode_tagged(tree, depth, reuse)
        return _decode_array(tree, depth, reuse)
    if kind is dict:
        return _decode_object(tree, depth, reuse)
    if kind is int:
        return tree if _MIN_INT <= tree <= _MAX_INT else _nearest_float(tree)
    if kind is str or kind is float or kind is bool or tree is None:
        return tree
    raise _refused("this is no JSON value", tree)


def _decode_tagged(tree: list[Any], depth: int, reuse: bool) -> Any:
    name = tree[1] if len(tree) > 1 else None
    decoder = _DECODERS.get(name, _decode_array) if type(name) is str else _decode_array
    return decoder(tree, depth, reuse)


def _decode_array(tree: list[Any], depth: int, reuse: bool) -> list[Any]:
    if depth >= _MAX_DEPTH and tree:
        raise _too_deep(0)
    depth += 1
    if reuse and len(tree) >= _SEVERAL and set(map(type, tree)) == _ONLY_OBJECTS and len(set(map(len, tree))) == 1:
        _decode_rows(tree, depth)
        return tree
    items = tree if reuse else tree.copy()
    index = 0
    try:
        for index, item in enumerate(items):
            kind = type(item)
            if not (kind in _PASSIVE or (kind is int and _MIN_INT <= item <= _MAX_INT)):
                items[index] = _decode(item, depth, reuse)
    except _Refusal as refusal:
        refusal.steps.append(index)
        raise
    return items


def _decode_object(tree: dict[Any, Any], depth: int, reuse: bool) -> dict[Any, Any]:
    fields = tree if reuse else _copied_fields(tree)
    if depth >= _MAX_DEPTH and fields:
        raise _too_deep(_field_step(next(iter(fields))))
    depth += 1
    key = ""
    try:
        for key, item in fields.items():  # assigning to a key that is there does not disturb it
            kind = type(item)
            if not (kind in _PASSIVE or (kind is int and _MIN_INT <= item <= _MAX_INT)):
                fields[key] = _decode(item, depth, reuse)
    except _Refusal as refusal:
        refusal.steps.append(_field_step(key))
        raise
    return fields


def _copied_fields(tree: dict[Any, Any]) -> dict[Any, Any]:
    for key in tree:
        if type(key) is not str:
            raise _refused("the keys of an object must be str", key)
    return tree.copy()


def _decode_rows(rows: list[dict[str, Any]], depth: int) -> None:
    start = 0
    try:
        for start in range(0, len(rows), _CHUNK):
            _decode_columns(rows[start : start + _CHUNK], depth)
    except _Refusal as refusal:
        refusal.steps[-1] = start + int(refusal.steps[-1])
        raise


def _decode_columns(rows: list[dict[str, Any]], depth: int) -> None:
    # The rows of a table are most of what arrives.  By columns, cells of one kind are
    # handled without a look at each of them in Python; it takes a fifth off the walk.
    if depth >= _MAX_DEPTH and rows[0]:
        raise _too_deep(_field_step(next(iter(rows[0]))), 0)
    for position, column in enumerate(zip(*map(dict.values, rows), strict=True)):
        kinds = set(map(type, column))
        if not (kinds <= _PASSIVE or (kinds == _ONLY_INTS and min(column) >= _MIN_INT and max(column) <= _MAX_INT)):
            _decode_column(rows, position, column, depth)


def _decode_column(rows: list[dict[str, Any]], position: int, column: tuple[Any, ...], depth: int) -> None:
    try:
        values = _bigints_of(column) or _decode_array(list(column), depth, reuse=True)
    except _Refusal as refusal:
        row = rows[int(refusal.steps[-1])]
        refusal.steps.insert(-1, _field_step(list(row)[position]))
        raise
    key = ""
    for row, cell, value in zip(rows, column, values, strict=True):
        if row.get(key, _MISSING) is not cell:  # rows may differ in the names and the order of their fields
            key = list(row)[position]
        row[key] = value


def _bigints_of(column: tuple[Any, ...]) -> list[WireBigInt] | None:
    """Return the bigints of a column of nothing else: a few calls check them all."""
    try:
        tags, names, texts = zip(*column, strict=True)
        digits = "".join(texts).replace("-", "")  # a sign in a wrong place is a ValueError below
        if tags.count(TAG) != len(column) or names.count("bigint") != len(column) or not digits.isdigit():
            return None
        if max(map(len, texts)) > _BIGINT_CHARACTERS or not digits.isascii():
            return None
        return list(map(WireBigInt, texts))
    except (TypeError, ValueError):
        return None  # something else is among them: cell by cell it is decoded, or refused by its place


def _nearest_float(literal: int) -> float:
    try:
        return float(literal)
    except OverflowError:
        return _INF if literal > 0 else -_INF


def _decode_bigint(tree: list[Any], depth: int, reuse: bool) -> WireBigInt:
    text = _slot(tree, 2, str)
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isdigit() and digits.isascii()):
        raise _refused("a bigint must be written in decimal digits", text)
    if len(text) > _BIGINT_CHARACTERS:
        raise _refused(f"a bigint must not exceed {_BIGINT_CHARACTERS} characters", text)
    return WireBigInt(text)


def _decode_date(tree: list[Any], depth: int, reuse: bool) -> datetime | WireDate:
    _one_deeper(depth)
    date = WireDate(_epoch_of(tree[2] if len(tree) > 2 else None))
    if not _FIRST_DATETIME_MS <= date.epoch_ms <= _LAST_DATETIME_MS:
        return date
    return _EPOCH + timedelta(milliseconds=date.epoch_ms)


def _epoch_of(payload: Any) -> float:
    if type(payload) is int or type(payload) is float:
        return payload
    if type(payload) is list and payload[:1] == [TAG] and payload[1:2] in _NON_FINITE:
        return _NAN
    raise _refused("the epoch of a date must be a number", payload)


def _decode_url(tree: list[Any], depth: int, reuse: bool) -> WireUrl:
    href = _slot(tree, 2, str)
    if not _SCHEME.match(href):
        raise _refused("a url must start with a scheme", href)
    return WireUrl(href)


def _decode_bytes(tree: list[Any], depth: int, reuse: bool) -> bytes | WireBytes:
    data = _bytes_of(_slot(tree, 2, str))
    kind = tree[3] if len(tree) > 3 else None
    if type(kind) is not str or kind == "Uint8Array" or kind not in _ELEMENT_SIZES:
        return data
    _check_alignment(data, _ELEMENT_SIZES[kind], kind)
    return WireBytes(data, kind)


def _bytes_of(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        data = b""
    if _base64(data) != text:
        raise _refused("bytes must be canonical base64", text)
    return data


def _decode_arr(tree: list[Any], depth: int, reuse: bool) -> list[Any]:
    return _decode_array(_slot(tree, 2, list), depth, reuse)


def _decode_set(tree: list[Any], depth: int, reuse: bool) -> WireSet:
    return WireSet(_decode_array(_slot(tree, 2, list), depth, reuse))


def _decode_map(tree: list[Any], depth: int, reuse: bool) -> WireMap:
    entries: list[tuple[Any, Any]] = []
    step = ""
    try:
        for entry in _slot(tree, 2, list):
            step = f"[{len(entries)}]"
            if type(entry) is not list or len(entry) != 2:
                raise _refused("an entry of a map must be an array of exactly two", entry)
            step = f"[{len(entries)}].key"
            inner = _one_deeper(depth)
            key = _decode(entry[0], inner, reuse)
            step = f"[{len(entries)}].value"
            entries.append((key, _decode(entry[1], inner, reuse)))
    except _Refusal as refusal:
        refusal.steps.append(step)
        raise
    return WireMap(entries)


def _decode_error(tree: list[Any], depth: int, reuse: bool) -> WireError:
    name, message = _slot(tree, 2, str), _slot(tree, 3, str)
    step = ".props"
    try:
        inner = _one_deeper(depth)
        props = _decode_object(_slot(tree, 4, dict), inner, reuse)
        step = ".cause"
        cause = _decode(tree[5], inner, reuse) if len(tree) > 5 else UNDEFINED
    except _Refusal as refusal:
        refusal.steps.append(step)
        raise
    return WireError(name, message, props, cause)


def _slot(tree: list[Any], index: int, kind: type) -> Any:
    item = tree[index] if len(tree) > index else _MISSING
    if type(item) is kind:
        return item
    if item is _MISSING:
        raise _Refusal(f"slot {index} of a tagged {tree[1]} is missing")
    raise _refused(f"slot {index} of a tagged {tree[1]} must be {kind.__name__}", item)


_DECODERS: Final[dict[str, Callable[[list[Any], int, bool], Any]]] = {
    "arr": _decode_arr,
    "bigint": _decode_bigint,
    "bytes": _decode_bytes,
    "date": _decode_date,
    "error": _decode_error,
    "inf": lambda tree, depth, reuse: _INF,
    "-inf": lambda tree, depth, reuse: -_INF,
    "map": _decode_map,
    "nan": lambda tree, depth, reuse: _NAN,
    "set": _decode_set,
    "undefined": lambda tree, depth, reuse: UNDEFINED,
    "url": _decode_url,
}


# --- both ways --------------------------------------------------------------


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _check_alignment(data: bytes, size: int, kind: str) -> None:
    if len(data) % size:
        raise _refused(f"the length of a {kind} must be a multiple of {size}", data)


def _one_deeper(depth: int) -> int:
    if depth >= _MAX_DEPTH:
        raise _too_deep()
    return depth + 1


def _too_deep(*steps: str | int) -> _Refusal:
    return _Refusal(f"nested deeper than {_MAX_DEPTH} levels", *steps)


def _refused(reason: str, value: object) -> _Refusal:
    return _Refusal(f"{reason}, got {type(value).__name__}")


def _field_step(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{_quote(key)}]"
