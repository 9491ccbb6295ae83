"""JSON text to wire trees and back.

Source: ``docs/protocol.md``, section "Value codec".  Most texts hold no tag at
all, so a text is walked only after a cheap search has found what might be one.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from lunora_rx.errors import CodecError
from lunora_rx.protocol.wire import TAG, decode_parsed, encode_wire

__all__ = ["dumps", "loads", "may_hold_tag", "parse", "serialize"]

_TAG_BYTES: Final = TAG.encode()
_INT_CHARACTERS: Final = 20  # as many as fit 64 bits; a longer literal is read as a float
_REFUSE_WHAT_IS_NOT_JSON: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(value: object) -> bytes:
    """Return the JSON text of a value's wire form.

    Raises:
        CodecError: The value has no wire form.
    """
    return serialize(encode_wire(value))


def loads(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        CodecError: The text is not JSON, or what it holds is not a wire value.
    """
    tree = parse(text)
    return decode_parsed(tree) if may_hold_tag(text) else tree


def parse(text: str | bytes) -> object:
    """Return the wire tree of a JSON text.

    Raises:
        CodecError: The text is not JSON; its code is ``WIRE_DECODE_FAILED``.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # it may still be legal: a lone surrogate, a number beyond a double
    return _parse_tolerantly(text)


def may_hold_tag(text: str | bytes) -> bool:
    """Tell whether a JSON text can hold a tag; if not, its parse is its value.

    A single character is found a hundred times faster than the tag is found missing.
    """
    if isinstance(text, str):
        return ("$" in text and TAG in text) or ("\\" in text and _may_spell_tag(text))
    return (b"$" in text and _TAG_BYTES in text) or (b"\\" in text and _may_spell_tag_bytes(text))


def serialize(tree: object) -> bytes:
    """Return the JSON text of a tree that ``encode_wire`` has made, or of a frame around such trees.

    Raises:
        CodecError: The tree holds a lone surrogate or something that is no JSON.
    """
    try:
        return orjson.dumps(tree, option=_REFUSE_WHAT_IS_NOT_JSON)
    except orjson.JSONEncodeError as refused:
        reason = str(refused)
    raise CodecError(f"cannot be written as JSON: {reason}")


def _may_spell_tag(text: str) -> bool:
    # "$", "." and the letters of the tag are U+0024, U+002E and U+0061 to U+0077.
    return "\\u00" in text and ("\\u002" in text or "\\u006" in text or "\\u007" in text)


def _may_spell_tag_bytes(text: bytes) -> bool:
    return b"\\u00" in text and (b"\\u002" in text or b"\\u006" in text or b"\\u007" in text)


def _parse_tolerantly(text: str | bytes) -> object:
    try:
        decoded = text if isinstance(text, str) else text.decode()
        return json.loads(decoded, parse_int=_bounded_int, parse_constant=_refuse_constant)
    except RecursionError:
        reason = "nested too deeply"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start}"
    except ValueError as error:
        reason = str(error)
    raise CodecError(f"not valid JSON: {reason}", path="text", code="WIRE_DECODE_FAILED")


def _bounded_int(literal: str) -> float:
    return int(literal) if len(literal) <= _INT_CHARACTERS else float(literal)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
