"""Encoding: Python values to wire trees.

Source: ``docs/protocol.md``, section "Value codec".  The loops over arrays and
objects test scalars in place and call nothing for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final

from lunora_rx.protocol.key_text import stable_key_of_tree
from lunora_rx.protocol.refusal import MAX_DEPTH, Refusal, field_step, no_wire_form, one_deeper, refused, too_deep
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
    Undefined,
    WireBigInt,
    WireBytes,
    WireDate,
    WireError,
    WireMap,
    WireSet,
    WireUrl,
)

__all__ = ["encode_for_key", "encode_wire"]

_BIGINT_LOW: Final = -(10 ** (BIGINT_CHARACTERS - 1))
_BIGINT_HIGH: Final = 10**BIGINT_CHARACTERS
_INF: Final = math.inf
_MICROSECOND: Final = timedelta(microseconds=1)

_TextRule = Callable[[str], None]


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
    except Refusal as refusal:
        error = refusal.error(root)
    raise error


def _encode(value: Any, depth: int, rule: _TextRule) -> Any:
    encoder = _ENCODERS.get(type(value)) or _encoder_of_subclass(value)
    return encoder(value, depth, rule)


def _encode_array(items: Collection[Any], depth: int, rule: _TextRule) -> list[Any]:
    tree = _encode_items(items, depth, rule)
    return [TAG, "arr", tree] if tree and tree[0] == TAG else tree


def _encode_items(items: Collection[Any], depth: int, rule: _TextRule) -> list[Any]:
    if depth >= MAX_DEPTH and len(items):
        raise too_deep(0)
    depth += 1
    tree: list[Any] = []
    try:
        for item in items:
            kind = type(item)
            if not (
                (kind is str and item.isascii())
                or (kind is int and MIN_INT <= item <= MAX_INT)
                or item is None
                or kind is bool
                or (kind is float and -_INF < item < _INF)
            ):
                item = _encode(item, depth, rule)
            tree.append(item)
    except Refusal as refusal:
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
        if depth > MAX_DEPTH or not (
            (kind is str and item.isascii())
            or (kind is int and MIN_INT <= item <= MAX_INT)
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
    if depth > MAX_DEPTH:
        raise too_deep(field_step(key))
    try:
        return _encode(item, depth, rule)
    except Refusal as refusal:
        refusal.steps.append(field_step(key))
        raise


def _encode_key(key: object, rule: _TextRule) -> str:
    if not isinstance(key, str):
        raise refused("the keys of an object must be str", key)
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
    if not MIN_INT <= value <= MAX_INT:
        raise refused("an integer beyond 2**53 - 1 either way must be a WireBigInt", value)
    return int.__int__(value)


def _encode_bigint(value: WireBigInt, depth: int, rule: _TextRule) -> list[Any]:
    if not _BIGINT_LOW < value < _BIGINT_HIGH:
        raise refused(f"a bigint must not exceed {BIGINT_CHARACTERS} characters", value)
    return [TAG, "bigint", int.__repr__(value)]


def _encode_float(value: float, depth: int, rule: _TextRule) -> float | list[Any]:
    if -_INF < value < _INF:
        return float.__float__(value)
    if value != value:
        return [TAG, "nan"]
    return [TAG, "inf" if value > 0 else "-inf"]


def _encode_url(value: WireUrl, depth: int, rule: _TextRule) -> list[Any]:
    if not SCHEME.match(value):
        raise refused("a url must start with a scheme", value)
    return [TAG, "url", _encode_str(value, depth, rule)]


def _encode_bytes(value: bytes | bytearray | memoryview, depth: int, rule: _TextRule) -> list[Any]:
    return [TAG, "bytes", base64(bytes(value))]  # a view need not be contiguous


def _encode_typed_bytes(value: WireBytes, depth: int, rule: _TextRule) -> list[Any]:
    size = ELEMENT_SIZES.get(value.kind) if isinstance(value.kind, str) else None
    if size is None:
        raise refused("the kind of bytes must be the name of a known constructor", value)
    check_alignment(value.data, size, value.kind)
    tree = [TAG, "bytes", base64(value.data)]
    return tree if value.kind == "Uint8Array" else [*tree, str.__str__(value.kind)]


def _encode_datetime(value: datetime, depth: int, rule: _TextRule) -> list[Any]:
    if value.tzinfo is None or value.utcoffset() is None:
        if value != value:  # pandas.NaT is a datetime that is none
            raise no_wire_form(value)
        raise no_wire_form(value, "a datetime must have a time zone")
    microseconds = (value - EPOCH) // _MICROSECOND
    magnitude = abs(microseconds) // 1000
    return _date_tree(magnitude if microseconds >= 0 else -magnitude, depth)


def _encode_date(value: WireDate, depth: int, rule: _TextRule) -> list[Any]:
    return _date_tree(value.epoch_ms if value.is_valid else [TAG, "nan"], depth)


def _date_tree(payload: object, depth: int) -> list[Any]:
    one_deeper(depth)
    return [TAG, "date", payload]


def _encode_map(value: WireMap, depth: int, rule: _TextRule) -> list[Any]:
    entries: list[Any] = []
    step = "key"
    try:
        for key, item in value.items():
            inner = one_deeper(depth)
            tree = _encode(key, inner, rule)
            step = "value"
            entries.append([tree, _encode(item, inner, rule)])
            step = "key"
    except Refusal as refusal:
        refusal.steps.append(f"[{len(entries)}].{step}")
        raise
    return [TAG, "map", entries]


def _encode_set(value: WireSet, depth: int, rule: _TextRule) -> list[Any]:
    return [TAG, "set", _encode_items(value, depth, rule)]


def _encode_unordered_set(value: set[Any] | frozenset[Any], depth: int, rule: _TextRule) -> list[Any]:
    items = _encode_items(WireSet(value), depth, rule)
    return [TAG, "set", sorted(items, key=stable_key_of_tree)]


def _encode_error(value: WireError, depth: int, rule: _TextRule) -> list[Any]:
    step = ".name"
    try:
        name = _encode_text_slot(value.name, rule)
        step = ".message"
        message = _encode_text_slot(value.message, rule)
        step = ".props"
        inner = one_deeper(depth)
        props = _encode_props(value.props, inner, rule)
        step = ".cause"
        cause = [] if value.cause is UNDEFINED else [_encode(value.cause, inner, rule)]
    except Refusal as refusal:
        refusal.steps.append(step)
        raise
    return [TAG, "error", name, message, props, *cause]


def _encode_text_slot(value: object, rule: _TextRule) -> str:
    if not isinstance(value, str):
        raise refused("the name and the message of an error must be str", value)
    return _encode_str(value, 0, rule)


def _encode_props(value: object, depth: int, rule: _TextRule) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused("the props of an error must be a dict", value)
    return _encode_object(value, depth, rule)


def _encoder_of_subclass(value: object) -> Callable[[Any, int, _TextRule], Any]:
    for base, encoder in _ENCODERS.items():
        if issubclass(type(value), base):
            return encoder
    raise no_wire_form(value)


def _refuse_lone_surrogates(text: str) -> None:
    try:
        text.encode()
        return
    except UnicodeEncodeError:
        pass  # its message quotes the text
    raise refused("a text with a lone surrogate cannot be sent", text)


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
