"""Decoding: wire trees to Python values.

Source: ``docs/protocol.md``, section "Value codec".  The loops over arrays and
objects test scalars in place and call nothing for them.
"""

from __future__ import annotations

import binascii
import math
from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from itertools import chain, repeat
from operator import is_
from typing import Any, Final

from lunora_rx.protocol.refusal import MAX_DEPTH, Refusal, field_step, one_deeper, refused, too_deep
from lunora_rx.protocol.tags import (
    BIGINT_CHARACTERS,
    ELEMENT_SIZES,
    EPOCH,
    MAX_INT,
    MIN_INT,
    SCHEME,
    TAG,
    base64,
    check_alignment,
)
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

__all__ = ["decode_parsed", "decode_wire"]

_INF: Final = math.inf
_NAN: Final = math.nan

_ONLY_OBJECTS: Final = {dict}
_SEVERAL: Final = 8  # rows that are worth the setting up
_CHUNK: Final = 128  # rows that stay in the processor's cache
_ONLY_INTS: Final = {int}
_ONLY_ARRAYS: Final = {list}
_TAGGED: Final = [TAG]
_PASSIVE: Final = frozenset({str, float, bool, type(None)})

_FIRST_DATETIME_MS: Final = -62_135_596_800_000
_LAST_DATETIME_MS: Final = 253_402_300_799_999

_MISSING: Final = object()
_NON_FINITE: Final = (["nan"], ["inf"], ["-inf"])


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
    except Refusal as refusal:
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
        return tree if MIN_INT <= tree <= MAX_INT else _nearest_float(tree)
    if kind is str or kind is float or kind is bool or tree is None:
        return tree
    raise refused("this is no JSON value", tree)


def _decode_tagged(tree: list[Any], depth: int, reuse: bool) -> Any:
    name = tree[1] if len(tree) > 1 else None
    decoder = _DECODERS.get(name, _decode_array) if type(name) is str else _decode_array
    return decoder(tree, depth, reuse)


def _decode_array(tree: list[Any], depth: int, reuse: bool) -> list[Any]:
    if depth >= MAX_DEPTH and tree:
        raise too_deep(0)
    depth += 1
    if reuse and len(tree) >= _SEVERAL and set(map(type, tree)) == _ONLY_OBJECTS and len(set(map(len, tree))) == 1:
        _decode_rows(tree, depth)
        return tree
    items = tree if reuse else tree.copy()
    index = 0
    try:
        for index, item in enumerate(items):
            kind = type(item)
            if not (kind in _PASSIVE or (kind is int and MIN_INT <= item <= MAX_INT)):
                items[index] = _decode(item, depth, reuse)
    except Refusal as refusal:
        refusal.steps.append(index)
        raise
    return items


def _decode_object(tree: dict[Any, Any], depth: int, reuse: bool) -> dict[Any, Any]:
    fields = tree if reuse else _copied_fields(tree)
    if depth >= MAX_DEPTH and fields:
        raise too_deep(field_step(next(iter(fields))))
    depth += 1
    key = ""
    try:
        for key, item in fields.items():  # assigning to a key that is there does not disturb it
            kind = type(item)
            if not (kind in _PASSIVE or (kind is int and MIN_INT <= item <= MAX_INT)):
                fields[key] = _decode(item, depth, reuse)
    except Refusal as refusal:
        refusal.steps.append(field_step(key))
        raise
    return fields


def _copied_fields(tree: dict[Any, Any]) -> dict[Any, Any]:
    for key in tree:
        if type(key) is not str:
            raise refused("the keys of an object must be str", key)
    return tree.copy()


def _decode_rows(rows: list[dict[str, Any]], depth: int) -> None:
    start = 0
    try:
        for start in range(0, len(rows), _CHUNK):
            _decode_columns(rows[start : start + _CHUNK], depth)
    except Refusal as refusal:
        refusal.steps[-1] = start + int(refusal.steps[-1])
        raise


def _decode_columns(rows: list[dict[str, Any]], depth: int) -> None:
    # The rows of a table are most of what arrives.  By columns, cells of one kind are
    # handled without a look at each of them in Python: that saves two fifths of the walk.
    if depth >= MAX_DEPTH and rows[0]:
        raise too_deep(field_step(next(iter(rows[0]))), 0)
    for position, column in enumerate(zip(*map(dict.values, rows), strict=True)):
        kinds = set(map(type, column))
        if not (_are_scalars(kinds, column) or (kinds == _ONLY_ARRAYS and _are_flat(column, depth))):
            _decode_column(rows, position, column, depth)


def _are_scalars(kinds: set[type], items: Collection[Any]) -> bool:
    """Tell whether values of these kinds are what they stand for, each of them."""
    return kinds <= _PASSIVE or (kinds == _ONLY_INTS and min(items) >= MIN_INT and max(items) <= MAX_INT)


def _are_flat(column: tuple[list[Any], ...], depth: int) -> bool:
    """Tell whether a column of arrays holds neither tags nor anything else to decode."""
    if depth + 1 >= MAX_DEPTH or column[0][:1] == _TAGGED:
        return False
    items = list(chain.from_iterable(column))
    if items and type(items[0]) is str:
        try:
            return TAG not in "".join(items)  # as one text they are checked for their kind, and searched, in one go
        except TypeError:
            pass  # there are others among them
    return _are_scalars(set(map(type, items)), items) and TAG not in items


def _decode_column(rows: list[dict[str, Any]], position: int, column: tuple[Any, ...], depth: int) -> None:
    try:
        values = _bigints_of(column) or _decode_array(list(column), depth, reuse=True)
    except Refusal as refusal:
        row = rows[int(refusal.steps[-1])]
        refusal.steps.insert(-1, field_step(list(row)[position]))
        raise
    key = list(rows[0])[position]
    if all(map(is_, column, map(dict.get, rows, repeat(key)))):
        deque(map(dict.__setitem__, rows, repeat(key), values), maxlen=0)
        return
    for row, value in zip(rows, values, strict=True):  # rows may differ in the names and the order of their fields
        row[list(row)[position]] = value


def _bigints_of(column: tuple[Any, ...]) -> list[WireBigInt] | None:
    """Return the bigints of a column of nothing else: a few calls check them all."""
    try:
        tags, names, texts = zip(*column, strict=True)
        digits = "".join(texts).replace("-", "").encode()  # a sign in a wrong place is a ValueError below
        if not digits.isdigit() or max(map(len, texts)) > BIGINT_CHARACTERS:
            return None
        if tags.count(TAG) != len(column) or names.count("bigint") != len(column):
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
        raise refused("a bigint must be written in decimal digits", text)
    if len(text) > BIGINT_CHARACTERS:
        raise refused(f"a bigint must not exceed {BIGINT_CHARACTERS} characters", text)
    return WireBigInt(text)


def _decode_date(tree: list[Any], depth: int, reuse: bool) -> datetime | WireDate:
    one_deeper(depth)
    date = WireDate(_epoch_of(tree[2] if len(tree) > 2 else None))
    if not _FIRST_DATETIME_MS <= date.epoch_ms <= _LAST_DATETIME_MS:
        return date
    return EPOCH + timedelta(milliseconds=date.epoch_ms)


def _epoch_of(payload: Any) -> float:
    if type(payload) is int or type(payload) is float:
        return payload
    if type(payload) is list and payload[:1] == [TAG] and payload[1:2] in _NON_FINITE:
        return _NAN
    raise refused("the epoch of a date must be a number", payload)


def _decode_url(tree: list[Any], depth: int, reuse: bool) -> WireUrl:
    href = _slot(tree, 2, str)
    if not SCHEME.match(href):
        raise refused("a url must start with a scheme", href)
    return WireUrl(href)


def _decode_bytes(tree: list[Any], depth: int, reuse: bool) -> bytes | WireBytes:
    data = _bytes_of(_slot(tree, 2, str))
    kind = tree[3] if len(tree) > 3 else None
    if type(kind) is not str or kind == "Uint8Array" or kind not in ELEMENT_SIZES:
        return data
    check_alignment(data, ELEMENT_SIZES[kind], kind)
    return WireBytes(data, kind)


def _bytes_of(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        data = b""
    if base64(data) != text:
        raise refused("bytes must be canonical base64", text)
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
                raise refused("an entry of a map must be an array of exactly two", entry)
            step = f"[{len(entries)}].key"
            inner = one_deeper(depth)
            key = _decode(entry[0], inner, reuse)
            step = f"[{len(entries)}].value"
            entries.append((key, _decode(entry[1], inner, reuse)))
    except Refusal as refusal:
        refusal.steps.append(step)
        raise
    return WireMap(entries)


def _decode_error(tree: list[Any], depth: int, reuse: bool) -> WireError:
    name, message = _slot(tree, 2, str), _slot(tree, 3, str)
    step = ".props"
    try:
        inner = one_deeper(depth)
        props = _decode_object(_slot(tree, 4, dict), inner, reuse)
        step = ".cause"
        cause = _decode(tree[5], inner, reuse) if len(tree) > 5 else UNDEFINED
    except Refusal as refusal:
        refusal.steps.append(step)
        raise
    return WireError(name, message, props, cause)


def _slot(tree: list[Any], index: int, kind: type) -> Any:
    item = tree[index] if len(tree) > index else _MISSING
    if type(item) is kind:
        return item
    if item is _MISSING:
        raise Refusal(f"slot {index} of a tagged {tree[1]} is missing")
    raise refused(f"slot {index} of a tagged {tree[1]} must be {kind.__name__}", item)


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
